//! Who is connected, by the number that Millpond gave them, and how to reach their statements.
//!
//! A client's `KILL n` names one of these numbers. The server knows the client's statement under
//! the number of whichever backend connection runs it at this moment; and while a KILL is on its
//! way to that connection, the connection must not pass to another session.

use crate::backend::server::ServerId;
use atomic_waker::AtomicWaker;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::Poll;
use tokio::sync::Notify;

/// The first number given to a client: above any number that a server gives, so that a `KILL` of
/// one is never mistaken for the other.
const FIRST_ID: u32 = 1 << 30;
const SHARDS: usize = 16;

/// All clients of one Millpond.
#[derive(Debug)]
pub struct Registry {
    shards: [Mutex<HashMap<u32, Arc<Handle>>>; SHARDS],
    next: AtomicU32,
}

impl Default for Registry {
    fn default() -> Self {
        Self { shards: Default::default(), next: AtomicU32::new(FIRST_ID) }
    }
}

/// What others may know of a client, and do to it.
#[derive(Debug)]
pub struct Handle {
    /// The client's number.
    pub id: u32,
    /// The service it is connected to.
    pub service: Arc<str>,
    /// The user it logged in as; empty until then.
    pub user: Mutex<Arc<str>>,
    /// Seconds since the start of the process when it last finished something.
    idle_since: AtomicU64,
    /// A [`Farewell`], or [`NONE_YET`].
    farewell: AtomicU8,
    /// The client's own task, where it waits for a farewell.
    told: AtomicWaker,
    running: Mutex<Running>,
    kills_done: Notify,
}

/// Nothing was said to a client that would end its connection.
const NONE_YET: u8 = u8::MAX;

/// Why Millpond ends a client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Farewell {
    /// It said nothing for `idle_client_timeout`.
    Idle,
    /// Somebody killed it.
    Killed,
    /// Millpond stops.
    Shutdown,
}

impl Farewell {
    const ALL: [Self; 3] = [Self::Idle, Self::Killed, Self::Shutdown];
}

#[derive(Debug, Default)]
struct Running {
    /// The connection that the client has at this moment.
    at: Option<Thread>,
    /// KILLs on their way to that connection.
    kills: u32,
}

/// A backend connection, as a KILL names it. Each server counts for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thread {
    /// The server.
    pub server: ServerId,
    /// The server's number.
    pub id: u32,
}

/// The connection that a KILL has to hit; it stays with its session until this is dropped.
#[derive(Debug)]
pub struct Target {
    handle: Arc<Handle>,
    /// Which it is.
    pub thread: Thread,
}

impl Registry {
    /// Takes in a client.
    pub fn enter(self: &Arc<Self>, service: &Arc<str>) -> Entry {
        loop {
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            if id < FIRST_ID {
                self.next.store(FIRST_ID, Ordering::Relaxed);
                continue;
            }
            let mut shard = self.shard(id).lock();
            if shard.contains_key(&id) {
                continue;
            }
            let handle = Arc::new(Handle {
                id,
                service: service.clone(),
                user: Mutex::new("".into()),
                idle_since: AtomicU64::new(u64::MAX),
                farewell: AtomicU8::new(NONE_YET),
                told: AtomicWaker::new(),
                running: Mutex::default(),
                kills_done: Notify::new(),
            });
            shard.insert(id, handle.clone());
            return Entry { registry: self.clone(), handle };
        }
    }

    /// The client with this number.
    pub fn find(&self, id: u64) -> Option<Arc<Handle>> {
        let id = u32::try_from(id).ok()?;
        self.shard(id).lock().get(&id).cloned()
    }

    /// Whether a number is one that Millpond gives, not a server.
    pub fn is_own(id: u64) -> bool {
        id >= u64::from(FIRST_ID) && id <= u64::from(u32::MAX)
    }

    /// Says farewell to the clients of a service that have been idle since before the moment that
    /// `before` gives for their user, if it gives any.
    pub fn close_idle(&self, service: &str, before: impl Fn(&str) -> Option<u64>) {
        let is_over = |handle: &Handle| match handle.idle_since.load(Ordering::Relaxed) {
            u64::MAX => false,
            since => before(&handle.user.lock()).is_some_and(|before| since < before),
        };
        for shard in &self.shards {
            let idle: Vec<_> = shard
                .lock()
                .values()
                .filter(|handle| *handle.service == *service && is_over(handle))
                .cloned()
                .collect();
            for handle in idle {
                handle.dismiss(Farewell::Idle);
            }
        }
    }

