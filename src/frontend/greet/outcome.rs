//! How a handshake ends: with a client that has proven who it is, or with the reason why not.

use crate::frontend::guests::Guest;
use crate::frontend::told::Told;
use crate::frontend::users::User;
use crate::net::compressed::Algorithm;
use crate::net::packet::PacketError;
use crate::net::stream::Stream;
use crate::wire::auth::NONCE;
use crate::wire::capability::Capabilities;
use crate::wire::fault::Fault;
use bytes::BytesMut;
use std::io;

/// A client that has proven who it is.
#[derive(Debug)]
pub struct Greeted {
    /// The socket.
    pub stream: Stream,
    /// What was read beyond the handshake.
    pub input: BytesMut,
    /// What is to be sent in front of the OK or the error that ends the handshake.
    pub output: BytesMut,
    /// The number of that last packet.
    pub sequence: u8,
    /// The user.
    pub user: User,
    /// Its place among those that only the server knows, if it is one of them.
    pub guest: Option<Guest>,
    /// The database that the client wants to begin in.
    pub database: Option<Vec<u8>>,
    /// What was negotiated.
    pub capabilities: Capabilities,
    /// The client's collation.
    pub collation: u16,
    /// What the client says of itself: length-encoded names and values in turn.
    pub attributes: Vec<u8>,
    /// The nonce of the greeting.
    pub nonce: [u8; NONCE],
    /// The text of the OK: under TLS and with a MariaDB behind, it vouches for the certificate.
    pub server_proof: Vec<u8>,
    /// How the connection is compressed behind the handshake.
    pub compression: Option<Algorithm>,
}

/// Why a handshake did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum GreetError {
    /// The client has not proven who it is, or may not come this way.
    #[error("access denied")]
    Denied(Told),
    /// Only a server could tell who the client is, and none answers.
    #[error("no server answers who the client is")]
    Unavailable(Told),
    /// Too many logins have failed.
    #[error("blocked")]
    Blocked(Told),
    /// The client's bytes are no handshake.
    #[error("the client broke the protocol in its handshake: {0}")]
    Fault(#[from] Fault),
    /// The client went away.
    #[error("the client went away in its handshake: {0}")]
    Io(#[from] io::Error),
    /// The client speaks the protocol of before 4.1.
    #[error("the client is older than MySQL 4.1")]
    Old(Told),
    /// The client asked for TLS and did not come to terms about it.
    #[error("no TLS with the client: {0}")]
    Tls(#[source] io::Error),
}

impl GreetError {
    /// What the client is to be told; `None` when it cannot hear any more.
    pub fn told(&self) -> Option<Told> {
        match self {
            Self::Denied(told)
            | Self::Blocked(told)
            | Self::Old(told)
            | Self::Unavailable(told) => Some(told.clone()),
            Self::Fault(Fault::OutOfOrder { .. }) => Some(Told::OUT_OF_ORDER),
            Self::Fault(_) => Some(Told::BAD_HANDSHAKE),
            Self::Io(_) | Self::Tls(_) => None,
        }
    }
}

impl From<PacketError> for GreetError {
    fn from(error: PacketError) -> Self {
        match error {
            PacketError::Closed => Self::Io(io::ErrorKind::UnexpectedEof.into()),
            PacketError::Fault(fault) => Self::Fault(fault),
            PacketError::Io(error) => Self::Io(error),
        }
    }
}
