//! The handshake, as a server: greeting, TLS, proof of the password.
//!
//! The dialogue is a server's own, wrong passwords and unknown users included, so that any
//! driver's defaults work and nobody learns which of the two was wrong.

use super::told::Told;
use super::users::{User, Users};
use crate::config::secret::Secret;
use crate::net::channel::ReadError;
use crate::net::packet::PacketStream;
use crate::net::stream::Stream;
use crate::wire::auth::{self, NONCE, Plugin};
use crate::wire::capability::{Capabilities, Status};
use crate::wire::fault::Fault;
use crate::wire::greeting::{AuthSwitch, Greeting, HandshakeResponse, SSL_REQUEST};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use bytes::BytesMut;
use std::io;
use std::sync::{Arc, OnceLock};
use tokio_rustls::TlsAcceptor;

/// What a handshake needs to know.
#[derive(Clone)]
pub struct GreetContext {
    /// The version that clients are told.
    pub version: String,
    /// The plugin that the greeting offers.
    pub plugin: Plugin,
    /// What clients may use.
    pub capabilities: Capabilities,
    /// The collation of the greeting, its low byte.
    pub collation: u8,
    /// TLS, where it is on.
    pub tls: Option<TlsAcceptor>,
    /// Whether clients without TLS are refused.
    pub require_tls: bool,
    /// Who may log in.
    pub users: Arc<Users>,
    /// The key for passwords over plain connections.
    pub rsa: Arc<RsaKey>,
}

/// What clients may use, whatever the server behind; TLS and MariaDB's own come on top.
pub const OFFERED: Capabilities = Capabilities(
    Capabilities::LONG_PASSWORD.0
        | Capabilities::FOUND_ROWS.0
        | Capabilities::LONG_FLAG.0
        | Capabilities::CONNECT_WITH_DB.0
        | Capabilities::NO_SCHEMA.0
        | Capabilities::ODBC.0
        | Capabilities::LOCAL_FILES.0
        | Capabilities::IGNORE_SPACE.0
        | Capabilities::PROTOCOL_41.0
        | Capabilities::INTERACTIVE.0
        | Capabilities::IGNORE_SIGPIPE.0
        | Capabilities::TRANSACTIONS.0
        | Capabilities::RESERVED.0
        | Capabilities::SECURE_CONNECTION.0
        | Capabilities::MULTI_STATEMENTS.0
        | Capabilities::MULTI_RESULTS.0
        | Capabilities::PS_MULTI_RESULTS.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::CONNECT_ATTRS.0
        | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA.0
        | Capabilities::SESSION_TRACK.0
        | Capabilities::DEPRECATE_EOF.0,
);

/// A client that has proven who it is.
pub struct Greeted {
    /// The socket, and what was read beyond the handshake.
    pub packets: PacketStream,
    /// The user.
    pub user: User,
    /// What the client asked for.
    pub response: HandshakeResponse,
    /// What was negotiated.
    pub capabilities: Capabilities,
    /// The nonce of the greeting.
    pub nonce: [u8; NONCE],
}

/// Why a handshake did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum GreetError {
    /// The client went away.
    #[error("the client went away in its handshake: {0}")]
    Io(#[from] io::Error),
    /// The client's bytes are no handshake; it was told so.
    #[error("the client broke the protocol in its handshake: {0}")]
    Fault(#[from] Fault),
    /// The client was refused, and told why.
    #[error("access denied")]
    Denied,
}

impl From<ReadError> for GreetError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Closed => Self::Io(io::ErrorKind::UnexpectedEof.into()),
            ReadError::Fault(fault) => Self::Fault(fault),
            ReadError::Io(error) => Self::Io(error),
        }
    }
}

