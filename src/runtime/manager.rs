//! What systemd, or another service manager that speaks its protocol, is told. Without one, nothing
//! happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Ports are open.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// Clients are being drained.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

/// How often the service manager wants to hear that the process is alive; `None` for never.
pub fn watchdog_period() -> Option<Duration> {
    // Half of what it waits, as its manual advises.
    sd_notify::watchdog_enabled().map(|patience| patience / 2)
}

/// Says so until `stop`. It runs on the threads that serve clients, so that it falls silent when
/// they are stuck; the service manager starts the process anew then.
///
/// Cancel safe.
pub async fn keep_alive(period: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        tell(NotifyState::Watchdog);
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}
