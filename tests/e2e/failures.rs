//! Servers that die, and statements that are killed.

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::servers;
use mysql_async::prelude::Queryable;
use std::time::Duration;
use tokio::time::Instant;

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
        tokio::time::sleep(Duration::from_millis(300)).await;
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
