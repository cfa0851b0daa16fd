//! What MariaDB's and MySQL's own test suites found: each of these came out otherwise through Millpond
//! than on a direct connection.

use std::net::Ipv4Addr;

use crate::support::accounts::APP;
use crate::support::flavor::Flavor;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::raw::packets::Packets;
use crate::support::raw::reply::{Expect, Reply};
use crate::support::servers;
use mysql_async::prelude::Queryable;
use mysql_common::constants::CapabilityFlags;

const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;

/// MariaDB's and MySQL's own clients: a procedure's output parameters did not say what they are where
/// EOF packets end the columns, and came to those who never asked for them.
#[test]
fn output_parameters_come_as_the_client_negotiated() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        for sql in [
            "CREATE DATABASE IF NOT EXISTS app",
            "DROP PROCEDURE IF EXISTS app.suites_outputs",
            "CREATE PROCEDURE app.suites_outputs(OUT a INT, OUT b TEXT) \
             BEGIN SELECT 5; SET a = 7, b = REPEAT('b', 60000); SELECT 6 FROM DUAL WHERE a = 8; END",
        ] {
            admin.query_drop(sql).await.expect(sql);
        }
        let millpond = Millpond::start(server, &Settings::default());
        let outputs = CapabilityFlags::CLIENT_PS_MULTI_RESULTS;
        let modern = CapabilityFlags::CLIENT_DEPRECATE_EOF;
        for capabilities in [outputs | modern, outputs, modern, CapabilityFlags::empty()] {
            if server.flavor == Flavor::MySql && capabilities == outputs {
                // MySQL then says behind the row that nothing follows, and goes on.
                continue;
            }
            let capabilities = capabilities | CapabilityFlags::CLIENT_MULTI_RESULTS;
            let login = Login { capabilities, ..Login::of(&APP) };
            let mut replies = Vec::new();
            for port in [server.port, millpond.port] {
                let mut client = login.at(port).await.unwrap();
                let prepare = [&[PREPARE][..], b"CALL app.suites_outputs(?, ?)"].concat();
                let prepared =
                    client.command(&prepare, Expect::Statement).await.unwrap().must("prepare");
                let id = &prepared.packets[0].1[1..5];
                // No cursor, once, both NULL, types follow: LONG, VAR_STRING.
                let execute = [&[EXECUTE][..], id, &[0, 1, 0, 0, 0, 3, 1, 3, 0, 253, 0]].concat();
                let reply = client.command(&execute, Expect::Results).await.unwrap();
                replies.push(reply.must("CALL"));
                // Nothing is out of step afterwards.
                let value = client.query("SELECT 'after'").await.unwrap().value();
                assert_eq!(value.as_deref(), Some("after"));
            }
            let [direct, through] = &replies[..] else { unreachable!("two ports") };
            let short = |reply: &Reply| -> Vec<(u8, Vec<u8>)> {
                let cut = |packet: &[u8]| packet[..packet.len().min(16)].to_vec();
                reply.packets.iter().map(|(number, packet)| (*number, cut(packet))).collect()
            };
            assert_eq!(short(direct), short(through), "{} {capabilities:?}", server.flavor);
            assert!(direct == through, "{} {capabilities:?}", server.flavor);
        }
    });
}

/// MariaDB's own client: a session that begins without autocommit was told that it has it, and one under
/// `NO_BACKSLASH_ESCAPES` how not to escape texts.
#[test]
fn a_session_begins_with_the_status_that_the_server_gives() {
    for globals in [
        "SET GLOBAL autocommit = 0",
        "SET GLOBAL sql_mode = CONCAT(@@GLOBAL.sql_mode, ',NO_BACKSLASH_ESCAPES')",
    ] {
        servers::both_private(&[], async |server| {
            let mut admin = server.admin().await;
            admin.query_drop("CREATE DATABASE IF NOT EXISTS app").await.unwrap();
            admin.query_drop(globals).await.unwrap();
            let millpond = Millpond::start(server, &Settings::default());
            let mut begun = Vec::new();
            for port in [server.port, millpond.port] {
                let (mut packets, greeting) = greeting(port).await;
                let mut client = Login::of(&APP).at(port).await.unwrap();
                let ping = client.command(&[0x0e], Expect::One).await.unwrap().packets;
                begun.push((greeting, ping));
                packets.send(1, &[]).await.ok();
            }
            assert_eq!(begun[0], begun[1], "{} {globals}", server.flavor);
        });
    }
}

