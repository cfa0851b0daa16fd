//! The handshake, as a server: greeting, TLS, proof of the password.
//!
//! The dialogue is a server's own, wrong passwords and unknown users included, so that any
//! driver's defaults work and nobody learns which of the two was wrong.

mod certified;
mod claim;
pub mod context;
mod dialogue;
mod outcome;
mod trial;

use self::claim::GuestOrUser;
pub use self::context::{GreetContext, GreetSettings, Lasting, OFFERED};
pub use self::dialogue::Attempt;
use self::dialogue::{Dialogue, Place};
pub use self::outcome::{GreetError, Greeted};
use super::guests::Guest;
use super::peer::Peer;
use super::told::Told;
use super::users::User;
use crate::net::buffer::ReadBuffer;
use crate::net::compressed::Algorithm;
use crate::net::packet::{PacketStream, Parts};
use crate::net::stream::Stream;
use crate::net::tls::{self, ServerTls};
use crate::wire::auth::{NONCE, random_nonce};
use crate::wire::capability::Capabilities;
use crate::wire::fault::Fault;
use crate::wire::greeting::{Greeting, HandshakeResponse, SSL_REQUEST, SslRequest};
use bytes::BytesMut;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Greets a client.
///
/// Cancel safe: an unfinished handshake closes the connection.
///
/// # Errors
///
/// See [`GreetError`].
pub async fn greet(
    stream: Stream,
    context: Arc<GreetContext>,
    connection_id: u32,
) -> Result<Meeting, GreetError> {
    let nonce = fresh_nonce()?;
    let offered = match context.tls {
        Some(_) => context.capabilities | Capabilities::SSL,
        None => context.capabilities,
    };
    let mut packets = PacketStream::new(stream);
    packets.put_with(|out| {
        let greeting = Greeting {
            server_version: context.version.as_bytes(),
            connection_id,
            nonce,
            capabilities: offered,
            collation: context.collation,
            status: context.status,
            plugin: context.plugin.name().as_bytes(),
        };
        greeting.encode(out);
    });
    packets.flush().await?;
    let Parts { stream, sequence, .. } = packets.into_parts();
    let input = ReadBuffer::default();
    Ok(Meeting { stream, input, sequence, context, nonce, offered })
}

/// Of two that a client can do, servers take zlib.
fn compression(negotiated: Capabilities, zstd_level: Option<u8>) -> Option<Algorithm> {
    if negotiated.has(Capabilities::COMPRESS) {
        Some(Algorithm::Zlib)
    } else if negotiated.has(Capabilities::ZSTD_COMPRESSION) {
        Some(Algorithm::Zstd(zstd_level.unwrap_or_default()))
    } else {
        None
    }
}

/// A client that was greeted. Thousands may be this far at a time: it has nothing that only their
/// answers need.
pub struct Meeting {
    stream: Stream,
    input: ReadBuffer,
    sequence: u8,
    context: Arc<GreetContext>,
    nonce: [u8; NONCE],
    offered: Capabilities,
}

impl Meeting {
    /// Waits until the client has begun to answer, or left.
    ///
    /// Cancel safe: what was read is kept.
    ///
    /// # Errors
    ///
    /// When the network fails.
    pub async fn answering(&mut self) -> io::Result<()> {
        // A new socket passes for readable until it was read from, so that to ask whether it is
        // would not be to wait.
        let Self { stream, input, .. } = self;
        poll_fn(|context| input.poll_fill(stream, context)).await.map(drop)
    }

