//! Clients that vanish, servers that die, bytes that are no protocol.

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::servers;
use mysql_async::prelude::Queryable;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn the_transaction_of_a_vanished_client_is_rolled_back() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        admin
            .query_drop("CREATE TABLE IF NOT EXISTS app.vanish (id INT PRIMARY KEY)")
            .await
            .unwrap();
        admin.query_drop("DELETE FROM app.vanish").await.unwrap();
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("BEGIN").await.unwrap();
        client.query_drop("INSERT INTO vanish VALUES (1)").await.unwrap();
        // Without a farewell.
        drop(client);
        // The row's lock is free as soon as the transaction is rolled back.
        admin.query_drop("SET innodb_lock_wait_timeout = 20").await.unwrap();
        admin.query_drop("INSERT INTO app.vanish VALUES (1)").await.unwrap();
    });
}

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
fn garbage_ends_its_own_connection_and_nothing_else() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        let garbage: [&[u8]; 6] = [
            b"GET / HTTP/1.1\r\n\r\n",
            &[0xFF; 4096],
            &[0, 0, 0, 1],
            &[0xFF, 0xFF, 0xFF, 1],
            &[5, 0, 0, 7, 1, 2, 3, 4, 5],
            // A request for TLS, and then none.
            &[
                32, 0, 0, 1, 0, 0x8A, 0, 0, 0, 0, 0, 1, 33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8,
            ],
        ];
        for bytes in garbage {
            let mut socket = TcpStream::connect(("127.0.0.1", millpond.port)).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut greeting = [0; 256];
            let n = socket.read(&mut greeting).unwrap();
            assert_eq!(greeting[4], 10, "{:?}", &greeting[..n]);
            // It may have closed already.
            let _ = socket.write_all(bytes);
            let _ = socket.shutdown(std::net::Shutdown::Write);
            let mut rest = Vec::new();
            let _ = socket.read_to_end(&mut rest);
        }
        let one: Option<u8> = client.query_first("SELECT 1").await.unwrap();
        assert_eq!(one, Some(1));
        assert!(millpond.is_running());
        assert!(!millpond.log().contains("panicked"), "{}", millpond.log());
    });
}
