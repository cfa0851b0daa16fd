//! Writers that die, hang or are demoted, under load: no client loses its connection, nothing that
//! was acknowledged is lost, nothing runs twice.

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::pair::Pair;
use crate::support::{ports, servers};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const WRITERS: u64 = 6;

/// What became of the rows that one client wrote.
#[derive(Default)]
struct Written {
    acknowledged: Vec<u64>,
    unknown: Vec<u64>,
    refused: Vec<u64>,
    /// When each acknowledgement came.
    moments: Vec<Instant>,
}

struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Written>>,
    readers: Vec<JoinHandle<u64>>,
}

fn settings(pair: &Pair) -> Settings {
    let endpoints = "MILLPOND__SERVICES__TEST__BACKEND__ENDPOINTS".to_owned();
    Settings {
        pool: "max_size = 5\nborrow_timeout = \"20s\"\n".to_owned(),
        environment: vec![(endpoints, pair.endpoints())],
        ..Settings::default()
    }
}

/// Writers that insert ids which nobody else has, and readers by prepared statements.
async fn load(millpond: &Millpond) -> Load {
    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicU64::new(1));
    let mut load = Load { stop: stop.clone(), writers: Vec::new(), readers: Vec::new() };
    for number in 0..WRITERS {
        let mut client = millpond.connect(&APP, Some("app")).await.expect("to connect");
        client.query_drop(format!("SET @client = {number}")).await.expect("a variable");
        load.writers.push(tokio::spawn(write(client, stop.clone(), next.clone())));
    }
    for _ in 0..2 {
        let mut client = millpond.connect(&APP, Some("app")).await.expect("to connect");
        let stop = stop.clone();
        load.readers.push(tokio::spawn(async move {
            let mut errors = 0;
            let statement = client.prep("SELECT COUNT(*) FROM rows_of_load WHERE id < ?").await;
            let statement = statement.expect("to prepare");
            while !stop.load(Ordering::Relaxed) {
                let count: Result<Option<u64>, Error> = client.exec_first(&statement, (50,)).await;
                if let Err(error) = count {
                    assert!(matches!(error, Error::Server(_)), "a reader lost Millpond: {error}");
                    errors += 1;
                }
                sleep(Duration::from_millis(2)).await;
            }
            errors
        }));
    }
    load
}

async fn write(mut client: Conn, stop: Arc<AtomicBool>, next: Arc<AtomicU64>) -> Written {
    let mut written = Written::default();
    while !stop.load(Ordering::Relaxed) {
        let id = next.fetch_add(1, Ordering::Relaxed);
        match client.query_drop(format!("INSERT INTO rows_of_load VALUES ({id})")).await {
            Ok(()) => {
                written.acknowledged.push(id);
                written.moments.push(Instant::now());
            }
            // Anything but an error of the protocol would be the loss of the connection itself.
            Err(Error::Server(error)) if error.message.contains("unknown") => {
                written.unknown.push(id);
            }
            Err(Error::Server(error)) => {
                assert_ne!(error.code, 1062, "a row was written twice: {error}");
                written.refused.push(id);
            }
            Err(error) => panic!("a client lost its connection to Millpond: {error}"),
        }
        sleep(Duration::from_millis(1)).await;
    }
    client.query_drop("SELECT 1").await.expect("the connection still works");
    written
}

impl Load {
    /// Stops the load, and compares what it was told with what `pair`'s new writer has. Gives all
    /// that was written.
    async fn check(self, pair: &Pair) -> Vec<Written> {
        self.stop.store(true, Ordering::Relaxed);
        let mut admin = pair.replica.admin().await;
        let there: Vec<u64> =
            admin.query("SELECT id FROM app.rows_of_load").await.expect("the rows");
        let there: std::collections::HashSet<_> = there.into_iter().collect();
        let mut all = Vec::new();
        for writer in self.writers {
            all.push(writer.await.expect("a writer"));
        }
        for reader in self.readers {
            let errors = reader.await.expect("a reader");
            assert_eq!(errors, 0, "reads outside transactions are run again");
        }
        // What was written between the look and the stop is not in `there`.
        let late: Vec<u64> =
            admin.query("SELECT id FROM app.rows_of_load").await.expect("the rows");
        let there: std::collections::HashSet<_> = there.into_iter().chain(late).collect();
        for written in &all {
            for id in &written.acknowledged {
                assert!(there.contains(id), "the acknowledged row {id} is lost");
            }
            for id in &written.refused {
                assert!(!there.contains(id), "row {id} was refused as not run, and is there");
            }
        }
        all
    }
}

/// Why the writer changed, one after another, as `/events` tells.
fn writer_changes(millpond: &Millpond) -> Vec<String> {
    let page = millpond.page("/events?service=test");
    let told: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    let events = told["events"].as_array().expect("a list of events");
    let writers = events.iter().filter(|event| event["event"] == "writer");
    writers.map(|event| event["reason"].as_str().expect("a reason").to_owned()).collect()
}

/// How long after `promoted` the first of these was acknowledged.
fn first_after(all: &[Written], promoted: Instant) -> Duration {
    let moments = all.iter().flat_map(|written| &written.moments);
    let first = moments.filter(|moment| **moment > promoted).min();
    first.expect("a write after the promotion").duration_since(promoted)
}

fn count(all: &[Written], of: impl Fn(&Written) -> usize) -> usize {
    all.iter().map(of).sum()
}

