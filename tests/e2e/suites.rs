//! What drivers' own test suites found, run through Millpond.

use std::net::Ipv4Addr;

use crate::support::accounts::APP;
use crate::support::flavor::Flavor;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::raw::packets::Packets;
use crate::support::raw::reply::{Expect, Raw};
use crate::support::server::Server;
use crate::support::servers;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use mysql_common::constants::CapabilityFlags;

const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;
const SEND_LONG_DATA: u8 = 0x18;

/// A table `suites.long_values` with one column, empty.
async fn long_values(server: &Server) {
    let mut admin = server.admin().await;
    for sql in [
        "CREATE DATABASE IF NOT EXISTS app_suites",
        "DROP TABLE IF EXISTS app_suites.long_values",
        "CREATE TABLE app_suites.long_values (v LONGBLOB)",
    ] {
        admin.query_drop(sql).await.expect(sql);
    }
    admin.disconnect().await.ok();
}

/// Inserts a value that is sent in pieces; gives the error, if any.
async fn insert_in_pieces(client: &mut Raw, pieces: &[Vec<u8>]) -> Option<(u16, String)> {
    let prepare = [&[PREPARE][..], b"INSERT INTO app_suites.long_values VALUES (?)"].concat();
    let prepared = client.command(&prepare, Expect::Statement).await.unwrap().must("prepare");
    let id: [u8; 4] = prepared.packets[0].1[1..5].try_into().unwrap();
    for piece in pieces {
        let command = [&[SEND_LONG_DATA][..], &id, &[0, 0], piece].concat();
        client.command(&command, Expect::Nothing).await.unwrap();
    }
    // No cursor, once, no NULL, types follow: LONG_BLOB.
    let execute = [&[EXECUTE][..], &id, &[0, 1, 0, 0, 0, 0, 1, 0xfb, 0]].concat();
    client.command(&execute, Expect::Results).await.unwrap().error()
}

/// Go's driver sends values in pieces as long as a packet may be. Put together they would be a
/// packet that is too long for the server, which closed the connection.
#[test]
fn a_long_value_reaches_the_server_in_pieces_no_longer_than_the_clients() {
    servers::both_private(&["max_allowed_packet=1M"], async |server| {
        long_values(server).await;
        let millpond = Millpond::start(server, &Settings::default());
        let mut client = Login::of(&APP).at(millpond.port).await.unwrap();
        let pieces = [vec![b'a'; 1 << 19], vec![b'b'; (1 << 19) - 10], vec![b'c'; 10]];
        assert_eq!(insert_in_pieces(&mut client, &pieces).await, None, "{}", server.flavor);
        let sql = "SELECT CONCAT(LENGTH(v), ' ', SHA2(v, 256)) FROM app_suites.long_values";
        let stored = client.query(sql).await.unwrap().value();
        let mut admin = server.admin().await;
        let right: Option<String> = admin
            .query_first(
                "SELECT CONCAT(1024 * 1024, ' ', SHA2(CONCAT(REPEAT('a', 524288), \
                 REPEAT('b', 524278), REPEAT('c', 10)), 256))",
            )
            .await
            .unwrap();
        assert_eq!(stored, right);
        client.quit().await;
    });
}

/// What was beyond `max_packet` was left out, and the rest stored as if it were all.
#[test]
fn a_long_value_beyond_the_limit_is_refused_and_not_cut_short() {
    servers::both_async(async |server| {
        long_values(server).await;
        let service = "max_packet = \"64KiB\"\n".to_owned();
        let millpond = Millpond::start(server, &Settings { service, ..Settings::default() });
        let mut client = Login::of(&APP).at(millpond.port).await.unwrap();
        let piece = vec![b'a'; 40 << 10];
        let error = insert_in_pieces(&mut client, &[piece.clone(), piece.clone()]).await;
        assert_eq!(error.map(|(code, _)| code), Some(1105));
        // The statement is as good as new.
        assert_eq!(insert_in_pieces(&mut client, &[piece]).await, None);
        let stored =
            client.query("SELECT SUM(LENGTH(v)) FROM app_suites.long_values").await.unwrap();
        assert_eq!(stored.value().as_deref(), Some("40960"));
        client.quit().await;
    });
}