/// The status in a greeting, and the connection that it came on.
async fn greeting(port: u16) -> (Packets, [u8; 2]) {
    let mut packets = Packets::connect(port, Ipv4Addr::LOCALHOST).await.unwrap();
    let (_, greeting) = packets.receive().await.unwrap();
    let version = greeting.iter().position(|&byte| byte == 0).unwrap();
    // Thread, half of the nonce, a filler, capabilities and the collation are between.
    let at = version + 1 + 4 + 8 + 1 + 2 + 1;
    (packets, [greeting[at], greeting[at + 1]])
}

/// MariaDB's and MySQL's own clients: a login in a character set in which nothing can be said.
#[test]
fn a_login_in_wide_letters_is_refused_as_the_server_does() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::default());
        // ucs2, utf16le, utf16, utf32.
        for collation in [35, 56, 54, 60] {
            let login = Login { collation, ..Login::of(&APP) };
            let direct = login.at(server.port).await.map(drop).unwrap_err().to_string();
            let through = login.at(millpond.port).await.map(drop).unwrap_err().to_string();
            assert!(direct.contains("character_set_client"), "{} {direct}", server.flavor);
            assert_eq!(direct, through, "{}", server.flavor);
        }
    });
}

/// MariaDB's own client: a change of the user that fails leaves the connection, cleared, to who had it.
#[test]
fn a_change_of_the_user_that_fails_does_to_the_session_what_the_server_does() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::default());
        for port in [server.port, millpond.port] {
            let mut client = Login::of(&APP).at(port).await.unwrap();
            client.query("SET @mine = 5, sql_mode = 'ANSI'").await.unwrap().must("SET");
            let wrong = Login { password: "wrong".to_owned(), ..Login::of(&APP) };
            wrong.change_user(&mut client).await.unwrap_err();
            let sql =
                "SELECT CONCAT(CURRENT_USER(), DATABASE(), @@sql_mode LIKE 'ANSI%', @mine IS NULL)";
            let left = client.query(sql).await;
            if server.flavor == Flavor::MySql {
                assert!(left.is_err(), "{port}");
                continue;
            }
            let left = left.unwrap().value().unwrap();
            assert!(left.starts_with("app@") && left.ends_with("app01"), "{port} {left}");
            Login::of(&APP).change_user(&mut client).await.unwrap();
        }
    });
}

/// MySQL's and MariaDB's own clients: an execution that is too short, or too long, gets an error and
/// leaves the connection.
#[test]
fn an_execution_that_is_malformed_gets_the_servers_error() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::default());
        for rest in
            [&[][..], &[0, 1, 0, 0, 0], &[0, 1, 0, 0, 0, 0, 1], &[0, 1, 0, 0, 0, 0, 1, 3, 0, 1]]
        {
            let mut errors = Vec::new();
            for port in [server.port, millpond.port] {
                let mut client = Login::of(&APP).at(port).await.unwrap();
                let prepare = [&[PREPARE][..], b"SELECT ?"].concat();
                let prepared = client.command(&prepare, Expect::Statement).await.unwrap();
                let id = &prepared.packets[0].1[1..5];
                let execute = [&[EXECUTE][..], id, rest].concat();
                let reply = client.command(&execute, Expect::Results).await;
                errors.push(reply.map(|reply| reply.error()).map_err(|error| error.kind()));
                errors.push(Ok(client
                    .query("SELECT 'after'")
                    .await
                    .ok()
                    .and_then(|r| r.value().map(|v| (0, v)))));
            }
            assert_eq!(errors[..2], errors[2..], "{} {rest:?}", server.flavor);
        }
    });
}

