//! A service in miniature under a paused clock: the real supervisor, the real topology with its
//! fences, scripted servers, and sessions that do nothing but go where they are sent. Each seed is
//! one schedule of faults; what must hold under all of them is asserted as it runs.
//!
//! Some hundred seeds are part of the tests; `MILLPOND_SEEDS=5000` runs more.

use super::*;
use crate::backend::connection::Connection;
use crate::backend::control::ControlError;
use crate::backend::login::LoginError;
use crate::config::{
    Compression, Endpoint, HandOver, LoginLimits, LostStatement, Retry, WithoutReaders,
};
use crate::failover::events::Events;
use crate::failover::metrics::FailoverMetricsFamily;
use crate::failover::orders::Order;
use crate::failover::probe::{Asking, Connecting, ProbeSettings, Prober, Questioned};
use crate::failover::recovery::RecoverySettings;
use crate::failover::snapshot::ServerState;
use crate::failover::supervisor::{Supervisor, SupervisorParts};
use crate::failover::verdict::{Answer, Claim, Lone};
use crate::frontend::cancel::Registry as Clients;
use crate::frontend::greet::Lasting;
use crate::frontend::limits::{Limits, UserLimits};
use crate::frontend::metrics::FrontendMetrics;
use crate::frontend::service::{GreetSettings, PoolMaker, ServiceParts};
use crate::pool::PoolSettings;
use crate::pool::budget::{Bounds, Budget};
use crate::pool::manager::{OpenError, Opener, Opening};
use crate::pool::metrics::PoolMetricsFamily;
use crate::runtime::{Law, Tasks, Workers};
use std::collections::HashMap;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const SERVERS: u32 = 3;
const SESSIONS: usize = 6;
/// After the last fault, a writer is confirmed within this time: a probe that hangs is given up,
/// and the next one asks.
const CONVERGED: Duration = Duration::from_millis(1_000);
/// After that, every session has run a statement within this time.
const SERVED: Duration = Duration::from_millis(500);

/// What a server does at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Writes,
    Reads,
    /// It is not there: connections to it break, and none can be opened.
    Gone,
    /// It takes connections and says nothing.
    Hangs,
}

/// All that is true, and all that must be.
#[derive(Debug)]
struct World {
    doing: watch::Sender<[Doing; SERVERS as usize]>,
    /// Statements that each session has run.
    run: Mutex<[u64; SESSIONS]>,
    /// Since when a server must not be used any more.
    fenced: Mutex<HashMap<ServerId, Instant>>,
    /// The writer of each epoch.
    writers: Mutex<HashMap<u64, ServerId>>,
    /// Of this schedule.
    seed: u64,
}

impl World {
    fn doing(&self, server: ServerId) -> Doing {
        self.doing.borrow()[server.0 as usize]
    }

    fn set(&self, server: u32, doing: Doing) {
        self.doing.send_modify(|all| all[server as usize] = doing);
    }

    /// Waits until a server ends its connections.
    async fn gone(&self, server: ServerId) {
        let mut changes = self.doing.subscribe();
        while self.doing(server) != Doing::Gone {
            changes.changed().await.unwrap();
        }
    }

    /// Somebody sees this.
    fn seen(&self, snapshot: &Snapshot) {
        let Writer::Confirmed(writer) = snapshot.writer else { return };
        let known = *self.writers.lock().entry(snapshot.epoch).or_insert(writer);
        assert_eq!(known, writer, "two writers in epoch {}, seed {}", snapshot.epoch, self.seed);
        let mut fenced = self.fenced.lock();
        fenced.remove(&writer);
        for server in snapshot.servers.iter().filter(|server| server.id != writer) {
            fenced.entry(server.id).or_insert_with(Instant::now);
        }
    }
}

/// A probe's connection.
struct Scripted(Arc<World>, ServerId);

impl Questioned for Scripted {
    fn ask(&mut self) -> Asking<'_> {
        Box::pin(async move {
            sleep(Duration::from_micros(fastrand::u64(100..4_000))).await;
            let claim = match self.0.doing(self.1) {
                Doing::Writes => Claim::Writer,
                Doing::Reads => Claim::Reader,
                Doing::Gone => {
                    let closed = crate::net::link::LinkError::Closed;
                    return Err(ControlError::Link(closed));
                }
                Doing::Hangs => pending().await,
            };
            Ok(Answer { claim, lag: None }.into())
        })
    }

    fn ended(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.gone(self.1))
    }
}

#[derive(Debug)]
struct Script(Arc<World>);

impl Prober for Script {
    fn connect(&self, server: &ServerState) -> Connecting {
        let (world, server) = (self.0.clone(), server.id);
        Box::pin(async move {
            match world.doing(server) {
                Doing::Gone => Err(LoginError::Io(io::ErrorKind::ConnectionRefused.into())),
                Doing::Hangs => pending().await,
                _ => Ok(Box::new(Scripted(world, server)) as Box<dyn Questioned>),
            }
        })
    }
}