/// Greets a client and checks its password. The last word, OK or an error, is the caller's, who
/// has yet to look at the database.
///
/// Cancel safe: an unfinished handshake closes the connection.
///
/// # Errors
///
/// See [`GreetError`]; the client has been told.
pub async fn greet(
    stream: Stream,
    context: &GreetContext,
    connection_id: u32,
    host: &str,
) -> Result<Greeted, GreetError> {
    let nonce = fresh_nonce();
    let mut offered = context.capabilities;
    if context.tls.is_some() {
        offered = offered | Capabilities::SSL;
    }
    let greeting = Greeting {
        version: context.version.clone().into_bytes(),
        connection_id,
        nonce,
        capabilities: offered,
        collation: context.collation,
        status: Status::AUTOCOMMIT,
        plugin: context.plugin.name().into(),
    };
    let mut packets = PacketStream::new(stream);
    let mut payload = BytesMut::new();
    greeting.encode(&mut payload);
    packets.write(&payload).await?;

    let (mut packets, response) = match response(packets, context).await {
        Ok(answered) => answered,
        Err((Some(mut packets), error)) => {
            tell(&mut packets, &Told::BAD_HANDSHAKE).await;
            return Err(error);
        }
        Err((None, error)) => return Err(error),
    };
    if context.require_tls && !packets.stream.is_tls() {
        tell(&mut packets, &Told::TLS_REQUIRED).await;
        return Err(GreetError::Denied);
    }
    let name = String::from_utf8_lossy(&response.user).into_owned();
    let mut login = Login {
        packets: &mut packets,
        context,
        user: context.users.get(&name),
        nonce: nonce.to_vec(),
    };
    let plugin = response.plugin.as_deref().map(Plugin::from_name);
    let plugin = if response.capabilities.has(Capabilities::PLUGIN_AUTH) {
        plugin.flatten()
    } else {
        Some(Plugin::Native)
    };
    let proven = login.prove(plugin, response.proof.clone()).await?;
    let user = context.users.get(&name);
    let encrypted = packets.stream.is_tls();
    let user = user.filter(|user| proven.right && (!user.tls_only || encrypted));
    let Some(user) = user.cloned() else {
        tell(&mut packets, &Told::access_denied(&name, host, proven.with_password)).await;
        return Err(GreetError::Denied);
    };
    let capabilities = response.capabilities & offered;
    Ok(Greeted { packets, user, response, capabilities, nonce })
}

/// A change of user on a connection that is established.
///
/// Cancel safe only in that the connection is of no use afterwards.
///
/// # Errors
///
/// See [`GreetError`]. On [`GreetError::Denied`] the client has not been told.
pub async fn prove_again(
    packets: &mut PacketStream,
    context: &GreetContext,
    nonce: [u8; NONCE],
    name: &str,
    plugin: Option<Plugin>,
    proof: Vec<u8>,
) -> Result<(Option<User>, bool), GreetError> {
    let user = context.users.get(name);
    let mut login = Login { packets, context, user, nonce: nonce.to_vec() };
    let proven = login.prove(plugin, proof).await?;
    Ok((user.filter(|_| proven.right).cloned(), proven.with_password))
}

type Answered = Result<(PacketStream, HandshakeResponse), (Option<PacketStream>, GreetError)>;

/// Reads the client's response, after TLS where it asks for that.
async fn response(mut packets: PacketStream, context: &GreetContext) -> Answered {
    let payload = match packets.read_exactly().await {
        Ok(payload) => payload,
        Err(ReadError::Fault(fault)) => return Err((Some(packets), fault.into())),
        Err(error) => return Err((None, error.into())),
    };
    let wanted = match HandshakeResponse::capabilities(&payload) {
        Ok(wanted) => wanted,
        Err(fault) => return Err((Some(packets), fault.into())),
    };
    let mut payload = payload;
    if wanted.has(Capabilities::SSL) && payload.len() == SSL_REQUEST {
        let Some(acceptor) = &context.tls else {
            let fault = Fault::Unexpected { expected: "a response without TLS" };
            return Err((Some(packets), fault.into()));
        };
        let PacketStream { stream, buffer, sequence } = packets;
        let Stream::Plain(tcp) = stream else {
            let fault = Fault::Unexpected { expected: "TLS only once" };
            return Err((None, fault.into()));
        };
        let stream = match Box::pin(acceptor.accept(tcp)).await {
            Ok(stream) => Stream::TlsServer(Box::new(stream)),
            Err(error) => return Err((None, error.into())),
        };
        packets = PacketStream { stream, buffer, sequence };
        payload = match packets.read().await {
            Ok(payload) => payload,
            Err(ReadError::Fault(fault)) => return Err((Some(packets), fault.into())),
            Err(error) => return Err((None, error.into())),
        };
    }
    match HandshakeResponse::parse(&payload) {
        Ok(response) => Ok((packets, response)),
        Err(fault) => Err((Some(packets), fault.into())),
    }
}

struct Login<'a> {
    packets: &'a mut PacketStream,
    context: &'a GreetContext,
    user: Option<&'a User>,
    nonce: Vec<u8>,
}

/// What came of a proof.
struct Proven {
    right: bool,
    with_password: bool,
}

