//! deadpool's manager: opens connections, and looks at each before it is lent again.

use super::budget::{Bounds, Budget, Granted, Member, Permit};
use super::metrics::{Open, PoolMetrics};
use crate::backend::connection::{Connection, StateError};
use crate::backend::fence::Fences;
use crate::backend::login::LoginError;
use crate::runtime::{Law, Tasks};
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A connection and the right to have it.
#[derive(Debug)]
pub struct Slot {
    /// The connection.
    pub connection: Box<Connection>,
    /// The round of upkeep in which its login was looked at last.
    pub round: u32,
    /// What ends with the connection; in a box, since each session with a connection has a slot.
    pub held: Box<Held>,
}

/// What is held as long as a connection is open.
#[derive(Debug)]
#[allow(dead_code, reason = "held for its drop")]
pub struct Held {
    /// Its share of the server's budget.
    permit: Permit,
    /// Its share of what the user may have.
    allowed: Permit,
    /// Its part in the metrics.
    open: Open,
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No server is known at this moment.
    #[error("no server is available")]
    NoServer,
    /// The login failed.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The connection could not be set up after its login.
    #[error(transparent)]
    SetUp(#[from] StateError),
    /// It took longer than `connect_timeout`.
    #[error("the connection was not open in time")]
    Timeout,
    /// Millpond is stopping, or the opening task died.
    #[error("the opening was given up")]
    GivenUp,
}

impl OpenError {
    /// Whether the same attempt may succeed in a moment: the server could not be reached, as
    /// opposed to one that said no.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Login(error) => error.is_network(),
            Self::NoServer | Self::Timeout => true,
            Self::SetUp(StateError::Link(_)) => true,
            Self::SetUp(StateError::Refused(_)) | Self::GivenUp => false,
        }
    }
}

/// A future in a box: what an [`Opener`] returns.
pub type Opening = Pin<Box<dyn Future<Output = Result<Connection, OpenError>> + Send>>;

/// Opens connections for one pool. The pool knows neither where the servers are nor how to prove
/// who it is: that is the business of whoever gives it an opener.
pub trait Opener: Send + Sync + fmt::Debug {
    /// Begins to open a connection; the future is bounded in time by itself.
    fn open(&self, generation: u64) -> Opening;

    /// An idle connection was found closed by the server.
    fn found_closed(&self);

    /// From when on a connection is to be replaced as soon as nobody uses it, because one that is
    /// opened now would be logged in otherwise; `None` if it would not.
    fn outdated_from(&self, connection: &Connection) -> Option<Instant> {
        let _ = connection;
        None
    }
}

/// Opens and checks connections for deadpool.
pub struct Manager {
    shared: Arc<Shared>,
}

struct Shared {
    opener: Arc<dyn Opener>,
    budget: Arc<Budget>,
    member: Member,
    allowance: Arc<Budget>,
    place: Member,
    tasks: Tasks,
    metrics: PoolMetrics,
    generation: AtomicU64,
    round: AtomicU32,
    closing: CancellationToken,
    fences: Fences,
    openings: Mutex<Openings>,
}

/// Borrowers that wait for a new connection, and connections whose borrower went away.
#[derive(Default)]
struct Openings {
    under_way: usize,
    waiting: VecDeque<oneshot::Sender<Result<Slot, OpenError>>>,
    orphans: Vec<Slot>,
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").field("opener", &self.shared.opener).finish_non_exhaustive()
    }
}

