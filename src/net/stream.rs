//! A socket, plain or encrypted, and perhaps compressed.

use super::compressed::{Algorithm, Compressed};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

/// A connection to a client or to a server. Those in TLS are boxed, so that the many plain ones
/// take no room for what they don't have.
#[derive(Debug)]
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted, Millpond being the TLS client.
    TlsClient(Box<client::TlsStream<TcpStream>>),
    /// Encrypted, Millpond being the TLS server.
    TlsServer(Box<server::TlsStream<TcpStream>>),
    /// Any of these, compressed.
    Compressed(Box<Compressed>),
}

/// Whether a connection is encrypted, as metrics tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Transport {
    /// It is not.
    Plain,
    /// It is.
    Tls,
}

impl Transport {
    /// Both, in alphabetical order.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Tls];

    /// The label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "tls",
        }
    }
}

/// What the sequence numbers are worth that the other side gives its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketNumbers {
    /// They must be right.
    Counted,
    /// Nobody looks at them: where the connection is compressed, its pieces are numbered, and both
    /// servers take packets of any number (measured).
    Free,
}

impl Stream {
    /// The socket below.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::TlsClient(tls) => tls.get_ref().0,
            Self::TlsServer(tls) => tls.get_ref().0,
            Self::Compressed(compressed) => compressed.below().tcp(),
        }
    }

    /// Whether what is written cannot be read on the way.
    pub fn is_tls(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::TlsClient(_) | Self::TlsServer(_) => true,
            Self::Compressed(compressed) => compressed.below().is_tls(),
        }
    }

    /// Whether what is written may wait to be flushed.
    pub fn has_layers(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    /// What the numbers of the other side's packets are worth.
    pub fn packet_numbers(&self) -> PacketNumbers {
        match self {
            Self::Compressed(_) => PacketNumbers::Free,
            _ => PacketNumbers::Counted,
        }
    }

    /// How it is compressed.
    pub fn compression(&self) -> Option<Algorithm> {
        match self {
            Self::Compressed(compressed) => Some(compressed.algorithm()),
            _ => None,
        }
    }

    /// The TLS session with a client: its protocol version and its cipher, as OpenSSL names them.
    pub fn tls_session(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::TlsServer(tls) => {
                let session = tls.get_ref().1;
                let version = super::tls::version_name(session.protocol_version()?)?;
                Some((
                    version,
                    super::tls::cipher_name(session.negotiated_cipher_suite()?.suite())?,
                ))
            }
            Self::Compressed(compressed) => compressed.below().tls_session(),
            Self::Plain(_) | Self::TlsClient(_) => None,
        }
    }

    /// The certificate that a client has shown, in DER. It comes from a trusted authority.
    pub fn client_certificate(&self) -> Option<&[u8]> {
        match self {
            Self::TlsServer(tls) => tls.get_ref().1.peer_certificates()?.first().map(|one| &**one),
            Self::Compressed(compressed) => compressed.below().client_certificate(),
            Self::Plain(_) | Self::TlsClient(_) => None,
        }
    }

    /// The same for metrics.
    pub fn transport(&self) -> Transport {
        if self.is_tls() { Transport::Tls } else { Transport::Plain }
    }

    /// The other side's address.
    ///
    /// # Errors
    ///
    /// When the connection is gone already.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp().peer_addr()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Self::TlsClient(tls) => Pin::new(tls).poll_read(context, buffer),
            Self::TlsServer(tls) => Pin::new(tls).poll_read(context, buffer),
            Self::Compressed(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Self::TlsClient(tls) => Pin::new(tls).poll_write(context, bytes),
            Self::TlsServer(tls) => Pin::new(tls).poll_write(context, bytes),
            Self::Compressed(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(context, parts),
            Self::TlsClient(tls) => Pin::new(tls).poll_write_vectored(context, parts),
            Self::TlsServer(tls) => Pin::new(tls).poll_write_vectored(context, parts),
            Self::Compressed(stream) => {
                // Its pieces are put together from one.
                let first = parts.iter().find(|part| !part.is_empty());
                Pin::new(stream).poll_write(context, first.map_or(&[], |part| &**part))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::TlsClient(tls) => tls.is_write_vectored(),
            Self::TlsServer(tls) => tls.is_write_vectored(),
            Self::Compressed(_) => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(context),
            Self::TlsClient(tls) => Pin::new(tls).poll_flush(context),
            Self::TlsServer(tls) => Pin::new(tls).poll_flush(context),
            Self::Compressed(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(context),
            Self::TlsClient(tls) => Pin::new(tls).poll_shutdown(context),
            Self::TlsServer(tls) => Pin::new(tls).poll_shutdown(context),
            Self::Compressed(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
