//! The load under which servers fail: writers of several kinds, readers, idle clients; and the
//! comparison of what they were told with what a server has in the end.

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::pair::Pair;
use crate::support::relay::Relay;
use crate::support::server::Server;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, ServerError};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// How many clients write.
pub(super) const WRITERS: u64 = 8;
const READERS: u64 = 2;
const IDLE: u64 = 20;

/// How a client writes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Way {
    #[default]
    Text,
    Prepared,
    Transaction,
}

/// What became of the rows that one client wrote.
#[derive(Default)]
pub(super) struct Written {
    pub(super) way: Way,
    pub(super) acknowledged: Vec<u64>,
    pub(super) unknown: Vec<u64>,
    pub(super) refused: Vec<u64>,
    /// When each acknowledgement came.
    moments: Vec<Instant>,
}

impl Written {
    /// The longest time between two acknowledgements.
    pub(super) fn longest_pause(&self) -> Duration {
        let pauses = self.moments.windows(2).map(|two| two[1] - two[0]);
        pauses.max().unwrap_or_default()
    }
}

/// Clients at work.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Written>>,
    readers: Vec<JoinHandle<u64>>,
    idle: Vec<Conn>,
}

/// A small pool in front of a pair.
pub(super) fn settings(pair: &Pair) -> Settings {
    settings_of(pair.endpoints())
}

/// The same, in front of links to a pair.
pub(super) fn settings_for(links: [&Relay; 2]) -> Settings {
    settings_of(links.map(|link| format!("127.0.0.1:{}", link.port)).join(","))
}

/// The same, in front of servers that are found by another provider, with these further lines for
/// the backend.
pub(super) fn settings_by(provider: &str, endpoints: String, backend: &str) -> Settings {
    let mut settings = settings_of(endpoints);
    let key = "MILLPOND__SERVICES__TEST__BACKEND__PROVIDER".to_owned();
    settings.environment.push((key, provider.to_owned()));
    settings.backend = backend.to_owned();
    settings
}

fn settings_of(servers: String) -> Settings {
    let endpoints = "MILLPOND__SERVICES__TEST__BACKEND__ENDPOINTS".to_owned();
    Settings {
        pool: "max_size = 5\nborrow_timeout = \"20s\"\n".to_owned(),
        environment: vec![(endpoints, servers)],
        ..Settings::default()
    }
}

/// The table that the load writes to. A row that is written twice is there twice.
pub(super) async fn table(pair: &Pair, millpond: &Millpond) {
    let mut client = millpond.connect(&APP, Some("app")).await.expect("to connect");
    let table = "CREATE TABLE rows_of_load (n BIGINT AUTO_INCREMENT PRIMARY KEY, id BIGINT)";
    client.query_drop(table).await.expect("a table");
    arrival(pair, "app.rows_of_load");
}

/// Waits until the replica has a table.
pub(super) fn arrival(pair: &Pair, table: &str) {
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| pair.wait_for(table));
        })
    });
}

/// Clients that insert ids which nobody else has, clients that read by prepared statements, and
/// clients that do nothing.
pub(super) async fn load(millpond: &Millpond) -> Load {
    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicU64::new(1));
    let mut load =
        Load { stop: stop.clone(), writers: Vec::new(), readers: Vec::new(), idle: Vec::new() };
    for number in 0..WRITERS {
        let mut client = millpond.connect(&APP, Some("app")).await.expect("to connect");
        client.query_drop(format!("SET @client = {number}")).await.expect("a variable");
        let way = [Way::Text, Way::Prepared, Way::Transaction, Way::Text][number as usize % 4];
        load.writers.push(tokio::spawn(write(client, way, stop.clone(), next.clone())));
    }
    for _ in 0..READERS {
        let client = millpond.connect(&APP, Some("app")).await.expect("to connect");
        load.readers.push(tokio::spawn(read(client, stop.clone())));
    }
    for number in 0..IDLE {
        let mut client = millpond.connect(&APP, Some("app")).await.expect("to connect");
        client.query_drop(format!("SET @mine = {number}")).await.expect("a variable");
        load.idle.push(client);
    }
    load
}

/// Reads until it is stopped; gives how many errors it met.
async fn read(mut client: Conn, stop: Arc<AtomicBool>) -> u64 {
    let mut errors = 0;
    let statement = client.prep("SELECT COUNT(*) FROM rows_of_load WHERE id < ?").await;
    let statement = statement.expect("to prepare");
    while !stop.load(Ordering::Relaxed) {
        let count: Result<Option<u64>, Error> = client.exec_first(&statement, (50,)).await;
        if let Err(error) = count {
            assert!(matches!(error, Error::Server(_)), "a reader lost Millpond: {error}");
            eprintln!("a reader met {error}");
            errors += 1;
        }
        sleep(Duration::from_millis(2)).await;
    }
    errors
}

