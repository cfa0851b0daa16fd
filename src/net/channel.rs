//! The client's side of a session: commands in, replies out.

use super::buffer::ReadBuffer;
use super::stream::{PacketNumbers, Stream};
use crate::wire::fault::Fault;
use crate::wire::frame::{HEADER, Header};
use bytes::{Buf, BytesMut};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A client's connection after its handshake.
#[derive(Debug)]
pub struct Channel {
    /// The socket, plain or TLS.
    pub stream: Stream,
    /// What was read and not yet looked at.
    pub input: ReadBuffer,
    /// What waits to be sent.
    pub output: BytesMut,
    /// How many bytes were sent; whoever counts them sets it back.
    pub sent: usize,
}

/// Why no command could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The client closed the connection between two commands.
    #[error("the client closed the connection")]
    Closed,
    /// The client's bytes are no MySQL protocol, or too many.
    #[error("the client broke the protocol: {0}")]
    Fault(#[from] Fault),
    /// The network failed, or the client went away in the middle of a command.
    #[error("the connection to the client failed: {0}")]
    Io(#[from] io::Error),
}

/// One command in the input buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framed {
    /// Its bytes, all headers included.
    pub length: usize,
    /// The number of frames: one but for commands of 16 MiB and more.
    pub frames: usize,
    /// The sequence number of the last frame: the reply goes on from there.
    pub sequence: u8,
}

impl Channel {
    /// Takes over a connection; `leftover` is what the client sent behind its handshake.
    pub fn new(stream: Stream, leftover: &[u8]) -> Self {
        Self { stream, input: ReadBuffer::with(leftover), output: BytesMut::new(), sent: 0 }
    }

    /// Waits until the client says something, without a buffer to say it into. What it says is in
    /// the input then.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When the network fails.
    pub async fn idle(&mut self) -> io::Result<()> {
        if !self.input.is_empty() {
            return Ok(());
        }
        let Self { stream, input, .. } = self;
        match stream {
            // At its end, the next read says so again.
            Stream::Plain(_) => {
                std::future::poll_fn(|context| input.poll_fill(stream, context)).await.map(drop)
            }
            // A TLS record may be half read inside rustls: only a read tells.
            _ => {
                let mut head = [0; HEADER];
                let n = stream.read(&mut head).await?;
                *input = ReadBuffer::with(&head[..n]);
                if n == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
            }
        }
    }

    /// Reads until one whole command is in the input buffer.
    ///
    /// Cancel safe: what was read stays in the buffer.
    ///
    /// # Errors
    ///
    /// When the client leaves, sends more than `limit` bytes as one command, or numbers its frames
    /// wrongly.
    pub async fn read_command(&mut self, limit: usize) -> Result<Framed, ReadError> {
        loop {
            let numbers = self.stream.packet_numbers();
            match framed(self.input.filled_mut(), limit, numbers)? {
                Ok(framed) => return Ok(framed),
                Err(missing) => self.input.reserve(missing.min(limit + HEADER)),
            }
            let n = self.stream.read(self.input.spare()).await?;
            if n == 0 {
                return Err(if self.input.is_empty() {
                    ReadError::Closed
                } else {
                    ReadError::Io(io::ErrorKind::UnexpectedEof.into())
                });
            }
            self.input.advance(n);
        }
    }

    /// Appends a command's payload to `payload`, out of the input, the headers of its frames removed.
    pub fn take_command(&mut self, framed: Framed, payload: &mut Vec<u8>) {
        let bytes = &self.input.filled()[..framed.length];
        payload.reserve(framed.length - HEADER * framed.frames);
        let mut at = 0;
        while let Some(header) = Header::parse(&bytes[at..]) {
            at += HEADER;
            payload.extend_from_slice(&bytes[at..at + header.length]);
            at += header.length;
        }
        self.input.consume(framed.length);
        // Many may wait for a connection at a time, each with a command, but none with a buffer.
        self.input.rest();
    }

