//! Bytes that no client should send. Millpond may refuse them as it likes, but goes on serving.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::servers;

/// Prints with every failure; set `MILLPOND_TEST_SEED` to repeat a run.
fn seed() -> u64 {
    let given = std::env::var("MILLPOND_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| fastrand::u64(..))
}

async fn still_serves(millpond: &Millpond, what: &str) {
    assert!(millpond.is_running(), "{what}: it is dead\n{}", millpond.log());
    let client = timeout(Duration::from_secs(10), Login::of(&APP).at(millpond.port)).await;
    let mut client = client.expect(what).expect(what);
    let reply = client.query("SELECT 'alive'").await.expect(what);
    assert_eq!(reply.value().as_deref(), Some("alive"), "{what}\n{}", millpond.log());
    client.quit().await;
    let log = millpond.log();
    assert!(!log.contains("panicked"), "{what}: {log}");
}

/// Sends bytes and reads whatever comes, until the end or for a moment.
async fn throw(port: u16, bytes: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("to connect");
    let _ = stream.write_all(bytes).await;
    let mut answer = [0; 4096];
    while let Ok(Ok(1..)) = timeout(Duration::from_millis(20), stream.read(&mut answer)).await {}
}

#[test]
fn nonsense_before_login() {
    servers::both_async(|server| async move {
        let millpond = Millpond::start(server, &Settings::with_pool_of(5));
        let seed = seed();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut thrown: Vec<Vec<u8>> = vec![
            Vec::new(),
            vec![0],
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            // A frame that says it is as long as can be.
            vec![0xff, 0xff, 0xff, 1],
            // An empty packet; one out of turn.
            vec![0, 0, 0, 1],
            vec![1, 0, 0, 77, 0],
            // A request for TLS with nothing after it, and with no TLS after it.
            [&[32, 0, 0, 1, 0, 0x0a, 0, 0][..], &[0; 28]].concat(),
            [&[32, 0, 0, 1, 0, 0x0a, 0, 0][..], &[0; 28], &[0x16, 3, 1, 0, 200], &[7; 300]]
                .concat(),
        ];
        for _ in 0..100 {
            let length = random.usize(1..300);
            let mut bytes: Vec<u8> =
                std::iter::repeat_with(|| random.u8(..)).take(length).collect();
            // Half of them as a packet of the right length and number.
            if random.bool() {
                bytes.splice(0..0, [length as u8, (length >> 8) as u8, 0, 1]);
            }
            thrown.push(bytes);
        }
        for bytes in thrown {
            throw(millpond.port, &bytes).await;
        }
        still_serves(&millpond, &format!("seed {seed}")).await;
    });
}

#[test]
fn nonsense_after_login() {
    servers::both_async(|server| async move {
        let millpond = Millpond::start(server, &Settings::with_pool_of(5));
        let seed = seed();
        let mut random = fastrand::Rng::with_seed(seed);
        for round in 0..150 {
            let mut client = Login::of(&APP).at(millpond.port).await.expect("to log in");
            let length = random.usize(0..64);
            let mut payload: Vec<u8> =
                std::iter::repeat_with(|| random.u8(..)).take(length).collect();
            // Mostly commands that exist, with an argument that does not fit.
            if let Some(first) = payload.first_mut() {
                *first = random.u8(0..0x24);
            }
            let sequence = if random.u8(..) < 200 { 0 } else { random.u8(..) };
            let _ = client.packets.send(sequence, &payload).await;
            let answer = timeout(Duration::from_millis(30), client.packets.receive()).await;
            if let Ok(Ok((_, answer))) = answer {
                assert!(!answer.is_empty(), "seed {seed}, round {round}");
            }
        }
        still_serves(&millpond, &format!("seed {seed}")).await;
    });
}

#[test]
fn a_packet_larger_than_allowed_is_refused() {
    servers::both_async(|server| async move {
        let settings =
            Settings { service: "max_packet = \"1MiB\"\n".to_owned(), ..Settings::with_pool_of(5) };
        let millpond = Millpond::start(server, &settings);
        let mut client = Login::of(&APP).at(millpond.port).await.expect("to log in");
        let sql = format!("SELECT LENGTH('{}')", "x".repeat(900_000));
        assert_eq!(client.query(&sql).await.expect("a reply").value().as_deref(), Some("900000"));
        let sql = format!("SELECT LENGTH('{}')", "x".repeat(2_000_000));
        match timeout(Duration::from_secs(10), client.query(&sql)).await.expect("an answer") {
            Ok(reply) => assert_eq!(reply.error().map(|(code, _)| code), Some(1153)),
            // A server closes too; whether the error arrives first is a matter of luck.
            Err(_closed) => {}
        }
        still_serves(&millpond, "a large packet").await;
    });
}

#[test]
fn clients_that_never_log_in_are_dropped() {
    servers::both_async(|server| async move {
        let settings = Settings {
            service: "handshake_timeout = \"500ms\"\n".to_owned(),
            ..Settings::with_pool_of(5)
        };
        let millpond = Millpond::start(server, &settings);
        let mut stream =
            TcpStream::connect(("127.0.0.1", millpond.port)).await.expect("to connect");
        let mut all = Vec::new();
        let end = timeout(Duration::from_secs(5), stream.read_to_end(&mut all)).await;
        assert!(end.is_ok(), "it waits for ever");
        still_serves(&millpond, "a silent client").await;
    });
}
