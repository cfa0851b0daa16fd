//! Asking a running Millpond how it is, as `millpond health` does: a container without a shell or
//! `curl` needs this for its health check.

use super::door::Door;
use super::shown::shown;
use super::view::View;
use serde_json::Value;
use std::io;

/// More than any answer to these questions has.
const LONGEST_ANSWER: u64 = 4_096;
/// More than any status has.
const LONGEST_STATUS: u64 = 64 << 20;

/// What to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Is the process alive?
    Alive,
    /// Does it want clients?
    Ready,
}

/// Why the answer is not yes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unhealthy {
    /// It says no.
    #[error("{status}: {reason}")]
    No {
        /// The HTTP status.
        status: String,
        /// The answer's first line.
        reason: String,
    },
    /// That is no admin port.
    #[error("the answer is not HTTP: is this Millpond's admin port, and is it without TLS?")]
    NotHttp,
    /// Nobody answers.
    #[error("no answer: {}", io::Error::from(*.0))]
    Unreachable(io::ErrorKind),
}

/// Asks the admin port. Blocks for some seconds at most.
pub fn ask(door: &Door, probe: Probe) -> Result<(), Unhealthy> {
    let path = match probe {
        Probe::Alive => "/healthz",
        Probe::Ready => "/readyz",
    };
    body(door, path, LONGEST_ANSWER).map(drop)
}

/// Asks the admin port for its status. Blocks for some seconds at most.
pub fn status(door: &Door) -> Result<Value, Unhealthy> {
    let body = body(door, "/status", LONGEST_STATUS)?;
    serde_json::from_str(&body).map_err(|_| Unhealthy::NotHttp)
}

/// A status as text for a shell.
pub fn status_text(status: &Value) -> String {
    shown(&View::of(status, None))
}

/// The body of a page that is there.
fn body(door: &Door, path: &str, longest: u64) -> Result<String, Unhealthy> {
    let answer = door.fetch(path, longest).map_err(|error| Unhealthy::Unreachable(error.kind()))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(Unhealthy::NotHttp)?;
    let status = head.strip_prefix("HTTP/1.1 ").ok_or(Unhealthy::NotHttp)?;
    match status.split(' ').next().unwrap_or_default() {
        "200" => Ok(body.to_owned()),
        status => {
            let reason = body.lines().next().unwrap_or_default().to_owned();
            Err(Unhealthy::No { status: status.to_owned(), reason })
        }
    }
}
