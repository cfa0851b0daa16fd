//! Signals: SIGTERM and SIGINT end the process in order.

use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// Resolves when the process is asked to stop.
///
/// # Errors
///
/// When the signals cannot be listened for.
pub fn stop_requested() -> io::Result<impl Future<Output = &'static str>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}
