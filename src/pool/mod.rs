//! Floor 7: many backend connections.
//!
//! [`Pool`] is one deadpool of one kind of connection ([`PoolKey`]): it hands out [`Lease`]s, in
//! the order of asking. A session that leaves something on its connection which only it may see
//! *deposits* the lease instead of giving it back; whoever finds the pool empty takes over the
//! oldest [`Deposit`], after having brought its owner's belongings to safety. [`Budget`] bounds all
//! pools of one server together.

pub mod budget;
pub mod census;
pub mod deposit;
mod error;
pub mod lease;
pub mod manager;
pub mod metrics;
pub mod proven;
mod queue;
pub mod upkeep;

use self::budget::{Bounds, Budget, Member};
use self::census::Census;
pub use self::census::Counts;
use self::deposit::{Deposit, Deposits};
pub use self::error::AcquireError;
use self::lease::Lease;
use self::manager::{Manager, Opener};
use self::metrics::PoolMetrics;
use self::proven::Proven;
use self::queue::{Queue, Waiting};
use crate::backend::connection::Connection;
use crate::backend::server::ServerId;
use crate::config::HandOver;
use crate::runtime::{Law, Tasks};
use arc_swap::{ArcSwap, Guard};
use deadpool::managed::{self, PoolError, QueueMode, Timeouts};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What makes two backend connections interchangeable: the server, the login, and the capabilities that are
/// fixed at login and that a client can see.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// The server.
    pub server: ServerId,
    /// The database user.
    pub user: Arc<str>,
    /// `CLIENT_FOUND_ROWS`
    pub found_rows: bool,
    /// `CLIENT_LOCAL_FILES`
    pub local_files: bool,
    /// MariaDB's extended column definitions.
    pub extended_metadata: bool,
}

/// How long the rescue of a deposit may take when its server is given up.
const LAST_RESCUE: Duration = Duration::from_millis(250);

/// How one pool behaves.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// The most connections of this pool.
    pub max_size: usize,
    /// Connections kept open when idle.
    pub min_idle: usize,
    /// Idle connections beyond the minimum are closed after this long; `None` keeps them.
    pub max_idle_time: Option<Duration>,
    /// The most borrowers that wait; one more is refused.
    pub max_waiting: usize,
    /// The most connections that the user may have, where it has a limit of its own.
    pub user_limit: Option<usize>,
    /// When sessions give up the connections that they deposited.
    pub hand_over: HandOver,
}

/// A pool of connections of one kind.
#[derive(Debug)]
pub struct Pool {
    key: PoolKey,
    settings: ArcSwap<PoolSettings>,
    connections: managed::Pool<Manager>,
    deposits: Deposits,
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
    census: Census,
    bounds: Bounds,
    tasks: Tasks,
    closing: CancellationToken,
    /// The same, to be looked at by each statement.
    closed: AtomicBool,
    /// What alignments are known to work here.
    pub proven: Proven,
    /// What is counted.
    pub metrics: PoolMetrics,
}

impl Pool {
    /// An empty pool; connections are opened by `opener` when they are needed.
    pub fn new(
        key: PoolKey,
        settings: PoolSettings,
        opener: Arc<dyn Opener>,
        bounds: Bounds,
        tasks: Tasks,
        metrics: PoolMetrics,
    ) -> Arc<Self> {
        let closing = CancellationToken::new();
        let manager =
            Manager::new(opener, &bounds, tasks.clone(), metrics.clone(), closing.clone());
        let config = managed::PoolConfig {
            max_size: settings.max_size.min(bounds.smallest()),
            timeouts: Timeouts::default(),
            queue_mode: match settings.hand_over {
                HandOver::WhenNeeded => QueueMode::Lifo,
                HandOver::Always => QueueMode::Fifo,
            },
        };
        let connections = managed::Pool::builder(manager)
            .config(config)
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .unwrap_or_else(|error| unreachable!("a runtime is given: {error}"));
        Arc::new(Self {
            key,
            settings: ArcSwap::from_pointee(settings),
            connections,
            deposits: Deposits::default(),
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
            census: Census::new(metrics.connections.clone()),
            bounds,
            tasks,
            closing,
            closed: AtomicBool::new(false),
            proven: Proven::default(),
            metrics,
        })
    }

