//! Whole packets, for handshakes: not on any data path.

use super::channel::ReadError;
use super::stream::Stream;
use crate::wire::fault::Fault;
use crate::wire::frame::{HEADER, Header, put_packet};
use bytes::{Buf, BytesMut};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The largest packet of a handshake: far above what any plugin sends.
pub const MAX_HANDSHAKE_PACKET: usize = 64 * 1024;

/// Reads and writes whole packets, and keeps count of their numbers.
#[derive(Debug)]
pub struct PacketStream {
    /// The socket.
    pub stream: Stream,
    /// What was read beyond the last packet.
    pub buffer: BytesMut,
    /// The number of the next packet, in either direction.
    pub sequence: u8,
}

impl PacketStream {
    /// Starts an exchange.
    pub fn new(stream: Stream) -> Self {
        Self { stream, buffer: BytesMut::new(), sequence: 0 }
    }

    /// Reads a packet.
    ///
    /// Cancel safe: what was read stays.
    ///
    /// # Errors
    ///
    /// When the other side leaves, or the packet is out of order or too large.
    pub async fn read(&mut self) -> Result<BytesMut, ReadError> {
        loop {
            if let Some(header) = Header::parse(&self.buffer) {
                if header.length > MAX_HANDSHAKE_PACKET {
                    return Err(Fault::TooLarge { limit: MAX_HANDSHAKE_PACKET }.into());
                }
                if header.sequence != self.sequence {
                    let (expected, got) = (self.sequence, header.sequence);
                    return Err(Fault::OutOfOrder { expected, got }.into());
                }
                if self.buffer.len() >= HEADER + header.length {
                    self.buffer.advance(HEADER);
                    self.sequence = self.sequence.wrapping_add(1);
                    return Ok(self.buffer.split_to(header.length));
                }
            }
            self.buffer.reserve(1024);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ReadError::Closed);
            }
        }
    }

    /// Reads a packet and not a byte beyond it: what follows may belong to TLS.
    ///
    /// Not cancel safe.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub async fn read_exactly(&mut self) -> Result<BytesMut, ReadError> {
        let mut header = [0; HEADER];
        self.stream.read_exact(&mut header).await?;
        let Some(header) = Header::parse(&header) else { return Err(Fault::Truncated.into()) };
        if header.length > MAX_HANDSHAKE_PACKET {
            return Err(Fault::TooLarge { limit: MAX_HANDSHAKE_PACKET }.into());
        }
        if header.sequence != self.sequence {
            let (expected, got) = (self.sequence, header.sequence);
            return Err(Fault::OutOfOrder { expected, got }.into());
        }
        self.sequence = self.sequence.wrapping_add(1);
        let mut payload = BytesMut::zeroed(header.length);
        self.stream.read_exact(&mut payload).await?;
        Ok(payload)
    }

    /// Writes a packet.
    ///
    /// Not cancel safe.
    ///
    /// # Errors
    ///
    /// When the network fails.
    pub async fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut out = BytesMut::with_capacity(payload.len() + HEADER);
        put_packet(&mut out, &mut self.sequence, payload);
        self.stream.write_all(&out).await?;
        self.stream.flush().await
    }
}