async fn write(mut client: Conn, way: Way, stop: Arc<AtomicBool>, next: Arc<AtomicU64>) -> Written {
    let mut written = Written { way, ..Written::default() };
    while !stop.load(Ordering::Relaxed) {
        let id = next.fetch_add(1, Ordering::Relaxed);
        match insert(&mut client, way, id).await {
            Ok(()) => {
                written.acknowledged.push(id);
                written.moments.push(Instant::now());
            }
            Err(Outcome::Unknown) => written.unknown.push(id),
            Err(Outcome::Refused) => written.refused.push(id),
        }
        sleep(Duration::from_millis(1)).await;
    }
    client.query_drop("SELECT 1").await.expect("the connection still works");
    written
}

enum Outcome {
    /// The client was told that it is unknown.
    Unknown,
    /// The client was told that it did not happen.
    Refused,
}

/// Anything but an error of the protocol would be the loss of the connection itself.
fn told(error: Error) -> ServerError {
    match error {
        Error::Server(error) => error,
        error => panic!("a client lost its connection to Millpond: {error}"),
    }
}

fn outcome(error: Error) -> Outcome {
    match told(error) {
        error if error.message.contains("unknown") => Outcome::Unknown,
        _ => Outcome::Refused,
    }
}

async fn insert(client: &mut Conn, way: Way, id: u64) -> Result<(), Outcome> {
    let text = format!("INSERT INTO rows_of_load (id) VALUES ({id})");
    match way {
        Way::Text => client.query_drop(text).await.map_err(outcome),
        Way::Prepared => {
            let prepared = "INSERT INTO rows_of_load (id) VALUES (?)";
            client.exec_drop(prepared, (id,)).await.map_err(outcome)
        }
        Way::Transaction => {
            for statement in ["BEGIN", &text] {
                if let Err(error) = client.query_drop(statement).await {
                    // Whatever became of the statement: nothing was committed.
                    told(error);
                    client.query_drop("ROLLBACK").await.map_err(told).ok();
                    return Err(Outcome::Refused);
                }
            }
            let committed = client.query_drop("COMMIT").await.map_err(outcome);
            if let Err(Outcome::Refused) = committed {
                // A server that only reads leaves the transaction open.
                client.query_drop("ROLLBACK").await.map_err(told).ok();
            }
            committed
        }
    }
}

impl Load {
    /// Stops the load, and compares what it was told with what `server` has, which is the writer
    /// in the end. Gives all that was written.
    pub(super) async fn check(self, server: &Server) -> Vec<Written> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for writer in self.writers {
            all.push(writer.await.expect("a writer"));
        }
        for reader in self.readers {
            let errors = reader.await.expect("a reader");
            assert_eq!(errors, 0, "reads outside transactions are run again");
        }
        for (number, mut client) in (0..).zip(self.idle) {
            let mine: Option<u64> =
                client.query_first("SELECT @mine").await.expect("idle clients notice nothing");
            assert_eq!(mine, Some(number));
        }
        let mut admin = server.admin().await;
        let there: Vec<u64> =
            admin.query("SELECT id FROM app.rows_of_load").await.expect("the rows");
        let mut times: HashMap<u64, u32> = HashMap::new();
        for id in there {
            *times.entry(id).or_default() += 1;
        }
        let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "rows were written twice: {twice:?}");
        for written in &all {
            for id in &written.acknowledged {
                assert!(times.contains_key(id), "the acknowledged row {id} is lost");
            }
            for id in &written.refused {
                assert!(!times.contains_key(id), "row {id} was refused as not run, and is there");
            }
        }
        all
    }
}

/// Makes sure that a server, which was the writer before `writer`, has no row that `writer` lacks but
/// those of which the client was told that it is unknown what became of them.
pub(super) async fn left_behind(all: &[Written], former: &Server, writer: &Server) {
    let rows = async |server: &Server| -> HashSet<u64> {
        let ids = "SELECT id FROM app.rows_of_load";
        let ids: Vec<u64> = server.admin().await.query(ids).await.expect("the rows");
        ids.into_iter().collect()
    };
    let (there, here) = (rows(former).await, rows(writer).await);
    let unknown: HashSet<u64> = all.iter().flat_map(|w| w.unknown.iter().copied()).collect();
    for id in there.difference(&here) {
        // The last statement of a transaction that was refused is undone on both.
        assert!(unknown.contains(id), "row {id} was written to the former writer only");
    }
}

/// Waits until something is true.
pub(super) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Why the writer changed, one after another, as `/events` tells.
pub(super) fn writer_changes(millpond: &Millpond) -> Vec<String> {
    let page = millpond.page("/events?service=test");
    let told: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    let events = told["events"].as_array().expect("a list of events");
    let writers = events.iter().filter(|event| event["event"] == "writer");
    writers.map(|event| event["reason"].as_str().expect("a reason").to_owned()).collect()
}

/// How long after `promoted` the first of these was acknowledged.
pub(super) fn first_after(all: &[Written], promoted: Instant) -> Duration {
    let moments = all.iter().flat_map(|written| &written.moments);
    let first = moments.filter(|moment| **moment > promoted).min();
    first.expect("a write after the promotion").duration_since(promoted)
}

/// How many there are of something that was written.
pub(super) fn count(all: &[Written], of: impl Fn(&Written) -> usize) -> usize {
    all.iter().map(of).sum()
}
