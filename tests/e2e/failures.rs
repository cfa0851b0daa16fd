//! Servers that die, and statements that are killed.

use super::load::{settings, settings_for, table, writer_changes};
use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::relay::{Link, Relay};
use crate::support::servers;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[test]
fn what_was_in_flight_when_the_server_died_is_unknown_and_the_client_stays() {
    servers::both_private(&[], async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut admin = server.admin().await;
        let running = tokio::spawn(async move {
            let lost = client.query_drop("SELECT SLEEP(30)").await;
            (lost, client)
        });
        sleep(Duration::from_millis(300)).await;
        let ids: Vec<u64> = admin
            .query("SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'")
            .await
            .unwrap();
        assert_eq!(ids.len(), 1);
        admin.query_drop(format!("KILL {}", ids[0])).await.unwrap();
        let (lost, mut client) = running.await.unwrap();
        assert!(lost.is_err());
        let one: Option<u8> = client.query_first("SELECT 1").await.unwrap();
        assert_eq!(one, Some(1));
    });
}

#[test]
fn a_server_that_is_gone_is_an_error_in_time() {
    servers::both_private(&[], |server| async move {
        let settings = Settings {
            pool: "max_size = 5\nborrow_timeout = \"1s\"\nconnect_timeout = \"500ms\"\n".to_owned(),
            ..Settings::default()
        };
        let millpond = Millpond::start(server, &settings);
        let login = Login::of(&APP);
        let mut idle = login.at(millpond.port).await.expect("to log in");
        idle.query("SELECT 1").await.expect("a reply").must("SELECT 1");
        let mut busy = login.at(millpond.port).await.expect("to log in");
        busy.query("BEGIN").await.expect("a reply").must("BEGIN");
        server.kill();
        // The transaction is lost, and its client learns it by an error or by the connection's end.
        let lost = tokio::time::timeout(Duration::from_secs(5), busy.query("SELECT 1")).await;
        match lost.expect("an answer in time") {
            Ok(reply) => assert!(reply.error().is_some(), "{reply:?}"),
            Err(_closed) => {}
        }
        // Who held nothing keeps his connection, and is told.
        let begin = Instant::now();
        let reply = idle.query("SELECT 1").await.expect("a reply, not the connection's end");
        let (code, message) = reply.error().expect("an error");
        eprintln!("{code}: {message}");
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    });
}

/// What a client was told of a statement; its connection to Millpond has to work on.
async fn told(client: &mut Conn, statement: &str) -> (u16, String, String) {
    match client.query_drop(statement).await {
        Err(Error::Server(error)) => (error.code, error.state, error.message),
        other => panic!("{statement}: {other:?}"),
    }
}

#[test]
fn what_provably_had_no_effect_is_a_deadlock_where_that_is_wished_and_nothing_else_is() {
    servers::each_pair(async |pair| {
        for (wish, code, state) in [("lost", 1158, "08S01"), ("deadlock", 1213, "40001")] {
            let (writer, replica) =
                (Relay::to(pair.writer.port).await, Relay::to(pair.replica.port).await);
            let mut settings = settings_for([&writer, &replica]);
            let key = "MILLPOND__SERVICES__TEST__FAILOVER__LOST_STATEMENT_ERROR".to_owned();
            settings.environment.push((key, wish.to_owned()));
            let millpond = Millpond::start(&pair.writer, &settings);
            if wish == "lost" {
                table(pair, &millpond).await;
            }
            // Between two statements of a transaction; in the middle of one; in the middle of a
            // statement of its own; in the middle of what may have committed.
            let mut clients = Vec::new();
            for _ in 0..4 {
                clients.push(millpond.connect(&APP, Some("app")).await.expect("to connect"));
            }
            let [between, within, alone, both] = &mut clients[..] else { panic!("four clients") };
            for client in [&mut *between, &mut *within, &mut *both] {
                client.query_drop("BEGIN").await.expect("a transaction");
                let row = "INSERT INTO rows_of_load (id) VALUES (1)";
                client.query_drop(row).await.expect("a row");
            }
            let mut admin = pair.writer.admin().await;
            let cutting = async {
                let running = "SELECT id FROM information_schema.processlist \
                               WHERE info LIKE 'INSERT%SLEEP(30)%'";
                let mut ids: Vec<u64> = Vec::new();
                while ids.len() < 3 {
                    sleep(Duration::from_millis(20)).await;
                    ids = admin.query(running).await.expect("what runs");
                }
                writer.set(Link::Down);
                ids
            };
            let long = "INSERT INTO rows_of_load (id) VALUES (SLEEP(30))";
            let ended = format!("{long}; COMMIT");
            let (within_told, alone_told, both_told, ids) =
                tokio::join!(told(within, long), told(alone, long), told(both, &ended), cutting);
            let between_told = told(between, "COMMIT").await;
            for id in ids {
                // A server that has noticed the end by itself knows none any more.
                admin.query_drop(format!("KILL {id}")).await.ok();
            }
            writer.set(Link::Up);
            assert_eq!((within_told.0, within_told.1.as_str()), (code, state), "{within_told:?}");
            assert!(within_told.2.contains("rolled back"), "{within_told:?}");
            // What may have been committed is never said to be without effect.
            for unknown in [&alone_told, &both_told] {
                assert_eq!((unknown.0, unknown.1.as_str()), (1158, "08S01"), "{unknown:?}");
                assert!(unknown.2.contains("unknown"), "{unknown:?}");
            }
            // Its connection may have been seen to be gone before the COMMIT was sent.
            let not_sent = between_told.2.contains("not run") && between_told.0 == code;
            assert!(not_sent || between_told.2.contains("unknown"), "{between_told:?}");
            for client in &mut clients {
                let rows: Option<u64> =
                    client.query_first("SELECT COUNT(*) FROM rows_of_load").await.expect("a look");
                assert_eq!(rows, Some(0), "nothing of it was committed");
            }
            let metrics = millpond.page("/metrics");
            let unknown = if not_sent { 2 } else { 3 };
            for (outcome, times) in [("undone", 1), ("unknown", unknown)] {
                let counted = format!("outcome=\"{outcome}\",service=\"test\"}} {times}");
                assert!(metrics.contains(&counted), "{counted}");
            }
        }
    });
}

