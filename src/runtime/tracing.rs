//! The log: one event a line, as text or JSON, on standard error.

use crate::config::{LogConfig, LogFormat};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::TryInitError;
use tracing_subscriber::{fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Sets up the log of the process; `MILLPOND_LOG` overrides the configured levels.
///
/// # Errors
///
/// When it was set up before.
pub fn init(config: &LogConfig) -> Result<(), TryInitError> {
    let filter = EnvFilter::try_from_env("MILLPOND_LOG")
        .unwrap_or_else(|_| EnvFilter::new(config.level.directives()));
    let registry = tracing_subscriber::registry().with(filter);
    match config.format {
        LogFormat::Json => {
            registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()
        }
        LogFormat::Text => {
            registry.with(fmt::layer().with_ansi(false).with_writer(std::io::stderr)).try_init()
        }
    }
}
