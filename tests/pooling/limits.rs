//! Full pools and too many clients: clear, distinct errors that name the cause.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::Login;
use crate::support::servers;

#[test]
fn a_full_pool_is_an_error_after_the_borrow_timeout() {
    servers::both_async(|server| async move {
        let settings = Settings {
            pool: "max_size = 1\nborrow_timeout = \"400ms\"\n".to_owned(),
            ..Settings::default()
        };
        let millpond = Millpond::start(server, &settings);
        let login = Login::of(&APP);
        let mut holder = login.at(millpond.port).await.expect("to log in");
        holder.query("BEGIN").await.expect("a reply").must("BEGIN");
        let mut waiting = login.at(millpond.port).await.expect("to log in");
        let begin = Instant::now();
        let reply = waiting.query("SELECT 1").await.expect("a reply");
        let (code, message) = reply.error().expect("an error");
        let took = begin.elapsed();
        eprintln!("{code}: {message}");
        assert!(took >= Duration::from_millis(380), "{took:?}");
        assert!(took < Duration::from_secs(3), "{took:?}");
        assert!(message.contains("borrow_timeout"), "{message}");
        // Nothing is lost: the client may try again.
        holder.query("COMMIT").await.expect("a reply").must("COMMIT");
        let reply = waiting.query("SELECT 2").await.expect("a reply");
        assert_eq!(reply.value().as_deref(), Some("2"));
    });
}

#[test]
fn one_client_too_many_is_told_so() {
    servers::both_async(|server| async move {
        let settings =
            Settings { service: "max_clients = 3\n".to_owned(), ..Settings::with_pool_of(2) };
        let millpond = Millpond::start(server, &settings);
        let login = Login::of(&APP);
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(login.at(millpond.port).await.expect("to log in"));
        }
        let refusal = login.at(millpond.port).await.err().expect("a refusal");
        assert!(refusal.to_string().starts_with("1040: Too many connections"), "{refusal}");
        clients.pop().expect("a client").quit().await;
        // A place is free again, as soon as the goodbye was heard.
        let deadline = Instant::now() + Duration::from_secs(5);
        while let Err(refusal) = login.at(millpond.port).await {
            assert!(Instant::now() < deadline, "{refusal}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
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
