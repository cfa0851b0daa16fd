//! Whole packets, one after the other: for handshakes and for connections that Millpond itself
//! talks on. The data path does not go through here.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::wire::fault::Fault;
use crate::wire::frame::{HEADER, Header, put_packet, put_packet_with};

/// What is read at once at least: handshakes and small answers fit.
const READ: usize = 1024;

/// Why a packet could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PacketError {
    /// The other side closed the connection.
    #[error("the connection was closed")]
    Closed,
    /// The other side's bytes are no packet.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The network failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A stream of packets with continuous sequence numbers in both directions.
#[derive(Debug)]
pub struct PacketStream<S> {
    stream: S,
    input: BytesMut,
    output: BytesMut,
    /// The number of the next packet, whoever sends it.
    sequence: u8,
}

/// What a [`PacketStream`] was made of.
#[derive(Debug)]
pub struct Parts<S> {
    /// The stream.
    pub stream: S,
    /// Read and not yet looked at.
    pub input: BytesMut,
    /// Put and not yet sent.
    pub output: BytesMut,
    /// The number of the next packet.
    pub sequence: u8,
}

impl<S> PacketStream<S> {
    /// Starts with the number 0.
    pub fn new(stream: S) -> Self {
        Self { stream, input: BytesMut::new(), output: BytesMut::new(), sequence: 0 }
    }

    /// Goes on where another left.
    pub fn from_parts(parts: Parts<S>) -> Self {
        let Parts { stream, input, output, sequence } = parts;
        Self { stream, input, output, sequence }
    }

    /// Takes it apart.
    pub fn into_parts(self) -> Parts<S> {
        let Self { stream, input, output, sequence } = self;
        Parts { stream, input, output, sequence }
    }

    /// The stream below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The number of the next packet.
    pub fn sequence(&self) -> u8 {
        self.sequence
    }

    /// A new exchange begins: numbers start from 0 again.
    pub fn restart(&mut self) {
        self.sequence = 0;
    }

    /// Appends a packet to what will be sent.
    pub fn put(&mut self, payload: &[u8]) {
        put_packet(&mut self.output, &mut self.sequence, payload);
    }

    /// Appends a packet of less than 16 MiB whose payload `write` appends.
    pub fn put_with(&mut self, write: impl FnOnce(&mut BytesMut)) {
        put_packet_with(&mut self.output, &mut self.sequence, write);
    }
}

impl<S: AsyncRead + Unpin> PacketStream<S> {
    /// Reads one packet with a payload of at most `limit` bytes.
    ///
    /// Cancel safe: what was read is kept.
    ///
    /// # Errors
    ///
    /// When the other side leaves, breaks the order, or sends more than `limit`.
    pub async fn read(&mut self, limit: usize) -> Result<BytesMut, PacketError> {
        loop {
            match self.framed(limit)? {
                Framed::Whole => return Ok(self.take_packet()),
                Framed::Needs(length) => {
                    let missing = length - self.input.len();
                    self.input.reserve(missing.max(READ));
                }
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(PacketError::Closed);
            }
        }
    }

    /// Looks whether a packet is whole in the input.
    fn framed(&self, limit: usize) -> Result<Framed, Fault> {
        let mut at = 0;
        let mut payload = 0;
        let mut expected = self.sequence;
        loop {
            let Some(header) = self.input.get(at..).and_then(Header::parse) else {
                return Ok(Framed::Needs(at + HEADER));
            };
            if header.sequence != expected {
                return Err(Fault::OutOfOrder { expected, got: header.sequence });
            }
            payload += header.length;
            if payload > limit {
                return Err(Fault::TooLarge { limit });
            }
            at += HEADER + header.length;
            expected = expected.wrapping_add(1);
            if self.input.len() < at {
                return Ok(Framed::Needs(at));
            }
            if !header.is_continued() {
                return Ok(Framed::Whole);
            }
        }
    }