/// The number that the server has for the connection which the client's session is on.
async fn thread(client: &mut Conn) -> u64 {
    // Among the server's own lists, the number is the server's.
    let sql = "SELECT id FROM information_schema.processlist WHERE id = CONNECTION_ID()";
    let id: Option<u64> = client.query_first(sql).await.unwrap();
    id.unwrap()
}

/// Ends a connection behind Millpond's back, as a server does for its `wait_timeout`.
async fn end(server: &Server, thread: u64) {
    let mut admin = server.admin().await;
    admin.query_drop(format!("KILL {thread}")).await.unwrap();
    loop {
        let sql =
            format!("SELECT COUNT(*) FROM information_schema.processlist WHERE id = {thread}");
        let left: Option<u8> = admin.query_first(sql).await.unwrap();
        if left == Some(0) {
            break;
        }
    }
    admin.disconnect().await.ok();
}

/// Go's driver: a session's own connection was closed while it was idle, and its next statement was
/// sent all the same and reported as one whose outcome nobody knows.
#[test]
fn a_connection_that_ended_while_its_session_was_idle_costs_nothing() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        for turn in 0..3_u8 {
            client.query_drop("INSERT IGNORE INTO nosuch VALUES (1)").await.unwrap_err();
            let thread = thread(&mut client).await;
            end(server, thread).await;
            client.query_drop(format!("SET @turn = {turn}")).await.unwrap();
        }
        // What it had there is gone, and it is told that nothing was run.
        client.query_drop("BEGIN").await.unwrap();
        let thread = thread(&mut client).await;
        end(server, thread).await;
        let error = client.query_drop("SET @turn = 9").await.unwrap_err().to_string();
        assert!(error.contains("1158") && error.contains("not run"), "{error}");
        client.query_drop("DO 1").await.unwrap();
    });
}

/// Go's driver looks whether a connection was closed before it uses it.
#[test]
fn a_session_that_wants_to_be_closed_when_idle_is_closed() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::default());
        let mut client = Login::of(&APP).at(millpond.port).await.unwrap();
        client.query("SET SESSION wait_timeout = 1").await.unwrap().must("SET");
        // The reason, which MariaDB does not tell: its drivers take it for no lost connection (Perl's
        // did). Then the end.
        if server.flavor == Flavor::MySql {
            let (sequence, told) = client.packets.receive().await.unwrap();
            assert_eq!((sequence, &told[..3]), (0, &[0xff, 0xbf, 0x0f][..]));
        }
        client.packets.receive().await.unwrap_err();
    });
}

/// PHP's driver: `SET GLOBAL` was not seen by sessions that began after it.
#[test]
fn a_global_value_is_for_those_who_come_later_and_for_nobody_else() {
    servers::both_private(&[], async |server| {
        let mut admin = server.admin().await;
        for sql in ["CREATE DATABASE IF NOT EXISTS app", "GRANT ALL ON *.* TO app"] {
            admin.query_drop(sql).await.unwrap();
        }
        for hand_over in ["when-needed", "always"] {
            let pool = format!("max_size = 3\nhand_over = \"{hand_over}\"\n");
            let millpond = Millpond::start(server, &Settings { pool, ..Settings::default() });
            let mut early = millpond.connect(&APP, Some("app")).await.unwrap();
            let mut setting = millpond.connect(&APP, Some("app")).await.unwrap();
            let sql = "SELECT CONCAT(@@default_week_format, @@div_precision_increment)";
            let begun: Option<String> = early.query_first(sql).await.unwrap();
            setting.query_drop("SET GLOBAL default_week_format = 3").await.unwrap();
            setting.query_drop("SET @@GLOBAL.div_precision_increment = 7").await.unwrap();
            for _ in 0..3 {
                let mut late = millpond.connect(&APP, Some("app")).await.unwrap();
                late.query_drop("SET @mine = 1").await.unwrap();
                let seen: Option<String> = late.query_first(sql).await.unwrap();
                assert_eq!(seen.as_deref(), Some("37"), "{} {hand_over}", server.flavor);
                // On whatever connection.
                let seen: Option<String> = early.query_first(sql).await.unwrap();
                assert_eq!(seen, begun, "{} {hand_over}", server.flavor);
                late.query_drop("BEGIN").await.unwrap();
                let seen: Option<String> = setting.query_first(sql).await.unwrap();
                assert_eq!(seen, begun, "{} {hand_over}", server.flavor);
                late.disconnect().await.unwrap();
            }
            for sql in [
                "SET GLOBAL default_week_format = DEFAULT",
                "SET GLOBAL div_precision_increment = DEFAULT",
            ] {
                admin.query_drop(sql).await.unwrap();
            }
        }
    });
}

