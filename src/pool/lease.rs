//! A borrowed connection.

use super::Pool;
use super::budget::Verdict;
use super::manager::{Manager, Slot};
use crate::backend::account;
use crate::backend::connection::Connection;
use crate::runtime::Law;
use deadpool::managed::Object;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long a connection may take to be cleaned behind a client that left.
const CLEANING: Duration = Duration::from_secs(5);

/// A backend connection in the hands of one session. Dropped without a word it is closed: only
/// [`Lease::release`] gives back a connection, and says by that that it is clean.
#[derive(Debug)]
pub struct Lease {
    object: Option<Object<Manager>>,
    pool: Arc<Pool>,
}

impl Lease {
    pub(in crate::pool) fn new(object: Object<Manager>, pool: Arc<Pool>) -> Self {
        Self { object: Some(object), pool }
    }

    /// The connection.
    pub fn connection(&mut self) -> &mut Connection {
        self.parts().0
    }

    /// The connection, and the pool it came from.
    pub fn parts(&mut self) -> (&mut Connection, &Arc<Pool>) {
        match &mut self.object {
            Some(object) => (&mut object.connection, &self.pool),
            None => unreachable!("a lease holds its object until it is consumed"),
        }
    }

    /// The pool it came from.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Whether it is of a former generation: good for the session that has it, and for no other.
    pub fn is_outdated(&mut self) -> bool {
        let generation = self.connection().generation;
        generation != self.pool.connections().manager().generation()
    }

    /// Whether one that is opened now would be logged in otherwise.
    pub fn is_of_former_login(&mut self) -> bool {
        let pool = self.pool.clone();
        pool.connections().manager().is_of_former_login(self.connection())
    }

    /// Gives back a clean connection. It is closed instead when its time is over, or when somebody
    /// in another pool of the same server has waited for longer than anybody in this one.
    pub fn release(mut self) {
        let Some(mut object) = self.object.take() else { return };
        let now = Instant::now();
        object.connection.last_used = now;
        object.connection.input.rest();
        account::tell(&object.connection);
        let manager = self.pool.connections().manager();
        let outdated = object.connection.expires <= now
            || object.connection.generation != manager.generation();
        if outdated || self.pool.is_closed() {
            self.pool.retire(Object::take(object));
            return;
        }
        let mut object = Some(object);
        for budget in self.pool.bounds() {
            if !budget.has_waiters() {
                continue;
            }
            let own = self.pool.oldest_waiter();
            let verdict = budget.offer(self.pool.member_of(budget), own, || match object.take() {
                Some(object) => Object::take(object),
                None => unreachable!("a connection is taken once"),
            });
            if verdict == Verdict::Close
                && let Some(object) = object.take()
            {
                self.pool.retire(Object::take(object));
            }
            if object.is_none() {
                break;
            }
        }
        drop(object);
        // Who began to wait in the meantime may have missed it.
        for budget in self.pool.bounds() {
            if budget.has_waiters() {
                budget.serve();
            }
        }
    }

    /// Closes the connection: nobody may use it again.
    pub fn discard(mut self) {
        self.take();
    }

    /// Closes a connection that is in order: nobody else is to use it.
    pub fn retire(mut self) {
        if let Some(slot) = self.take() {
            self.pool.retire(slot);
        }
    }

    /// Clears the session by a reset, on a task of its own, and gives the connection back; closes
    /// it if that fails or takes too long. For connections that a client left in the middle of
    /// something: an open transaction is rolled back at once.
    pub fn clean_up(mut self) {
        let Some(mut object) = self.object.take() else { return };
        let pool = self.pool.clone();
        let tasks = pool.tasks().clone();
        tasks.spawn("cleaning of a backend connection", Law::Mortal, async move {
            let cleaned = timeout(CLEANING, object.connection.reset()).await;
            match cleaned {
                Ok(Ok(())) => Self::new(object, pool).release(),
                _ => drop(Object::take(object)),
            }
        });
    }

    fn take(&mut self) -> Option<Slot> {
        self.object.take().map(Object::take)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl Pool {
    /// Says farewell to a connection that is in order and no longer wanted.
    pub(in crate::pool) fn retire(&self, slot: Slot) {
        self.metrics.closed.inc();
        self.tasks().spawn("farewell to a backend connection", Law::Mortal, async move {
            let Slot { connection, held, .. } = slot;
            // The server has the connection on its books until it has read the farewell.
            let _ = timeout(CLEANING, connection.quit()).await;
            drop(held);
        });
    }
}
