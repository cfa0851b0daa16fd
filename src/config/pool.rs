//! How many server connections there are, and how long they live.

use std::time::Duration;

use super::given::{Choice, Given, Setting};
use super::section::Section;
use super::show::Shown;
use super::units::parse_percent;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// No server takes more connections than this: the upper bound of `max_connections`.
const MOST_CONNECTIONS: u32 = 100_000;

/// How many server connections there may be to one server, over all users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolSize {
    /// This many; at least 1.
    Absolute(usize),
    /// This share of the server's `max_connections`, from 1 to 100.
    Percent(u8),
}

impl PoolSize {
    /// The number of connections that this means for a server with that `max_connections`; never 0.
    pub fn of(self, max_connections: usize) -> usize {
        match self {
            Self::Absolute(size) => size,
            Self::Percent(share) => (max_connections * usize::from(share) / 100).max(1),
        }
    }
}

impl Setting for PoolSize {
    const EXPECTED: &'static str = "a number of connections from 1 to 100000, or a share of the \
                                    server's max_connections from \"1%\" to \"100%\"";

    fn read(given: Given<'_>) -> Option<Self> {
        match given.integer() {
            Some(size) => u32::try_from(size)
                .ok()
                .filter(|size| (1..=MOST_CONNECTIONS).contains(size))
                .and_then(|size| usize::try_from(size).ok())
                .map(Self::Absolute),
            None => parse_percent(given.text()?).map(Self::Percent),
        }
    }
}

/// When a session hands over a connection on which it left something that only it may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandOver {
    /// When another session needs it: whoever comes back first finds everything in place.
    #[default]
    WhenNeeded,
    /// After each statement, and the next statement runs on the connection that rested longest. It
    /// is as right as the other and costs more: tests look for mistakes by it.
    Always,
}

impl Choice for HandOver {
    const EXPECTED: &'static str = r#""when-needed" or "always""#;
    const NAMES: &'static [(&'static str, Self)] =
        &[("when-needed", Self::WhenNeeded), ("always", Self::Always)];
}

/// `[services.<name>.pool]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// The most connections to one server at a time, all users together.
    pub max_size: PoolSize,
    /// How many are kept warm even when nobody needs them.
    pub min_idle: usize,
    /// A connection idle for longer is closed, down to `min_idle`. `None`: never.
    pub max_idle_time: Option<Duration>,
    /// A connection older than this (plus a random part of it) is replaced once nobody uses it.
    /// `None`: never.
    pub max_lifetime: Option<Duration>,
    /// How long a statement waits for a connection: waiting, connecting and checking together.
    pub borrow_timeout: Duration,
    /// How long one connection attempt may take, login included.
    pub connect_timeout: Duration,
    /// How many connections to one server may be under way at a time.
    pub parallel_connects: usize,
    /// How many statements may wait at a time; one more is refused. `None`: any number.
    pub max_waiting: Option<usize>,
    /// When a session's belongings are taken off its connection.
    pub hand_over: HandOver,
    /// SQL to run on each new connection. Empty: none.
    pub init_query: String,
}

impl PoolConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let number = |value: Option<u32>| value.and_then(|value| usize::try_from(value).ok());
        let pool = Self {
            max_size: section.setting("max_size").unwrap_or(PoolSize::Absolute(20)),
            min_idle: number(section.number("min_idle", 0..=MOST_CONNECTIONS)).unwrap_or(0),
            max_idle_time: section
                .limit("max_idle_time", SECOND..=30 * DAY)
                .unwrap_or(Some(5 * MINUTE)),
            max_lifetime: section.limit("max_lifetime", SECOND..=30 * DAY).unwrap_or(Some(HOUR)),
            borrow_timeout: section
                .duration("borrow_timeout", MILLISECOND..=HOUR)
                .unwrap_or(5 * SECOND),
            connect_timeout: section
                .duration("connect_timeout", MILLISECOND..=5 * MINUTE)
                .unwrap_or(2 * SECOND),
            parallel_connects: number(section.number("parallel_connects", 1..=1_000)).unwrap_or(4),
            max_waiting: number(section.number("max_waiting", 1..=1_000_000)),
            hand_over: section.setting("hand_over").unwrap_or_default(),
            init_query: section.text("init_query").unwrap_or_default(),
        };
        if let PoolSize::Absolute(size) = pool.max_size
            && pool.min_idle > size
        {
            let why = format!("more than max_size = {size}: expected at most {size}");
            section.conflict("min_idle", why);
        }
        pool
    }

    pub(super) fn show(&self) -> Shown {
        let number = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let max_size = match self.max_size {
            PoolSize::Absolute(size) => toml::Value::from(number(size)),
            PoolSize::Percent(share) => toml::Value::from(format!("{share}%")),
        };
        Shown::new()
            .put("max_size", max_size)
            .put("min_idle", number(self.min_idle))
            .limit("max_idle_time", self.max_idle_time)
            .limit("max_lifetime", self.max_lifetime)
            .duration("borrow_timeout", self.borrow_timeout)
            .duration("connect_timeout", self.connect_timeout)
            .put("parallel_connects", number(self.parallel_connects))
            .maybe("max_waiting", self.max_waiting.map(number))
            .put("hand_over", self.hand_over.name())
            .put("init_query", self.init_query.as_str())
    }
}