/// The collation in a greeting, which PHP's driver takes for its connection when it is told none.
async fn greeted_collation(port: u16) -> u8 {
    let mut packets = Packets::connect(port, Ipv4Addr::LOCALHOST).await.unwrap();
    let (_, greeting) = packets.receive().await.unwrap();
    let version = greeting.iter().skip(1).position(|byte| *byte == 0).unwrap();
    greeting[1 + version + 1 + 4 + 8 + 1 + 2]
}

#[test]
fn a_client_is_greeted_with_the_servers_own_collation() {
    let settings = ["character-set-server=latin1", "collation-server=latin1_swedish_ci"];
    servers::both_private(&settings, async |server| {
        let millpond = Millpond::start(server, &Settings::default());
        let right = greeted_collation(server.port).await;
        assert_eq!(greeted_collation(millpond.port).await, right, "{}", server.flavor);
        assert_eq!(right, 8);
    });
}

/// Go's driver asks for the cipher in force.
#[test]
fn the_cipher_that_a_client_is_told_is_its_own() {
    use crate::support::raw::login::Encrypted;
    servers::both_async(async |server| {
        let backend = "[services.test.backend.tls]\nmode = \"disabled\"\n".to_owned();
        let millpond = Millpond::start(server, &Settings { backend, ..Settings::default() });
        for encrypted in [Encrypted::Yes, Encrypted::No] {
            let login = Login { encrypted, ..Login::of(&APP) };
            let mut client = login.at(millpond.port).await.unwrap();
            for (name, begins) in [("Ssl_cipher", "TLS_"), ("ssl_version", "TLSv1.")] {
                let asked = client.query(&format!("SHOW STATUS LIKE '{name}'")).await.unwrap();
                let row = asked.packets.iter().rev().nth(1).unwrap().1.clone();
                let value = String::from_utf8_lossy(&row[2 + usize::from(row[0])..]).into_owned();
                let expected = if encrypted == Encrypted::Yes { begins } else { "" };
                assert!(value.starts_with(expected), "{name}: {value}");
                assert_eq!(value.is_empty(), encrypted == Encrypted::No, "{name}: {value}");
            }
            client.quit().await;
        }
    });
}

/// What a client is told.
async fn code(client: &mut Conn, sql: &str) -> Option<u16> {
    match client.query_drop(sql).await {
        Ok(()) => None,
        Err(mysql_async::Error::Server(error)) => Some(error.code),
        Err(error) => panic!("{sql}: {error}"),
    }
}

