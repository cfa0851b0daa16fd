//! The way of a reply from the server to the client: chunks go on as they come.
//!
//! Rows are neither decoded nor gathered. Of a reply only packet headers are looked at, and the
//! packets that [`Exchange`] calls controls, which an [`Editor`] may rewrite for the client. What a
//! slow client has not taken yet is buffered up to a bound; then the server is held back.

use super::buffer::ReadBuffer;
use super::channel::Channel;
use super::link::LinkError;
use super::stream::Stream;
use crate::wire::exchange::{Control, Exchange, Step};
use crate::wire::fault::Fault;
use crate::wire::frame::{HEADER, Header};
use bytes::{BufMut, BytesMut};
use std::io;
use std::pin::Pin;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

/// The largest control packet: an OK packet can carry a long list of GTIDs, hardly more.
const MAX_CONTROL: usize = 1 << 24;

/// The room that a reply gets at first.
const FIRST_ROOM: usize = 1024;

/// Sees the control packets of a reply and says what the client gets for them.
pub trait Editor {
    /// Appends to `out` what the client is to get instead of `packet` (its header included; empty
    /// for the places between packets). `next` is the client's sequence number behind it. Returns
    /// by how many packets more than it took the client's reply has grown.
    ///
    /// # Errors
    ///
    /// When the packet is malformed.
    fn control(
        &mut self,
        kind: Control,
        packet: &[u8],
        next: u8,
        out: &mut BytesMut,
    ) -> Result<u8, Fault>;
}

/// Why a reply did not reach its end. Whichever side failed, the server's connection is in the
/// middle of a reply and of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The client went away.
    #[error("the connection to the client failed: {0}")]
    Client(#[source] io::Error),
    /// The server went away, or broke the protocol.
    #[error(transparent)]
    Server(#[from] LinkError),
}

/// The server's side of a relay.
#[derive(Debug)]
pub struct ServerSide<'a> {
    /// The socket.
    pub stream: &'a mut Stream,
    /// What was read from it.
    pub input: &'a mut ReadBuffer,
}

/// Relays one reply. When it returns, the end of the reply may still wait in the client's output:
/// the server's connection is free before a slow client has everything.
///
/// Not cancel safe: the server's connection is in the middle of a reply.
///
/// # Errors
///
/// See [`RelayError`].
pub async fn relay<E: Editor>(
    server: ServerSide<'_>,
    client: &mut Channel,
    exchange: &mut Exchange,
    editor: &mut E,
    bound: usize,
) -> Result<(), RelayError> {
    let ServerSide { stream, input } = server;
    // Most replies are small, and go out in one piece.
    client.output.reserve(FIRST_ROOM);
    loop {
        match exchange.step(input.filled_mut()).map_err(LinkError::Fault)? {
            Step::Done => return Ok(()),
            Step::Pass(n) => {
                client.output.put_slice(&input.filled()[..n]);
                input.consume(n);
            }
            Step::Control { kind, length } => {
                let packet = &input.filled()[..length];
                let next = exchange.next_sequence();
                let grown = editor.control(kind, packet, next, &mut client.output);
                let grown = grown.map_err(LinkError::Fault)?;
                input.consume(length);
                if grown > 0 {
                    exchange.shift_sequence(grown);
                }
                if kind == Control::LocalInfile {
                    client.flush().await.map_err(RelayError::Client)?;
                    let last = forward_file(stream, client).await?;
                    exchange.infile_sent(last);
                }
            }
            Step::NeedMore(n) => {
                if n > MAX_CONTROL {
                    return Err(LinkError::Fault(Fault::TooLarge { limit: MAX_CONTROL }).into());
                }
                input.reserve(n);
                advance(stream, input, client, bound).await?;
            }
        }
    }
}

/// Reads more from the server, and meanwhile sends to the client what it takes.
async fn advance(
    server: &mut Stream,
    input: &mut ReadBuffer,
    client: &mut Channel,
    bound: usize,
) -> Result<(), RelayError> {
    // A small reply is sent in one piece at its end; only what fills a read goes ahead of it.
    let hurry = client.output.len() >= super::buffer::SMALL / 2;
    let n = std::future::poll_fn(|context| {
        if (hurry || client.output.len() > bound)
            && let Poll::Ready(Err(error)) = client.poll_send(context)
        {
            return Poll::Ready(Err(RelayError::Client(error)));
        }
        if client.output.len() > bound {
            return Poll::Pending;
        }
        let mut buffer = ReadBuf::new(input.spare());
        match Pin::new(&mut *server).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.filled().len())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(LinkError::Io(error).into())),
            // Nothing to read now: the client need not wait for what is there.
            Poll::Pending => match client.poll_send(context) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(RelayError::Client(error))),
                _ => Poll::Pending,
            },
        }
    })
    .await?;
    if n == 0 {
        return Err(LinkError::Closed.into());
    }
    input.advance(n);
    Ok(())
}

/// `LOAD DATA LOCAL`: passes the client's file on, up to the empty packet that ends it. Returns
/// the sequence number of that packet.
async fn forward_file(server: &mut Stream, client: &mut Channel) -> Result<u8, RelayError> {
    // Bytes of the current frame that are still to come.
    let mut open = 0;
    loop {
        let mut whole = 0;
        let mut end = None;
        {
            let bytes = client.input.filled();
            while whole < bytes.len() {
                if open > 0 {
                    let n = open.min(bytes.len() - whole);
                    whole += n;
                    open -= n;
                    continue;
                }
                let Some(header) = Header::parse(&bytes[whole..]) else { break };
                whole += HEADER;
                open = header.length;
                if header.length == 0 {
                    end = Some(header.sequence);
                    break;
                }
            }
            server.write_all(&bytes[..whole]).await.map_err(LinkError::Io)?;
        }
        client.input.consume(whole);
        if let Some(sequence) = end {
            server.flush().await.map_err(LinkError::Io)?;
            return Ok(sequence);
        }
        let n = client.stream.read(client.input.spare()).await.map_err(RelayError::Client)?;
        if n == 0 {
            return Err(RelayError::Client(io::ErrorKind::UnexpectedEof.into()));
        }
        client.input.advance(n);
    }
}