impl Login<'_> {
    async fn prove(
        &mut self,
        plugin: Option<Plugin>,
        proof: Vec<u8>,
    ) -> Result<Proven, GreetError> {
        let offered = self.context.plugin;
        let secure = self.packets.stream.is_tls();
        let plugin = match plugin {
            Some(plugin @ (Plugin::CachingSha2 | Plugin::Native)) => plugin,
            Some(Plugin::ClearPassword) if secure => Plugin::ClearPassword,
            _ => return self.switch(offered).await,
        };
        if plugin != offered && plugin != Plugin::Native {
            return self.switch(plugin).await;
        }
        if plugin == Plugin::Native && plugin != offered && proof.len() != NONCE {
            return self.switch(plugin).await;
        }
        self.check(plugin, proof).await
    }

    /// Asks for a proof by this plugin.
    async fn switch(&mut self, plugin: Plugin) -> Result<Proven, GreetError> {
        self.nonce = fresh_nonce().to_vec();
        let switch = AuthSwitch { plugin: plugin.name().into(), nonce: self.nonce.clone() };
        let mut payload = BytesMut::new();
        switch.encode(&mut payload);
        self.packets.write(&payload).await?;
        let proof = self.packets.read().await?.to_vec();
        self.check(plugin, proof).await
    }

    async fn check(&mut self, plugin: Plugin, proof: Vec<u8>) -> Result<Proven, GreetError> {
        let proof = match plugin {
            Plugin::ClearPassword => without_terminator(proof),
            // MySQL's own library answers a request for a proof with the terminator alone.
            Plugin::CachingSha2 if proof == [0] => Vec::new(),
            _ => proof,
        };
        let with_password = !proof.is_empty();
        let right = self.is_right(plugin, &proof);
        if plugin != Plugin::CachingSha2 || !with_password {
            return Ok(Proven { right, with_password });
        }
        if right {
            self.packets.write(&[1, 3]).await?;
            return Ok(Proven { right, with_password });
        }
        // A server that finds the fast proof wrong asks for the password itself.
        self.packets.write(&[1, 4]).await?;
        let password = self.full_password().await?;
        let right =
            password.is_some_and(|password| self.is_right(Plugin::ClearPassword, &password));
        Ok(Proven { right, with_password })
    }

    /// The password: in clear under TLS, otherwise encrypted with Millpond's key.
    async fn full_password(&mut self) -> Result<Option<Vec<u8>>, GreetError> {
        let answer = self.packets.read().await?.to_vec();
        if self.packets.stream.is_tls() {
            return Ok(Some(without_terminator(answer)));
        }
        if answer != [2] {
            return Ok(None);
        }
        let rsa = self.context.rsa.clone();
        // Making a key takes long, and is done once.
        let pem = tokio::task::spawn_blocking(move || rsa.public_pem()).await;
        let Ok(Some(pem)) = pem else { return Ok(None) };
        self.packets.write(&[&[1], pem.as_bytes()].concat()).await?;
        let sealed = self.packets.read().await?.to_vec();
        let opened = self.context.rsa.open(&sealed);
        Ok(opened.map(|masked| without_terminator(auth::mask(&masked, &self.nonce))))
    }

    /// Compares with the user's password, or with one that nobody has.
    fn is_right(&self, plugin: Plugin, proof: &[u8]) -> bool {
        let nobody = Secret::new(fresh_nonce());
        let secret = self.user.map_or(&nobody, |user| &user.secret);
        auth::verify(plugin, secret.expose(), &self.nonce, proof) && self.user.is_some()
    }
}

fn without_terminator(mut password: Vec<u8>) -> Vec<u8> {
    if password.last() == Some(&0) {
        password.pop();
    }
    password
}

async fn tell(packets: &mut PacketStream, told: &Told) {
    let payload = told.payload();
    // The client may be gone already.
    let _ = packets.write(&payload).await;
}

/// Twenty random bytes that no client mistakes for an end or a separator.
pub fn fresh_nonce() -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    if aws_lc_rs::rand::fill(&mut nonce).is_err() {
        // The system's source of randomness never fails once it has worked at the start.
        nonce = std::array::from_fn(|_| fastrand::u8(..));
    }
    nonce.map(|byte| match byte & 0x7F {
        0 => 1,
        b'$' => b'%',
        other => other,
    })
}

/// The RSA key for passwords over plain connections; made when the first client asks for it.
#[derive(Default)]
pub struct RsaKey {
    key: OnceLock<Option<(OaepPrivateDecryptingKey, String)>>,
}

impl RsaKey {
    fn pair(&self) -> Option<&(OaepPrivateDecryptingKey, String)> {
        self.key.get_or_init(make_key).as_ref()
    }

    /// The public key as PEM. Takes long the first time.
    pub fn public_pem(&self) -> Option<String> {
        self.pair().map(|(_, pem)| pem.clone())
    }

    /// Decrypts what was encrypted with the public key.
    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (key, _) = self.pair()?;
        let mut out = vec![0; key.min_output_size()];
        let opened = key.decrypt(&OAEP_SHA1_MGF1SHA1, sealed, &mut out, None).ok()?;
        Some(opened.to_vec())
    }
}

fn make_key() -> Option<(OaepPrivateDecryptingKey, String)> {
    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).ok()?;
    let public = private.public_key();
    let der = AsDer::<PublicKeyX509Der<'_>>::as_der(&public).ok()?;
    let pem = pem::encode(&pem::Pem::new("PUBLIC KEY", der.as_ref()));
    Some((OaepPrivateDecryptingKey::new(private).ok()?, pem.replace("\r\n", "\n")))
}
