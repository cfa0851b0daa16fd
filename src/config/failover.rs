//! How the servers are watched, and what becomes of statements when one fails.

use std::time::Duration;

use super::given::Choice;
use super::section::Section;
use super::show::Shown;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// What is run again, on another connection, when a connection fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// What provably did not run.
    NotRun,
    /// That, and single statements outside transactions that only read.
    Safe,
}

impl Choice for Retry {
    const EXPECTED: &'static str = r#""safe" or "not_run""#;
    const NAMES: &'static [(&'static str, Self)] =
        &[("safe", Self::Safe), ("not_run", Self::NotRun)];
}

/// What clients are told of a statement that was lost with its connection and provably had no
/// effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostStatement {
    /// A lost connection: error 1158, SQLSTATE 08S01.
    Lost,
    /// A deadlock: error 1213, SQLSTATE 40001, which frameworks answer by running the transaction
    /// again.
    Deadlock,
}

impl Choice for LostStatement {
    const EXPECTED: &'static str = r#""lost" or "deadlock""#;
    const NAMES: &'static [(&'static str, Self)] =
        &[("lost", Self::Lost), ("deadlock", Self::Deadlock)];
}

/// What sessions of the reader port do when no reader is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutReaders {
    /// They read from the writer.
    Writer,
    /// They wait, and get an error in the end.
    Wait,
}

impl Choice for WithoutReaders {
    const EXPECTED: &'static str = r#""writer" or "wait""#;
    const NAMES: &'static [(&'static str, Self)] =
        &[("writer", Self::Writer), ("wait", Self::Wait)];
}

/// `[services.<name>.failover]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailoverConfig {
    /// Between two questions to a server when all is well.
    pub probe_interval: Duration,
    /// Between two questions in doubt.
    pub suspect_interval: Duration,
    /// How long a server may take to answer.
    pub probe_timeout: Duration,
    /// Between two looks at the endpoints' names when all is well.
    pub resolve_interval: Duration,
    /// Over how long a reader that was away gets its share of the work back; `None`: at once.
    pub slow_start: Option<Duration>,
    /// From how many failures within the window on a reader is held out; 0: never.
    pub flap_limit: usize,
    /// In which failures count together.
    pub flap_window: Duration,
    /// For how long such a reader is held out at first.
    pub flap_hold: Duration,
    /// After how long without a statement the servers are left alone; `None`: never.
    pub sleep_after: Option<Duration>,
    /// How long a statement waits for servers that were left alone.
    pub resume_timeout: Duration,
    /// What is run again.
    pub retry: Retry,
    /// What clients are told of what was lost without effect.
    pub lost_statement: LostStatement,
    /// A reader farther behind is not used; `None`: any.
    pub reader_max_lag: Option<Duration>,
    /// When no reader is left.
    pub without_readers: WithoutReaders,
    /// The zone that Millpond is in.
    pub zone: Option<String>,
}

impl FailoverConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            probe_interval: section
                .duration("probe_interval", 10 * MILLISECOND..=MINUTE)
                .unwrap_or(SECOND),
            suspect_interval: section
                .duration("suspect_interval", MILLISECOND..=10 * SECOND)
                .unwrap_or(20 * MILLISECOND),
            probe_timeout: section
                .duration("probe_timeout", 10 * MILLISECOND..=MINUTE)
                .unwrap_or(500 * MILLISECOND),
            resolve_interval: section
                .duration("resolve_interval", 100 * MILLISECOND..=10 * MINUTE)
                .unwrap_or(5 * SECOND),
            slow_start: section
                .limit("slow_start", SECOND..=60 * MINUTE)
                .unwrap_or(Some(10 * SECOND)),
            flap_limit: section
                .number("flap_limit", 0..=100)
                .and_then(|limit| usize::try_from(limit).ok())
                .unwrap_or(3),
            flap_window: section.duration("flap_window", SECOND..=DAY).unwrap_or(MINUTE),
            flap_hold: section.duration("flap_hold", SECOND..=10 * MINUTE).unwrap_or(10 * SECOND),
            sleep_after: section.limit("sleep_after", SECOND..=DAY).unwrap_or(None),
            resume_timeout: section
                .duration("resume_timeout", SECOND..=60 * MINUTE)
                .unwrap_or(MINUTE),
            retry: section.setting("retry").unwrap_or(Retry::Safe),
            lost_statement: section.setting("lost_statement_error").unwrap_or(LostStatement::Lost),
            reader_max_lag: section
                .limit("reader_max_lag", SECOND..=DAY)
                .unwrap_or(Some(10 * SECOND)),
            without_readers: section.setting("without_readers").unwrap_or(WithoutReaders::Writer),
            zone: section.text("zone"),
        }
    }

    pub(super) fn show(&self) -> Shown {
        Shown::new()
            .duration("probe_interval", self.probe_interval)
            .duration("suspect_interval", self.suspect_interval)
            .duration("probe_timeout", self.probe_timeout)
            .duration("resolve_interval", self.resolve_interval)
            .duration("slow_start", self.slow_start.unwrap_or_default())
            .put("flap_limit", i64::try_from(self.flap_limit).unwrap_or(i64::MAX))
            .duration("flap_window", self.flap_window)
            .duration("flap_hold", self.flap_hold)
            .duration("sleep_after", self.sleep_after.unwrap_or_default())
            .duration("resume_timeout", self.resume_timeout)
            .put("retry", self.retry.name())
            .put("lost_statement_error", self.lost_statement.name())
            .limit("reader_max_lag", self.reader_max_lag)
            .put("without_readers", self.without_readers.name())
            .maybe("zone", self.zone.clone())
    }
}
