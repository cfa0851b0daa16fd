//! Pages of a port on this machine.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// More than any answer here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fetches a page: the body, whatever the status; `None` when nobody answers.
pub(crate) fn page(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    // The old protocol, so that nobody answers in chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// A value in an address.
pub(crate) fn escaped(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Gives an order by POST: the status and the body.
pub(crate) fn order(port: u16, order: &str, headers: &[&str]) -> (u16, String) {
    ask(port, "POST", order, headers)
}

/// Asks for something: the status and the body.
pub(crate) fn ask(port: u16, method: &str, path: &str, headers: &[&str]) -> (u16, String) {
    let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
    ask_with(method, port, path, &headers, "")
}

/// Asks with a body: the status and the answer's body.
pub(crate) fn ask_with(
    method: &str,
    port: u16,
    path: &str,
    headers: &[String],
    body: &str,
) -> (u16, String) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the port");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .expect("to ask");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("HTTP");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}
