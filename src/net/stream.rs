//! A socket, plain or under TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

/// A connection to a client or a server.
#[derive(Debug)]
pub enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// Under TLS, begun by the other side.
    TlsServer(Box<server::TlsStream<TcpStream>>),
    /// Under TLS, begun by Millpond.
    TlsClient(Box<client::TlsStream<TcpStream>>),
    /// Taken away for a while, by who speaks with the other side in whole packets.
    Closed,
}

impl Stream {
    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::TlsServer(_) | Self::TlsClient(_))
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
            Self::TlsServer(tls) => Pin::new(tls).poll_read(context, buffer),
            Self::TlsClient(tls) => Pin::new(tls).poll_read(context, buffer),
            Self::Closed => Poll::Ready(Ok(())),
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
            Self::TlsServer(tls) => Pin::new(tls).poll_write(context, bytes),
            Self::TlsClient(tls) => Pin::new(tls).poll_write(context, bytes),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(context),
            Self::TlsServer(tls) => Pin::new(tls).poll_flush(context),
            Self::TlsClient(tls) => Pin::new(tls).poll_flush(context),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(context),
            Self::TlsServer(tls) => Pin::new(tls).poll_shutdown(context),
            Self::TlsClient(tls) => Pin::new(tls).poll_shutdown(context),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }
}