    /// Takes the packet that [`Self::framed`] has found.
    fn take_packet(&mut self) -> BytesMut {
        let mut payload = BytesMut::new();
        while let Some(header) = Header::parse(&self.input) {
            self.input.advance(HEADER);
            let part = self.input.split_to(header.length);
            self.sequence = header.sequence.wrapping_add(1);
            match payload.is_empty() {
                true => payload = part,
                false => payload.extend_from_slice(&part),
            }
            if !header.is_continued() {
                break;
            }
        }
        payload
    }
}

impl<S: AsyncWrite + Unpin> PacketStream<S> {
    /// Sends what was put.
    ///
    /// Cancel safe in the sense that nothing is sent twice: what was sent is taken off.
    ///
    /// # Errors
    ///
    /// When the network fails.
    pub async fn flush(&mut self) -> Result<(), PacketError> {
        self.stream.write_all_buf(&mut self.output).await?;
        Ok(self.stream.flush().await?)
    }
}

enum Framed {
    /// At least so many bytes are needed in the input.
    Needs(usize),
    Whole,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::MAX_PAYLOAD;

    #[tokio::test]
    async fn packets_go_both_ways_with_continuous_numbers() {
        let (near, far) = tokio::io::duplex(7);
        let (mut near, mut far) = (PacketStream::new(near), PacketStream::new(far));
        near.put(b"first of two");
        near.put_with(|out| out.extend_from_slice(b"second"));
        let (sent, ()) = tokio::join!(near.flush(), async {
            assert_eq!(far.read(100).await.unwrap(), b"first of two"[..]);
            assert_eq!(far.read(100).await.unwrap(), b"second"[..]);
        });
        sent.unwrap();
        far.put(b"");
        far.flush().await.unwrap();
        assert_eq!(near.read(100).await.unwrap(), b""[..]);
        assert_eq!((near.sequence(), far.sequence()), (3, 3));
        drop(far);
        assert!(matches!(near.read(100).await, Err(PacketError::Closed)));
    }

    #[tokio::test]
    async fn a_read_that_is_given_up_loses_nothing() {
        let (near, mut far) = tokio::io::duplex(100);
        let mut near = PacketStream::new(near);
        for byte in [3, 0, 0, 0, b'a', b'b'] {
            far.write_all(&[byte]).await.unwrap();
            let read = tokio::time::timeout(std::time::Duration::ZERO, near.read(9)).await;
            assert!(read.is_err());
        }
        far.write_all(b"c").await.unwrap();
        assert_eq!(near.read(9).await.unwrap(), b"abc"[..]);
    }

    #[tokio::test]
    async fn excess_and_disorder_are_refused_from_the_header() {
        let with = |input: &[u8]| {
            let (stream, far) = tokio::io::duplex(1);
            let input = input.into();
            let parts = Parts { stream, input, output: BytesMut::new(), sequence: 0 };
            (PacketStream::from_parts(parts), far)
        };
        let (mut stream, _far) = with(&[11, 0, 0, 0]);
        let read = stream.read(10).await;
        assert!(matches!(read, Err(PacketError::Fault(Fault::TooLarge { limit: 10 }))));
        let (mut stream, _far) = with(&[1, 0, 0, 3]);
        let read = stream.read(10).await;
        let expected = Fault::OutOfOrder { expected: 0, got: 3 };
        assert!(matches!(read, Err(PacketError::Fault(fault)) if fault == expected));
    }

    #[tokio::test]
    async fn a_packet_of_several_frames_is_put_together() {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (mut near, mut far) = (PacketStream::new(near), PacketStream::new(far));
        let payload = vec![7; MAX_PAYLOAD + 3];
        near.put(&payload);
        let (sent, got) = tokio::join!(near.flush(), far.read(MAX_PAYLOAD + 3));
        sent.unwrap();
        assert_eq!(got.unwrap(), payload[..]);
        assert_eq!(far.sequence(), 2);
    }
}
