//! What one client left behind is not for the next, and what it set is not lost for itself.
//!
//! The oracle is a direct connection: after whatever the first client did, the second must see what
//! a fresh connection sees; and the first, whoever used its backend meanwhile, what it would have
//! seen had it been alone.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_common::constants::CapabilityFlags;
use tokio::time::sleep;

use crate::support::accounts::APP;
use crate::support::flavor::Flavor;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::raw::reply::{Expect, Raw, Reply};
use crate::support::server::Server;
use crate::support::servers;

/// What a session can hold: a name, and the statements that make it hold that.
const HOLDINGS: &[(&str, &[&str])] = &[
    ("nothing", &[]),
    ("user variables", &["SET @a = 1, @b = 'ü', @c = 1.5", "SELECT 7 INTO @d"]),
    ("user variables in passing", &["SELECT @a := 5, @d := @a + 1"]),
    ("variables", &["SET time_zone = '+05:30', sql_mode = 'ANSI_QUOTES', sql_select_limit = 1"]),
    ("more variables", &["SET group_concat_max_len = 5, lc_time_names = 'de_DE'"]),
    ("no autocommit", &["SET autocommit = 0"]),
    ("no autocommit, in use", &["SET autocommit = 0", "INSERT INTO facts VALUES (90, 'x')"]),
    ("isolation", &["SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"]),
    ("read only", &["SET SESSION TRANSACTION READ ONLY"]),
    ("character sets", &["SET NAMES latin1"]),
    ("a collation", &["SET NAMES utf8mb4 COLLATE utf8mb4_bin"]),
    ("another database", &["USE app_leaks_other"]),
    ("a transaction", &["BEGIN", "INSERT INTO facts VALUES (91, 'uncommitted')"]),
    ("a savepoint", &["BEGIN", "INSERT INTO facts VALUES (92, 'x')", "SAVEPOINT s"]),
    ("the next transaction", &["SET TRANSACTION READ ONLY"]),
    ("a temporary table", &["CREATE TEMPORARY TABLE scratch (x INT)"]),
    ("a temporary table of a query", &["CREATE TEMPORARY TABLE scratch SELECT 1 AS x"]),
    ("one that hides another", &["CREATE TEMPORARY TABLE facts (id INT, name INT)"]),
    ("a text statement", &["PREPARE p FROM 'SELECT 42'"]),
    ("a lock on a table", &["LOCK TABLES facts WRITE"]),
    ("a lost lock on a table", &["LOCK TABLES facts WRITE", "ANALYZE TABLE facts"]),
    ("a lock by name", &["SELECT GET_LOCK('leak', 0)"]),
    ("a handler", &["HANDLER facts OPEN"]),
    ("an id", &["INSERT INTO numbered VALUES ()"]),
    ("a told id", &["SELECT LAST_INSERT_ID(77)"]),
    ("a set id", &["SET insert_id = 1000"]),
    ("a set time", &["SET timestamp = 1000000000"]),
    ("a warning", &["SELECT CAST('12x' AS SIGNED)"]),
    ("an error", &["SELECT * FROM nosuch"]),
    ("found rows", &["SELECT SQL_CALC_FOUND_ROWS id FROM facts LIMIT 1"]),
    ("many rows", &["SELECT id FROM facts"]),
    ("changed rows", &["UPDATE facts SET name = CONCAT(name, '!')"]),
    ("a role", &["SET ROLE leaky"]),
    ("seeds", &["SET rand_seed1 = 1, rand_seed2 = 2"]),
    ("state of a procedure", &["CALL hidden()"]),
    ("half of several", &["SET @a = 9; SELEKT"]),
    ("a distributed transaction", &["XA START 'leak'", "INSERT INTO facts VALUES (93, 'xa')"]),
];

/// What the other looks at. Whatever may fail may: it must fail in the same way.
const PROBES: &[&str] = &[
    "SELECT @a, @b, @c, @d, @p",
    "SELECT LAST_INSERT_ID(), identity, insert_id",
    "SELECT autocommit, time_zone, sql_mode, sql_select_limit, group_concat_max_len",
    "SELECT lc_time_names, character_set_client, character_set_results, collation_connection",
    "SELECT DATABASE(), CURRENT_USER(), CURRENT_ROLE(), UNIX_TIMESTAMP() > 1700000000",
    "SELECT x FROM scratch",
    "EXECUTE p",
    "HANDLER facts READ FIRST",
    "SELECT IS_FREE_LOCK('leak')",
    "SAVEPOINT t",
    "ROLLBACK TO SAVEPOINT s",
    "SELECT COUNT(*) > 0, MAX(id) FROM facts",
    "SELECT DISTINCT 'a' = 'A', \"x\" = 'x' FROM small",
];

