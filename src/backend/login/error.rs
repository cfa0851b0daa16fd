//! Why a login did not succeed.

use std::io;

use crate::backend::dialogue::ServerError;
use crate::net::packet::PacketError;
use crate::net::tls;
use crate::wire::fault::Fault;

/// Why a login failed. None of the texts holds anything of the password.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The server closed the connection: it stops, or something in front of it has no server.
    #[error("the server closed the connection during the login")]
    Closed,
    /// The network failed.
    #[error("the server cannot be reached: {0}")]
    Io(#[from] io::Error),
    /// The server offers no TLS, and the configuration wants it.
    #[error("the server offers no TLS, which the configuration wants")]
    NoTls,
    /// What to log in with could not be had; the log tells why.
    #[error("there is nothing to log in with")]
    NoProof,
    /// There is no user to log in as.
    #[error("no login is known for the user")]
    NoUser,
    /// The server's bytes are no MySQL protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(#[from] Fault),
    /// The server said no.
    #[error(transparent)]
    Refused(ServerError),
    /// TLS could not be agreed upon, or the server is not trusted.
    #[error("no TLS with the server: {0}")]
    Tls(#[source] io::Error),
    /// The server is older than session tracking.
    #[error("the server is too old: it has no session tracking (MySQL 5.7 or MariaDB 10.2)")]
    TooOld,
    /// The server wants the password in clear over a plain connection.
    #[error("the server wants the password in clear, which is only sent under TLS")]
    Unsafe,
    /// The server wants a plugin that Millpond does not know.
    #[error("the server wants the authentication plugin \"{0}\", which is not supported")]
    UnknownPlugin(String),
}

impl LoginError {
    /// Whether the server refused the password or the user: with another password it may succeed.
    pub fn is_access_denied(&self) -> bool {
        matches!(self, Self::Refused(error) if matches!(error.code, 1044 | 1045 | 1698 | 3118 | 4151))
    }

    /// What the server says of the account itself, to whoever logs in to it by the right password: it
    /// is locked, blocked by failed logins, or its password has expired. That is for the client to
    /// hear.
    pub fn of_account(&self) -> Option<&ServerError> {
        /// `ER_MUST_CHANGE_PASSWORD_LOGIN`, `ER_ACCOUNT_HAS_BEEN_LOCKED` of MySQL,
        /// `ER_USER_ACCESS_DENIED_FOR_USER_ACCOUNT_BLOCKED_BY_PASSWORD_LOCK`, and
        /// `ER_ACCOUNT_HAS_BEEN_LOCKED` of MariaDB.
        const OF_ACCOUNTS: [u16; 4] = [1862, 3118, 3955, 4151];
        match self {
            Self::Refused(error) if OF_ACCOUNTS.contains(&error.code) => Some(error),
            _ => None,
        }
    }

    /// Whether the server could not be reached, or has no room at this moment: the same login may
    /// succeed in a moment.
    pub fn is_network(&self) -> bool {
        match self {
            Self::Closed | Self::Io(_) => true,
            Self::Refused(error) => matches!(error.code, 1040 | 1053 | 1129 | 1203 | 1226),
            _ => false,
        }
    }

    /// A handshake that failed: TLS's own refusal, or the network's fault.
    pub(super) fn from_tls(error: io::Error) -> Self {
        if tls::is_refusal(&error) { Self::Tls(error) } else { Self::Io(error) }
    }
}

impl From<PacketError> for LoginError {
    fn from(error: PacketError) -> Self {
        match error {
            PacketError::Closed => Self::Closed,
            PacketError::Fault(fault) => Self::Protocol(fault),
            PacketError::Io(error) => Self::Io(error),
        }
    }
}
