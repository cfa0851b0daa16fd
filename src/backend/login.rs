//! Logs in to a server, with whichever plugin and transport it wants.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>

mod error;
pub mod fuzzing;
mod prover;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub use self::error::LoginError;
use self::prover::{Channel, Prover, Reaction};
use super::dialogue::ServerError;
use super::setup::LOGIN_COLLATION;
use crate::config::secret::Secret;
use crate::config::{BackTlsMode, Endpoint, ProxyProtocol};
use crate::net::packet::{PacketStream, Parts};
use crate::net::stream::Stream;
use crate::net::tls::{self, ClientTls};
use crate::session::server::{Flavor, ServerVersion};
use crate::wire::capability::{Capabilities, Status};
use crate::wire::fault::Fault;
use crate::wire::frame::put_lenenc_bytes;
use crate::wire::greeting::{Greeting, HandshakeResponse, SslRequest};
use crate::wire::proxy_header::ProxyHeader;
use crate::wire::reply::{ErrPacket, OkPacket};

/// Who logs in, and with which of the capabilities that are fixed at login.
#[derive(Debug, Clone)]
pub struct LoginRequest {
    /// The user.
    pub user: String,
    /// The password.
    pub secret: Secret,
    /// `CLIENT_FOUND_ROWS`, `CLIENT_LOCAL_FILES`, MariaDB's extended metadata, or none of them.
    pub extra: Capabilities,
    /// The database to log in to; pooled connections begin without one.
    pub database: Option<String>,
    /// What the connection begins with.
    pub proxy_protocol: ProxyProtocol,
}

/// A connection that has logged in.
#[derive(Debug)]
pub struct LoggedIn {
    /// The socket.
    pub stream: Stream,
    /// What the server sent behind its OK.
    pub leftover: BytesMut,
    /// What it said of itself.
    pub server: ServerIdentity,
    /// The status flags of the OK.
    pub status: Status,
    /// The session trackers of the OK, undecoded.
    pub state_changes: Vec<u8>,
}

/// What a server says of itself in its greeting.
#[derive(Debug, Clone)]
pub struct ServerIdentity {
    /// Its version.
    pub version: ServerVersion,
    /// Its number for the connection.
    pub connection_id: u32,
    /// What was negotiated.
    pub capabilities: Capabilities,
}

/// Connects and logs in. Takes as long as the network lets it: the caller sets a limit.
///
/// Cancel safe: an unfinished connection is closed.
///
/// # Errors
///
/// See [`LoginError`].
pub async fn login(
    endpoint: &Endpoint,
    address: Option<SocketAddr>,
    request: &LoginRequest,
    tls: &ClientTls,
) -> Result<LoggedIn, LoginError> {
    let mut tcp = match address {
        Some(address) => TcpStream::connect(address).await?,
        None => TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?,
    };
    configure(&tcp)?;
    announce(&mut tcp, request.proxy_protocol).await?;
    let mut packets = PacketStream::new(Stream::Plain(tcp));
    let first = packets.read(MAX_PACKET).await?;
    if first.first() == Some(&ERR) {
        return Err(refused(&first)?);
    }
    let greeting = Greeting::parse(&first)?;
    let version = ServerVersion::parse(greeting.server_version);
    let capabilities = negotiate(&greeting, &version, request, tls.mode)?;
    let head = SslRequest { capabilities, max_packet: 1 << 30, collation: LOGIN_COLLATION as u8 };
    let mut channel = Channel::Plain;
    if capabilities.has(Capabilities::SSL) {
        packets = encrypt(packets, &head, tls, &endpoint.host).await?;
        channel = Channel::Encrypted;
    }
    let (prover, proof) = Prover::new(&request.secret, channel, &greeting, version.flavor);
    packets.put_with(|out| {
        let response = HandshakeResponse {
            head,
            user: request.user.as_bytes(),
            auth_response: &proof,
            database: request.database.as_deref().map(str::as_bytes),
            plugin: Some(prover.plugin().name().as_bytes()),
            attributes: &attributes(),
            zstd_level: None,
        };
        response.encode(out);
    });
    packets.flush().await?;
    let (status, state_changes) = prove(&mut packets, prover, capabilities).await?;
    let connection_id = greeting.connection_id;
    let server = ServerIdentity { version, connection_id, capabilities };
    let Parts { stream, input, .. } = packets.into_parts();
    Ok(LoggedIn { stream, leftover: input, server, status, state_changes })
}

/// Says in front of everything that the connection is Millpond's own: it is shared by many clients,
/// and the address of none is that of the others.
async fn announce(tcp: &mut TcpStream, protocol: ProxyProtocol) -> Result<(), LoginError> {
    let mut header = BytesMut::new();
    match protocol {
        ProxyProtocol::Off => return Ok(()),
        ProxyProtocol::V1 => ProxyHeader::Own.put_text(&mut header),
        ProxyProtocol::V2 => ProxyHeader::Own.put_binary(&mut header),
    }
    Ok(tcp.write_all(&header).await?)
}

/// A server that vanished without a word is noticed after about a minute also by a connection
/// that waits for nothing.
fn configure(tcp: &TcpStream) -> Result<(), LoginError> {
    tcp.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    Ok(SockRef::from(tcp).set_tcp_keepalive(&keepalive)?)
}