/// How many rows there are, as a client of Millpond sees it.
async fn rows(client: &mut Conn) -> u64 {
    let rows = client.query_first("SELECT COUNT(*) FROM lost_and_found").await;
    rows.expect("a look").expect("a row")
}

/// Millpond asks things of its own between two statements of a transaction. When the connection ends
/// then, the second half of the transaction must not be run, and committed, without the first.
#[test]
fn a_transaction_whose_connection_ends_between_two_statements_is_told_so() {
    servers::both_private(&[], async |server| {
        let relay = Relay::to(server.port).await;
        // The relay has to be able to read what it is sent.
        let backend = "tls = { mode = \"disabled\" }\n".to_owned();
        let settings = Settings { backend, ..Settings::with_pool_of(2) };
        let millpond = Millpond::in_front_of(server, relay.port, &settings);
        let mut client = millpond.connect(&APP, Some("app")).await.expect("to connect");
        client.query_drop("CREATE TABLE lost_and_found (id INT)").await.expect("a table");
        for begin in ["BEGIN", "SET autocommit = 0"] {
            client.query_drop(begin).await.expect("a transaction");
            client.query_drop("INSERT INTO lost_and_found VALUES (1)").await.expect("a row");
            // What is asked behind it puts Millpond's own trackers back.
            relay.end_at("session_track_system_variables='*'");
            client.query_drop("SHOW VARIABLES LIKE 'version'").await.expect("an answer");
            relay.ended().await;
            let lost = told(&mut client, "INSERT INTO lost_and_found VALUES (2)").await;
            assert_eq!((lost.0, lost.1.as_str()), (1158, "08S01"), "{lost:?}");
            assert!(lost.2.contains("rolled back; the statement was not run"), "{lost:?}");
            client.query_drop("COMMIT").await.expect("a commit of nothing");
            assert_eq!(rows(&mut client).await, 0, "{begin}: half a transaction was committed");
            client.query_drop("ROLLBACK").await.expect("the end");
        }
    });
}

/// A statement is prepared once more on each connection, in the database that it was prepared in at
/// first. When that is not there any more, the connection goes: not without a word about what else
/// was on it.
#[test]
fn a_transaction_whose_connection_is_given_up_by_millpond_itself_is_told_so() {
    servers::both_private(&[], async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let mut admin = server.admin().await;
        for sql in ["CREATE DATABASE passing", "CREATE TABLE app.lost_and_found (id INT)"] {
            admin.query_drop(sql).await.expect("what it needs");
        }
        admin.query_drop("GRANT ALL ON passing.* TO 'app'@'%'").await.expect("a grant");
        let mut client = millpond.connect(&APP, Some("passing")).await.expect("to connect");
        let prepared = client.prep("SELECT COUNT(*) FROM app.lost_and_found").await;
        let prepared = prepared.expect("a statement");
        let none: Option<u64> = client.exec_first(&prepared, ()).await.expect("a count");
        assert_eq!(none, Some(0));
        client.query_drop("USE app").await.expect("to change");
        admin.query_drop("DROP DATABASE passing").await.expect("to drop");
        // Of two connections, the one with the statement is taken.
        let mut other = millpond.connect(&APP, Some("app")).await.expect("to connect");
        other.query_drop("BEGIN").await.expect("a transaction");
        client.query_drop("BEGIN").await.expect("a transaction");
        client.query_drop("INSERT INTO lost_and_found VALUES (1)").await.expect("a row");
        let count: Result<Option<u64>, Error> = client.exec_first(&prepared, ()).await;
        if let Err(error) = count {
            let Error::Server(error) = error else { panic!("{error}") };
            assert_eq!(error.code, 1049, "{error}");
            let lost = told(&mut client, "INSERT INTO lost_and_found VALUES (2)").await;
            assert!(lost.2.contains("rolled back; the statement was not run"), "{lost:?}");
            client.query_drop("COMMIT").await.expect("a commit of nothing");
            assert_eq!(rows(&mut client).await, 0, "half a transaction was committed");
        } else {
            client.query_drop("COMMIT").await.expect("a commit");
            assert_eq!(rows(&mut client).await, 1);
        }
    });
}

