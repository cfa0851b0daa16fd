//! Ports for servers that must be told theirs beforehand.

use std::net::{Ipv4Addr, TcpListener};

/// Below the range from which Linux takes the ports of outgoing connections, so that none of
/// thousands of test clients can take the port between this question and the server's start.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// A port that nobody listens on now.
pub(crate) fn free() -> u16 {
    std::iter::repeat_with(|| fastrand::u16(RANGE))
        .take(1000)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a free port")
}
