//! No session sees another's state, and none loses its own.

use crate::support::accounts::APP;
use crate::support::flavor::Flavor;
use crate::support::millpond::{Millpond, Settings};
use crate::support::servers;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

/// What a session can see of itself.
const SEEN: &[&str] = &[
    "SELECT @@sql_mode, @@time_zone, @@autocommit, @@group_concat_max_len, @@wait_timeout",
    "SELECT @@character_set_client, @@character_set_results, @@collation_connection",
    "SELECT @secret, @`other one`, LAST_INSERT_ID()",
    "SELECT DATABASE(), CURRENT_USER()",
    "SHOW WARNINGS",
    "SELECT @@warning_count",
    "SHOW SESSION VARIABLES LIKE 'session_track%'",
];

async fn see(client: &mut Conn) -> Vec<String> {
    let mut seen = Vec::new();
    for sql in SEEN {
        let rows: Vec<Row> = client.query(*sql).await.unwrap();
        seen.push(format!("{sql}: {rows:?}"));
    }
    seen
}

async fn sully(client: &mut Conn, flavor: Flavor) {
    for sql in [
        "SET SESSION sql_mode = 'ANSI_QUOTES', time_zone = '+03:00', group_concat_max_len = 77",
        "SET autocommit = 0",
        "SET NAMES latin1",
        "SET @secret = 'hunter2', @`other one` = 5",
        "USE information_schema",
        "USE app",
        "CREATE TEMPORARY TABLE mine (a INT)",
        "SELECT GET_LOCK('a lock of A', 1)",
        "PREPARE s FROM 'SELECT 1'",
        "INSERT INTO ids (v) VALUES ('of A')",
        "COMMIT",
        "SELECT CAST('no number' AS SIGNED)",
    ] {
        client.query_drop(sql).await.unwrap_or_else(|error| panic!("{flavor}: {sql}: {error}"));
    }
}

/// A client leaves everything that a session can hold; the next on the same backend connection
/// sees what it would see on a connection of its own.
#[test]
fn nothing_of_one_session_reaches_the_next() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        admin.query_drop("CREATE OR REPLACE VIEW app.unused AS SELECT 1 AS one").await.unwrap();
        admin
            .query_drop(
                "CREATE TABLE IF NOT EXISTS app.ids \
                 (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20))",
            )
            .await
            .unwrap();
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let mut direct = server.connect(&APP, Some("app")).await.unwrap();
        let expected = see(&mut direct).await;
        for _ in 0..3 {
            let mut a = millpond.connect(&APP, Some("app")).await.unwrap();
            sully(&mut a, server.flavor).await;
            a.disconnect().await.unwrap();
            let mut b = millpond.connect(&APP, Some("app")).await.unwrap();
            assert_eq!(see(&mut b).await, expected, "{}", server.flavor);
            let table: Result<Vec<Row>, _> = b.query("SELECT * FROM mine").await;
            assert!(table.is_err(), "a temporary table of another session");
            let statement: Result<Vec<Row>, _> = b.query("EXECUTE s").await;
            assert!(statement.is_err(), "a prepared statement of another session");
            let free: Option<u8> =
                b.query_first("SELECT IS_FREE_LOCK('a lock of A')").await.unwrap();
            assert_eq!(free, Some(1));
            b.disconnect().await.unwrap();
        }
    });
}

/// Two sessions take turns on one backend connection; each finds its own state every time.
#[test]
fn sessions_that_share_a_connection_keep_their_own_state() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        admin
            .query_drop(
                "CREATE TABLE IF NOT EXISTS app.taking_turns \
                 (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
            )
            .await
            .unwrap();
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let mut clients = Vec::new();
        for number in 0..3_u32 {
            let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
            let zone = format!("SET time_zone = '+0{number}:00', @mine = {number}");
            client.query_drop(zone).await.unwrap();
            if number == 1 {
                client.query_drop("USE information_schema").await.unwrap();
                client.query_drop("SET NAMES latin1 COLLATE latin1_swedish_ci").await.unwrap();
            }
            clients.push(client);
        }
        for turn in 0..4_u32 {
            let mut inserted = Vec::new();
            for (number, client) in clients.iter_mut().enumerate() {
                let sql = format!("INSERT INTO app.taking_turns (v) VALUES ({turn}), ({turn})");
                client.query_drop(sql).await.unwrap();
                inserted.push(client.last_insert_id().unwrap());
                let warning = format!("SELECT CAST('x{number}' AS SIGNED)");
                client.query_drop(warning).await.unwrap();
            }
            for (number, client) in clients.iter_mut().enumerate() {
                let warnings: Vec<(String, u16, String)> =
                    client.query("SHOW WARNINGS").await.unwrap();
                assert_eq!(warnings.len(), 1, "{}", server.flavor);
                assert!(warnings[0].2.contains(&format!("x{number}")), "{warnings:?}");
                let seen: Option<(String, u32, u64, String, String)> = client
                    .query_first(
                        "SELECT @@time_zone, @mine, LAST_INSERT_ID(), DATABASE(), \
                         @@collation_connection",
                    )
                    .await
                    .unwrap();
                let (zone, mine, id, database, collation) = seen.unwrap();
                assert_eq!(zone, format!("+0{number}:00"));
                assert_eq!(mine, number as u32);
                assert_eq!(id, inserted[number]);
                let second = number == 1;
                assert_eq!(database, if second { "information_schema" } else { "app" });
                assert_eq!(collation == "latin1_swedish_ci", second);
            }
        }
    });
}