/// SQLAlchemy looks for a table before it makes it, without `autocommit`. The server keeps the name
/// locked until the transaction's end, of which its status says nothing; the session waited for itself.
#[test]
fn names_stay_locked_until_the_transaction_of_their_session_ends() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        for sql in [
            "CREATE DATABASE IF NOT EXISTS app",
            "CREATE TABLE IF NOT EXISTS app.suites_rows (a INT)",
            "CREATE TABLE IF NOT EXISTS app.suites_plain (a INT) ENGINE = MyISAM",
            "CREATE OR REPLACE VIEW app.suites_constant AS SELECT 1 AS a",
            "DROP PROCEDURE IF EXISTS app.suites_empty",
            "CREATE PROCEDURE app.suites_empty() BEGIN END",
        ] {
            admin.query_drop(sql).await.expect(sql);
        }
        let pool = "max_size = 3\nhand_over = \"always\"\n".to_owned();
        let millpond = Millpond::start(server, &Settings { pool, ..Settings::default() });
        let locking = [
            ("DESCRIBE suites_name", "CREATE TABLE suites_name (a INT)"),
            ("UPDATE suites_rows SET nosuch = 1", "ALTER TABLE suites_rows COMMENT 'x'"),
            ("CALL suites_empty()", "ALTER PROCEDURE suites_empty COMMENT 'x'"),
            // PyMySQL: MySQL's status tells of no transaction when only such tables were read.
            ("SELECT * FROM suites_plain", "ALTER TABLE suites_plain COMMENT 'x'"),
            ("CHECKSUM TABLE suites_plain", "ALTER TABLE suites_plain COMMENT 'x'"),
            ("SELECT * FROM suites_constant", "ALTER VIEW suites_constant AS SELECT 1 AS a"),
            ("SELECT 1", "CREATE TABLE suites_name (a INT)"),
        ];
        for (sql, alters) in locking {
            let mut seen = Vec::new();
            for options in [server.options(&APP, Some("app")), millpond.options(&APP, Some("app"))]
            {
                admin.query_drop("DROP TABLE IF EXISTS app.suites_name").await.unwrap();
                let mut client = Conn::new(options.clone()).await.unwrap();
                let mut other = Conn::new(options).await.unwrap();
                client.query_drop("SET autocommit = 0, lock_wait_timeout = 1").await.unwrap();
                other.query_drop("SET lock_wait_timeout = 1").await.unwrap();
                let mut told = vec![code(&mut client, sql).await, code(&mut other, alters).await];
                client.query_drop("ROLLBACK").await.unwrap();
                told.push(code(&mut client, alters).await);
                told.push(code(&mut other, alters).await);
                seen.push(told);
                client.disconnect().await.unwrap();
                other.disconnect().await.unwrap();
            }
            assert_eq!(seen[0], seen[1], "{} {sql}", server.flavor);
        }
    });
}

/// Go's driver: an execution with as many parameters as there can be ended the client's connection.
#[test]
fn a_statement_has_as_many_parameters_as_there_can_be() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::default());
        let count = usize::from(u16::MAX);
        let mut replies = Vec::new();
        for port in [server.port, millpond.port] {
            let mut client = Login::of(&APP).at(port).await.unwrap();
            let sql = format!("SELECT 7 IN ({}?)", "?,".repeat(count - 1));
            let prepare = [&[PREPARE][..], sql.as_bytes()].concat();
            let prepared = client.command(&prepare, Expect::Statement).await.unwrap();
            let id = prepared.must("prepare").packets[0].1[1..5].to_vec();
            // No cursor, once, no NULLs, types follow: all are TINY.
            let nulls = vec![0; count.div_ceil(8)];
            let (types, values) = ([1, 0].repeat(count), vec![7; count]);
            let head = [&[EXECUTE][..], &id, &[0, 1, 0, 0, 0]].concat();
            let execute = [&head[..], &nulls, &[1], &types, &values].concat();
            replies.push(client.command(&execute, Expect::Results).await.unwrap().must("execute"));
            // The types are kept.
            let again = [&head[..], &nulls, &[0], &values].concat();
            replies.push(client.command(&again, Expect::Results).await.unwrap().must("execute"));
            client.quit().await;
        }
        assert!(replies[..2] == replies[2..], "{}", server.flavor);
    });
}

/// MariaDB's driver for Node asks for `IGNORE_SPACE`, which a change of the user brought back.
#[test]
fn what_the_login_asked_for_outlives_what_it_does_on_the_server() {
    servers::both_private(&["interactive_timeout=20000", "wait_timeout=30000"], async |server| {
        let millpond = Millpond::start(server, &Settings::default());
        let asked = CapabilityFlags::CLIENT_IGNORE_SPACE | CapabilityFlags::CLIENT_INTERACTIVE;
        let login = Login { capabilities: asked, ..Login::of(&APP) };
        let sql = "SELECT CONCAT(@@sql_mode LIKE '%IGNORE_SPACE%', ' ', @@wait_timeout)";
        let mut seen = Vec::new();
        for port in [server.port, millpond.port] {
            let mut client = login.at(port).await.unwrap();
            let mut told = vec![client.query(sql).await.unwrap().value()];
            login.change_user(&mut client).await.unwrap();
            told.push(client.query(sql).await.unwrap().value());
            client.command(&[0x1f], Expect::One).await.unwrap().must("reset");
            told.push(client.query(sql).await.unwrap().value());
            assert_eq!(told[0].as_deref(), Some("1 20000"), "{}", server.flavor);
            seen.push(told);
        }
        assert_eq!(seen[0], seen[1], "{}", server.flavor);
    });
}
