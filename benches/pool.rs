//! What it costs to borrow a connection and give it back: so many workers at a pool of so many
//! connections, on one thread. The connections are real sockets to nobody.
//!
//! `cargo bench --bench pool`

#![allow(clippy::disallowed_methods, clippy::expect_used, missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millpond::backend::connection::{Connection, Resets};
use millpond::backend::fence::Fence;
use millpond::backend::server::{HostNames, NameCase, ServerId, ServerInfo, TrackerDefaults};
use millpond::backend::setup::Setup;
use millpond::config::HandOver;
use millpond::net::buffer::ReadBuffer;
use millpond::net::stream::Stream;
use millpond::pool::budget::{Bounds, Budget};
use millpond::pool::manager::{OpenError, Opener, Opening};
use millpond::pool::metrics::PoolMetricsFamily;
use millpond::pool::{Pool, PoolKey, PoolSettings};
use millpond::runtime::Tasks;
use millpond::session::need::Traces;
use millpond::session::prepared::BackendStatements;
use millpond::session::server::ServerVersion;
use millpond::session::state::Baseline;
use millpond::wire::capability::{Capabilities, Status};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// How often each worker borrows in one round.
const BORROWS: usize = 50;

/// Opens connections to a listener that never says anything.
#[derive(Debug)]
struct ToNobody {
    address: SocketAddr,
    server: Arc<ServerInfo>,
    baseline: Arc<Baseline>,
}

impl Opener for ToNobody {
    fn open(&self, generation: u64) -> Opening {
        let (address, server, baseline) =
            (self.address, self.server.clone(), self.baseline.clone());
        Box::pin(async move {
            let tcp = TcpStream::connect(address).await.map_err(|_| OpenError::NoServer)?;
            let (now, fresh) = (Instant::now(), Setup::fresh_environment());
            Ok(Connection {
                stream: Stream::Plain(tcp),
                input: ReadBuffer::default(),
                output: Default::default(),
                server,
                thread_id: 1,
                capabilities: Capabilities::default(),
                environment: fresh.clone(),
                fresh,
                baseline,
                init_query: "".into(),
                resets: Resets::ToLogin,
                status: Status::AUTOCOMMIT,
                entered: 0,
                statements: BackendStatements::new(8),
                traces: Traces::default(),
                opened: now,
                expires: now + Duration::from_secs(3_600),
                last_used: now,
                generation,
                fence: Fence::default(),
            })
        })
    }

    fn found_closed(&self) {}
}

fn server() -> ServerInfo {
    ServerInfo {
        version: ServerVersion::parse(b"9.7.4"),
        max_connections: 151,
        max_prepared_statements: 16_382,
        default_names: ("utf8mb4".into(), "utf8mb4_general_ci".into()),
        collations: Default::default(),
        trackers: TrackerDefaults::default(),
        names_ignore_case: NameCase::Exact,
        hosts: HostNames::Skipped,
    }
}

async fn pool(size: usize) -> (Arc<Pool>, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let opener = ToNobody { address, server: Arc::new(server()), baseline: Arc::default() };
    let key = PoolKey {
        server: ServerId(0),
        user: "app".into(),
        found_rows: false,
        local_files: false,
        extended_metadata: false,
    };
    let settings = PoolSettings {
        max_size: size,
        user_limit: None,
        min_idle: 0,
        max_idle_time: None,
        max_waiting: 1_000,
        hand_over: HandOver::WhenNeeded,
    };
    let family = PoolMetricsFamily::register(&prometheus::Registry::new()).expect("fresh");
    let metrics = family.of("bench", "app");
    let tasks = Tasks::new();
    let bounds = Bounds { budget: Budget::new(size), allowance: Budget::unlimited() };
    let pool = Pool::new(key, settings, Arc::new(opener), bounds, tasks, metrics);
    (pool, listener)
}

/// All workers borrow, let the others run, and give back.
async fn round(pool: &Arc<Pool>, workers: usize) {
    let mut tasks = Vec::with_capacity(workers);
    for _ in 0..workers {
        let pool = pool.clone();
        tasks.push(tokio::spawn(async move {
            for _ in 0..BORROWS {
                let now = Instant::now();
                let lease = pool.acquire(now, now + Duration::from_secs(60)).await;
                let lease = lease.expect("there are connections");
                tokio::task::yield_now().await;
                lease.release();
            }
        }));
    }
    for task in tasks {
        task.await.expect("it does not panic");
    }
}

fn borrowing(criterion: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("borrow");
    for size in [1, 5, 20, 100] {
        for workers in [1, 8, 64] {
            let (pool, _listener) = runtime.block_on(pool(size));
            runtime.block_on(round(&pool, workers));
            group.throughput(Throughput::Elements((workers * BORROWS) as u64));
            group.bench_function(format!("{workers}_workers/{size}_connections"), |bencher| {
                bencher.to_async(&runtime).iter(|| round(&pool, workers));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, borrowing);
criterion_main!(benches);
