//! Limits that a service sets for all of its users, and a user's own in their place.

use std::time::Duration;

use super::section::Section;
use super::show::Shown;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The keys, which a service and its users have alike.
const IDLE_CLIENT: &str = "idle_client_timeout";
const IDLE_TRANSACTION: &str = "idle_transaction_timeout";
const TRANSACTION: &str = "max_transaction_time";

/// How long clients may do nothing, or keep a transaction open. `None`: as long as they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimits {
    /// A client that says nothing for longer is disconnected.
    pub idle_client: Option<Duration>,
    /// A transaction whose client says nothing for longer is rolled back.
    pub idle_transaction: Option<Duration>,
    /// A transaction that is open for longer is rolled back.
    pub transaction: Option<Duration>,
}

impl TimeLimits {
    /// Those of a service.
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Some(30 * MINUTE);
        Self {
            idle_client: section.limit(IDLE_CLIENT, SECOND..=365 * DAY).unwrap_or(default),
            idle_transaction: section
                .limit(IDLE_TRANSACTION, SECOND / 10..=365 * DAY)
                .unwrap_or(None),
            transaction: section.limit(TRANSACTION, SECOND / 10..=365 * DAY).unwrap_or(None),
        }
    }

    pub(super) fn show(&self) -> Shown {
        Shown::new()
            .limit(IDLE_CLIENT, self.idle_client)
            .limit(IDLE_TRANSACTION, self.idle_transaction)
            .limit(TRANSACTION, self.transaction)
    }
}

/// What a user has of its own. `None`: as for all users of the service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnLimits {
    /// The most clients at a time.
    pub max_clients: Option<usize>,
    /// The most connections to one server.
    pub max_backend_connections: Option<usize>,
    /// How many statements may wait for a connection.
    pub max_waiting: Option<usize>,
    idle_client: Option<Option<Duration>>,
    idle_transaction: Option<Option<Duration>>,
    transaction: Option<Option<Duration>>,
}

impl OwnLimits {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let mut number = |name, most| {
            section.number(name, 1..=most).and_then(|number| usize::try_from(number).ok())
        };
        Self {
            max_clients: number("max_clients", 1_000_000),
            max_backend_connections: number("max_backend_connections", 100_000),
            max_waiting: number("max_waiting", 1_000_000),
            idle_client: section.limit(IDLE_CLIENT, SECOND..=365 * DAY),
            idle_transaction: section.limit(IDLE_TRANSACTION, SECOND / 10..=365 * DAY),
            transaction: section.limit(TRANSACTION, SECOND / 10..=365 * DAY),
        }
    }

    /// The times that hold for the user, where `service` holds for the others.
    pub fn times(&self, service: &TimeLimits) -> TimeLimits {
        TimeLimits {
            idle_client: self.idle_client.unwrap_or(service.idle_client),
            idle_transaction: self.idle_transaction.unwrap_or(service.idle_transaction),
            transaction: self.transaction.unwrap_or(service.transaction),
        }
    }

    pub(super) fn show(&self) -> Shown {
        let number =
            |value: Option<usize>| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
        let mut shown = Shown::new()
            .maybe("max_clients", number(self.max_clients))
            .maybe("max_backend_connections", number(self.max_backend_connections))
            .maybe("max_waiting", number(self.max_waiting));
        for (name, own) in [
            (IDLE_CLIENT, self.idle_client),
            (IDLE_TRANSACTION, self.idle_transaction),
            (TRANSACTION, self.transaction),
        ] {
            if let Some(limit) = own {
                shown = shown.limit(name, limit);
            }
        }
        shown
    }
}
