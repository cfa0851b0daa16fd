//! Bytes to and from a server, and how a connection to it ends.

use super::buffer::ReadBuffer;
use crate::wire::fault::Fault;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A connection to a server that does not work any more.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The server's bytes are no MySQL protocol.
    #[error("the server broke the protocol: {0}")]
    Fault(#[from] Fault),
    /// The network failed.
    #[error("the connection to the server failed: {0}")]
    Io(#[from] io::Error),
}

/// Reads once into the buffer's spare room.
///
/// Cancel safe: a read that did not happen loses nothing.
///
/// # Errors
///
/// [`LinkError::Closed`] at the end of the stream.
pub async fn fill<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut ReadBuffer,
) -> Result<(), LinkError> {
    let n = stream.read(input.spare()).await?;
    if n == 0 {
        return Err(LinkError::Closed);
    }
    input.advance(n);
    Ok(())
}

/// Sends `output` whole.
///
/// Not cancel safe: a part may have been sent.
///
/// # Errors
///
/// When the network fails.
pub async fn send<S: AsyncWrite + Unpin>(stream: &mut S, output: &[u8]) -> Result<(), LinkError> {
    stream.write_all(output).await?;
    Ok(stream.flush().await?)
}