    /// Whether another whole or partial command has been read already.
    pub fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Sends what waits in the output.
    ///
    /// Not cancel safe for the reply, which may be half sent; nothing is sent twice.
    ///
    /// # Errors
    ///
    /// When the network fails.
    pub async fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            let n = self.stream.write(&self.output).await?;
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.output.advance(n);
            self.sent += n;
        }
        if self.stream.has_layers() {
            self.stream.flush().await?;
        }
        Ok(())
    }

    /// Sends some of `bytes`, past an empty output; gives how many.
    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        if n == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.sent += n;
        Poll::Ready(Ok(n))
    }

    /// Sends as much of the output as the socket takes now.
    pub(crate) fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let n = ready!(Pin::new(&mut self.stream).poll_write(context, &self.output))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.advance(n);
            self.sent += n;
        }
        if self.stream.has_layers() {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        }
        Poll::Ready(Ok(()))
    }

    /// From now on both sides compress, where that was agreed.
    pub fn begin_compression(&mut self) {
        if let Stream::Compressed(stream) = &mut self.stream {
            stream.begin(self.input.filled());
            self.input = ReadBuffer::default();
        }
    }

    /// Gives back the memory of empty buffers, before the client is idle.
    pub fn rest(&mut self) {
        self.input.rest();
        if self.output.is_empty() {
            self.output = BytesMut::new();
        }
    }

    /// Waits until the client closes its connection; never returns while it only sends. What it
    /// sends meanwhile, up to `limit` bytes, waits in the input.
    ///
    /// Cancel safe.
    pub async fn closed(&mut self, limit: usize) {
        std::future::poll_fn(|context| self.poll_closed(limit, context)).await;
    }

    /// The same, for who waits for something else besides.
    pub(crate) fn poll_closed(&mut self, limit: usize, context: &mut Context<'_>) -> Poll<()> {
        while self.input.filled().len() < limit {
            let Self { stream, input, .. } = &mut *self;
            match ready!(input.poll_fill(stream, context)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        Poll::Pending
    }
}

/// Finds a whole command at the front of `bytes`, or says how many bytes it takes at least. Numbers
/// that do not count are put right.
fn framed(
    bytes: &mut [u8],
    limit: usize,
    numbers: PacketNumbers,
) -> Result<Result<Framed, usize>, Fault> {
    let mut at = 0;
    let mut frames: usize = 0;
    let mut payload = 0;
    loop {
        let Some(header) = bytes.get(at..).and_then(Header::parse) else {
            return Ok(Err(at + HEADER));
        };
        let expected = frames as u8;
        match numbers {
            PacketNumbers::Free => bytes[at + HEADER - 1] = expected,
            PacketNumbers::Counted if header.sequence != expected => {
                return Err(Fault::OutOfOrder { expected, got: header.sequence });
            }
            PacketNumbers::Counted => {}
        }
        payload += header.length;
        if payload > limit {
            return Err(Fault::TooLarge { limit });
        }
        at += HEADER + header.length;
        frames += 1;
        if bytes.len() < at {
            return Ok(Err(at));
        }
        if !header.is_continued() {
            return Ok(Ok(Framed { length: at, frames, sequence: expected }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PacketNumbers::{Counted, Free};
    use super::*;
    use crate::wire::frame::{MAX_PAYLOAD, put_packet};

    fn packet(payload: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        put_packet(&mut out, &mut 0, payload);
        out
    }

    #[test]
    fn a_command_is_found_when_its_last_byte_is_there() {
        let mut bytes = packet(b"\x03SELECT 1");
        for cut in 0..bytes.len() {
            assert!(
                matches!(framed(&mut bytes[..cut], 100, Counted), Ok(Err(missing)) if missing > cut)
            );
        }
        let whole = Framed { length: bytes.len(), frames: 1, sequence: 0 };
        assert_eq!(framed(&mut bytes, 100, Counted), Ok(Ok(whole)));
    }

    #[test]
    fn a_command_over_16_mib_takes_several_frames() {
        let mut bytes = packet(&vec![3; MAX_PAYLOAD + 5]);
        let whole = Framed { length: MAX_PAYLOAD + 5 + 8, frames: 2, sequence: 1 };
        assert_eq!(framed(&mut bytes, MAX_PAYLOAD * 2, Counted), Ok(Ok(whole)));
    }

    #[test]
    fn too_large_and_out_of_order_are_refused_from_the_header() {
        assert_eq!(framed(&mut [101, 0, 0, 0], 100, Counted), Err(Fault::TooLarge { limit: 100 }));
        let expected = Fault::OutOfOrder { expected: 0, got: 7 };
        assert_eq!(framed(&mut [1, 0, 0, 7], 100, Counted), Err(expected));
    }

    #[test]
    fn numbers_that_do_not_count_are_put_right() {
        let mut bytes = [1, 0, 0, 7, 14];
        let whole = Framed { length: 5, frames: 1, sequence: 0 };
        assert_eq!(framed(&mut bytes, 100, Free), Ok(Ok(whole)));
        assert_eq!(bytes, [1, 0, 0, 0, 14]);
    }
}
