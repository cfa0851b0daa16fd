//! One bound on the connections to a server, over all pools.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Pool;
use super::upkeep::RESCUE;

/// The right to have one connection to the server; held as long as the connection is open.
#[derive(Debug)]
pub struct Permit {
    permit: Option<OwnedSemaphorePermit>,
    budget: Arc<Budget>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut excess = self.budget.excess.lock();
        if *excess > 0 {
            *excess -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

/// A server's connections, shared by the pools of all users.
#[derive(Debug)]
pub struct Budget {
    permits: Arc<Semaphore>,
    size: AtomicUsize,
    /// Permits that are out and belong to nobody any more, since the budget became smaller.
    excess: Mutex<usize>,
    waiting: AtomicUsize,
    pools: Mutex<Vec<Weak<Pool>>>,
}

impl Budget {
    /// A budget of `size` connections.
    pub fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(size)),
            size: AtomicUsize::new(size),
            excess: Mutex::default(),
            waiting: AtomicUsize::new(0),
            pools: Mutex::new(Vec::new()),
        })
    }

    /// Its size.
    pub fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// Makes the budget larger or smaller; connections beyond a smaller one are not closed at once,
    /// and make no room when they are.
    pub fn resize(&self, size: usize) {
        let size = size.max(1);
        let mut excess = self.excess.lock();
        let before = self.size.swap(size, Ordering::Relaxed);
        if size > before {
            let still_out = (size - before).min(*excess);
            *excess -= still_out;
            self.permits.add_permits(size - before - still_out);
        } else {
            let surplus = before - size;
            *excess += surplus - self.permits.forget_permits(surplus);
        }
    }

    /// Makes a pool one of those that give up idle connections for others.
    pub fn join(&self, pool: &Arc<Pool>) {
        let mut pools = self.pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }

    /// Gets the right to open a connection. When the budget is spent, the idle connection unused
    /// for longest, of whichever pool, is closed for it; when there is none, waits in the order of
    /// asking.
    ///
    /// Cancel safe.
    pub async fn acquire(self: &Arc<Self>) -> Option<Permit> {
        let permit = |permit| Permit { permit: Some(permit), budget: self.clone() };
        if let Ok(free) = self.permits.clone().try_acquire_owned() {
            return Some(permit(free));
        }
        let _waiting = Waiting::enter(self);
        self.evict_idle();
        self.permits.clone().acquire_owned().await.ok().map(permit)
    }

    /// Whether somebody waits for room.
    pub fn has_waiters(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Closes the idle connection that was unused for longest.
    fn evict_idle(&self) {
        let pools: Vec<Arc<Pool>> = self.pools.lock().iter().filter_map(Weak::upgrade).collect();
        let oldest = pools
            .iter()
            .filter_map(|pool| Some((pool.oldest_idle()?, pool)))
            .min_by_key(|(at, _)| *at);
        if let Some((_, pool)) = oldest {
            pool.close_oldest_idle();
            return;
        }
        // Nobody is idle, but a session may keep a lease that it does not need just now.
        for pool in pools {
            if let Some(deposit) = pool.deposits().pop_oldest() {
                pool.settle(deposit, RESCUE);
                return;
            }
        }
    }
}

struct Waiting<'a>(&'a Budget);

impl<'a> Waiting<'a> {
    fn enter(budget: &'a Budget) -> Self {
        budget.waiting.fetch_add(1, Ordering::SeqCst);
        Self(budget)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_budget_that_became_smaller_takes_back_what_was_out() {
        let budget = Budget::new(3);
        let (one, two, three) =
            (budget.acquire().await, budget.acquire().await, budget.acquire().await);
        budget.resize(1);
        drop((one, two));
        assert_eq!(budget.permits.available_permits(), 0, "one is still out");
        drop(three);
        assert_eq!(budget.permits.available_permits(), 1);
        let out = budget.acquire().await;
        budget.resize(4);
        assert_eq!(budget.permits.available_permits(), 3);
        drop(out);
        assert_eq!(budget.permits.available_permits(), 4);
    }

    #[tokio::test]
    async fn a_budget_that_grows_again_forgives_first() {
        let budget = Budget::new(2);
        let out = (budget.acquire().await, budget.acquire().await);
        budget.resize(1);
        budget.resize(2);
        assert_eq!(budget.permits.available_permits(), 0);
        drop(out);
        assert_eq!(budget.permits.available_permits(), 2);
    }
}