async fn table(pair: &Pair, millpond: &Millpond) {
    let mut client = millpond.connect(&APP, Some("app")).await.expect("to connect");
    client.query_drop("CREATE TABLE rows_of_load (id BIGINT PRIMARY KEY)").await.expect("a table");
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| pair.wait_for("app.rows_of_load"));
        })
    });
}

#[test]
fn a_killed_writer_costs_a_pause_and_no_connection() {
    servers::each_pair(async |pair| {
        let millpond = Millpond::start(&pair.writer, &settings(pair));
        table(pair, &millpond).await;
        let mut idle = millpond.connect(&APP, Some("app")).await.expect("to connect");
        idle.query_drop("SET @mine = 'kept'").await.expect("a variable");
        idle.query_drop("SELECT 1").await.expect("a statement");
        let mut open = millpond.connect(&APP, Some("app")).await.expect("to connect");
        open.query_drop("BEGIN").await.expect("a transaction");
        open.query_drop("INSERT INTO rows_of_load VALUES (0)").await.expect("a row");
        let load = load(&millpond).await;
        sleep(Duration::from_millis(500)).await;
        pair.writer.kill();
        sleep(Duration::from_millis(200)).await;
        pair.promote().await;
        let promoted = Instant::now();
        sleep(Duration::from_secs(1)).await;
        let all = load.check(pair).await;
        eprintln!(
            "{}: first write {:?} after the promotion; {} acknowledged, {} unknown, {} refused",
            pair.writer.flavor,
            first_after(&all, promoted),
            count(&all, |w| w.acknowledged.len()),
            count(&all, |w| w.unknown.len()),
            count(&all, |w| w.refused.len()),
        );
        assert!(count(&all, |w| w.unknown.len()) <= WRITERS as usize, "one in flight for each");
        // The transaction is gone, and the client is told, on the same connection.
        let commit = open.query_drop("COMMIT").await;
        assert!(matches!(commit, Err(Error::Server(_))), "{commit:?}");
        let row: Option<u64> =
            open.query_first("SELECT id FROM rows_of_load WHERE id = 0").await.expect("a look");
        assert_eq!(row, None);
        let one: Option<u8> = idle.query_first("SELECT 1").await.expect("an idle client goes on");
        assert_eq!(one, Some(1));
        let reasons = writer_changes(&millpond);
        assert_eq!(reasons, ["found", "unreachable", "promoted"]);
    });
}

#[test]
fn a_switchover_costs_no_error() {
    servers::each_pair(async |pair| {
        let millpond = Millpond::start(&pair.writer, &settings(pair));
        table(pair, &millpond).await;
        let load = load(&millpond).await;
        sleep(Duration::from_millis(300)).await;
        let begun = Instant::now();
        pair.demote().await;
        sleep(Duration::from_millis(100)).await;
        pair.promote().await;
        let promoted = Instant::now();
        sleep(Duration::from_millis(700)).await;
        let all = load.check(pair).await;
        eprintln!(
            "{}: {:?} from the demotion to the first write, {:?} of it after the promotion",
            pair.writer.flavor,
            promoted.duration_since(begun) + first_after(&all, promoted),
            first_after(&all, promoted),
        );
        assert_eq!(count(&all, |w| w.unknown.len() + w.refused.len()), 0);
    });
}

#[test]
fn a_writer_that_hangs_is_given_up_and_not_believed_when_it_comes_back() {
    servers::each_pair(async |pair| {
        let millpond = Millpond::start(&pair.writer, &settings(pair));
        table(pair, &millpond).await;
        let load = load(&millpond).await;
        sleep(Duration::from_millis(300)).await;
        pair.writer.signal("STOP");
        sleep(Duration::from_millis(200)).await;
        pair.promote().await;
        let promoted = Instant::now();
        sleep(Duration::from_secs(2)).await;
        // It comes back, and still claims to be the writer.
        pair.writer.signal("CONT");
        sleep(Duration::from_millis(500)).await;
        let all = load.check(pair).await;
        eprintln!(
            "{}: first write {:?} after the promotion; {} unknown, {} refused",
            pair.writer.flavor,
            first_after(&all, promoted),
            count(&all, |w| w.unknown.len()),
            count(&all, |w| w.refused.len()),
        );
        assert!(millpond.page("/metrics").contains("role=\"unknown\""), "the rival is not used");
    });
}

#[test]
fn reading_sessions_go_to_readers_and_move_on_when_one_dies() {
    servers::each_pair(async |pair| {
        let mut settings = settings(pair);
        let port = ports::free();
        settings.service = format!("reader_listen = \"127.0.0.1:{port}\"\n");
        let millpond = Millpond::start(&pair.writer, &settings);
        table(pair, &millpond).await;
        let options = crate::support::server::options(port, &APP, Some("app"));
        let mut reader = Conn::new(options).await.expect("to connect");
        let at: Option<u16> = reader.query_first("SELECT @@port").await.expect("a port");
        assert_eq!(at, Some(pair.replica.port));
        let refused = reader.query_drop("INSERT INTO rows_of_load VALUES (7)").await;
        assert!(matches!(refused, Err(Error::Server(error)) if error.code == 1290));
        pair.replica.kill();
        // No reader is left: the writer reads.
        let at: Option<u16> = reader.query_first("SELECT @@port").await.expect("a port");
        assert_eq!(at, Some(pair.writer.port));
    });
}
