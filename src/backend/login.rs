//! Logs in to a server, with whichever plugin and transport it wants.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>

use super::dialogue::ServerError;
use super::setup::LOGIN_COLLATION;
use crate::config::secret::Secret;
use crate::config::{BackTlsMode, Endpoint};
use crate::net::channel::ReadError;
use crate::net::packet::PacketStream;
use crate::net::stream::Stream;
use crate::net::tls::ClientTls;
use crate::session::server::{Flavor, ServerVersion};
use crate::wire::auth::{self, Plugin};
use crate::wire::capability::{Capabilities, Status};
use crate::wire::fault::Fault;
use crate::wire::greeting::{AuthSwitch, Greeting, HandshakeResponse};
use crate::wire::reply::{ErrPacket, OkPacket};
use bytes::BytesMut;
use rustls::pki_types::ServerName;
use std::io;
use tokio::net::TcpStream;

/// Who logs in, and with which of the capabilities that are fixed at login.
#[derive(Debug, Clone)]
pub struct LoginRequest {
    /// The user.
    pub user: String,
    /// The password.
    pub secret: Secret,
    /// `CLIENT_FOUND_ROWS`, `CLIENT_LOCAL_FILES`, or none of them.
    pub extra: Capabilities,
    /// The database to log in to; pooled connections begin without one.
    pub database: Option<String>,
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

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The server's public key is of no use.
    #[error(transparent)]
    BadPublicKey(#[from] auth::BadPublicKey),
    /// The network failed.
    #[error("the server cannot be reached: {0}")]
    Io(#[from] io::Error),
    /// The server's host name is none that a certificate could be checked against.
    #[error("the server's host name cannot be checked against a certificate")]
    Name,
    /// The server offers no TLS, and the configuration wants it.
    #[error("the server offers no TLS, which the configuration wants")]
    NoTls,
    /// The server's bytes are no MySQL protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(#[from] Fault),
    /// The server said no.
    #[error(transparent)]
    Refused(ServerError),
    /// The server wants the password in clear over a plain connection.
    #[error("the server wants the password in clear, which is only sent under TLS")]
    Unsafe,
    /// The server wants a plugin that Millpond does not know.
    #[error("the server wants an authentication plugin that is not supported")]
    UnknownPlugin,
}

impl LoginError {
    /// Whether the server refused the password or the user.
    pub fn is_access_denied(&self) -> bool {
        matches!(self, Self::Refused(error) if matches!(error.code, 1044 | 1045 | 1698 | 3118))
    }

    /// Whether the server could not be reached, or has no room at this moment.
    pub fn is_network(&self) -> bool {
        match self {
            Self::Io(_) => true,
            Self::Refused(error) => matches!(error.code, 1040 | 1053 | 1129 | 1203 | 1226),
            _ => false,
        }
    }
}

impl From<ReadError> for LoginError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Closed => Self::Io(io::ErrorKind::UnexpectedEof.into()),
            ReadError::Fault(fault) => Self::Protocol(fault),
            ReadError::Io(error) => Self::Io(error),
        }
    }
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

/// What Millpond cannot do without.
const NEEDED: Capabilities = Capabilities(
    Capabilities::PROTOCOL_41.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::SESSION_TRACK.0
        | Capabilities::DEPRECATE_EOF.0,
);

/// Connects and logs in.
///
/// Cancel safe: an unfinished connection is closed.
///
/// # Errors
///
/// See [`LoginError`].
pub async fn login(
    endpoint: &Endpoint,
    request: &LoginRequest,
    tls: &ClientTls,
) -> Result<LoggedIn, LoginError> {
    let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
    tcp.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new().with_time(std::time::Duration::from_secs(30));
    socket2::SockRef::from(&tcp).set_tcp_keepalive(&keepalive)?;
    let mut packets = PacketStream::new(Stream::Plain(tcp));
    let first = packets.read().await?;
    if first.first() == Some(&0xFF) {
        return Err(refused(&first)?);
    }
    let greeting = Greeting::parse(&first)?;
    if !greeting.capabilities.has(NEEDED.without(Capabilities::DEPRECATE_EOF)) {
        return Err(Fault::Unexpected { expected: "a server with session tracking" }.into());
    }
    let version = ServerVersion::parse(&greeting.version);
    let mut capabilities = WANTED | request.extra;
    if request.database.is_some() {
        capabilities = capabilities | Capabilities::CONNECT_WITH_DB;
    }
    if version.flavor == Flavor::MariaDb {
        // Its absence announces MariaDB's own capabilities.
        capabilities = capabilities.without(Capabilities::LONG_PASSWORD);
    }
    let mut capabilities = capabilities & greeting.capabilities;
    if use_tls(&greeting, tls)? {
        capabilities = capabilities | Capabilities::SSL;
    }
    let plugin = Plugin::from_name(&greeting.plugin).unwrap_or(Plugin::Native);
    let response = HandshakeResponse {
        capabilities,
        max_packet: 1 << 30,
        collation: LOGIN_COLLATION,
        user: request.user.clone().into_bytes(),
        proof: first_proof(plugin, &request.secret, &greeting.nonce),
        database: request.database.clone().map(String::into_bytes),
        plugin: Some(plugin.name().into()),
        attributes: attributes(),
    };
    if capabilities.has(Capabilities::SSL) {
        packets = start_tls(packets, &response, endpoint, tls).await?;
    }
    let mut payload = BytesMut::new();
    response.encode(&mut payload);
    packets.write(&payload).await?;
    let status = prove(&mut packets, request, plugin, greeting.nonce.to_vec()).await?;
    let connection_id = greeting.connection_id;
    let server = ServerIdentity { version, connection_id, capabilities };
    let PacketStream { stream, buffer, .. } = packets;
    Ok(LoggedIn { stream, leftover: buffer, server, status })
}

