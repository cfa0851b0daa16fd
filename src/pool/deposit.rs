//! Leases that sessions keep as long as nobody else needs them.
//!
//! ```text
//!            push              begin_take_over                 rescue
//!  (owner) ───────▶ Held ─────────────────────────▶ Leaving ─────────▶ Rescued(answers) │ Lost
//!                    │ take_back                                            │ collect
//!                    ▼                                                      ▼
//!                  Empty ◀──────────────────────────────────────────────────┘
//! ```

use super::lease::Lease;
use crate::backend::dialogue::{Question, answers};
use crate::session::residue::{Answer, Capture, Captured};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// A lease left with its session, and what becomes of it.
#[derive(Debug)]
pub struct Deposit {
    number: u64,
    state: Mutex<State>,
    settled: Notify,
    shelf: Arc<Shelf>,
}

#[derive(Debug)]
enum State {
    Empty,
    Held {
        lease: Box<Lease>,
        capture: Capture,
        since: Instant,
    },
    Leaving {
        capture: Capture,
    },
    Rescued {
        capture: Capture,
        answers: Vec<Answer>,
    },
    /// What belongs to the owner is too large to be carried about.
    Kept {
        lease: Box<Lease>,
        capture: Capture,
        answers: Vec<Answer>,
    },
    Lost,
}

/// All deposits of one pool, the oldest first.
#[derive(Debug, Default)]
pub struct Deposits {
    shelf: Arc<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    by_age: Mutex<BTreeMap<u64, Arc<Deposit>>>,
    next: AtomicU64,
}

impl Deposits {
    /// Takes in a lease.
    pub fn push(&self, lease: Lease, capture: Capture) -> Arc<Deposit> {
        let number = self.shelf.next.fetch_add(1, Ordering::Relaxed);
        let held = State::Held { lease: Box::new(lease), capture, since: Instant::now() };
        let deposit = Arc::new(Deposit {
            number,
            state: Mutex::new(held),
            settled: Notify::new(),
            shelf: self.shelf.clone(),
        });
        self.shelf.by_age.lock().insert(number, deposit.clone());
        deposit
    }

    /// The deposit held for longest, taken off the shelf.
    pub fn pop_oldest(&self) -> Option<Arc<Deposit>> {
        self.shelf.by_age.lock().pop_first().map(|(_, deposit)| deposit)
    }

    /// The deposits held since before `moment`, taken off the shelf.
    pub fn pop_older_than(&self, moment: Instant) -> Vec<Arc<Deposit>> {
        let mut by_age = self.shelf.by_age.lock();
        let mut old = Vec::new();
        while let Some(first) = by_age.first_entry() {
            if first.get().held_since().is_some_and(|since| since >= moment) {
                break;
            }
            old.push(first.remove());
        }
        old
    }