/// Pools that are there to be fenced; nobody borrows from them.
#[derive(Debug)]
struct Fences(PoolMetricsFamily, Tasks);

#[derive(Debug)]
struct Nowhere;

impl Opener for Nowhere {
    fn open(&self, _generation: u64) -> Opening {
        Box::pin(async { Err::<Connection, _>(OpenError::NoServer) })
    }

    fn found_closed(&self) {}
}

impl PoolMaker for Fences {
    fn make(&self, key: &PoolKey) -> Option<Arc<Pool>> {
        let settings = PoolSettings {
            max_size: 1,
            min_idle: 0,
            max_idle_time: None,
            user_limit: None,
            max_waiting: 1,
            hand_over: HandOver::WhenNeeded,
        };
        let metrics = self.0.of("orders", "app");
        let bounds = Bounds { budget: Budget::new(1), allowance: Budget::unlimited() };
        Some(Pool::new(key.clone(), settings, Arc::new(Nowhere), bounds, self.1.clone(), metrics))
    }

    fn retain(&self, _snapshot: &Snapshot) {}
}

/// A service whose servers are all scripted.
fn service(world: &Arc<World>, tasks: &Tasks) -> (Arc<Service>, Supervisor) {
    let registry = prometheus::Registry::new();
    let endpoint = |n| Endpoint { host: format!("db-{n}"), port: 3306, zone: None };
    let (supervisor, watched) = Supervisor::new(SupervisorParts {
        service: "orders".into(),
        endpoints: (0..SERVERS).map(endpoint).collect(),
        lone: Lone::IsWriter,
        names: None,
        settings: ProbeSettings {
            calm: Duration::from_secs(1),
            alert: Duration::from_millis(20),
            limit: Duration::from_millis(500),
        },
        recovery: RecoverySettings {
            slow_start: Some(Duration::from_secs(10)),
            flap_limit: 3,
            flap_window: Duration::from_secs(60),
            flap_hold: Duration::from_secs(10),
        },
        prober: Arc::new(Script(world.clone())),
        metrics: FailoverMetricsFamily::register(&registry).unwrap().of("orders"),
        events: Events::new(100),
    });
    let preferences =
        Preferences { zone: None, max_lag: None, without_readers: WithoutReaders::Writer };
    let service = Service::new(ServiceParts {
        name: "orders".into(),
        limits: Limits {
            connects_per_second: None,
            everybody: UserLimits::default(),
            users: HashMap::new(),
            slow: crate::config::SlowConfig { from: None, text: crate::config::SlowText::Masked },
            max_clients: SESSIONS,
            borrow_timeout: Duration::from_secs(5),
            sleep_after: None,
            resume_timeout: Duration::from_secs(60),
            retry: Retry::Safe,
            lost_statement: LostStatement::Lost,
            max_waiting: SESSIONS,
            handshake_timeout: Duration::from_secs(10),
            max_packet: 1 << 20,
            hidden_triggers: crate::config::HiddenTriggers::Pin,
            result_buffer: 1 << 16,
        },
        registry: Arc::new(Clients::default()),
        metrics: FrontendMetrics::register(&registry).unwrap().of("orders"),
        tasks: tasks.clone(),
        topology: Topology::new(watched, preferences),
        maker: Arc::new(Fences(PoolMetricsFamily::register(&registry).unwrap(), tasks.clone())),
        guests: None,
        greeting: GreetSettings {
            version: None,
            tls: None,
            require_tls: false,
            compression: Compression::Offered,
            users: Arc::default(),
            login_limits: LoginLimits::default(),
            guests: None,
            lasting: Lasting::new(Workers::start("logins", 1).unwrap()),
            proxies: [].into(),
        },
    });
    (service, supervisor)
}

/// Runs transactions for ever, wherever it is sent; what it may ask is what `borrow` asks.
async fn session(service: Arc<Service>, world: Arc<World>, number: usize) {
    loop {
        let version = service.topology.version();
        world.seen(&service.topology.snapshot());
        let Route::To(server) = service.route(Access::Write, ServerId(0)) else {
            service.topology.changed(version).await;
            continue;
        };
        let user: Arc<str> = "app".into();
        let pool = service.pool(&PoolKey {
            server,
            user,
            found_rows: false,
            local_files: false,
            extended_metadata: false,
        });
        let pool = pool.unwrap();
        for _ in 0..fastrand::u32(1..6) {
            if pool.is_closed() || !statement(&service, &world, &pool).await {
                break;
            }
            world.run.lock()[number] += 1;
            sleep(Duration::from_micros(fastrand::u64(0..30_000))).await;
        }
        sleep(Duration::from_micros(fastrand::u64(0..5_000))).await;
    }
}