    /// Checks the client's password. The last word, OK or an error, is the caller's, who has yet to look
    /// at the database. So is the limit of time.
    ///
    /// What a login costs is TLS above all, so a client that encrypts goes through the rest of it on the
    /// threads for that, and is served on the others afterwards. The proof of one that does not is three
    /// hashes of a few bytes: less work than the way to another thread.
    ///
    /// Cancel safe: an unfinished handshake closes the connection.
    ///
    /// # Errors
    ///
    /// See [`GreetError`]; the client has been told.
    pub async fn introduced(self, peer: Arc<Peer>) -> Result<Greeted, GreetError> {
        let Self { stream, mut input, sequence, context, nonce, offered } = self;
        let begun = BytesMut::from(input.filled());
        // A password may have been in it.
        input.filled_mut().fill(0);
        input.consume(begun.len());
        input.rest();
        let parts = Parts { stream, input: begun, output: BytesMut::new(), sequence };
        let (packets, payload) = hear(PacketStream::from_parts(parts)).await?;
        // Servers without TLS take no notice of this flag either.
        let tls = context.tls.clone().filter(|_| wants_tls(&payload));
        let workers = context.lasting.workers.clone();
        let login = Login { context, nonce, offered, peer };
        let Some(tls) = tls else { return login.answered(packets, payload).await };
        let login = Box::pin(async move {
            let (packets, payload) = hear(encrypt(packets, &tls).await?).await?;
            login.answered(packets, payload).await
        });
        workers.run(login).await.unwrap_or_else(|lost| Err(io::Error::other(lost).into()))
    }
}

/// What the answer to a greeting is judged by.
struct Login {
    context: Arc<GreetContext>,
    nonce: [u8; NONCE],
    offered: Capabilities,
    peer: Arc<Peer>,
}

impl Login {
    /// The client has answered the greeting.
    async fn answered(
        self,
        mut packets: PacketStream<Stream>,
        mut payload: BytesMut,
    ) -> Result<Greeted, GreetError> {
        let Self { context, nonce, offered, peer } = self;
        let introduced = introduce(&mut packets, &payload, &context, nonce, &peer).await;
        let Introduced { response, user: GuestOrUser { user, guest }, server_proof } =
            match introduced {
                Ok(introduced) => introduced,
                Err(error) => return Err(tell(&mut packets, error).await),
            };
        let database = response.database.map(<[u8]>::to_vec);
        let capabilities = response.head.capabilities & offered;
        let collation = response.head.collation.into();
        let attributes = response.attributes.to_vec();
        let compression = compression(capabilities, response.zstd_level);
        // A password may have been in it.
        payload.fill(0);
        let Parts { stream, input, output, sequence } = packets.into_parts();
        Ok(Greeted {
            stream,
            input,
            output,
            sequence,
            user,
            guest,
            database,
            capabilities,
            collation,
            attributes,
            nonce,
            server_proof,
            compression,
        })
    }
}

/// Reads a packet of the client's.
async fn hear(
    mut packets: PacketStream<Stream>,
) -> Result<(PacketStream<Stream>, BytesMut), GreetError> {
    match packets.read(MAX_PACKET).await {
        Ok(payload) => Ok((packets, payload)),
        Err(error) => Err(tell(&mut packets, error.into()).await),
    }
}

/// Becomes the TLS server of a client that has asked for it.
async fn encrypt(
    packets: PacketStream<Stream>,
    tls: &ServerTls,
) -> Result<PacketStream<Stream>, GreetError> {
    let Parts { stream, input, output, sequence } = packets.into_parts();
    let Stream::Plain(tcp) = stream else {
        return Err(Fault::Unexpected { expected: "TLS only once" }.into());
    };
    // In a box, so that plain connections have no room for it.
    let stream = Box::pin(tls::accept(tls, tcp, input)).await.map_err(|error| {
        if tls::is_refusal(&error) { GreetError::Tls(error) } else { GreetError::Io(error) }
    })?;
    Ok(PacketStream::from_parts(Parts { stream, input: BytesMut::new(), output, sequence }))
}

fn wants_tls(payload: &[u8]) -> bool {
    SslRequest::parse(payload)
        .is_ok_and(|head| head.capabilities.has(Capabilities::PROTOCOL_41 | Capabilities::SSL))
}

