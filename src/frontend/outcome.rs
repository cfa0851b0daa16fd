//! Why a client's connection ended.

use std::fmt;

/// Why a client is gone: the log's text and the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Left {
    /// Too many logins had failed.
    Blocked,
    /// Its login was refused.
    Denied,
    /// It closed the connection, or the network did, without a farewell.
    Disconnected,
    /// It broke the protocol.
    Fault,
    /// It did not finish its login in time.
    HandshakeTimeout,
    /// It was idle for too long.
    Idle,
    /// It was killed.
    Killed,
    /// The backend connection that held its state is gone.
    Lost,
    /// It came from where proxies are, and did not say whose connection it is.
    NoProxyHeader,
    /// It said `COM_QUIT`.
    Quit,
    /// Too many clients were connected already.
    Refused,
    /// It said `COMMIT RELEASE`, or the like.
    Released,
    /// Millpond stopped.
    Shutdown,
    /// It asked for TLS, and no terms were found.
    Tls,
    /// Too many came from its address.
    TooOften,
}

impl Left {
    /// All reasons, in alphabetical order.
    pub const ALL: [Self; 15] = [
        Self::Blocked,
        Self::Denied,
        Self::Disconnected,
        Self::Fault,
        Self::HandshakeTimeout,
        Self::Idle,
        Self::Killed,
        Self::Lost,
        Self::NoProxyHeader,
        Self::Quit,
        Self::Refused,
        Self::Released,
        Self::Shutdown,
        Self::Tls,
        Self::TooOften,
    ];

    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Denied => "denied",
            Self::Disconnected => "disconnected",
            Self::Fault => "protocol_fault",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Idle => "idle",
            Self::Killed => "killed",
            Self::Lost => "state_lost",
            Self::NoProxyHeader => "no_proxy_header",
            Self::Quit => "quit",
            Self::Refused => "refused",
            Self::Released => "released",
            Self::Shutdown => "shutdown",
            Self::Tls => "tls_failed",
            Self::TooOften => "too_often",
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
