//! One client on one connection: sends a command, finds the end of its reply, looks at nothing else.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// How much is read at a time, and kept for each client while it waits for a reply.
const CHUNK: usize = 16 * 1024;

const COM_QUIT: u8 = 0x01;
const COM_QUERY: u8 = 0x03;
const COM_STMT_PREPARE: u8 = 0x16;
const COM_STMT_EXECUTE: u8 = 0x17;
const MORE_RESULTS: u16 = 0x0008;

/// Why a command or a login failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server's own words.
    #[error("{code}: {message}")]
    Server {
        /// The error's number.
        code: u16,
        /// Its text.
        message: String,
    },
    /// The connection broke, or was never there.
    #[error(transparent)]
    Broken(#[from] io::Error),
    /// The server did something that this client does not understand.
    #[error("unexpected: {0}")]
    Unexpected(&'static str),
}

impl Failure {
    /// Whether the server is full: its own limit, or that of the operating system.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            // Too many connections; the user's; and hosts blocked for having had too many.
            Self::Server { code, .. } => matches!(code, 1040 | 1203 | 1129),
            Self::Broken(error) => error.kind() == io::ErrorKind::ConnectionRefused,
            Self::Unexpected(_) => false,
        }
    }
}

/// What a reply contained.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reply {
    /// Rows of all its result sets.
    pub(crate) rows: u64,
    /// Bytes received, with all headers.
    pub(crate) bytes: u64,
}