/// A client that has said and proven who it is.
struct Introduced<'a> {
    response: HandshakeResponse<'a>,
    user: GuestOrUser,
    server_proof: Vec<u8>,
}

async fn introduce<'a>(
    packets: &mut PacketStream<Stream>,
    payload: &'a [u8],
    context: &GreetContext,
    nonce: [u8; NONCE],
    peer: &Peer,
) -> Result<Introduced<'a>, GreetError> {
    if is_old(payload) {
        // So do servers: with a shorter packet they don't even look for the user.
        let complete = payload.len() >= SSL_REQUEST;
        let told = if complete { Told::OLD_CLIENT } else { Told::BAD_HANDSHAKE };
        return Err(GreetError::Old(told));
    }
    let response = HandshakeResponse::parse(payload)?;
    let encrypted = packets.stream().is_tls();
    let attempt =
        Attempt { user: response.user, plugin: response.plugin, proof: response.auth_response };
    let certificate = packets.stream().client_certificate().map(<[u8]>::to_vec);
    let place = Place { encrypted, nonce, peer, certificate: certificate.as_deref() };
    let proven = Dialogue::new(packets, context, place).prove(&attempt).await?;
    let (user, server_proof) = proven.admit(&peer.host)?;
    // After the password, as MySQL does: a stranger need not know how this is configured.
    if context.require_tls && !encrypted {
        return Err(GreetError::Denied(Told::TLS_REQUIRED));
    }
    Ok(Introduced { response, user, server_proof })
}

/// Whether the client speaks the protocol of before 4.1, in which the flags have two bytes.
fn is_old(payload: &[u8]) -> bool {
    match *payload {
        [low, high, _, _, ..] => {
            let flags = Capabilities(u16::from_le_bytes([low, high]).into());
            !flags.has(Capabilities::PROTOCOL_41)
        }
        _ => false,
    }
}

/// Checks the password of a `COM_CHANGE_USER`. The last word is the caller's, in the denial too.
///
/// Not cancel safe: the connection is of no use afterwards.
///
/// # Errors
///
/// See [`GreetError`]; the client has not been told.
pub async fn reauthenticate<S: AsyncRead + AsyncWrite + Unpin>(
    packets: &mut PacketStream<S>,
    context: &GreetContext,
    change: ChangeProof<'_>,
    peer: &Peer,
) -> Result<(User, Option<Guest>), GreetError> {
    let ChangeProof { attempt, encrypted, nonce, certificate } = change;
    let place = Place { encrypted, nonce, peer, certificate };
    let proven = Dialogue::new(packets, context, place).prove_again(&attempt).await?;
    let GuestOrUser { user, guest } = proven.admit(&peer.host)?.0;
    Ok((user, guest))
}

/// What a `COM_CHANGE_USER` says, and on which connection.
#[derive(Debug)]
pub struct ChangeProof<'a> {
    /// Who, and the proof.
    pub attempt: Attempt<'a>,
    /// Whether the connection is under TLS.
    pub encrypted: bool,
    /// The nonce of the greeting.
    pub nonce: [u8; NONCE],
    /// What the client has shown in TLS, in DER.
    pub certificate: Option<&'a [u8]>,
}

/// Tells the client why it is refused, as far as it can be told.
async fn tell(packets: &mut PacketStream<Stream>, error: GreetError) -> GreetError {
    if let Some(told) = error.told() {
        match error {
            // Before 4.1 an error had no SQLSTATE.
            GreetError::Old(_) => packets.put(&told.first_payload()),
            _ => packets.put(&told.payload()),
        }
        // The client may be gone already.
        let _ = packets.flush().await;
    }
    error
}

fn fresh_nonce() -> io::Result<[u8; NONCE]> {
    random_nonce().map_err(io::Error::other)
}

/// The largest packet of a handshake: connection attributes may have 64 KiB.
const MAX_PACKET: usize = 68 * 1024;

#[cfg(test)]
mod tests;