    /// What its connections have in common.
    pub fn key(&self) -> &PoolKey {
        &self.key
    }

    /// Borrows a connection, in this order: an idle one, a new one where there is room, the oldest
    /// deposit of another session; otherwise waits for whichever comes first, in the order of
    /// asking. Everything together, begun at `now`, takes at most until `deadline`.
    ///
    /// Cancel safe: a borrower that goes away leaves the queue at once; a connection that was
    /// being opened for it joins the pool.
    ///
    /// # Errors
    ///
    /// See [`AcquireError`].
    pub async fn acquire(
        self: &Arc<Self>,
        now: Instant,
        deadline: Instant,
    ) -> Result<Lease, AcquireError> {
        let at_once = Some(Duration::ZERO);
        match self.get(at_once, deadline.saturating_duration_since(now)).await {
            Err(AcquireError::BorrowTimeout) => {}
            decided => return decided,
        }
        let mut now = now;
        if !self.deposits.is_empty() {
            if let Some(lease) = self.take_over(deadline).await {
                return Ok(lease);
            }
            now = Instant::now();
        }
        let place = Waiting::enter(self, now, deadline)?;
        // A session that deposited before it could see this borrower waiting is found here; one
        // that looks later sees it.
        if let Some(lease) = self.take_over(deadline).await {
            return Ok(lease);
        }
        let got = tokio::select! {
            biased;
            got = self.get(None, deadline.saturating_duration_since(now)) => got,
            () = place.late() => Err(AcquireError::BorrowTimeout),
        };
        match got {
            Err(AcquireError::BorrowTimeout) => Err(self.in_vain()),
            decided => decided,
        }
    }

