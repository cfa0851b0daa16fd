//! What the data path noticed, on its way to the supervisor.

use super::snapshot::ServerId;
use tokio::sync::mpsc;

/// What speaks against a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// A connection to it could not be opened.
    ConnectFailed,
    /// A connection to it broke.
    ConnectionLost,
    /// It refused a write because it only reads (1290, 1836, 1792).
    ReadOnly,
    /// It did not answer in time.
    Timeout,
}

impl Evidence {
    /// The name in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConnectFailed => "connect_failed",
            Self::ConnectionLost => "connection_lost",
            Self::ReadOnly => "read_only",
            Self::Timeout => "timeout",
        }
    }
}

/// A report of the data path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspicion {
    /// The server.
    pub server: ServerId,
    /// What was noticed.
    pub evidence: Evidence,
}

/// Where the data path reports what it notices. A full channel loses reports: it is full of
/// reasons to look already.
#[derive(Debug, Clone)]
pub struct Suspicions(mpsc::Sender<Suspicion>);

impl Suspicions {
    /// A channel of bounded length.
    pub fn channel() -> (Self, mpsc::Receiver<Suspicion>) {
        let (sender, receiver) = mpsc::channel(64);
        (Self(sender), receiver)
    }

    /// Reports. Never waits.
    pub fn report(&self, server: ServerId, evidence: Evidence) {
        // Lost only where a look is due anyway, or nobody looks any more.
        let _ = self.0.try_send(Suspicion { server, evidence });
    }
}