/// Probes that change something themselves, tried last.
const TRIALS: &[&str] = &[
    "INSERT INTO small VALUES (5)",
    "DELETE FROM small WHERE n = 5",
    "ROLLBACK",
    "SELECT COUNT(*) FROM small",
    "SELECT 1; SELECT 2",
    "XA RECOVER",
];

/// What is asked first, since any other question would change the answer.
fn first_probe(what: &str) -> &'static str {
    match what {
        "found rows" | "many rows" => "SELECT FOUND_ROWS()",
        "an id" | "changed rows" | "a set id" => "SELECT ROW_COUNT()",
        _ => "SHOW WARNINGS",
    }
}

fn isolation_of(server: &Server) -> &'static str {
    match server.flavor {
        Flavor::MariaDb => "SELECT tx_isolation, tx_read_only",
        Flavor::MySql => "SELECT transaction_isolation, transaction_read_only",
    }
}

async fn prepare(server: &Server) {
    let mut admin = server.admin().await;
    for sql in [
        "DROP DATABASE IF EXISTS app_leaks",
        "DROP DATABASE IF EXISTS app_leaks_other",
        "CREATE DATABASE app_leaks",
        "CREATE DATABASE app_leaks_other",
        "CREATE TABLE app_leaks.facts (id INT PRIMARY KEY, name VARCHAR(50))",
        "INSERT INTO app_leaks.facts VALUES (1, 'one'), (2, 'two'), (3, 'three')",
        "CREATE TABLE app_leaks.small (n INT)",
        "INSERT INTO app_leaks.small VALUES (1)",
        "CREATE TABLE app_leaks.numbered (id INT AUTO_INCREMENT PRIMARY KEY)",
        "CREATE PROCEDURE app_leaks.hidden () BEGIN SELECT 8 INTO @a; \
         CREATE TEMPORARY TABLE scratch SELECT 3 AS x; SELECT GET_LOCK('leak', 0) INTO @b; END",
        "DROP ROLE IF EXISTS leaky",
        "CREATE ROLE leaky",
        "GRANT SELECT ON mysql.* TO leaky",
        "GRANT leaky TO app",
    ] {
        admin.query_drop(sql).await.expect(sql);
    }
    admin.disconnect().await.ok();
}

/// What depends on the run and not on what was done.
async fn refresh(server: &Server) {
    let mut admin = server.admin().await;
    for sql in [
        "TRUNCATE app_leaks.numbered",
        "DELETE FROM app_leaks.facts WHERE id > 3",
        "UPDATE app_leaks.facts SET name = id",
    ] {
        admin.query_drop(sql).await.expect(sql);
    }
    admin.disconnect().await.ok();
}

fn login() -> Login {
    Login { database: Some("app_leaks".to_owned()), ..Login::of(&APP) }
}

fn holder() -> Login {
    let mut login = login();
    login.capabilities |= CapabilityFlags::CLIENT_MULTI_STATEMENTS;
    login
}

async fn hold(client: &mut Raw, statements: &[&str]) {
    for sql in statements {
        // Some fail on purpose, or on one of the servers.
        let _ = client.query(sql).await.expect("a reply");
    }
}

async fn probe(client: &mut Raw, server: &Server, what: &str) -> Vec<(String, Reply)> {
    let mut seen = Vec::new();
    let first = [first_probe(what), isolation_of(server)];
    for sql in first.iter().chain(PROBES).chain(TRIALS) {
        let reply = client.query(sql).await.expect("a reply");
        seen.push(((*sql).to_owned(), reply));
    }
    seen
}

/// Text of what differs, empty if nothing does.
fn differences(what: &str, right: &[(String, Reply)], seen: &[(String, Reply)]) -> String {
    let mut told = String::new();
    for ((sql, right), (_, seen)) in right.iter().zip(seen) {
        if right != seen {
            let (right, seen) = (show(right), show(seen));
            told += &format!("after {what}: {sql}\n  right: {right}\n  seen:  {seen}\n");
        }
    }
    told
}

/// A reply without its columns, in readable form.
fn show(reply: &Reply) -> String {
    let packets = reply.packets.iter().filter(|(_, packet)| !packet.starts_with(b"\x03def"));
    let packets = packets.map(|(_, packet)| packet.escape_ascii().to_string());
    packets.collect::<Vec<_>>().join(" | ")
}

