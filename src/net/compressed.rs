//! The compressed protocol towards clients that ask for it: a stream below the packets, in pieces
//! of its own.
//!
//! ```text
//! 3 bytes: length of what follows │ 1 byte: number │ 3 bytes: length when unpacked, 0 = as it is
//! ```
//!
//! The pieces have numbers of their own: each answer goes on from the number of the piece that the
//! client sent last. One piece may hold many packets, and one packet may take many pieces.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_compression.html>

use super::stream::Stream;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes in front of each piece.
const HEADER: usize = 7;
/// What is packed at a time: more gains little, and is kept for each slow client.
const PIECE: usize = 64 * 1024;
/// Both servers leave as it is what is shorter.
const SHORTEST: usize = 50;
/// What is read from the socket at a time.
const READ: usize = 16 * 1024;
/// Beyond this, zstd takes ever more time for hardly less.
const HIGHEST_LEVEL: i32 = 6;

/// How a connection is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `zlib`
    Zlib,
    /// `zstd`, at the level that the client wishes: 1 to 22.
    Zstd(u8),
}

impl Algorithm {
    /// As the servers' status variable `Compression_algorithm` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::Zstd(_) => "zstd",
        }
    }

    /// As the servers' status variable `Compression_level` has it.
    pub fn level(self) -> u8 {
        match self {
            // zlib's own default, which servers use.
            Self::Zlib => 6,
            Self::Zstd(level) => level,
        }
    }

    /// Packs a piece; `None` where that does not make it smaller.
    fn pack(self, plain: &[u8]) -> io::Result<Option<Vec<u8>>> {
        if plain.len() < SHORTEST {
            return Ok(None);
        }
        let packed = match self {
            Self::Zlib => {
                let room = Vec::with_capacity(plain.len() / 2);
                let mut encoder = ZlibEncoder::new(room, flate2::Compression::fast());
                encoder.write_all(plain)?;
                encoder.finish()?
            }
            Self::Zstd(level) => {
                zstd::bulk::compress(plain, i32::from(level).clamp(1, HIGHEST_LEVEL))?
            }
        };
        Ok((packed.len() < plain.len()).then_some(packed))
    }

    /// Unpacks a piece, which has to have just this length.
    fn unpack(self, packed: &[u8], length: usize) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        // One byte more tells a piece that is longer than it says.
        let limit = length as u64 + 1;
        match self {
            Self::Zlib => ZlibDecoder::new(packed).take(limit).read_to_end(&mut plain)?,
            Self::Zstd(_) => {
                zstd::stream::read::Decoder::new(packed)?.take(limit).read_to_end(&mut plain)?
            }
        };
        if plain.len() == length { Ok(plain) } else { Err(malformed("of another length")) }
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a compressed piece is {what}"))
}

/// A connection whose bytes are compressed in both directions.
#[derive(Debug)]
pub struct Compressed {
    stream: Stream,
    algorithm: Algorithm,
    begun: bool,
    /// The number of the next piece, whoever sends it.
    number: u8,
    /// Read and not yet unpacked: at most one piece and what came with it.
    packed: BytesMut,
    /// Unpacked and not yet read by the layer above.
    plain: Bytes,
    /// Packed and not yet sent.
    output: BytesMut,
}

impl Compressed {
    /// A connection that will be compressed; as long as it has not begun, it is as it was.
    pub fn new(stream: Stream, algorithm: Algorithm) -> Self {
        Self {
            stream,
            algorithm,
            begun: false,
            number: 0,
            packed: BytesMut::new(),
            plain: Bytes::new(),
            output: BytesMut::new(),
        }
    }

    /// From now on it is compressed; `leftover` was read from it already.
    pub fn begin(&mut self, leftover: &[u8]) {
        self.begun = true;
        self.packed = leftover.into();
    }

    /// The connection below.
    pub fn below(&self) -> &Stream {
        &self.stream
    }

    /// How it is compressed.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Unpacks the piece at the front, if all of it is there.
    fn unpack_next(&mut self) -> io::Result<bool> {
        let [a, b, c, number, x, y, z, ..] = self.packed[..] else { return Ok(false) };
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        let unpacked = u32::from_le_bytes([x, y, z, 0]) as usize;
        if self.packed.len() < HEADER + length {
            return Ok(false);
        }
        self.packed.advance(HEADER);
        let piece = self.packed.split_to(length).freeze();
        self.number = number.wrapping_add(1);
        self.plain = match unpacked {
            0 => piece,
            _ => self.algorithm.unpack(&piece, unpacked)?.into(),
        };
        if self.packed.is_empty() {
            // An idle client keeps no buffer.
            self.packed = BytesMut::new();
        }
        Ok(true)
    }

    /// Sends what is packed.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let n = ready!(Pin::new(&mut self.stream).poll_write(context, &self.output))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.advance(n);
        }
        self.output = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Compressed {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.begun {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        loop {
            if !this.plain.is_empty() {
                let n = this.plain.len().min(buffer.remaining());
                buffer.put_slice(&this.plain.split_to(n));
                if this.plain.is_empty() {
                    this.plain = Bytes::new();
                }
                return Poll::Ready(Ok(()));
            }
            if this.unpack_next()? {
                continue;
            }
            let mut room = [0; READ];
            let mut read = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(match this.packed.is_empty() {
                    true => Ok(()),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                });
            }
            this.packed.extend_from_slice(read.filled());
        }
    }
}

impl AsyncWrite for Compressed {
    /// Takes a piece when all before it are sent.
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.begun {
            return Pin::new(&mut this.stream).poll_write(context, bytes);
        }
        ready!(this.poll_drain(context))?;
        let plain = &bytes[..bytes.len().min(PIECE)];
        let packed = this.algorithm.pack(plain)?;
        let (piece, unpacked) = match &packed {
            Some(packed) => (&packed[..], plain.len()),
            None => (plain, 0),
        };
        this.output.reserve(HEADER + piece.len());
        this.output.put_uint_le(piece.len() as u64, 3);
        this.output.put_u8(this.number);
        this.output.put_uint_le(unpacked as u64, 3);
        this.output.put_slice(piece);
        this.number = this.number.wrapping_add(1);
        // It is taken, whether it is sent now or with the next one.
        if let Poll::Ready(Err(error)) = this.poll_drain(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(plain.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(context))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
