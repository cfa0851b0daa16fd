//! What happens to connections that nobody borrows: warm minimum, idle and lifetime limits.

use super::deposit::Deposit;
use super::manager::Slot;
use super::{AcquireError, Pool};
use crate::runtime::Law;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long the rescue of a deposit may take before its connection is given up.
pub(in crate::pool) const RESCUE: Duration = Duration::from_secs(5);

/// Whether a minimum of connections is kept open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warmth {
    /// As it is configured.
    Kept,
    /// Not now.
    Cold,
}

impl Pool {
    /// One round: closes what is too old or idle for too long, settles deposits that nobody came
    /// back for, and opens connections up to the warm minimum. Called about once a second, off
    /// every query's path.
    pub fn maintain(self: &Arc<Self>, now: Instant, warmth: Warmth) {
        self.connections().manager().begin_round();
        self.close_outdated(now);
        self.count();
        if let Some(idle) = self.settings().max_idle_time
            && let Some(before) = now.checked_sub(idle)
        {
            for deposit in self.deposits().pop_older_than(before) {
                self.settle(deposit, RESCUE);
            }
        }
        for deposit in self.deposits().pop_closing(now) {
            self.settle(deposit, RESCUE);
        }
        if self.connections().manager().has_orphans() {
            self.warm_up(1);
        }
        let counts = self.counts();
        let available = counts.idle + counts.deposited;
        let room = self.settings().max_size.saturating_sub(counts.open);
        let missing = self.settings().min_idle.saturating_sub(available).min(room);
        if missing > 0 && warmth == Warmth::Kept {
            self.warm_up(missing);
        }
    }

    /// Opens connections where there are not so many yet, as far as there is room.
    pub fn prepare(self: &Arc<Self>, count: usize) {
        self.warm_up(count.saturating_sub(self.counts().open));
    }

    fn close_outdated(&self, now: Instant) {
        let manager = self.connections().manager();
        let idle_limit = self.settings().max_idle_time;
        // Visited from the longest idle to the last used; the minimum is kept of the latter.
        let mut beyond_minimum = self.counts().idle.saturating_sub(self.settings().min_idle);
        let removed = self.connections().retain(|slot, _| {
            let connection = &slot.connection;
            if connection.expires <= now || manager.is_outdated(connection) {
                return false;
            }
            let unused = now.saturating_duration_since(connection.last_used);
            if beyond_minimum > 0 && idle_limit.is_some_and(|limit| unused >= limit) {
                beyond_minimum -= 1;
                return false;
            }
            true
        });
        for slot in removed.removed {
            self.retire(slot);
        }
    }

    /// Opens connections and leaves them idle.
    fn warm_up(self: &Arc<Self>, count: usize) {
        for _ in 0..count {
            let pool = self.clone();
            self.tasks().spawn("warming of a pool", Law::Mortal, async move {
                // Only where there is room: a warm connection must not displace anything.
                match pool.get(Some(Duration::ZERO), RESCUE).await {
                    Ok(lease) => lease.release(),
                    Err(AcquireError::Open(error)) => {
                        tracing::debug!(%error, "a warm connection could not be opened");
                    }
                    Err(_) => {}
                }
            });
        }
    }

    /// Brings the belongings of a deposit to safety, within `limit`, and gives its connection back.
    /// False when its owner came back first.
    pub(in crate::pool) fn settle(&self, deposit: Arc<Deposit>, limit: Duration) -> bool {
        let Some(taken) = deposit.begin_take_over() else { return false };
        self.tasks().spawn("settling of a deposit", Law::Mortal, async move {
            if let Some(lease) = taken.rescue(Instant::now() + limit).await {
                lease.release();
            }
        });
        true
    }

    /// When the idle connection unused for longest was last used.
    pub(in crate::pool) fn oldest_idle(&self) -> Option<Instant> {
        let mut oldest = None;
        self.connections().retain(|slot, _| {
            let used = slot.connection.last_used;
            if oldest.is_none_or(|oldest| used < oldest) {
                oldest = Some(used);
            }
            true
        });
        oldest
    }

    /// Takes out the idle connection unused for longest, or one whose borrower went away before it
    /// was open.
    pub(in crate::pool) fn take_oldest_idle(&self) -> Option<Slot> {
        if let Some(orphan) = self.connections().manager().take_orphan() {
            return Some(orphan);
        }
        let oldest = self.oldest_idle()?;
        let mut found = false;
        let removed = self.connections().retain(|slot, _| {
            let remove = !found && slot.connection.last_used == oldest;
            found |= remove;
            !remove
        });
        removed.removed.into_iter().next()
    }
}