/// What both sides can do and Millpond wants.
fn negotiate(
    greeting: &Greeting<'_>,
    version: &ServerVersion,
    request: &LoginRequest,
    mode: BackTlsMode,
) -> Result<Capabilities, LoginError> {
    if !greeting.capabilities.has(NEEDED) {
        return Err(LoginError::TooOld);
    }
    let mut wanted = WANTED | request.extra;
    if request.database.is_some() {
        wanted = wanted | Capabilities::CONNECT_WITH_DB;
    }
    if version.flavor == Flavor::MariaDb {
        // Its absence announces MariaDB's own capabilities.
        wanted = wanted.without(Capabilities::LONG_PASSWORD);
    }
    match (mode, greeting.capabilities.has(Capabilities::SSL)) {
        (BackTlsMode::Disabled, _) | (BackTlsMode::Preferred, false) => {}
        (_, true) => wanted = wanted | Capabilities::SSL,
        (_, false) => return Err(LoginError::NoTls),
    }
    Ok(wanted & greeting.capabilities)
}

/// Asks for TLS and begins it.
async fn encrypt(
    mut packets: PacketStream<Stream>,
    head: &SslRequest,
    tls: &ClientTls,
    host: &str,
) -> Result<PacketStream<Stream>, LoginError> {
    packets.put_with(|out| head.encode(out));
    packets.flush().await?;
    let Parts { stream, input, output, sequence } = packets.into_parts();
    let (Stream::Plain(tcp), Some(connector)) = (stream, tls.connector()) else {
        return Err(LoginError::NoTls);
    };
    if !input.is_empty() {
        // Bytes that came in clear must not be taken for encrypted ones.
        return Err(Fault::Unexpected { expected: "silence before TLS" }.into());
    }
    let stream = tls::connect(connector, tcp, host).await.map_err(LoginError::from_tls)?;
    Ok(PacketStream::from_parts(Parts { stream, input, output, sequence }))
}

/// The dialogue up to the server's OK.
async fn prove<S: AsyncRead + AsyncWrite + Unpin>(
    packets: &mut PacketStream<S>,
    mut prover: Prover<'_>,
    capabilities: Capabilities,
) -> Result<(Status, Vec<u8>), LoginError> {
    // A server that goes on asking is broken or hostile.
    for _ in 0..MAX_ROUNDS {
        let packet = packets.read(MAX_PACKET).await?;
        match packet.first() {
            Some(&OK) => {
                let ok = OkPacket::parse(&packet, capabilities)?;
                return Ok((ok.status, ok.state_changes.to_vec()));
            }
            Some(&ERR) => return Err(refused(&packet)?),
            _ => match prover.react(&packet)? {
                Reaction::Send(answer) => {
                    packets.put(&answer);
                    packets.flush().await?;
                }
                Reaction::Wait => {}
            },
        }
    }
    Err(Fault::Unexpected { expected: "an end of the login" }.into())
}

fn refused(packet: &[u8]) -> Result<LoginError, Fault> {
    Ok(LoginError::Refused(ServerError::from_packet(&ErrPacket::parse(packet)?)))
}

/// What servers list about their connections, in the form of the packet.
fn attributes() -> BytesMut {
    let mut out = BytesMut::new();
    for (name, value) in [
        ("_client_name", "millpond"),
        ("_client_version", env!("CARGO_PKG_VERSION")),
        ("_os", std::env::consts::OS),
        ("_platform", std::env::consts::ARCH),
        ("program_name", "millpond"),
    ] {
        put_lenenc_bytes(&mut out, name.as_bytes());
        put_lenenc_bytes(&mut out, value.as_bytes());
    }
    out
}

/// What is asked for wherever the server has it.
const WANTED: Capabilities = Capabilities(
    Capabilities::LONG_PASSWORD.0
        | Capabilities::LONG_FLAG.0
        | Capabilities::PROTOCOL_41.0
        | Capabilities::TRANSACTIONS.0
        | Capabilities::SECURE_CONNECTION.0
        | Capabilities::MULTI_STATEMENTS.0
        | Capabilities::MULTI_RESULTS.0
        | Capabilities::PS_MULTI_RESULTS.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::CONNECT_ATTRS.0
        | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA.0
        | Capabilities::SESSION_TRACK.0
        | Capabilities::DEPRECATE_EOF.0
        | Capabilities::QUERY_ATTRIBUTES.0
        | Capabilities::MARIADB_STMT_BULK_OPERATIONS.0,
);

/// What Millpond cannot do without: MySQL since 5.7.5, MariaDB since 10.2.2.
const NEEDED: Capabilities = Capabilities(
    Capabilities::PROTOCOL_41.0
        | Capabilities::SECURE_CONNECTION.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA.0
        | Capabilities::SESSION_TRACK.0
        | Capabilities::DEPRECATE_EOF.0,
);

/// The largest packet of a login: far above what any plugin sends.
const MAX_PACKET: usize = 64 * 1024;
/// A plugin of two steps, a switch to another, and its two.
const MAX_ROUNDS: usize = 8;
const OK: u8 = 0x00;
const ERR: u8 = 0xFF;

#[cfg(test)]
mod tests;