/// Whether the backend answered at all, or the one who holds it kept it from the other.
fn kept_waiting(reply: &Reply) -> bool {
    reply.error().is_some_and(|(_, message)| message.contains("borrow_timeout"))
}

#[test]
fn nothing_is_left_for_the_next_client() {
    servers::both_private(&[], |server| async move {
        prepare(server).await;
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let mut told = String::new();
        for (what, statements) in HOLDINGS {
            refresh(server).await;
            let mut fresh = login().at(server.port).await.expect("to log in");
            let right = probe(&mut fresh, server, what).await;
            fresh.quit().await;

            let mut first = holder().at(millpond.port).await.expect("to log in");
            hold(&mut first, statements).await;
            first.quit().await;
            if statements.iter().any(|sql| sql.contains("UPDATE")) {
                refresh(server).await;
            }
            // Its locks may go a moment later than the client.
            sleep(Duration::from_millis(50)).await;
            let mut next = login().at(millpond.port).await.expect("to log in");
            let seen = probe(&mut next, server, what).await;
            next.quit().await;
            told += &differences(what, &right, &seen);
        }
        assert!(told.is_empty(), "{}: left for the next client:\n{told}", server.flavor);
    });
}

#[test]
fn nothing_is_lost_while_others_use_the_connection() {
    servers::both_private(&[], |server| async move {
        prepare(server).await;
        let settings = Settings {
            pool: "max_size = 1\nborrow_timeout = \"100ms\"\n".to_owned(),
            ..Settings::default()
        };
        let millpond = Millpond::start(server, &settings);
        let (mut told, mut pinned) = (String::new(), Vec::new());
        for (what, statements) in HOLDINGS {
            refresh(server).await;
            let mut alone = holder().at(server.port).await.expect("to log in");
            hold(&mut alone, statements).await;
            let right = probe(&mut alone, server, what).await;
            alone.quit().await;
            sleep(Duration::from_millis(50)).await;

            refresh(server).await;
            let mut first = holder().at(millpond.port).await.expect("to log in");
            hold(&mut first, statements).await;
            let mut other = holder().at(millpond.port).await.expect("to log in");
            let reply = other.query("SELECT 'mine', @a, @d, DATABASE()").await.expect("a reply");
            if kept_waiting(&reply) {
                pinned.push(*what);
            } else {
                for (_, statements) in &HOLDINGS[..4] {
                    hold(&mut other, statements).await;
                }
                // Whatever it set, it leaves in the way of the first.
                hold(&mut other, &["SET NAMES greek", "USE app", "DO 1/0"]).await;
            }
            let seen = probe(&mut first, server, what).await;
            first.quit().await;
            other.quit().await;
            told += &differences(what, &right, &seen);
            sleep(Duration::from_millis(50)).await;
        }
        eprintln!("{}: pinned by {pinned:?}", server.flavor);
        assert!(told.is_empty(), "{}: lost for its owner:\n{told}", server.flavor);
    });
}

#[test]
fn a_binary_statement_is_its_owners_only() {
    servers::both_async(|server| async move {
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let login = Login::of(&APP);
        let mut first = login.at(millpond.port).await.expect("to log in");
        let mut other = login.at(millpond.port).await.expect("to log in");
        let ids: Vec<[u8; 4]> = {
            let mut ids = Vec::new();
            for (client, sql) in
                [(&mut first, "\x16SELECT 'first'"), (&mut other, "\x16SELECT 'other'")]
            {
                let reply = client.command(sql.as_bytes(), Expect::Statement).await.expect("it");
                let (_, packet) = &reply.must(sql).packets[0];
                ids.push(packet[1..5].try_into().expect("an id"));
            }
            ids
        };
        for _ in 0..3 {
            for (client, id, mine) in [(&mut first, ids[0], "first"), (&mut other, ids[1], "other")]
            {
                let execute = [&[0x17][..], &id, &[0, 1, 0, 0, 0]].concat();
                let reply = client.command(&execute, Expect::Results).await.expect("a reply");
                let row = &reply.must(mine).packets[2].1;
                assert!(row.ends_with(mine.as_bytes()), "{row:?}");
            }
        }
        // A number that nobody has, or another has.
        let execute = [&[0x17][..], &[99, 0, 0, 0], &[0, 1, 0, 0, 0]].concat();
        let reply = first.command(&execute, Expect::Results).await.expect("a reply");
        assert_eq!(reply.error().map(|(code, _)| code), Some(1243));
    });
}
