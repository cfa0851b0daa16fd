//! One attempt to log in, as those are limited that fail.

use super::{GreetContext, GreetError};
use crate::frontend::told::Told;
use tokio::time::Instant;

/// An attempt under way. It has failed unless it is said to have succeeded, so that nobody learns for
/// nothing, by leaving in the middle, whether a proof was right.
pub(super) struct Trial<'a> {
    context: &'a GreetContext,
    host: &'a str,
    user: &'a str,
    failed: bool,
}

impl<'a> Trial<'a> {
    /// Begins one, unless too many have failed.
    pub(super) fn begin(
        context: &'a GreetContext,
        host: &'a str,
        user: &'a str,
    ) -> Result<Self, GreetError> {
        let mut trial = Self { context, host, user, failed: false };
        trial.admitted()?;
        trial.failed = true;
        Ok(trial)
    }

    /// It has succeeded, unless too many others have failed meanwhile.
    pub(super) fn succeeded(mut self) -> Result<(), GreetError> {
        self.failed = false;
        self.admitted()?;
        let GreetContext { lasting, login_limits, .. } = self.context;
        lasting.throttle.succeeded(login_limits, self.host, self.user, Instant::now());
        Ok(())
    }

    /// Nobody could say whether it was right.
    pub(super) fn came_to_nothing(mut self) {
        self.failed = false;
    }

    fn admitted(&self) -> Result<(), GreetError> {
        let GreetContext { lasting, login_limits, .. } = self.context;
        lasting.throttle.admits(login_limits, self.host, self.user, Instant::now()).map_err(
            |blocked| GreetError::Blocked(Told::blocked(blocked, &self.shown(), self.host)),
        )
    }

    /// Names may be anything.
    fn shown(&self) -> String {
        self.user.chars().take(48).collect()
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if !self.failed {
            return;
        }
        let GreetContext { lasting, login_limits, .. } = self.context;
        let now = Instant::now();
        let begins = lasting.throttle.failed(login_limits, self.host, self.user, now);
        if let Some(whose) = begins {
            let seconds = login_limits.block_for.as_secs();
            let user = self.shown().escape_default().to_string();
            tracing::warn!(user, host = self.host, ?whose, seconds, "too many failed logins");
        }
    }
}