/// Sends one statement; whether it was answered.
async fn statement(service: &Service, world: &World, pool: &Pool) -> bool {
    let server = pool.key().server;
    let fenced = world.fenced.lock().get(&server).copied();
    assert!(
        fenced.is_none_or(|since| since >= Instant::now()),
        "a statement went to {server:?}, which is fenced, seed {}",
        world.seed
    );
    match world.doing(server) {
        Doing::Writes => return true,
        Doing::Reads => service.topology.report(server, Evidence::ReadOnly),
        Doing::Gone => service.topology.report(server, Evidence::ConnectionLost),
        Doing::Hangs => {
            tokio::select! {
                biased;
                () = pool.closed() => {}
                () = world.gone(server) => {
                    service.topology.report(server, Evidence::ConnectionLost);
                }
                // It answers after all, or its client has had enough.
                () = sleep(Duration::from_secs(2)) => {}
            }
        }
    }
    // As before a statement is run again.
    sleep(Duration::from_millis(5)).await;
    false
}

/// One fault, or the end of one, or an order.
async fn trouble(service: &Service, world: &World) {
    let server = fastrand::u32(0..SERVERS);
    match fastrand::u32(0..12) {
        0 | 1 => world.set(server, Doing::Gone),
        2 => world.set(server, Doing::Hangs),
        3 | 4 => world.set(server, Doing::Reads),
        // Also beside one that writes: a split brain.
        5..8 => world.set(server, Doing::Writes),
        8 => {
            // A promotion as it should be.
            for other in 0..SERVERS {
                if other != server && world.doing(ServerId(other)) == Doing::Writes {
                    world.set(other, Doing::Reads);
                }
            }
            world.set(server, Doing::Writes);
        }
        9 => service.topology.report(ServerId(server), Evidence::Timeout),
        10 => {
            let order = [Order::PauseAll, Order::Drain(ServerId(server))][fastrand::usize(0..2)];
            let limit = Some(Duration::from_millis(fastrand::u64(1..2_000)));
            service.topology.command(Command::Give(order, limit)).await.unwrap();
        }
        _ => {
            let writer = service.topology.snapshot().writer().map(|server| server.id);
            if let Some(writer) = writer {
                let limit = Some(Duration::from_secs(3));
                let order = Command::Give(Order::Succeed(writer), limit);
                // It may be another one by now.
                let _ = service.topology.command(order).await;
            }
        }
    }
}

/// All that was wrong is mended; gives the writer that there is to be.
async fn peace(service: &Service, world: &World) -> ServerId {
    service.topology.command(Command::LiftAll(None)).await.unwrap();
    let writer = fastrand::u32(0..SERVERS);
    // Long enough for each to be heard as a reader.
    for server in 0..SERVERS {
        world.set(server, Doing::Reads);
    }
    sleep(Duration::from_millis(1_800)).await;
    world.set(writer, Doing::Writes);
    ServerId(writer)
}

async fn schedule(seed: u64) {
    fastrand::seed(seed);
    let first = [Doing::Writes, Doing::Reads, Doing::Reads];
    let world = Arc::new(World {
        doing: watch::Sender::new(first),
        run: Mutex::default(),
        fenced: Mutex::default(),
        writers: Mutex::default(),
        seed,
    });
    let tasks = Tasks::new();
    let (service, supervisor) = service(&world, &tasks);
    let supervision = tasks.spawn("supervisor", Law::Vital, supervisor.run(tasks.clone()));
    let keep = service.clone().keep_topology();
    let fencing = tasks.spawn("fencing", Law::Vital, keep);
    let sessions: Vec<_> = (0..SESSIONS)
        .map(|number| {
            let session = session(service.clone(), world.clone(), number);
            tasks.spawn("session", Law::Mortal, session)
        })
        .collect();
    for _ in 0..fastrand::u32(5..40) {
        sleep(Duration::from_millis(fastrand::u64(0..800))).await;
        trouble(&service, &world).await;
    }
    let writer = peace(&service, &world).await;
    sleep(CONVERGED).await;
    let snapshot = service.topology.snapshot();
    assert_eq!(snapshot.writer, Writer::Confirmed(writer), "seed {seed}: {snapshot:?}");
    let before = *world.run.lock();
    sleep(SERVED).await;
    let after = *world.run.lock();
    let forgotten = (0..SESSIONS).find(|session| after[*session] == before[*session]);
    assert_eq!(forgotten, None, "a session waits for ever, seed {seed}");
    assert!(!supervision.is_finished() && !fencing.is_finished(), "seed {seed}");
    for session in sessions {
        assert!(!session.is_finished(), "a session failed, seed {seed}");
        session.abort();
    }
    tasks.drain(Duration::from_secs(5)).await.ok();
}

#[test]
fn no_schedule_of_faults_breaks_what_must_hold() {
    let seeds = std::env::var("MILLPOND_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(300) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(schedule(seed));
    }
}
