//! How many logins may fail.

use std::time::Duration;

use super::section::Section;
use super::show::Shown;

/// `[services.<name>.login_limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginLimits {
    /// The most failed logins from one address within the window, whatever the user; `None` for any
    /// number.
    pub per_address: Option<u32>,
    /// The most failed logins of one user within the window, wherever from; `None` for any number.
    pub per_user: Option<u32>,
    /// The time in which they are counted.
    pub window: Duration,
    /// How long logins are refused after that.
    pub block_for: Duration,
}

impl Default for LoginLimits {
    fn default() -> Self {
        Self {
            per_address: Some(100),
            per_user: Some(20),
            window: Duration::from_secs(60),
            block_for: Duration::from_secs(60),
        }
    }
}

impl LoginLimits {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let (shortest, longest) = (Duration::from_secs(1), Duration::from_secs(86_400));
        let mut failures = |name, default| {
            let number = section.number(name, 0..=1_000_000);
            number.map_or(default, |number| (number > 0).then_some(number))
        };
        Self {
            per_address: failures("failures_per_address", default.per_address),
            per_user: failures("failures_per_user", default.per_user),
            window: section.duration("window", shortest..=longest).unwrap_or(default.window),
            block_for: section
                .duration("block_for", shortest..=longest)
                .unwrap_or(default.block_for),
        }
    }

    pub(super) fn show(&self) -> Shown {
        let number = |limit: Option<u32>| i64::from(limit.unwrap_or(0));
        Shown::new()
            .put("failures_per_address", number(self.per_address))
            .put("failures_per_user", number(self.per_user))
            .duration("window", self.window)
            .duration("block_for", self.block_for)
    }
}
