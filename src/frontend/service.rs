//! One database service as its clients see it: pools, users, limits.

use super::cancel::Registry;
use super::globals::Globals;
use super::greet::context::CurrentContext;
use super::greet::{GreetContext, GreetSettings};
use super::guests::Guests;
use super::inspectors::Inspectors;
use super::limits::{Limits, Seats};
use super::metrics::ServiceMetrics;
use super::rate::Rates;
use super::reader::Reader;
use super::topology::Topology;
use crate::backend::connection::Connection;
use crate::backend::server::ServerInfo;
use crate::failover::snapshot::Snapshot;
use crate::pool::{Pool, PoolKey};
use crate::runtime::Tasks;
use crate::session::state::Baseline;
use arc_swap::{ArcSwap, ArcSwapOption, Cache, Guard};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;
use tokio::time::Instant;

/// A service's limits, which are looked up again only when there are others.
pub type KnownLimits = Cache<Arc<ArcSwap<Limits>>, Arc<Limits>>;

/// What was learned from the first connection to the service's server.
#[derive(Debug)]
pub struct Learned {
    /// The server.
    pub server: Arc<ServerInfo>,
    /// The session variables of a fresh session.
    pub baseline: Arc<Baseline>,
    /// The number of the server's collation, which its greeting names.
    pub(super) collation: Option<u16>,
}

/// Makes the pool of a kind of connection that was not asked for before.
pub trait PoolMaker: Send + Sync + fmt::Debug {
    /// Makes it; `None` for a user who has no login.
    fn make(&self, key: &PoolKey) -> Option<Arc<Pool>>;

    /// Forgets what it knows of servers that are not there any more.
    fn retain(&self, snapshot: &Snapshot);
}

/// A database service.
#[derive(Debug)]
pub struct Service {
    /// Its name in the configuration.
    pub name: Arc<str>,
    limits: Arc<ArcSwap<Limits>>,
    /// All clients of this Millpond.
    pub registry: Arc<Registry>,
    /// What is counted.
    pub metrics: ServiceMetrics,
    /// Tasks.
    pub tasks: Tasks,
    /// The servers.
    pub topology: Topology,
    /// How texts are read, by what routines and triggers may do.
    pub reader: ArcSwap<Reader>,
    /// Asks for a fresh catalogue.
    pub catalogue_stale: Notify,
    learned: ArcSwapOption<Learned>,
    learned_now: Notify,
    greeting: ArcSwap<GreetSettings>,
    greet_context: CurrentContext,
    pub(super) maker: Arc<dyn PoolMaker>,
    pools: RwLock<HashMap<PoolKey, Arc<Pool>>>,
    clients: AtomicUsize,
    /// How many clients each user has.
    pub seats: Seats,
    /// When clients came from each address.
    pub rates: Rates,
    moments: AtomicU64,
    /// Held by who has a read ended whose client is gone.
    pub(super) ending: tokio::sync::Mutex<()>,
    pub(super) told_of_hidden_triggers: AtomicBool,
    pub(super) globals: Globals,
    pub(super) inspectors: Inspectors,
}

/// What a service is made of.
#[derive(Debug)]
pub struct ServiceParts {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Limits.
    pub limits: Limits,
    /// All clients of this Millpond.
    pub registry: Arc<Registry>,
    /// What is counted.
    pub metrics: ServiceMetrics,
    /// Tasks.
    pub tasks: Tasks,
    /// The servers.
    pub topology: Topology,
    /// Makes pools.
    pub maker: Arc<dyn PoolMaker>,
    /// What handshakes need.
    pub greeting: GreetSettings,
    /// Those that only the server knows.
    pub guests: Option<Arc<Guests>>,
}

impl Service {
    /// A service without clients.
    pub fn new(parts: ServiceParts) -> Arc<Self> {
        let ServiceParts { name, limits, registry, metrics, tasks, topology, maker, .. } = parts;
        let greeting = parts.greeting;
        let service = Arc::new(Self {
            name,
            limits: Arc::new(ArcSwap::from_pointee(limits)),
            registry,
            metrics,
            tasks,
            topology,
            reader: ArcSwap::default(),
            catalogue_stale: Notify::new(),
            learned: ArcSwapOption::empty(),
            learned_now: Notify::new(),
            greeting: ArcSwap::from_pointee(greeting),
            greet_context: CurrentContext::default(),
            maker,
            pools: RwLock::default(),
            clients: AtomicUsize::new(0),
            seats: Seats::default(),
            rates: Rates::default(),
            moments: AtomicU64::new(1),
            ending: tokio::sync::Mutex::default(),
            told_of_hidden_triggers: AtomicBool::new(false),
            globals: Globals::default(),
            inspectors: Inspectors::default(),
        });
        if let Some(guests) = parts.guests {
            guests.belong_to(&service);
        }
        service
    }