    /// Says farewell to everybody.
    pub fn close_all(&self) {
        for shard in &self.shards {
            for handle in shard.lock().values() {
                handle.dismiss(Farewell::Shutdown);
            }
        }
    }

    fn shard(&self, id: u32) -> &Mutex<HashMap<u32, Arc<Handle>>> {
        &self.shards[id as usize % SHARDS]
    }
}

/// A client's place in the registry; dropping it leaves.
#[derive(Debug)]
pub struct Entry {
    registry: Arc<Registry>,
    handle: Arc<Handle>,
}

impl Entry {
    /// The client.
    pub fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.shard(self.handle.id).lock().remove(&self.handle.id);
    }
}

impl Handle {
    /// The client is between two commands from now on (seconds of the process).
    pub fn idle_since(&self, now: u64) {
        self.idle_since.store(now, Ordering::Relaxed);
    }

    /// The client is at work.
    pub fn busy(&self) {
        self.idle_since.store(u64::MAX, Ordering::Relaxed);
    }

    /// Ends the client's connection when it is next idle, or at once when it is.
    pub fn dismiss(&self, farewell: Farewell) {
        // The first word counts.
        let (said, order) = (farewell as u8, Ordering::AcqRel);
        let _ = self.farewell.compare_exchange(NONE_YET, said, order, Ordering::Acquire);
        self.told.wake();
    }

    /// The farewell that was said to the client, if any.
    pub fn farewell(&self) -> Option<Farewell> {
        let said = self.farewell.load(Ordering::Acquire);
        Farewell::ALL.into_iter().find(|farewell| *farewell as u8 == said)
    }

    /// Waits for a farewell. Only the client's own task may: there is one place to wait.
    ///
    /// Cancel safe.
    pub async fn dismissed(&self) -> Farewell {
        poll_fn(|context| {
            if let Some(farewell) = self.farewell() {
                return Poll::Ready(farewell);
            }
            self.told.register(context.waker());
            // One that was said meanwhile may have found nobody to wake.
            self.farewell().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// The client has this backend connection from now on.
    pub fn took(&self, thread: Thread) {
        self.running.lock().at = Some(thread);
    }

    /// The client is about to give its backend connection away: true when it may do so at once,
    /// false when it has to wait for [`Self::kills_settled`] first.
    pub fn gives(&self) -> bool {
        let mut running = self.running.lock();
        running.at = None;
        running.kills == 0
    }

    /// Waits until no KILL is on its way to the client's connection.
    ///
    /// Cancel safe.
    pub async fn kills_settled(&self) {
        loop {
            let done = self.kills_done.notified();
            if self.running.lock().kills == 0 {
                return;
            }
            done.await;
        }
    }

    /// The backend connection that runs the client's statement, held in place.
    pub fn aim(self: &Arc<Self>) -> Option<Target> {
        let mut running = self.running.lock();
        let thread = running.at?;
        running.kills += 1;
        Some(Target { handle: self.clone(), thread })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.handle.running.lock().kills -= 1;
        self.handle.kills_done.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_leaves_is_forgotten() {
        let registry = Arc::new(Registry::default());
        let entry = registry.enter(&"s".into());
        let id = u64::from(entry.handle().id);
        assert!(Registry::is_own(id) && !Registry::is_own(7));
        assert!(registry.find(id).is_some());
        drop(entry);
        assert!(registry.find(id).is_none());
    }

    #[tokio::test]
    async fn a_connection_stays_in_place_while_a_kill_is_on_its_way() {
        let registry = Arc::new(Registry::default());
        let entry = registry.enter(&"s".into());
        let handle = entry.handle();
        assert!(handle.aim().is_none());
        let thread = Thread { server: ServerId(1), id: 9 };
        handle.took(thread);
        let target = handle.aim().expect("the client has a connection");
        assert_eq!(target.thread, thread);
        assert!(!handle.gives());
        let settled =
            tokio::time::timeout(std::time::Duration::from_millis(5), handle.kills_settled());
        assert!(settled.await.is_err());
        drop(target);
        handle.kills_settled().await;
    }

    #[test]
    fn only_the_idle_are_closed_for_idleness() {
        let registry = Arc::new(Registry::default());
        let (idle, busy, other) =
            (registry.enter(&"s".into()), registry.enter(&"s".into()), registry.enter(&"t".into()));
        idle.handle().idle_since(5);
        busy.handle().idle_since(5);
        busy.handle().busy();
        other.handle().idle_since(5);
        registry.close_idle("s", |_| Some(10));
        assert_eq!(idle.handle().farewell(), Some(Farewell::Idle));
        assert_eq!(busy.handle().farewell(), None);
        assert_eq!(other.handle().farewell(), None);
    }
}
