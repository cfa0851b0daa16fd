//! Packets on a stream, plain or encrypted.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

/// The largest payload of one frame; a frame of this length is continued in the next.
pub(crate) const FULL: usize = 0xff_ffff;

trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// A stream of packets. Nothing is kept between packets but what was received too much.
pub(crate) struct Packets {
    stream: Box<dyn Bytes>,
    input: Vec<u8>,
    consumed: usize,
    /// What the server has shown, in DER.
    pub(crate) server_certificate: Option<Vec<u8>>,
}

impl Packets {
    /// Connects to a port of this machine, from one of its addresses.
    pub(crate) async fn connect(port: u16, from: Ipv4Addr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
        stream.set_nodelay(true)?;
        let stream = Box::new(stream);
        Ok(Self { stream, input: Vec::new(), consumed: 0, server_certificate: None })
    }

    /// Encrypts the stream.
    pub(crate) async fn encrypt(self, config: Arc<rustls::ClientConfig>) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TlsConnector::from(config).connect(name, self.stream).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let server_certificate = shown.map(|certificate| certificate.to_vec());
        let stream = Box::new(stream);
        Ok(Self { stream, input: Vec::new(), consumed: 0, server_certificate })
    }

    /// Sends a packet, in as many frames as it takes. Cancelled half-way it leaves half a packet.
    pub(crate) async fn send(&mut self, mut sequence: u8, payload: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(payload.len() + 4);
        let mut rest = payload;
        loop {
            let (frame, later) = rest.split_at(rest.len().min(FULL));
            bytes.extend_from_slice(&(frame.len() as u32).to_le_bytes()[..3]);
            bytes.push(sequence);
            bytes.extend_from_slice(frame);
            sequence = sequence.wrapping_add(1);
            rest = later;
            if frame.len() < FULL {
                break;
            }
        }
        self.send_bytes(&bytes).await
    }

    /// Sends bytes as they are.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Receives a packet: the sequence number of its first frame, and its payload. Not cancel safe
    /// for packets of several frames.
    pub(crate) async fn receive(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let (sequence, mut payload) = self.frame().await?;
        let mut last = payload.len();
        while last == FULL {
            let (_, more) = self.frame().await?;
            last = more.len();
            payload.extend(more);
        }
        Ok((sequence, payload))
    }

    /// Receives so many bytes, whatever they are.
    pub(crate) async fn receive_bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        self.fill(length).await?;
        let start = self.consumed;
        self.consumed += length;
        Ok(self.input[start..self.consumed].to_vec())
    }

    async fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        self.fill(4).await?;
        let header = &self.input[self.consumed..];
        let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
        let sequence = header[3];
        self.fill(4 + length).await?;
        let start = self.consumed + 4;
        let payload = self.input[start..start + length].to_vec();
        self.consumed = start + length;
        if self.consumed == self.input.len() {
            // Thousands of idle clients shall be cheap.
            self.input = Vec::new();
            self.consumed = 0;
        }
        Ok((sequence, payload))
    }

    async fn fill(&mut self, wanted: usize) -> io::Result<()> {
        while self.input.len() - self.consumed < wanted {
            if self.consumed > 0 {
                self.input.drain(..self.consumed);
                self.consumed = 0;
            }
            self.input.reserve(wanted.max(4096) - self.input.len());
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}