fn attributes() -> Vec<(Vec<u8>, Vec<u8>)> {
    [
        ("_client_name", "millpond"),
        ("_client_version", env!("CARGO_PKG_VERSION")),
        ("_os", std::env::consts::OS),
        ("_platform", std::env::consts::ARCH),
        ("program_name", "millpond"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into()
}

fn use_tls(greeting: &Greeting, tls: &ClientTls) -> Result<bool, LoginError> {
    let offered = greeting.capabilities.has(Capabilities::SSL);
    match (tls.mode, offered) {
        (BackTlsMode::Disabled, _) | (BackTlsMode::Preferred, false) => Ok(false),
        (_, true) => Ok(true),
        (_, false) => Err(LoginError::NoTls),
    }
}

async fn start_tls(
    mut packets: PacketStream,
    response: &HandshakeResponse,
    endpoint: &Endpoint,
    tls: &ClientTls,
) -> Result<PacketStream, LoginError> {
    let mut head = BytesMut::new();
    response.encode_head(&mut head);
    packets.write(&head).await?;
    let PacketStream { stream, buffer, sequence } = packets;
    let (Stream::Plain(tcp), Some(connector)) = (stream, tls.connector()) else {
        return Err(LoginError::NoTls);
    };
    if !buffer.is_empty() {
        // Bytes that came in clear must not be taken for encrypted ones.
        return Err(Fault::Unexpected { expected: "silence before TLS" }.into());
    }
    let name = ServerName::try_from(endpoint.host.clone()).map_err(|_| LoginError::Name)?;
    let stream = connector.connect(name, tcp).await?;
    Ok(PacketStream { stream: Stream::TlsClient(Box::new(stream)), buffer, sequence })
}

/// The proof that goes with the response. A password never goes out before the server has asked
/// for it under its own plugin.
fn first_proof(plugin: Plugin, secret: &Secret, nonce: &[u8]) -> Vec<u8> {
    match plugin {
        Plugin::Native => auth::native(secret.expose(), nonce),
        Plugin::CachingSha2 => auth::caching_sha2(secret.expose(), nonce),
        Plugin::Sha256 if !secret.expose().is_empty() => vec![1],
        _ => Vec::new(),
    }
}

/// The dialogue up to the server's OK.
async fn prove(
    packets: &mut PacketStream,
    request: &LoginRequest,
    mut plugin: Plugin,
    mut nonce: Vec<u8>,
) -> Result<Status, LoginError> {
    let secret = &request.secret;
    // A server that goes on asking is broken or hostile.
    for _ in 0..8 {
        let packet = packets.read().await?;
        match packet.first() {
            Some(0x00) => {
                let ok = OkPacket::parse(&packet, Capabilities::SESSION_TRACK)?;
                return Ok(ok.status);
            }
            Some(0xFF) => return Err(refused(&packet)?),
            Some(0xFE) => {
                let switch = AuthSwitch::parse(&packet)?;
                plugin = Plugin::from_name(&switch.plugin).ok_or(LoginError::UnknownPlugin)?;
                nonce = switch.nonce;
                let proof = match plugin {
                    Plugin::Ed25519 => auth::ed25519(secret.expose(), &nonce),
                    Plugin::ClearPassword => clear(packets, secret)?,
                    Plugin::Sha256 if packets.stream.is_tls() => clear(packets, secret)?,
                    _ => first_proof(plugin, secret, &nonce),
                };
                packets.write(&proof).await?;
            }
            Some(0x01) => more(packets, plugin, secret, &nonce, &packet[1..]).await?,
            _ => return Err(Fault::Unexpected { expected: "an answer to a login" }.into()),
        }
    }
    Err(Fault::Unexpected { expected: "an end of the login" }.into())
}

fn clear(packets: &PacketStream, secret: &Secret) -> Result<Vec<u8>, LoginError> {
    if !packets.stream.is_tls() {
        return Err(LoginError::Unsafe);
    }
    Ok([secret.expose(), &[0]].concat())
}

/// `AuthMoreData`: the second step of the SHA-256 plugins.
async fn more(
    packets: &mut PacketStream,
    plugin: Plugin,
    secret: &Secret,
    nonce: &[u8],
    data: &[u8],
) -> Result<(), LoginError> {
    const FAST_OK: &[u8] = &[3];
    const FULL: &[u8] = &[4];
    const ASK_FOR_KEY: u8 = 2;
    match (plugin, data) {
        (Plugin::CachingSha2, FAST_OK) => Ok(()),
        (Plugin::CachingSha2, FULL) if packets.stream.is_tls() => {
            let password = clear(packets, secret)?;
            Ok(packets.write(&password).await?)
        }
        (Plugin::CachingSha2, FULL) => Ok(packets.write(&[ASK_FOR_KEY]).await?),
        (Plugin::CachingSha2 | Plugin::Sha256, pem) => {
            let masked = auth::mask(&[secret.expose(), &[0]].concat(), nonce);
            let sealed = auth::encrypt(pem, &masked)?;
            Ok(packets.write(&sealed).await?)
        }
        _ => Err(Fault::Unexpected { expected: "data for the plugin" }.into()),
    }
}

fn refused(packet: &[u8]) -> Result<LoginError, Fault> {
    Ok(LoginError::Refused(ServerError::from_packet(&ErrPacket::parse(packet)?)))
}
