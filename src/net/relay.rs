//! The way of a reply from the server to the client: chunks go on as they come.
//!
//! Rows are neither decoded nor gathered. Of a reply only packet headers are looked at, and the
//! packets that [`Exchange`] calls controls, which an [`Editor`] may rewrite for the client. What a
//! slow client has not taken yet is buffered up to a bound; then the server is held back.

use super::buffer::ReadBuffer;
use super::channel::Channel;
use super::link::LinkError;
use super::stream::{PacketNumbers, Stream};
use crate::wire::exchange::{Control, Exchange, Step};
use crate::wire::fault::Fault;
use crate::wire::frame::{HEADER, Header};
use bytes::{BufMut, BytesMut};
use std::io;
use std::task::Poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The largest control packet: an OK packet can carry a long list of GTIDs, hardly more.
const MAX_CONTROL: usize = 1 << 24;

/// How much of a reply goes on its way before its end is there; less waits for that.
const HURRY: usize = super::buffer::SMALL / 2;

/// Sees the control packets of a reply and says what the client gets for them.
pub trait Editor {
    /// Says what the client is to get for `packet` (its header included; empty for the places
    /// between packets), and puts that into `sink` where it is something else. `next` is the
    /// client's sequence number behind it.
    ///
    /// # Errors
    ///
    /// When the packet is malformed.
    fn control(
        &mut self,
        kind: Control,
        packet: &[u8],
        next: u8,
        sink: &mut Sink<'_>,
    ) -> Result<Edit, Fault>;
}

/// What a client gets for a control packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// The packet as it is.
    Keep,
    /// What is in the sink, by so many packets more than the one that it stands for.
    Instead {
        /// How many packets more.
        grown: u8,
    },
}

/// Where an [`Editor`] puts what the client gets instead of a packet.
#[derive(Debug)]
pub struct Sink<'a> {
    /// What the client gets in front of it, still where it was read.
    before: &'a [u8],
    opened: bool,
    output: &'a mut BytesMut,
}

impl<'a> Sink<'a> {
    /// A sink that ends in `output`.
    pub fn new(before: &'a [u8], output: &'a mut BytesMut) -> Self {
        Self { before, opened: false, output }
    }

    /// What the client gets, to be appended to.
    pub fn open(&mut self) -> &mut BytesMut {
        if !self.opened {
            self.opened = true;
            self.output.put_slice(self.before);
        }
        self.output
    }
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

/// How a client is treated that leaves before anything of the reply could be sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// The reply is waited for all the same.
    Ignored,
    /// The relay ends. What the client sends meanwhile, up to so many bytes, waits in its input.
    Noticed {
        /// How many.
        limit: usize,
    },
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
    (bound, leaving): (usize, Leaving),
) -> Result<(), RelayError> {
    let ServerSide { stream, input } = server;
    loop {
        let mut kept = 0;
        let stop = pass(input, &mut kept, client, exchange, editor);
        match stop {
            Ok(Stop::NeedMore(n)) => {
                if kept > 0 {
                    hand_over(input, kept, client).await.map_err(RelayError::Client)?;
                }
                if !input.is_at_rest() {
                    input.reserve(n);
                }
                advance(stream, input, client, (bound, leaving)).await?;
            }
            Ok(Stop::LocalInfile) => {
                keep(input, kept, client);
                client.flush().await.map_err(RelayError::Client)?;
                let last = forward_file(stream, client, exchange).await?;
                exchange.infile_sent(last);
            }
            Ok(Stop::Done) => {
                keep(input, kept, client);
                return Ok(());
            }
            Err(fault) => {
                // What came before it is the client's.
                keep(input, kept, client);
                return Err(LinkError::Fault(fault).into());
            }
        }
    }
}

/// Why no more of the input can pass now.
enum Stop {
    Done,
    LocalInfile,
    NeedMore(usize),
}