/// What a ROLLBACK asks for has happened when its connection has ended: that is no error.
#[test]
fn a_rollback_whose_server_is_lost_succeeds() {
    servers::both_private(&[], async |server| {
        let relay = Relay::to(server.port).await;
        // The relay has to be able to read what it is sent.
        let backend = "tls = { mode = \"disabled\" }\n".to_owned();
        let settings = Settings { backend, ..Settings::with_pool_of(2) };
        let millpond = Millpond::in_front_of(server, relay.port, &settings);
        let mut client = millpond.connect(&APP, Some("app")).await.expect("to connect");
        client.query_drop("CREATE TABLE lost_and_found (id INT)").await.expect("a table");
        for begin in ["BEGIN", "SET autocommit = 0"] {
            for rollback in ["ROLLBACK", "rollback work /* whatever */"] {
                client.query_drop(begin).await.expect("a transaction");
                client.query_drop("INSERT INTO lost_and_found VALUES (1)").await.expect("a row");
                relay.end_at(&rollback[..8]);
                client.query_drop(rollback).await.expect("nothing is left to be rolled back");
                relay.ended().await;
                assert_eq!(rows(&mut client).await, 0);
            }
            // Before it is sent, after an error, and with a savepoint.
            client.query_drop(begin).await.expect("a transaction");
            client.query_drop("SAVEPOINT a").await.expect("a savepoint");
            client.query_drop("INSERT INTO lost_and_found VALUES (1)").await.expect("a row");
            client.query_drop("SELECT * FROM nowhere").await.expect_err("an error");
            relay.set(Link::Down);
            sleep(Duration::from_millis(200)).await;
            relay.set(Link::Up);
            client.query_drop("ROLLBACK").await.expect("nothing is left to be rolled back");
            assert_eq!(rows(&mut client).await, 0);
            // What it is not: a way to go on.
            client.query_drop("INSERT INTO lost_and_found VALUES (1)").await.expect("a row");
            if begin == "BEGIN" {
                client.query_drop("DELETE FROM lost_and_found").await.expect("to clean");
                client.query_drop("BEGIN").await.expect("a transaction");
                client.query_drop("INSERT INTO lost_and_found VALUES (1)").await.expect("a row");
            }
            relay.end_at("ROLLBACK");
            let lost = told(&mut client, "ROLLBACK AND CHAIN").await;
            assert!(lost.0 == 1158 && lost.2.contains("is rolled back"), "{lost:?}");
            assert_eq!(rows(&mut client).await, 0);
        }
    });
}

#[test]
fn a_transaction_whose_server_was_given_up_is_told_so_before_anything_is_sent() {
    servers::each_pair(async |pair| {
        let mut settings = settings(pair);
        let key = "MILLPOND__SERVICES__TEST__FAILOVER__LOST_STATEMENT_ERROR".to_owned();
        settings.environment.push((key, "deadlock".to_owned()));
        let millpond = Millpond::start(&pair.writer, &settings);
        table(pair, &millpond).await;
        let mut client = millpond.connect(&APP, Some("app")).await.expect("to connect");
        client.query_drop("BEGIN").await.expect("a transaction");
        client.query_drop("INSERT INTO rows_of_load (id) VALUES (1)").await.expect("a row");
        pair.writer.kill();
        pair.promote().await;
        let deadline = Instant::now() + Duration::from_secs(20);
        while writer_changes(&millpond).last().is_none_or(|reason| reason != "promoted") {
            assert!(Instant::now() < deadline, "{:?}", writer_changes(&millpond));
            sleep(Duration::from_millis(20)).await;
        }
        let (code, state, message) = told(&mut client, "COMMIT").await;
        assert_eq!((code, state.as_str()), (1213, "40001"), "{message}");
        assert!(message.contains("was not run"), "{message}");
        // As a framework would: all of it again.
        for statement in ["BEGIN", "INSERT INTO rows_of_load (id) VALUES (1)", "COMMIT"] {
            client.query_drop(statement).await.expect("the second try");
        }
        let rows: Vec<u64> = client.query("SELECT id FROM rows_of_load").await.expect("the rows");
        assert_eq!(rows, [1]);
    });
}