/// What a routine or a trigger does unreported is known from its body.
#[test]
fn state_set_inside_a_routine_does_not_leak() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let mut a = millpond.connect(&APP, Some("app")).await.unwrap();
        a.query_drop("DROP PROCEDURE IF EXISTS sly").await.unwrap();
        a.query_drop("CREATE PROCEDURE sly() SELECT 'sly' INTO @sly").await.unwrap();
        a.query_drop("CALL sly()").await.unwrap();
        let own: Option<Option<String>> = a.query_first("SELECT @sly").await.unwrap();
        assert_eq!(own, Some(Some("sly".to_owned())));
        a.disconnect().await.unwrap();
        let mut b = millpond.connect(&APP, Some("app")).await.unwrap();
        let other: Option<Option<String>> = b.query_first("SELECT @sly").await.unwrap();
        assert_eq!(other, Some(None), "{}", server.flavor);
    });
}

/// MariaDB reports `SET @@name = …`, without a scope, by no tracker.
#[test]
fn a_setting_that_no_tracker_reports_stays_with_its_session() {
    const SEE: &str = "SELECT CONCAT_WS('|', @@time_zone, @@sql_mode, @@group_concat_max_len)";
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let mut direct = server.connect(&APP, Some("app")).await.unwrap();
        for sql in [
            "DROP PROCEDURE IF EXISTS quietly",
            "CREATE PROCEDURE quietly() SET @@group_concat_max_len = 12",
        ] {
            // By the user itself: another's body could not be read, and would pin.
            let mut maker = millpond.connect(&APP, Some("app")).await.unwrap();
            maker.query_drop(sql).await.unwrap();
        }
        let untouched: Option<String> = direct.query_first(SEE).await.unwrap();
        let mut a = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut b = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut in_transaction = false;
        for sql in [
            "SET @@time_zone = '+03:00', @@nosuch = 1",
            "SET @@time_zone = '+03:00'",
            "BEGIN",
            "SET @@sql_mode = 'ANSI_QUOTES'",
            "SELECT \"time_zone\" FROM (SELECT 1 AS time_zone) AS t",
            "COMMIT",
            "CALL quietly()",
        ] {
            let through = a.query_drop(sql).await.map_err(|error| error.to_string());
            let straight = direct.query_drop(sql).await.map_err(|error| error.to_string());
            assert_eq!(through.is_ok(), straight.is_ok(), "{sql}: {through:?}");
            in_transaction = sql == "BEGIN" || (in_transaction && sql != "COMMIT");
            if !in_transaction {
                // There is only one backend connection: it has been the other's.
                let of_b: Option<String> =
                    b.query_first(SEE).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
                assert_eq!(of_b, untouched, "{sql}");
            }
            let of_a: Option<String> = a.query_first(SEE).await.unwrap();
            let of_direct: Option<String> = direct.query_first(SEE).await.unwrap();
            assert_eq!(of_a, of_direct, "{sql}");
        }
    });
}

/// Whoever connects finds the default character set that the database has now, also on a backend
/// connection that has been in there since before it was altered.
#[test]
fn a_new_session_finds_its_database_as_it_is() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        for sql in [
            "DROP DATABASE IF EXISTS fresh",
            "CREATE DATABASE fresh CHARACTER SET latin1",
            "GRANT ALL ON fresh.* TO 'app'@'%'",
        ] {
            admin.query_drop(sql).await.unwrap();
        }
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        for (charset, next) in [("latin1", "utf8mb4"), ("utf8mb4", "greek")] {
            let mut client = millpond.connect(&APP, Some("fresh")).await.unwrap();
            let seen: Option<String> =
                client.query_first("SELECT @@character_set_database").await.unwrap();
            assert_eq!(seen.as_deref(), Some(charset), "{}", server.flavor);
            client.disconnect().await.unwrap();
            let alter = format!("ALTER DATABASE fresh CHARACTER SET {next}");
            admin.query_drop(alter).await.unwrap();
        }
        admin.query_drop("DROP DATABASE fresh").await.unwrap();
    });
}
