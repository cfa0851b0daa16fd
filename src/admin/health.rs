//! Asking a running Millpond how it is, as `millpond health` does: a container without a shell or
//! `curl` needs this for its health check.

use super::shown::shown;
use super::view::View;
use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(3);
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
    #[error("the answer is not HTTP: is this Millpond's admin port?")]
    NotHttp,
    /// Nobody answers.
    #[error("no answer: {}", io::Error::from(*.0))]
    Unreachable(io::ErrorKind),
}

/// Asks the admin port at `address`. Blocks for some seconds at most.
pub fn ask(address: SocketAddr, probe: Probe) -> Result<(), Unhealthy> {
    let path = match probe {
        Probe::Alive => "/healthz",
        Probe::Ready => "/readyz",
    };
    body(address, path, LONGEST_ANSWER).map(drop)
}

/// Asks the admin port at `address` for its status. Blocks for some seconds at most.
pub fn status(address: SocketAddr) -> Result<Value, Unhealthy> {
    let body = body(address, "/status", LONGEST_STATUS)?;
    serde_json::from_str(&body).map_err(|_| Unhealthy::NotHttp)
}

/// A status as text for a shell.
pub fn status_text(status: &Value) -> String {
    shown(&View::of(status, None))
}

/// The body of a page that is there.
fn body(address: SocketAddr, path: &str, longest: u64) -> Result<String, Unhealthy> {
    let answer =
        fetch(address, path, longest).map_err(|error| Unhealthy::Unreachable(error.kind()))?;
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

/// Where a listener can be reached from its own machine.
pub fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn fetch(address: SocketAddr, path: &str, longest: u64) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: millpond\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(longest).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