/// MySQL's own client: MySQL gives a prepared statement the types of its first parameters, and reads
/// later ones as of these. Those of another session's statement are not for this one's.
#[test]
fn a_prepared_statement_takes_no_types_from_another_sessions() {
    servers::both_async(async |server| {
        let pool = "max_size = 1\nhand_over = \"always\"\n".to_owned();
        let millpond = Millpond::start(server, &Settings { pool, ..Settings::default() });
        // A date in the way of a DATETIME, of a DATE, of a text.
        let date = [4, 0xd1, 0x07, 10, 20];
        let binds = [(12, &date[..]), (10, &date[..]), (253, b"\x0a2001-10-20"), (10, &date[..])];
        let mut replies = Vec::new();
        for port in [server.port, millpond.port] {
            for (kind, value) in binds {
                let mut client = Login::of(&APP).at(port).await.unwrap();
                let prepare = [&[PREPARE][..], b"SELECT ?"].concat();
                let prepared = client.command(&prepare, Expect::Statement).await.unwrap();
                let id = &prepared.packets[0].1[1..5];
                let head = [&[EXECUTE][..], id, &[0, 1, 0, 0, 0, 0, 1, kind, 0]].concat();
                let execute = [&head[..], value].concat();
                // Twice, the second time with a type that the first one's makes another of.
                replies.push(client.command(&execute, Expect::Results).await.unwrap());
                let again = [&[EXECUTE][..], id, &[0, 1, 0, 0, 0, 0, 1, 10, 0], &date].concat();
                replies.push(client.command(&again, Expect::Results).await.unwrap());
                client.quit().await;
            }
        }
        let (direct, through) = replies.split_at(2 * binds.len());
        assert_eq!(direct, through, "{}", server.flavor);
    });
}

/// MySQL's Python driver: after a `CREATE PROCEDURE` under `autocommit=0`, Millpond looked at stored code
/// on that connection and left a transaction there, in which the session's next `CALL` held a lock.
#[test]
fn no_transaction_is_open_that_the_session_did_not_begin() {
    servers::both_async(async |server| {
        let pool = "max_size = 1\n".to_owned();
        let millpond = Millpond::start(server, &Settings { pool, ..Settings::default() });
        let mut seen = Vec::new();
        for port in [server.port, millpond.port] {
            let mut client = Login::of(&APP).at(port).await.unwrap();
            for sql in [
                "SET autocommit = 0",
                "DROP PROCEDURE IF EXISTS suites_calls",
                "CREATE PROCEDURE suites_calls() SELECT 5",
            ] {
                client.query(sql).await.unwrap().must(sql);
            }
            seen.push(client.query("CALL suites_calls()").await.unwrap());
            seen.push(client.query("DO 1").await.unwrap());
        }
        assert_eq!(seen[..2], seen[2..], "{}", server.flavor);
    });
}

/// MariaDB's own client: to prepare a statement that looks at tables clears the warnings of the one
/// before, also while Millpond has them.
#[test]
fn a_preparation_leaves_the_warnings_that_the_server_leaves() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        admin.query_drop("CREATE DATABASE IF NOT EXISTS app").await.unwrap();
        admin.query_drop("CREATE TABLE IF NOT EXISTS app.suites_rows (a INT)").await.unwrap();
        let pool = "max_size = 2\nhand_over = \"always\"\n".to_owned();
        let millpond = Millpond::start(server, &Settings { pool, ..Settings::default() });
        for sql in [
            "DROP TABLE IF EXISTS suites_nosuch",
            "DROP TEMPORARY TABLE IF EXISTS suites_nosuch",
            "ALTER TABLE suites_rows COMMENT 'x'",
            "TRUNCATE suites_rows",
            "RENAME TABLE suites_rows TO suites_others",
            "ANALYZE TABLE suites_rows",
            "SHOW TABLES",
            "SHOW WARNINGS",
            "SHOW CREATE TABLE suites_rows",
            "DESCRIBE suites_rows",
            "DO (SELECT MAX(a) FROM suites_rows)",
            "SET @a = (SELECT MAX(a) FROM suites_rows)",
            "DO 1",
            "SELECT 1",
            "COMMIT",
        ] {
            let mut left = Vec::new();
            for port in [server.port, millpond.port] {
                let mut client = Login::of(&APP).at(port).await.unwrap();
                client.query("DROP TABLE IF EXISTS suites_nosuch").await.unwrap().must("DROP");
                let prepare = [&[PREPARE][..], sql.as_bytes()].concat();
                let prepared = client.command(&prepare, Expect::Statement).await.unwrap();
                let warnings = client.query("SHOW COUNT(*) WARNINGS").await.unwrap().value();
                left.push((prepared.error(), warnings));
                client.quit().await;
            }
            assert_eq!(left[0], left[1], "{} {sql}", server.flavor);
        }
    });
}