/// Lets pass what has been read. The first `kept` bytes of the input are then the client's as they
/// are; what an editor put instead of others is in the client's output.
fn pass<E: Editor>(
    input: &mut ReadBuffer,
    kept: &mut usize,
    client: &mut Channel,
    exchange: &mut Exchange,
    editor: &mut E,
) -> Result<Stop, Fault> {
    loop {
        match exchange.step(&mut input.filled_mut()[*kept..])? {
            Step::Done => return Ok(Stop::Done),
            Step::Pass(n) => *kept += n,
            Step::Control { kind, length } => {
                let (before, rest) = input.filled().split_at(*kept);
                let packet = &rest[..length];
                let mut sink = Sink::new(before, &mut client.output);
                let edit = editor.control(kind, packet, exchange.next_sequence(), &mut sink);
                match edit {
                    Err(fault) => {
                        if sink.opened {
                            input.consume(std::mem::take(kept));
                        }
                        return Err(fault);
                    }
                    Ok(Edit::Keep) if !sink.opened => *kept += length,
                    Ok(Edit::Keep) => {
                        sink.open().put_slice(packet);
                        input.consume(std::mem::take(kept) + length);
                    }
                    Ok(Edit::Instead { grown }) => {
                        sink.open();
                        input.consume(std::mem::take(kept) + length);
                        exchange.shift_sequence(grown);
                    }
                }
                if kind == Control::LocalInfile {
                    return Ok(Stop::LocalInfile);
                }
            }
            Step::NeedMore(n) if n > MAX_CONTROL => {
                return Err(Fault::TooLarge { limit: MAX_CONTROL });
            }
            Step::NeedMore(n) => return Ok(Stop::NeedMore(n)),
        }
    }
}

/// The first `kept` bytes of the input wait in the client's output.
fn keep(input: &mut ReadBuffer, kept: usize, client: &mut Channel) {
    client.output.put_slice(&input.filled()[..kept]);
    input.consume(kept);
}

/// Sends the first `kept` bytes of the input from where they are, as far as the client takes them
/// now; what it does not take, and what is little, waits in its output.
async fn hand_over(input: &mut ReadBuffer, kept: usize, client: &mut Channel) -> io::Result<()> {
    let mut sent = 0;
    if client.output.is_empty() && kept >= HURRY {
        let bytes = &input.filled()[..kept];
        sent = std::future::poll_fn(|context| match client.poll_write(context, bytes) {
            Poll::Ready(written) => Poll::Ready(written),
            Poll::Pending => Poll::Ready(Ok(0)),
        })
        .await?;
    }
    input.consume(sent);
    keep(input, kept - sent, client);
    Ok(())
}

/// Reads more from the server, and meanwhile sends to the client what it takes.
async fn advance(
    server: &mut Stream,
    input: &mut ReadBuffer,
    client: &mut Channel,
    (bound, leaving): (usize, Leaving),
) -> Result<(), RelayError> {
    // A small reply is sent in one piece at its end; only what fills a read goes ahead of it.
    let hurry = client.output.len() >= HURRY;
    let n = std::future::poll_fn(|context| {
        if (hurry || client.output.len() > bound)
            && let Poll::Ready(Err(error)) = client.poll_send(context)
        {
            return Poll::Ready(Err(RelayError::Client(error)));
        }
        if client.output.len() > bound {
            return Poll::Pending;
        }
        match input.poll_fill(server, context) {
            Poll::Ready(Ok(n)) => Poll::Ready(Ok(n)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(LinkError::Io(error).into())),
            // Nothing to read now: the client need not wait for what is there.
            Poll::Pending => match (client.poll_send(context), leaving) {
                (Poll::Ready(Err(error)), _) => Poll::Ready(Err(RelayError::Client(error))),
                (_, Leaving::Noticed { limit }) => client
                    .poll_closed(limit, context)
                    .map(|()| Err(RelayError::Client(io::ErrorKind::UnexpectedEof.into()))),
                (_, Leaving::Ignored) => Poll::Pending,
            },
        }
    })
    .await?;
    if n == 0 {
        return Err(LinkError::Closed.into());
    }
    Ok(())
}

/// `LOAD DATA LOCAL`: passes the client's file on, up to the empty packet that ends it. Its
/// sequence numbers are `ahead` of those that the server wants. Returns the server's number of that
/// packet.
async fn forward_file(
    server: &mut Stream,
    client: &mut Channel,
    exchange: &Exchange,
) -> Result<u8, RelayError> {
    let ahead = exchange.shift();
    let mut expected = exchange.next_sequence();
    let numbers = client.stream.packet_numbers();
    // Bytes of the current frame that are still to come.
    let mut open = 0;
    loop {
        let mut whole = 0;
        let mut end = None;
        {
            let bytes = client.input.filled_mut();
            while whole < bytes.len() {
                if open > 0 {
                    let n = open.min(bytes.len() - whole);
                    whole += n;
                    open -= n;
                    continue;
                }
                let Some(header) = Header::parse(&bytes[whole..]) else { break };
                let number = match numbers {
                    PacketNumbers::Counted => header.sequence,
                    PacketNumbers::Free => expected,
                };
                expected = expected.wrapping_add(1);
                let sequence = number.wrapping_sub(ahead);
                bytes[whole + HEADER - 1] = sequence;
                whole += HEADER;
                open = header.length;
                if header.length == 0 {
                    end = Some(sequence);
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
