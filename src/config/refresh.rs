//! How the secrets of a store are kept up to date.

use std::time::Duration;

use super::given::Choice;
use super::section::Section;
use super::show::Shown;

/// The settings of `[secrets.<store>]` that every kind of store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshConfig {
    /// How often each secret is fetched again; `None` for only when something asks for it.
    pub refresh: Option<Duration>,
    /// How long clients may come with the password before the last.
    pub overlap: Duration,
    /// Over how long connections with a former password are replaced.
    pub replace_over: Duration,
    /// What to do about a secret that cannot be fetched at the start.
    pub on_start: OnStart,
}

/// What to do about a secret that cannot be fetched at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStart {
    /// Give up: whoever started Millpond decides what to do.
    Fail,
    /// Try again until it is there, or Millpond is stopped.
    Wait,
}

impl Choice for OnStart {
    const EXPECTED: &'static str = r#""wait" or "fail""#;
    const NAMES: &'static [(&'static str, Self)] = &[("wait", Self::Wait), ("fail", Self::Fail)];
}

impl Default for RefreshConfig {
    fn default() -> Self {
        Self {
            refresh: Some(Duration::from_secs(30)),
            overlap: HOUR,
            replace_over: Duration::from_secs(60),
            on_start: OnStart::Wait,
        }
    }
}

impl RefreshConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            refresh: section.limit("refresh", SECOND..=HOUR * 24).unwrap_or(default.refresh),
            overlap: section
                .duration("overlap", Duration::ZERO..=HOUR * 24 * 30)
                .unwrap_or(default.overlap),
            replace_over: section
                .duration("replace_over", Duration::ZERO..=HOUR * 24)
                .unwrap_or(default.replace_over),
            on_start: section.setting("on_start").unwrap_or(default.on_start),
        }
    }

    pub(super) fn show(&self) -> Shown {
        Shown::new()
            .limit("refresh", self.refresh)
            .duration("overlap", self.overlap)
            .duration("replace_over", self.replace_over)
            .put("on_start", self.on_start.name())
    }
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
