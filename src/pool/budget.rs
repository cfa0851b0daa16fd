//! One bound on the connections to a server, over all pools; and one on those of a user there, over
//! all kinds of connections that the user has.
//!
//! Who finds the budget spent waits in one queue over all pools, in the order of asking. Whatever
//! becomes free serves its front: room for a new connection, or, within one pool, the connection
//! itself. Nothing idles while somebody waits here: who joins the queue looks for idle connections
//! after joining, and who lets one idle looks at the queue afterwards, so that one of both sees the
//! other.

use super::Pool;
use super::manager::Slot;
use super::upkeep::RESCUE;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::oneshot;
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// More than there will ever be.
pub const UNLIMITED: usize = usize::MAX >> 1;

/// The right to have one connection to the server; held as long as the connection is open.
#[derive(Debug)]
pub struct Permit {
    /// `None` once it was taken back from a waiter that had gone away.
    budget: Option<Arc<Budget>>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(budget) = self.budget.take() {
            budget.take_back();
        }
    }
}

/// What a pool that asked for room gets.
#[derive(Debug)]
pub enum Granted {
    /// The right to open a connection.
    Room(Permit),
    /// A connection of the same pool that its borrower did not need any more.
    Connection(Slot),
}

/// A pool, as its budget knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member(usize);

/// A server's connections, shared by the pools of all users.
#[derive(Debug)]
pub struct Budget {
    size: AtomicUsize,
    /// The length of the queue, for those that only look.
    waiting: AtomicUsize,
    state: Mutex<State>,
    members: AtomicUsize,
    pools: Mutex<Vec<Weak<Pool>>>,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Permits that are out and belong to nobody any more, since the budget became smaller.
    excess: usize,
    /// Connections that are being closed for those who wait.
    coming: usize,
    queue: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    member: Member,
    since: Instant,
    sender: oneshot::Sender<Granted>,
}

/// What bounds the connections of a pool together with those of others.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// All connections to the server.
    pub budget: Arc<Budget>,
    /// Those of the user to the server, of whatever kind.
    pub allowance: Arc<Budget>,
}

impl Bounds {
    /// The most that any of them allows.
    pub(in crate::pool) fn smallest(&self) -> usize {
        self.budget.size().min(self.allowance.size())
    }
}

/// What is to become of a connection that its borrower does not need any more.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::pool) enum Verdict {
    /// Its own pool has it: nobody in the queue comes before that one's borrowers.
    Keep,
    /// It went to a waiter of its own pool.
    HandedOver,
    /// It is closed, which makes room for another pool.
    Close,
}

