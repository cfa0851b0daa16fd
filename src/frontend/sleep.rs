//! Databases that stop when nobody needs them: while no client runs a statement, Millpond asks them
//! nothing either, and has no connection to them.
//!
//! ```text
//!            sleep_after without a statement            a statement
//!   awake ─────────────────────────────────▶ asleep ─────────────────▶ waking
//!     ▲                                                                  │
//!     └──────────────── its first connection, within resume_timeout ◀────┘
//! ```

use super::limits::Limits;
use super::serve::seconds;
use super::service::Service;
use crate::failover::supervisor::Rest;
use crate::pool::Pool;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Whether a service's servers are left alone.
#[derive(Debug)]
pub struct Sleep {
    rest: watch::Sender<Rest>,
    /// Whether they ever are: all that a statement has to look at where they are not.
    enabled: AtomicBool,
    /// Asleep or waking: all that a statement has to look at.
    quiet: AtomicBool,
    stage: Mutex<Stage>,
    /// The second of the process in which a statement was last seen.
    used: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Awake,
    /// Since this second of the process.
    Asleep(u64),
    /// Since the statement came that wakes.
    Waking(Instant),
}

impl Sleep {
    /// Awake; the supervisor is told by `rest`.
    pub(super) fn new(rest: watch::Sender<Rest>) -> Self {
        Self {
            rest,
            enabled: AtomicBool::new(false),
            quiet: AtomicBool::new(false),
            stage: Mutex::new(Stage::Awake),
            used: AtomicU64::new(0),
        }
    }

    /// A statement begins.
    pub(super) fn used(&self) {
        if self.enabled.load(Ordering::Relaxed) {
            self.used.store(seconds(), Ordering::Release);
        }
    }

    /// Whether the servers are left alone.
    pub fn is_asleep(&self) -> bool {
        self.quiet.load(Ordering::Acquire) && matches!(*self.stage.lock(), Stage::Asleep(_))
    }
}

/// How long a statement may wait for a connection.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    since: Instant,
    limit: Duration,
    /// The setting that says so.
    pub setting: &'static str,
}

impl Patience {
    /// When the wait began.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// When it is over.
    pub(super) fn deadline(&self) -> Instant {
        self.since + self.limit
    }

    /// How many milliseconds of it have passed.
    pub fn waited_ms(&self) -> u128 {
        self.since.elapsed().as_millis()
    }
}

impl Service {
    /// A statement needs a connection: how long it may wait for one. Servers that sleep are woken.
    pub(super) fn wake(&self, limits: &Limits) -> Patience {
        let since = Instant::now();
        let short = Patience { since, limit: limits.borrow_timeout, setting: "borrow_timeout" };
        let long = Patience { since, limit: limits.resume_timeout, setting: "resume_timeout" };
        let sleep = &self.topology.sleep;
        if !sleep.quiet.load(Ordering::Acquire) {
            return short;
        }
        let mut stage = sleep.stage.lock();
        match *stage {
            Stage::Awake => short,
            Stage::Asleep(_) => {
                *stage = Stage::Waking(since);
                sleep.rest.send_replace(Rest::Awake);
                long
            }
            Stage::Waking(_) => long,
        }
    }

    /// A statement has got a connection.
    pub(super) fn woken(&self) {
        let sleep = &self.topology.sleep;
        if !sleep.quiet.load(Ordering::Acquire) {
            return;
        }
        let mut stage = sleep.stage.lock();
        if let Stage::Waking(since) = *stage {
            *stage = Stage::Awake;
            sleep.quiet.store(false, Ordering::Release);
            let resumed = &self.metrics.disturbances.resume_seconds;
            resumed.observe(since.elapsed().as_secs_f64());
            // Stored code may be another.
            self.catalogue_stale.notify_one();
        }
    }

    /// Leaves the servers alone when nobody has needed them for long enough. Called about once a
    /// second.
    pub fn doze(&self, pools: &[Arc<Pool>]) {
        let sleep = &self.topology.sleep;
        if let Stage::Asleep(since) = *sleep.stage.lock() {
            // One that looked a moment too early to see it.
            if sleep.used.load(Ordering::Acquire) <= since {
                return;
            }
        }
        if sleep.is_asleep() {
            self.wake(&self.limits());
            return;
        }
        let after = self.limits().sleep_after;
        if sleep.enabled.swap(after.is_some(), Ordering::Relaxed) != after.is_some() {
            // What came before is not known.
            sleep.used.store(seconds(), Ordering::Release);
        }
        let Some(after) = after else { return };
        let in_use = |pool: &Arc<Pool>| {
            let counts = pool.counts();
            counts.waiting > 0 || counts.open > counts.idle + counts.deposited
        };
        let unused = seconds().saturating_sub(sleep.used.load(Ordering::Acquire));
        let long_ago = unused >= after.as_secs();
        if self.learned().is_none() || !long_ago || pools.iter().any(in_use) {
            return;
        }
        {
            let mut stage = sleep.stage.lock();
            if *stage != Stage::Awake {
                return;
            }
            *stage = Stage::Asleep(seconds());
            sleep.quiet.store(true, Ordering::Release);
            sleep.rest.send_replace(Rest::Asleep);
        }
        for pool in pools {
            pool.recall();
            // Whoever finds them idle closes them.
            pool.renew();
        }
    }
}