impl Manager {
    /// A manager for one pool; `closing` is cancelled when the pool's connections must not be used
    /// any more.
    pub fn new(
        opener: Arc<dyn Opener>,
        bounds: &Bounds,
        tasks: Tasks,
        metrics: PoolMetrics,
        closing: CancellationToken,
    ) -> Self {
        let shared = Shared {
            opener,
            member: bounds.budget.enrol(),
            budget: bounds.budget.clone(),
            place: bounds.allowance.enrol(),
            allowance: bounds.allowance.clone(),
            tasks,
            metrics,
            generation: AtomicU64::new(0),
            round: AtomicU32::new(0),
            closing,
            fences: Fences::default(),
            openings: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Begins to open a connection that does not belong to the pool.
    pub fn open_apart(&self) -> Opening {
        self.shared.opener.open(self.generation())
    }

    /// The generation of connections that may be lent.
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// Whether a connection is not to be lent again, although the server has nothing against it.
    pub fn is_outdated(&self, connection: &Connection) -> bool {
        // The clock is only asked for connections of a former login.
        let outdated = || self.shared.opener.outdated_from(connection);
        connection.generation != self.generation()
            || outdated().is_some_and(|from| from <= Instant::now())
    }

    /// Whether one that is opened now would be logged in otherwise.
    pub fn is_of_former_login(&self, connection: &Connection) -> bool {
        self.shared.opener.outdated_from(connection).is_some()
    }

    /// From now on, connections that are open already are closed when they come back.
    pub fn begin_generation(&self) {
        self.shared.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// From now on, each connection's login is looked at once more before it is lent.
    pub fn begin_round(&self) {
        self.shared.round.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells everybody who has a connection that its server was given up.
    pub fn close_fences(&self) {
        self.shared.fences.close();
    }

    /// The pool's place in the server's budget.
    pub(in crate::pool) fn member(&self) -> Member {
        self.shared.member
    }

    /// The pool's place in what its user may have.
    pub(in crate::pool) fn place(&self) -> Member {
        self.shared.place
    }

    /// A connection whose borrower went away before it was open.
    pub(in crate::pool) fn take_orphan(&self) -> Option<Slot> {
        self.shared.openings.lock().orphans.pop()
    }

    /// Whether there are connections whose borrower went away before they were open.
    pub fn has_orphans(&self) -> bool {
        !self.shared.openings.lock().orphans.is_empty()
    }
}

impl Shared {
    /// Opens one connection on a task of its own and gives it to whoever waits first.
    fn open(self: &Arc<Self>) {
        let shared = self.clone();
        self.tasks.spawn("opening of a backend connection", Law::Mortal, async move {
            let guard = UnderWay(Some(shared.clone()));
            // The user's own bound first: who has to wait for that one keeps nobody else waiting.
            let allowed = match shared.allowance.acquire(shared.place).await {
                Some(Granted::Room(allowed)) => allowed,
                Some(Granted::Connection(slot)) => return guard.finish(Ok(slot)),
                None => return guard.finish(Err(OpenError::GivenUp)),
            };
            let result = match shared.budget.acquire(shared.member).await {
                Some(Granted::Connection(slot)) => Ok(slot),
                // All may have given up while there was no room: it is for somebody else.
                Some(Granted::Room(_)) if shared.abandon() => return guard.abandoned(),
                Some(Granted::Room(permit)) => shared.open_one(permit, allowed).await,
                None => Err(OpenError::GivenUp),
            };
            guard.finish(result);
        });
    }

    async fn open_one(&self, permit: Permit, allowed: Permit) -> Result<Slot, OpenError> {
        let started = Instant::now();
        let result = self.opener.open(self.generation.load(Ordering::Acquire)).await;
        match result {
            Ok(mut connection) => {
                connection.fence = self.fences.enclose();
                let open = self.metrics.opened(connection.stream.transport(), started.elapsed());
                let held = Box::new(Held { permit, allowed, open });
                let round = self.round.load(Ordering::Relaxed);
                Ok(Slot { connection: Box::new(connection), round, held })
            }
            Err(error) => {
                self.metrics.open_failed(&error);
                Err(error)
            }
        }
    }

    /// Ends an opening that nobody waits for any more; false when somebody does.
    fn abandon(&self) -> bool {
        let mut openings = self.openings.lock();
        openings.waiting.retain(|waiter| !waiter.is_closed());
        let unwanted = openings.waiting.is_empty();
        openings.under_way -= usize::from(unwanted);
        unwanted
    }

    fn deliver(self: &Arc<Self>, mut result: Result<Slot, OpenError>) {
        let mut openings = self.openings.lock();
        openings.under_way -= 1;
        while let Some(waiter) = openings.waiting.pop_front() {
            match waiter.send(result) {
                Ok(()) => return,
                // The borrower went away; the connection is for the next.
                Err(undelivered) => result = undelivered,
            }
        }
        if let Ok(slot) = result {
            openings.orphans.push(slot);
            drop(openings);
            for budget in [&self.allowance, &self.budget] {
                if budget.has_waiters() {
                    budget.serve();
                }
            }
        }
    }
}

/// An opening under way: even one that dies is delivered.
struct UnderWay(Option<Arc<Shared>>);

impl UnderWay {
    fn finish(mut self, result: Result<Slot, OpenError>) {
        if let Some(shared) = self.0.take() {
            shared.deliver(result);
        }
    }

    /// It is not under way any more, and has been taken out of the count.
    fn abandoned(mut self) {
        self.0 = None;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.deliver(Err(OpenError::GivenUp));
        }
    }
}

impl managed::Manager for Manager {
    type Type = Slot;
    type Error = OpenError;

    /// Gives a new connection. When the borrower goes away the connection is opened all the same
    /// and goes to the next one.
    async fn create(&self) -> Result<Slot, OpenError> {
        let receiver = {
            let mut openings = self.shared.openings.lock();
            if let Some(orphan) = openings.orphans.pop() {
                return Ok(orphan);
            }
            openings.waiting.retain(|waiter| !waiter.is_closed());
            let (sender, receiver) = oneshot::channel();
            openings.waiting.push_back(sender);
            if openings.under_way < openings.waiting.len() {
                openings.under_way += 1;
                self.shared.open();
            }
            receiver
        };
        tokio::select! {
            biased;
            opened = receiver => opened.unwrap_or(Err(OpenError::GivenUp)),
            // A server that was given up may take its time to refuse a connection.
            () = self.shared.closing.cancelled() => Err(OpenError::GivenUp),
        }
    }

    /// Refuses a connection that the server closed, that is too old, or of a former generation.
    async fn recycle(&self, slot: &mut Slot, _: &Metrics) -> RecycleResult<OpenError> {
        let connection = &mut slot.connection;
        let round = self.shared.round.load(Ordering::Relaxed);
        if connection.generation != self.generation()
            || (slot.round != round && self.is_outdated(connection))
        {
            return Err(RecycleError::message("a former generation or login"));
        }
        slot.round = round;
        let unused = || Instant::now().saturating_duration_since(connection.last_used);
        if connection.idle_limit().is_some_and(|limit| unused() >= limit) {
            return Err(RecycleError::message("about to be closed by the server"));
        }
        if connection.is_stale() {
            self.shared.metrics.stale.inc();
            self.shared.opener.found_closed();
            return Err(RecycleError::message("closed by the server"));
        }
        Ok(())
    }
}