    /// The limits at this moment.
    pub fn limits(&self) -> Guard<Arc<Limits>> {
        self.limits.load()
    }

    /// The limits at any moment, for who looks at them with each statement.
    pub(super) fn known_limits(&self) -> KnownLimits {
        KnownLimits::new(self.limits.clone())
    }

    /// What handshakes are told at this moment.
    pub fn greeting(&self) -> Arc<GreetSettings> {
        self.greeting.load_full()
    }

    /// From now on these are in force; who is here already stays.
    pub fn reconfigure(&self, limits: Limits, greeting: GreetSettings) {
        self.greeting.store(Arc::new(greeting));
        self.limits.store(Arc::new(limits));
    }

    /// The pool for this kind of connection.
    pub fn pool(&self, key: &PoolKey) -> Option<Arc<Pool>> {
        if let Some(pool) = self.pools.read().get(key) {
            return Some(pool.clone());
        }
        let mut pools = self.pools.write();
        if let Some(pool) = pools.get(key) {
            return Some(pool.clone());
        }
        let pool = self.maker.make(key)?;
        pools.insert(key.clone(), pool.clone());
        Some(pool)
    }

    /// From now on, whoever asks for a pool of this kind gets another one.
    pub(super) fn forget_pool(&self, pool: &Arc<Pool>) {
        let mut pools = self.pools.write();
        if pools.get(pool.key()).is_some_and(|known| Arc::ptr_eq(known, pool)) {
            pools.remove(pool.key());
        }
    }

    /// A user that only the server knows has no session any more.
    pub(super) fn forget_user(&self, user: &str) {
        let mut gone = Vec::new();
        self.pools.write().retain(|key, pool| {
            let stays = &*key.user != user;
            if !stays {
                gone.push(pool.clone());
            }
            stays
        });
        for pool in gone {
            pool.close();
        }
    }

    /// All pools.
    pub fn pools(&self) -> Vec<Arc<Pool>> {
        self.pools.read().values().cloned().collect()
    }

    /// What is known of the server, if any connection was ever opened.
    pub fn learned(&self) -> Option<Arc<Learned>> {
        self.learned.load_full()
    }

    /// A connection was opened: what it says of its server is what clients are told.
    pub fn learn(&self, server: Arc<ServerInfo>, baseline: Arc<Baseline>) {
        let known = self.learned.load();
        let same = known.as_ref().is_some_and(|k| {
            Arc::ptr_eq(&k.server, &server) && Arc::ptr_eq(&k.baseline, &baseline)
        });
        if !same {
            let collation = server.default_collation();
            self.learned.store(Some(Arc::new(Learned { server, baseline, collation })));
            self.learned_now.notify_waiters();
        }
    }

    /// A session came to a connection: its server may be another than the one that clients are told
    /// of.
    pub fn met(&self, connection: &Connection) {
        let known = self.learned.load();
        let same = known.as_ref().is_none_or(|known| {
            Arc::ptr_eq(&known.server, &connection.server)
                && Arc::ptr_eq(&known.baseline, &connection.baseline)
        });
        if !same {
            self.learn(connection.server.clone(), connection.baseline.clone());
        }
    }

    /// Waits until the server is known, however long that takes.
    ///
    /// Cancel safe.
    pub async fn wait_known(&self) {
        loop {
            let learned_now = self.learned_now.notified();
            if self.learned().is_some() {
                return;
            }
            learned_now.await;
        }
    }

    /// Waits until the server is known; `None` when it is not by the deadline.
    ///
    /// Cancel safe.
    pub async fn wait_learned(&self, deadline: Instant) -> Option<Arc<Learned>> {
        loop {
            let learned_now = self.learned_now.notified();
            if let Some(learned) = self.learned() {
                return Some(learned);
            }
            tokio::time::timeout_at(deadline, learned_now).await.ok()?;
        }
    }

    /// What a handshake needs now.
    pub fn greet_context(&self) -> Arc<GreetContext> {
        self.greet_context.of(&self.greeting(), self.learned().as_ref())
    }

    /// A number above all that were given before: what of two things happened first is told by it.
    pub fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes a client in, if there is room.
    pub fn admit(self: &Arc<Self>) -> Option<Admission> {
        let before = self.clients.fetch_add(1, Ordering::Relaxed);
        let admission = Admission(self.clone());
        self.metrics.clients.inc();
        (before < self.limits().max_clients).then_some(admission)
    }
}

/// A client's place in a service.
#[derive(Debug)]
pub struct Admission(Arc<Service>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.clients.dec();
    }
}