    async fn get(
        self: &Arc<Self>,
        wait: Option<Duration>,
        create: Duration,
    ) -> Result<Lease, AcquireError> {
        let timeouts = Timeouts { wait, create: Some(create), recycle: None };
        match self.connections.timeout_get(&timeouts).await {
            Ok(object) => Ok(Lease::new(object, self.clone())),
            Err(PoolError::Timeout(_)) => Err(AcquireError::BorrowTimeout),
            Err(PoolError::Backend(_)) if self.is_closed() => Err(AcquireError::Closed),
            Err(PoolError::Backend(error)) => Err(AcquireError::Open(Arc::new(error))),
            Err(PoolError::Closed) => Err(AcquireError::Closed),
            Err(PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_)) => {
                Err(AcquireError::Closed)
            }
        }
    }

    /// Takes over the oldest deposit whose belongings can be brought to safety.
    async fn take_over(self: &Arc<Self>, deadline: Instant) -> Option<Lease> {
        while let Some(deposit) = self.deposits.pop_oldest() {
            let Some(taken) = deposit.begin_take_over() else { continue };
            self.metrics.deposits_taken.inc();
            // On a task of its own: a borrower that goes away must not lose what belongs to the
            // former owner.
            let (sender, receiver) = oneshot::channel();
            self.tasks.spawn("rescue of a deposit", Law::Mortal, async move {
                // A borrower that has gone away leaves the connection to the next.
                if let Err(Some(lease)) = sender.send(taken.rescue(deadline).await) {
                    lease.release();
                }
            });
            if let Ok(Some(mut lease)) = receiver.await {
                if !lease.is_outdated() {
                    return Some(lease);
                }
                // It goes, and leaves its place to a new one.
                lease.release();
                let left = deadline.saturating_duration_since(Instant::now());
                if let Ok(lease) = self.get(Some(Duration::ZERO), left).await {
                    return Some(lease);
                }
            }
        }
        None
    }

    /// Leaves a lease with its session as a deposit, unless somebody waits for a connection: then
    /// it is handed back, to be emptied and given back at once.
    ///
    /// # Errors
    ///
    /// Gives the lease back to the caller when there are waiters.
    pub fn deposit(
        &self,
        lease: Lease,
        capture: crate::session::residue::Capture,
    ) -> Result<Arc<Deposit>, Lease> {
        if self.has_waiters() {
            return Err(lease);
        }
        let deposit = self.deposits.push(lease, capture);
        if self.has_waiters() {
            // A borrower came between the two looks and may have missed it.
            if let Some(lease) = deposit.take_back() {
                return Err(lease);
            }
        }
        if self.settings().hand_over == HandOver::Always {
            let _ = self.settle(deposit.clone(), upkeep::RESCUE);
        }
        Ok(deposit)
    }

    /// Opens a connection outside the pool, for a KILL that must not wait.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub async fn open_apart(&self) -> Result<Connection, AcquireError> {
        let opening = self.connections.manager().open_apart();
        opening.await.map_err(|error| AcquireError::Open(Arc::new(error)))
    }

    /// Whether a borrower waits, here or in another pool of the same server.
    pub fn has_waiters(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
            || self.bounds.budget.has_waiters()
            || self.bounds.allowance.has_waiters()
    }

    /// Borrowers that wait at this moment.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Since when the borrower that has waited longest waits.
    pub fn oldest_waiter(&self) -> Option<Instant> {
        self.queue.lock().oldest()
    }

    /// The deposits of this pool.
    pub fn deposits(&self) -> &Deposits {
        &self.deposits
    }

    /// The connections that anybody may have.
    pub(in crate::pool) fn connections(&self) -> &managed::Pool<Manager> {
        &self.connections
    }

    /// How the pool behaves.
    pub fn settings(&self) -> Guard<Arc<PoolSettings>> {
        self.settings.load()
    }

    /// From now on it behaves like this, except that it goes on handing over as it did. Connections
    /// beyond a smaller size are closed when nobody uses them.
    pub fn reconfigure(&self, settings: PoolSettings) {
        self.settings.store(Arc::new(settings));
        self.fit();
    }

    /// Adapts to the server's budget: who can't have a connection waits in the pool's own queue.
    pub(in crate::pool) fn fit(&self) {
        self.connections.resize(self.settings().max_size.min(self.bounds.smallest()));
    }

    /// Its place in one of its bounds.
    pub(in crate::pool) fn member_of(&self, budget: &Budget) -> Member {
        let manager = self.connections.manager();
        match std::ptr::eq(budget, Arc::as_ptr(&self.bounds.allowance)) {
            true => manager.place(),
            false => manager.member(),
        }
    }

    /// Connections that are open already are closed as soon as nobody uses them.
    pub fn renew(&self) {
        self.connections.manager().begin_generation();
    }

    /// The tasks that finish what borrowers leave.
    pub(in crate::pool) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Tells the metrics how many connections there are.
    pub(in crate::pool) fn count(&self) {
        self.census.tell(self.counts());
    }

    /// The most connections to the pool's server, all pools together.
    pub fn allowed(&self) -> usize {
        self.bounds.budget.size()
    }

    /// What this pool shares with others: the narrower first.
    pub(in crate::pool) fn bounds(&self) -> [&Arc<Budget>; 2] {
        [&self.bounds.allowance, &self.bounds.budget]
    }

    /// Closes the pool: borrowers get [`AcquireError::Closed`], idle connections are closed, lent
    /// ones when they come back.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.connections.close();
        self.closing.cancel();
        self.connections.manager().close_fences();
        // What belongs to sessions is fetched while the server may still answer.
        while let Some(deposit) = self.deposits.pop_oldest() {
            self.settle(deposit, LAST_RESCUE);
        }
    }

    /// Has all deposits brought to safety, so that their connections are free.
    pub fn recall(&self) {
        while let Some(deposit) = self.deposits.pop_oldest() {
            self.settle(deposit, upkeep::RESCUE);
        }
    }

    /// Whether the pool was closed: its connections must not be used any more.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Waits until the pool is closed.
    ///
    /// Cancel safe.
    pub async fn closed(&self) {
        self.closing.cancelled().await;
    }

    /// Connections open, idle, deposited.
    pub fn counts(&self) -> Counts {
        let status = self.connections.status();
        let deposited = self.deposits.len();
        Counts { open: status.size, idle: status.available, deposited, waiting: self.waiting() }
    }
}