/// The bytes below: plain or encrypted.
pub(crate) enum Stream {
    /// Plain.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

/// A logged-in client. See [`super::login`] for how it comes to be.
pub(crate) struct Client {
    stream: Stream,
    /// Received and not yet consumed. Given back when a reply is complete, so that thousands of idle
    /// clients are cheap.
    input: Vec<u8>,
    consumed: usize,
    output: Vec<u8>,
}

impl Client {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, input: Vec::new(), consumed: 0, output: Vec::new() }
    }

    /// The stream, for a change of its kind. What was received must have been consumed.
    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Runs a query and drops its rows.
    pub(crate) async fn query(&mut self, sql: &str) -> Result<Reply, Failure> {
        self.send(COM_QUERY, sql.as_bytes()).await?;
        self.reply().await
    }

    /// Prepares a statement: its number.
    pub(crate) async fn prepare(&mut self, sql: &str) -> Result<u32, Failure> {
        self.send(COM_STMT_PREPARE, sql.as_bytes()).await?;
        let packet = self.packet().await?;
        let [0, a, b, c, d, columns_low, columns_high, parameters_low, parameters_high, ..] =
            packet[..]
        else {
            return Err(failure(&packet));
        };
        // Definitions of the parameters and of the columns; no EOF after them with DEPRECATE_EOF.
        let definitions = u16::from_le_bytes([columns_low, columns_high])
            + u16::from_le_bytes([parameters_low, parameters_high]);
        for _ in 0..definitions {
            self.packet().await?;
        }
        self.rest();
        Ok(u32::from_le_bytes([a, b, c, d]))
    }

    /// Runs a prepared statement that has one integer parameter.
    pub(crate) async fn execute(&mut self, statement: u32, value: i64) -> Result<Reply, Failure> {
        let mut payload = [0; 21];
        payload[..4].copy_from_slice(&statement.to_le_bytes());
        // No cursor; one iteration; no NULL; types follow: a signed BIGINT.
        payload[5] = 1;
        payload[10] = 1;
        payload[11] = 0x08;
        payload[13..].copy_from_slice(&value.to_le_bytes());
        self.send(COM_STMT_EXECUTE, &payload).await?;
        self.reply().await
    }

    /// Says goodbye, and waits until the server has closed: so does libmysqlclient, in effect.
    pub(crate) async fn quit(mut self) -> Result<(), Failure> {
        self.send(COM_QUIT, &[]).await?;
        let _ = self.stream.shutdown().await;
        Ok(())
    }

    async fn send(&mut self, command: u8, payload: &[u8]) -> io::Result<()> {
        self.output.clear();
        let length = (payload.len() + 1) as u32;
        self.output.extend_from_slice(&length.to_le_bytes()[..3]);
        self.output.extend_from_slice(&[0, command]);
        self.output.extend_from_slice(payload);
        self.stream.write_all(&self.output).await?;
        self.stream.flush().await
    }

    /// Sends a packet of the handshake.
    pub(super) async fn send_packet(&mut self, sequence: u8, payload: &[u8]) -> io::Result<()> {
        let mut packet = (payload.len() as u32).to_le_bytes();
        packet[3] = sequence;
        self.stream.write_all(&[&packet, payload].concat()).await?;
        self.stream.flush().await
    }

    /// Reads to the end of a reply, with all its result sets.
    async fn reply(&mut self) -> Result<Reply, Failure> {
        let mut reply = Reply::default();
        loop {
            let (first, length) = self.header().await?;
            reply.bytes += 4 + length as u64;
            let more = match first {
                0x00 | 0xff => {
                    let packet = self.body(length).await?;
                    if first == 0xff {
                        self.rest();
                        return Err(failure(packet));
                    }
                    more_results(packet)
                }
                columns => {
                    self.skip(length).await?;
                    for _ in 0..columns {
                        let (_, length) = self.header().await?;
                        reply.bytes += 4 + length as u64;
                        self.skip(length).await?;
                    }
                    self.rows(&mut reply).await?
                }
            };
            if !more {
                self.rest();
                return Ok(reply);
            }
        }
    }

    /// Reads the rows of one result set: whether another follows.
    async fn rows(&mut self, reply: &mut Reply) -> Result<bool, Failure> {
        loop {
            let (first, length) = self.header().await?;
            reply.bytes += 4 + length as u64;
            match first {
                0xfe if length < 0xff_ffff => return Ok(more_results(self.body(length).await?)),
                0xff => {
                    let failure = failure(self.body(length).await?);
                    self.rest();
                    return Err(failure);
                }
                _ => {
                    reply.rows += 1;
                    self.skip(length).await?;
                }
            }
        }
    }

    /// Reads one whole packet.
    pub(super) async fn packet(&mut self) -> Result<Vec<u8>, Failure> {
        let (_, length) = self.header().await?;
        Ok(self.body(length).await?.to_vec())
    }

    /// The first byte of the next packet, which is not consumed, and the packet's length.
    async fn header(&mut self) -> Result<(u8, usize), Failure> {
        self.fill(4).await?;
        let header = &self.input[self.consumed..];
        let length = usize::from(header[0])
            | usize::from(header[1]) << 8
            | usize::from(header[2]) << 16;
        self.consumed += 4;
        if length == 0 {
            return Ok((0, 0));
        }
        self.fill(1).await?;
        Ok((self.input[self.consumed], length))
    }

    /// Consumes `length` bytes: they are valid until the next call.
    async fn body(&mut self, length: usize) -> Result<&[u8], Failure> {
        self.fill(length).await?;
        let start = self.consumed;
        self.consumed += length;
        Ok(&self.input[start..start + length])
    }

    /// Consumes `length` bytes without ever holding all of them.
    async fn skip(&mut self, mut length: usize) -> Result<(), Failure> {
        loop {
            let here = length.min(self.input.len() - self.consumed);
            self.consumed += here;
            length -= here;
            if length == 0 {
                return Ok(());
            }
            self.fill(1).await?;
        }
    }

    /// Reads until this many bytes are there.
    async fn fill(&mut self, wanted: usize) -> Result<(), Failure> {
        while self.input.len() - self.consumed < wanted {
            if self.consumed == self.input.len() {
                self.input.clear();
            } else {
                self.input.drain(..self.consumed);
            }
            self.consumed = 0;
            self.input.reserve(CHUNK);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(())
    }

    /// Between commands nothing is kept.
    fn rest(&mut self) {
        if self.consumed == self.input.len() {
            self.input = Vec::new();
            self.consumed = 0;
        }
    }
}

/// Whether an OK packet, or the one that ends rows, announces another result.
fn more_results(packet: &[u8]) -> bool {
    let after = |at: usize| match packet.get(at) {
        Some(0xfc) => at + 3,
        Some(0xfd) => at + 4,
        Some(0xfe) => at + 9,
        _ => at + 1,
    };
    // Past the header: affected rows, last insert id, status.
    let status = after(after(1));
    match packet.get(status..status + 2) {
        Some(&[low, high]) => u16::from_le_bytes([low, high]) & MORE_RESULTS != 0,
        _ => false,
    }
}

/// The error in a packet.
pub(super) fn failure(packet: &[u8]) -> Failure {
    match packet {
        [0xff, low, high, rest @ ..] => {
            let message = if rest.first() == Some(&b'#') { &rest[rest.len().min(6)..] } else { rest };
            Failure::Server {
                code: u16::from_le_bytes([*low, *high]),
                message: String::from_utf8_lossy(message).into_owned(),
            }
        }
        _ => Failure::Unexpected("a packet that is neither OK nor an error"),
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
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
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
