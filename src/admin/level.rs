//! What is logged: to be looked at, and changed, while Millpond runs.

use super::pages::{given, text};
use crate::config::LogLevel;
use crate::runtime::logging::Log;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Response, StatusCode};

/// Answers with what is logged.
pub(super) fn show(log: &Log) -> Response<Full<Bytes>> {
    text(StatusCode::OK, format!("{}\n", log.level().directives()))
}

/// Has `level=` logged from now on. Whoever asks may do that.
pub(super) fn change(log: &Log, query: &str) -> Response<Full<Bytes>> {
    let asked = given(query, "level").unwrap_or_default().replace("%3D", "=").replace("%2C", ",");
    let level: LogLevel = match asked.parse() {
        Ok(level) => level,
        Err(why) => return text(StatusCode::BAD_REQUEST, format!("level: {why}\n")),
    };
    match log.set_level(level) {
        Ok(()) => {
            tracing::info!(level = log.level().directives(), "the log's level was changed");
            show(log)
        }
        Err(why) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")),
    }
}
