//! What hand-overs between sessions once got wrong.

use crate::pins::pinned;
use crate::support::accounts::APP;
use crate::support::flavor::Flavor;
use crate::support::millpond::{Millpond, Settings};
use crate::support::server::Server;
use crate::support::servers;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

/// Millpond with this many connections, handed over after every statement that lets it.
fn always(server: &Server, connections: usize) -> Millpond {
    let pool =
        format!("max_size = {connections}\nmin_idle = {connections}\nhand_over = \"always\"\n");
    Millpond::start(server, &Settings { pool, ..Settings::default() })
}

async fn clients<const N: usize>(millpond: &Millpond) -> [Conn; N] {
    let mut clients = Vec::new();
    for _ in 0..N {
        clients.push(millpond.connect(&APP, Some("app")).await.unwrap());
    }
    clients.try_into().unwrap()
}

async fn number(client: &mut Conn, sql: &str) -> Option<i64> {
    client.query_first(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// A session that changes its role brings it along to whatever connection it uses next. A reset of
/// that connection has to end it there.
#[test]
fn a_role_that_was_brought_along_does_not_stay_behind() {
    servers::both_async(async |server| {
        if server.flavor == Flavor::MariaDb {
            // There, a role keeps its connection.
            return;
        }
        let mut admin = server.admin().await;
        admin.query_drop("CREATE ROLE IF NOT EXISTS brought").await.unwrap();
        admin.query_drop("GRANT brought TO app").await.unwrap();
        let millpond = always(server, 1);
        let [mut owner, mut other] = clients(&millpond).await;
        owner.query_drop("SET ROLE brought").await.unwrap();
        for _ in 0..3 {
            other.query_drop("SET @secret = 1").await.unwrap();
            // Its variable makes the owner's next statement reset the connection, which brings
            // the role along; the third resets that again.
            let seen: Option<(String, u8)> =
                owner.query_first("SELECT CURRENT_ROLE(), @mine := 1").await.unwrap();
            assert_eq!(seen, Some(("`brought`@`%`".to_owned(), 1)));
            let [mut third] = clients(&millpond).await;
            third.query_drop("CREATE TEMPORARY TABLE holds (a INT)").await.unwrap();
            let role: Option<String> = third.query_first("SELECT CURRENT_ROLE()").await.unwrap();
            assert_eq!(role.as_deref(), Some("NONE"));
            third.disconnect().await.unwrap();
        }
    });
}

/// MariaDB keeps errors and warnings until a statement uses a table.
#[test]
fn errors_of_a_session_are_not_shown_to_who_takes_its_deposit_over() {
    servers::both_async(async |server| {
        let millpond = always(server, 1);
        let [mut failing, mut beginning] = clients(&millpond).await;
        for _ in 0..3 {
            failing.query_drop("SELECT * FROM nosuch").await.unwrap_err();
            beginning.query_drop("BEGIN").await.unwrap();
            assert_eq!(number(&mut beginning, "SELECT @@error_count").await, Some(0));
            beginning.query_drop("COMMIT").await.unwrap();
            assert_eq!(number(&mut failing, "SELECT @@error_count").await, Some(1));
        }
    });
}

/// To prepare a statement anew, only what its preparation depends on is put in place: autocommit
/// would commit what is open.
#[test]
fn a_statement_that_is_prepared_anew_does_not_end_the_transaction() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        for sql in ["DROP TABLE IF EXISTS app.kept", "CREATE TABLE app.kept (a INT)"] {
            admin.query_drop(sql).await.unwrap();
        }
        let millpond = always(server, 2);
        let [mut client, mut other] = clients(&millpond).await;
        let statement = client.prep("SELECT COUNT(*) FROM kept WHERE a > ?").await.unwrap();
        client.query_drop("SET autocommit = 0").await.unwrap();
        for _ in 0..4 {
            // On one connection or the other; at least one has not prepared the statement yet.
            let kept = other.query_drop("BEGIN").await;
            kept.unwrap();
            client.query_drop("INSERT INTO kept VALUES (1)").await.unwrap();
            let count: Option<u64> = client.exec_first(&statement, (0,)).await.unwrap();
            assert_eq!(count, Some(1));
            other.query_drop("ROLLBACK").await.unwrap();
            client.query_drop("ROLLBACK").await.unwrap();
            let count: Option<u64> = client.exec_first(&statement, (0,)).await.unwrap();
            assert_eq!(count, Some(0), "the open transaction was committed");
            client.query_drop("ROLLBACK").await.unwrap();
        }
    });
}

/// A prepared statement keeps the types that its user variables had when it was prepared.
#[test]
fn a_statement_keeps_the_types_of_its_user_variables() {
    servers::both_async(async |server| {
        let millpond = always(server, 2);
        let mut direct = server.connect(&APP, Some("app")).await.unwrap();
        let [mut client, mut other] = clients(&millpond).await;
        let mut seen = Vec::new();
        for client in [&mut direct, &mut client] {
            client.query_drop("SET @typed = 5").await.unwrap();
            let statement = client.prep("SELECT @typed").await.unwrap();
            other.query_drop("SET @typed = 'text of another'").await.unwrap();
            client.query_drop("SET @typed = 'text'").await.unwrap();
            let mut result = client.exec_iter(&statement, ()).await.unwrap();
            let kind = result.columns_ref()[0].column_type();
            let rows: Vec<mysql_async::Row> = result.collect().await.unwrap();
            drop(result);
            seen.push(format!("{kind:?} {rows:?}"));
            client.close(statement).await.unwrap();
        }
        assert_eq!(seen[0], seen[1]);
    });
}

