//! What is known of a service's servers at one moment.

pub use crate::backend::server::ServerId;

use super::orders::Orders;
use super::recovery::Share;
use crate::config::Endpoint;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a server says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// It takes writes.
    Writer,
    /// It only reads.
    Reader,
    /// It has not been asked yet, or its answers do not decide it.
    Unknown,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Writer, Self::Reader, Self::Unknown];

    /// The name in events and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Reader => "reader",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// It answered its last probe.
    Up,
    /// Something speaks against it; it is being asked.
    Suspect,
    /// It does not answer.
    Down,
}

impl Health {
    /// The name in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
        }
    }
}

/// One server at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerState {
    /// Which one.
    pub id: ServerId,
    /// How it is reached, and the zone that it is in.
    pub endpoint: Arc<Endpoint>,
    /// The one address of the endpoint's host that it is, where that is known.
    pub address: Option<SocketAddr>,
    /// What it says that it is.
    pub role: Role,
    /// Whether it answers.
    pub health: Health,
    /// How far it is behind the writer, where it says so.
    pub lag: Option<Duration>,
    /// How much of the readers' work it gets.
    pub share: Share,
}

/// Whether there is a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// This one, and no other.
    Confirmed(ServerId),
    /// None is known or the known one is in doubt: statements wait.
    Awaited,
}

/// All servers of a service at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Raised whenever another writer is confirmed. Connections to the writer of a former epoch
    /// must not be used again.
    pub epoch: u64,
    /// The writer.
    pub writer: Writer,
    /// What operators have ordered.
    pub orders: Orders,
    /// There is one server, and never another: it is the writer, whatever it says.
    pub settled: bool,
    /// All servers, in the order of the configuration where they come from there.
    pub servers: Vec<ServerState>,
}

impl ServerState {
    /// The name in logs, events and metrics; of those at the addresses of one name each has its own.
    pub fn name(&self) -> String {
        match self.address {
            Some(address) => format!("{}={}", self.endpoint, address.ip()),
            None => self.endpoint.to_string(),
        }
    }
}

impl Snapshot {
    /// A server by its id.
    pub fn server(&self, id: ServerId) -> Option<&ServerState> {
        self.servers.iter().find(|server| server.id == id)
    }

    /// The confirmed writer.
    pub fn writer(&self) -> Option<&ServerState> {
        match self.writer {
            Writer::Confirmed(id) => self.server(id),
            Writer::Awaited => None,
        }
    }
}