impl Budget {
    /// A budget of `size` connections.
    pub fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            size: AtomicUsize::new(size),
            waiting: AtomicUsize::new(0),
            state: Mutex::new(State { free: size, excess: 0, coming: 0, queue: VecDeque::new() }),
            members: AtomicUsize::new(0),
            pools: Mutex::new(Vec::new()),
        })
    }

    /// One that is never spent.
    pub fn unlimited() -> Arc<Self> {
        Self::new(UNLIMITED)
    }

    /// Whether there is no room for another connection.
    pub(in crate::pool) fn is_spent(&self) -> bool {
        self.state.lock().free == 0
    }

    /// Its size.
    pub fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// Makes the budget larger or smaller; connections beyond a smaller one are not closed at once,
    /// and make no room when they are.
    pub fn resize(self: &Arc<Self>, size: usize) {
        let size = size.max(1);
        let added = {
            let mut state = self.state.lock();
            let before = self.size.swap(size, Ordering::Relaxed);
            if size > before {
                let still_out = (size - before).min(state.excess);
                state.excess -= still_out;
                size - before - still_out
            } else {
                let unused = (before - size).min(state.free);
                state.free -= unused;
                state.excess += before - size - unused;
                0
            }
        };
        self.grow(added);
        for pool in self.pools() {
            pool.fit();
        }
    }

    /// There is room for so many more.
    fn grow(self: &Arc<Self>, added: usize) {
        for served in 0..added {
            {
                let mut state = self.state.lock();
                if state.queue.is_empty() {
                    state.free += added - served;
                    return;
                }
            }
            self.pass_on();
        }
    }

    /// A place in the budget for a new pool.
    pub(in crate::pool) fn enrol(&self) -> Member {
        Member(self.members.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes a pool one of those that give up idle connections for others.
    pub fn join(&self, pool: &Arc<Pool>) {
        let mut pools = self.pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }

    fn pools(&self) -> Vec<Arc<Pool>> {
        self.pools.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Gets the right to open a connection, or a connection of the same pool that became free in
    /// the meantime. When the budget is spent, the idle connection unused for longest, of whichever
    /// pool, makes room; when there is none, waits in the order of asking.
    ///
    /// Cancel safe: what is granted to one that has gone away goes to the next.
    pub async fn acquire(self: &Arc<Self>, member: Member) -> Option<Granted> {
        let receiver = {
            let mut state = self.state.lock();
            if state.free > 0 {
                state.free -= 1;
                return Some(Granted::Room(self.permit()));
            }
            let (sender, receiver) = oneshot::channel();
            state.queue.push_back(Waiter { member, since: Instant::now(), sender });
            self.waiting.store(state.queue.len(), Ordering::SeqCst);
            receiver
        };
        self.serve();
        receiver.await.ok()
    }

    /// Whether somebody waits for room.
    pub fn has_waiters(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    fn permit(self: &Arc<Self>) -> Permit {
        Permit { budget: Some(self.clone()) }
    }

    /// A connection was closed.
    fn take_back(self: &Arc<Self>) {
        {
            let mut state = self.state.lock();
            state.coming = state.coming.saturating_sub(1);
            if state.excess > 0 {
                state.excess -= 1;
                return;
            }
        }
        self.pass_on();
    }

    /// Gives room for one connection to who waits first.
    fn pass_on(self: &Arc<Self>) {
        loop {
            let waiter = {
                let mut state = self.state.lock();
                let Some(waiter) = self.next(&mut state) else {
                    state.free += 1;
                    return;
                };
                waiter
            };
            match waiter.sender.send(Granted::Room(self.permit())) {
                Ok(()) => return,
                // It went away; its permit counts no more, and the next one gets one.
                Err(Granted::Room(mut permit)) => drop(permit.budget.take()),
                Err(Granted::Connection(_)) => {}
            }
        }
    }

    fn next(&self, state: &mut State) -> Option<Waiter> {
        let waiter = state.queue.pop_front();
        self.waiting.store(state.queue.len(), Ordering::SeqCst);
        waiter
    }

    /// Decides about a connection of `member`'s that is free, taken out by `take`; `own` is the
    /// moment since when the borrower waits that would get it otherwise.
    pub(in crate::pool) fn offer(
        &self,
        member: Member,
        own: Option<Instant>,
        take: impl FnOnce() -> Slot,
    ) -> Verdict {
        let mut slot = None;
        let mut take = Some(take);
        loop {
            let waiter = {
                let mut state = self.state.lock();
                // Those who went away are not there any more.
                while state.queue.front().is_some_and(|front| front.sender.is_closed()) {
                    self.next(&mut state);
                }
                match state.queue.front() {
                    Some(front) if front.member == member => {}
                    Some(front)
                        if slot.is_none()
                            && state.coming < state.queue.len()
                            && own.is_none_or(|own| own > front.since) =>
                    {
                        state.coming += 1;
                        return Verdict::Close;
                    }
                    _ if slot.is_none() => return Verdict::Keep,
                    // Taken out of its pool for one that went away in this very moment: as good as
                    // closed.
                    _ => return Verdict::HandedOver,
                }
                self.next(&mut state)
            };
            let Some(waiter) = waiter else { return Verdict::Keep };
            let Some(connection) = slot.take().or_else(|| take.take().map(|take| take())) else {
                return Verdict::HandedOver;
            };
            match waiter.sender.send(Granted::Connection(connection)) {
                Ok(()) => return Verdict::HandedOver,
                Err(Granted::Connection(connection)) => slot = Some(connection),
                Err(Granted::Room(_)) => {}
            }
        }
    }

    /// Serves those who wait from what nobody uses: an idle connection of the same pool, room in
    /// place of an idle one of another, or, where nobody idles, a lease that a session keeps and
    /// does not need just now.
    pub(in crate::pool) fn serve(self: &Arc<Self>) {
        let pools = self.pools();
        loop {
            let front = {
                let state = self.state.lock();
                match state.queue.front() {
                    Some(front) if state.coming < state.queue.len() => front.member,
                    _ => return,
                }
            };
            let own = pools.iter().find(|pool| pool.member_of(self) == front);
            if let Some(slot) = own.and_then(|pool| pool.take_oldest_idle()) {
                self.offer(front, None, || slot);
                continue;
            }
            let oldest = pools
                .iter()
                .filter_map(|pool| Some((pool.oldest_idle()?, pool)))
                .min_by_key(|(at, _)| *at);
            if let Some((_, pool)) = oldest {
                if let Some(slot) = pool.take_oldest_idle() {
                    self.state.lock().coming += 1;
                    pool.retire(slot);
                }
                continue;
            }
            for pool in &pools {
                while let Some(deposit) = pool.deposits().pop_oldest() {
                    // What is given back finds those who wait.
                    if pool.settle(deposit, RESCUE) {
                        return;
                    }
                }
            }
            return;
        }
    }
}