    /// The deposits whose connection its server will soon close for idleness, taken off the shelf.
    pub fn pop_closing(&self, now: Instant) -> Vec<Arc<Deposit>> {
        let closing = |deposit: &Arc<Deposit>| deposit.closes().is_some_and(|at| at <= now);
        self.shelf.by_age.lock().extract_if(.., |_, d| closing(d)).map(|(_, d)| d).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.shelf.by_age.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What the owner finds when it comes back.
#[derive(Debug)]
pub enum Collected {
    /// The lease, as it was left.
    Lease(Box<Lease>),
    /// Somebody else has the connection; these are the answers to the owner's capture.
    Answers(Capture, Vec<Answer>),
    /// The lease, with what is too large to leave it; these are the answers to all else.
    Kept(Box<Lease>, Capture, Vec<Answer>),
    /// The connection died before the belongings were safe.
    Lost,
}

impl Deposit {
    /// The owner takes its lease back, if it is still there. Never waits.
    pub fn take_back(&self) -> Option<Lease> {
        self.shelf.by_age.lock().remove(&self.number);
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Empty) {
            State::Held { lease, .. } | State::Kept { lease, .. } => Some(*lease),
            other => {
                *state = other;
                None
            }
        }
    }

    /// The owner comes back: it gets the lease or, when somebody took it over, what belongs to it.
    ///
    /// Cancel safe.
    pub async fn collect(&self) -> Collected {
        self.shelf.by_age.lock().remove(&self.number);
        loop {
            let settled = self.settled.notified();
            {
                let mut state = self.state.lock();
                match std::mem::replace(&mut *state, State::Empty) {
                    State::Rescued { capture, answers } => {
                        return Collected::Answers(capture, answers);
                    }
                    State::Kept { lease, capture, answers } => {
                        return Collected::Kept(lease, capture, answers);
                    }
                    State::Held { lease, .. } => return Collected::Lease(lease),
                    State::Empty | State::Lost => return Collected::Lost,
                    leaving @ State::Leaving { .. } => *state = leaving,
                }
            }
            settled.await;
        }
    }

    /// Another session begins to take the connection over; `None` when the owner was faster.
    pub fn begin_take_over(self: &Arc<Self>) -> Option<TakenOver> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Empty) {
            State::Held { lease, capture, .. } => {
                *state = State::Leaving { capture: capture.clone() };
                Some(TakenOver { deposit: self.clone(), lease: Some(*lease), capture })
            }
            other => {
                *state = other;
                None
            }
        }
    }

    /// When its server will soon close the connection for idleness.
    fn closes(&self) -> Option<Instant> {
        match &mut *self.state.lock() {
            State::Held { lease, since, .. } => since.checked_add(lease.connection().idle_limit()?),
            _ => None,
        }
    }

    fn held_since(&self) -> Option<Instant> {
        match &*self.state.lock() {
            State::Held { since, .. } => Some(*since),
            _ => None,
        }
    }

    fn keep(&self, lease: Lease, answers: Vec<Answer>) {
        let mut state = self.state.lock();
        *state = match std::mem::replace(&mut *state, State::Empty) {
            State::Leaving { capture } => State::Kept { lease: Box::new(lease), capture, answers },
            settled => settled,
        };
        drop(state);
        self.settled.notify_one();
    }

    fn settle(&self, answers: Option<Vec<Answer>>) {
        let mut state = self.state.lock();
        *state = match (std::mem::replace(&mut *state, State::Empty), answers) {
            (State::Leaving { capture }, Some(answers)) => State::Rescued { capture, answers },
            (State::Leaving { .. }, None) => State::Lost,
            (settled, _) => settled,
        };
        drop(state);
        self.settled.notify_one();
    }
}

/// A connection between two sessions; dropped without a rescue, the former owner's belongings are
/// lost, and it is told so.
#[derive(Debug)]
pub struct TakenOver {
    deposit: Arc<Deposit>,
    lease: Option<Lease>,
    capture: Capture,
}

impl TakenOver {
    /// Asks the connection for what belongs to its former owner. Gives the lease, or `None` when
    /// the connection died, or stays with its owner because of what it has there.
    pub async fn rescue(mut self, deadline: Instant) -> Option<Lease> {
        let mut lease = self.lease.take()?;
        if self.capture.queries.is_empty() {
            self.deposit.settle(Some(Vec::new()));
            return Some(lease);
        }
        let questions: Vec<_> =
            self.capture.queries.iter().map(|sql| Question::Query(sql)).collect();
        // A database that does not answer must not keep the former owner waiting for ever.
        let replies = timeout_at(deadline, lease.connection().ask(&questions)).await;
        let Ok(Ok(replies)) = replies else {
            lease.discard();
            return None;
        };
        let Some(answers) = answers(&self.capture, replies) else {
            lease.discard();
            return None;
        };
        self.capture.tell(&answers, &mut lease.connection().traces.sequences);
        if self.capture.told_by(&answers) != Captured::All {
            self.deposit.keep(lease, answers);
            return None;
        }
        self.deposit.settle(Some(answers));
        Some(lease)
    }
}

impl Drop for TakenOver {
    fn drop(&mut self) {
        self.deposit.settle(None);
    }
}
