//! How much clients may have, and for how long.

use crate::config::{HiddenTriggers, LostStatement, Retry, SlowConfig};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Limits of a service's front end.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Clients at one time.
    pub max_clients: usize,
    /// Clients that may come from one address in a second; `None` for any number.
    pub connects_per_second: Option<u32>,
    /// How long a statement waits for a backend connection.
    pub borrow_timeout: Duration,
    /// After how long without a statement the servers are left alone; `None`: never.
    pub sleep_after: Option<Duration>,
    /// How long a statement waits for servers that were left alone.
    pub resume_timeout: Duration,
    /// What may be run again when its server fails.
    pub retry: Retry,
    /// What clients are told of a statement that was lost and provably had no effect.
    pub lost_statement: LostStatement,
    /// How many statements may wait for a server.
    pub max_waiting: usize,
    /// How long a client may take to log in.
    pub handshake_timeout: Duration,
    /// The largest command in bytes.
    pub max_packet: usize,
    /// Which statements are logged because they took long.
    pub slow: SlowConfig,
    /// Who looks at what sessions of others hold.
    pub monitor_user: Arc<str>,
    /// What to make of triggers that nobody shows.
    pub hidden_triggers: HiddenTriggers,
    /// How much of a result waits for a slow client, in bytes.
    pub result_buffer: usize,
    /// What holds for users who have no limits of their own.
    pub everybody: UserLimits,
    /// What holds for those who have.
    pub users: HashMap<Box<str>, UserLimits>,
}

/// Limits of one user's clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UserLimits {
    /// Clients at one time; `None` for any number.
    pub clients: Option<usize>,
    /// How long a client may say nothing; `None` for ever.
    pub idle_client: Option<Duration>,
    /// How long a client may say nothing in a transaction; `None` for ever.
    pub idle_transaction: Option<Duration>,
    /// How long a transaction may be open; `None` for ever.
    pub transaction: Option<Duration>,
}

impl Limits {
    /// The limits of a user's clients.
    pub fn of(&self, user: &str) -> &UserLimits {
        self.users.get(user).unwrap_or(&self.everybody)
    }
}

/// How many users are remembered at least, also when they have no clients.
const MANY: usize = 1_024;

/// How many clients each user has.
#[derive(Debug, Default)]
pub struct Seats {
    taken: Mutex<HashMap<Arc<str>, Arc<AtomicUsize>>>,
}

/// A client's place among those of its user; dropping it leaves.
#[derive(Debug)]
pub struct Seat(Arc<AtomicUsize>);

impl Seats {
    /// A place for one more client of a user, who may have so many.
    ///
    /// # Errors
    ///
    /// The limit, when it is reached.
    pub fn take(&self, user: &Arc<str>, limit: Option<usize>) -> Result<Seat, usize> {
        let taken = {
            let mut users = self.taken.lock();
            if users.len() >= MANY {
                // Users whom only the server knows come and go.
                users.retain(|_, taken| taken.load(Ordering::Relaxed) > 0);
            }
            users.entry(user.clone()).or_default().clone()
        };
        let before = taken.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(taken);
        match limit {
            Some(limit) if before >= limit => Err(limit),
            _ => Ok(seat),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_so_many_places_and_gets_them_back() {
        let seats = Seats::default();
        let (app, batch): (Arc<str>, Arc<str>) = ("app".into(), "batch".into());
        let one = seats.take(&app, Some(2)).unwrap();
        let _two = seats.take(&app, Some(2)).unwrap();
        assert_eq!(seats.take(&app, Some(2)).err(), Some(2));
        assert!(seats.take(&batch, Some(1)).is_ok() && seats.take(&app, None).is_ok());
        drop(one);
        assert!(seats.take(&app, Some(2)).is_ok());
    }
}