/// What only the connection knows of the last statement is asked for before it is handed over.
#[test]
fn found_rows_are_the_sessions_own_after_any_statement() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        admin.query_drop("CREATE TABLE IF NOT EXISTS app.counted (a INT)").await.unwrap();
        let millpond = always(server, 1);
        let mut direct = server.connect(&APP, Some("app")).await.unwrap();
        let [mut client, mut other] = clients(&millpond).await;
        for sql in [
            "UPDATE counted SET a = 1 WHERE a < 3",
            "DO 1",
            "SELECT a FROM counted LIMIT 1 INTO @a",
            "SET @b = (SELECT COUNT(*) FROM counted)",
            "INSERT INTO counted SELECT a + 10 FROM counted",
            "DELETE FROM counted WHERE a > 10",
            "EXPLAIN SELECT 1",
        ] {
            let mut seen = Vec::new();
            for client in [&mut direct, &mut client] {
                client
                    .query_drop("SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4")
                    .await
                    .unwrap();
                client.query_drop(sql).await.unwrap();
                other.query_drop("SELECT 1 UNION SELECT 2").await.unwrap();
                seen.push(number(client, "SELECT FOUND_ROWS()").await);
            }
            assert_eq!(seen[0], seen[1], "{}: {sql}", server.flavor);
        }
    });
}

/// What is larger than is carried about stays where it is, and its session stays with it.
#[test]
fn variables_too_large_to_be_carried_are_not_lost() {
    const SEE: &str = "SELECT LENGTH(@large), @small, LAST_INSERT_ID()";
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        admin
            .query_drop(
                "CREATE TABLE IF NOT EXISTS app.numbered (id INT AUTO_INCREMENT PRIMARY KEY)",
            )
            .await
            .unwrap();
        for hand_over in ["always", "when-needed"] {
            let pool = format!("max_size = 2\nhand_over = \"{hand_over}\"\n");
            let millpond = Millpond::start(server, &Settings { pool, ..Settings::default() });
            for size in [70_000, 9_000_000] {
                let [mut owner, mut other, mut third] = clients(&millpond).await;
                owner.query_drop("INSERT INTO numbered () VALUES ()").await.unwrap();
                let id = owner.last_insert_id();
                let set = format!("SET @small = 5, @large = REPEAT('x', {size})");
                owner.query_drop(set).await.unwrap();
                // Two at once, so that one of them looks for a connection to take over.
                let waits = "DO SLEEP(0.2)";
                let (one, another) = tokio::join!(other.query_drop(waits), third.query_drop(waits));
                one.and(another).unwrap();
                let seen: Option<(u64, u64, Option<u64>)> = owner.query_first(SEE).await.unwrap();
                assert_eq!(seen, Some((size, 5, id)), "{} {hand_over}", server.flavor);
                let seen: Option<(Option<u64>, Option<u64>, u64)> =
                    other.query_first(SEE).await.unwrap();
                assert_eq!(seen, Some((None, None, 0)), "{} {hand_over}", server.flavor);
                assert_eq!(pinned(&millpond).len(), 1, "{:?}", pinned(&millpond));
                owner.disconnect().await.unwrap();
                let seen: Option<(Option<u64>, Option<u64>, u64)> =
                    third.query_first(SEE).await.unwrap();
                assert_eq!(seen, Some((None, None, 0)), "{} {hand_over}", server.flavor);
            }
        }
    });
}

/// What Millpond asks in a session's name has a limit of its own: the session's may be no row.
#[test]
fn a_session_that_wants_no_rows_loses_nothing() {
    servers::both_async(async |server| {
        let millpond = always(server, 1);
        let [mut owner, mut other] = clients(&millpond).await;
        owner.query_drop("SET sql_select_limit = 0, @own = 'mine'").await.unwrap();
        for _ in 0..2 {
            other.query_drop("SET @own = 'other'").await.unwrap();
            let seen: Option<String> = owner.query_first("SELECT @own LIMIT 1").await.unwrap();
            assert_eq!(seen.as_deref(), Some("mine"), "{}", server.flavor);
            assert_eq!(number(&mut owner, "SELECT 1").await, None, "{}", server.flavor);
            owner.query_drop("SELECT SQL_CALC_FOUND_ROWS 7 UNION SELECT 8 LIMIT 1").await.unwrap();
            assert_eq!(number(&mut other, "SELECT 2").await, Some(2), "{}", server.flavor);
            let found = number(&mut owner, "SELECT FOUND_ROWS() LIMIT 1").await;
            assert_eq!(found, Some(2), "{}", server.flavor);
        }
    });
}
