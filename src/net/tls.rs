//! TLS towards clients and towards servers: from the configuration to an encrypted [`Stream`].
//!
//! The meanings of the modes are MySQL's:
//! <https://dev.mysql.com/doc/refman/8.4/en/using-encrypted-connections.html>. Two things differ,
//! because rustls has them so: nothing older than TLS 1.2; and a server's name is looked for among
//! the certificate's alternative names only, never in its common name (RFC 9525).

mod files;
pub mod metrics;
pub mod names;
pub mod renewed;
mod trust;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ServerConnection, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, Error, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use self::files::{authorities, certificates, content, fingerprint, identity, self_signed};
use self::renewed::Renewed;
use super::stream::Stream;
use crate::config::{BackTls, BackTlsMode, CertificateFiles, FrontTls, FrontTlsMode};

/// Why the configured TLS cannot be used. The fault is the configuration's.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file holds something else than what it was given for.
    #[error("{path}: {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Certificate and key do not fit together, or are of a kind that cannot be used.
    #[error("{path}: the certificate cannot be used with its key: {source}")]
    Identity {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No certificate could be made.
    #[error("no self-signed certificate could be made: {0}")]
    SelfSigned(#[from] rcgen::Error),
    /// The system has no authorities to trust, and none were configured.
    #[error("the system has no certificates of authorities; configure `ca`")]
    NoSystemAuthorities,
    /// The TLS library refuses its own parameters.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// Reads what is needed to be a TLS server; `None` when TLS is not offered. Without a configured
/// certificate a self-signed one is made, as servers do at their first start.
///
/// Reads files: for the start of the program, not for its event loop.
///
/// # Errors
///
/// Names the file that cannot be used, and why.
pub fn acceptor(config: &FrontTls) -> Result<Option<ServerTls>, TlsError> {
    if config.mode == FrontTlsMode::Disabled {
        return Ok(None);
    }
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let mut expiries = Vec::new();
    let builder = match &config.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let trusted = certificates(path)?;
            expiries.extend(first_to_expire("client_ca", &trusted));
            let roots = Arc::new(authorities(trusted));
            // As with servers: a certificate is checked if there is one. Who must have one is a
            // matter of the user's account.
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .allow_unauthenticated()
                .build()
                .map_err(|_| content(path, "no authority among the certificates"))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let certified = match &config.identity {
        Some(files) => identity(files)?,
        None => self_signed()?,
    };
    expiries.extend(first_to_expire("server", &certified.cert[..1]));
    let fingerprint = fingerprint(certified.end_entity_cert()?);
    let mut server = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    server.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    // One is enough for a client that reconnects; each costs every handshake.
    server.send_tls13_tickets = 1;
    let acceptor = TlsAcceptor::from(Arc::new(server));
    Ok(Some(ServerTls { acceptor, fingerprint, expiries }))
}

/// The same, which follows its files.
///
/// # Errors
///
/// See [`acceptor`].
pub fn renewed_acceptor(config: &FrontTls) -> Result<Option<Renewed<ServerTls>>, TlsError> {
    if config.mode == FrontTlsMode::Disabled {
        return Ok(None);
    }
    let paths = file_paths(config.identity.as_ref(), config.client_ca.as_ref());
    let config = config.clone();
    let unoffered = || TlsError::Setup(Error::General("TLS is not offered".into()));
    Renewed::first(paths, move || acceptor(&config)?.ok_or_else(unoffered)).map(Some)
}

/// The same, which follows its files.
///
/// # Errors
///
/// See [`connector`].
pub fn renewed_connector(config: &BackTls) -> Result<Renewed<ClientTls>, TlsError> {
    let paths = file_paths(config.identity.as_ref(), config.ca.as_ref());
    let config = config.clone();
    Renewed::first(paths, move || connector(&config))
}

fn file_paths(identity: Option<&CertificateFiles>, authorities: Option<&PathBuf>) -> Vec<PathBuf> {
    let identity = identity.map(|files| [files.certificate.clone(), files.key.clone()]);
    identity.into_iter().flatten().chain(authorities.cloned()).collect()
}

/// How to be the TLS server of clients.
#[derive(Clone)]
pub struct ServerTls {
    acceptor: TlsAcceptor,
    fingerprint: [u8; 32],
    expiries: Vec<Expiry>,
}

impl ServerTls {
    /// When the certificates in it expire.
    pub fn expiries(&self) -> &[Expiry] {
        &self.expiries
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

/// How to be a TLS client of a server.
#[derive(Clone)]
pub struct ClientTls {
    /// Whether TLS is wanted, and how much of it is checked.
    pub mode: BackTlsMode,
    connector: Option<TlsConnector>,
    expiries: Vec<Expiry>,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl ClientTls {
    /// Without TLS.
    pub fn disabled() -> Self {
        Self { mode: BackTlsMode::Disabled, connector: None, expiries: Vec::new() }
    }

    /// When the certificates in it expire that are configured.
    pub fn expiries(&self) -> &[Expiry] {
        &self.expiries
    }

    /// What to connect with; `None` when the mode is `Disabled`.
    pub fn connector(&self) -> Option<&TlsConnector> {
        self.connector.as_ref()
    }
}

/// Reads what is needed to be a TLS client of servers.
///
/// Reads files, as [`acceptor`].
///
/// # Errors
///
/// Names the file that cannot be used, and why.
pub fn connector(config: &BackTls) -> Result<ClientTls, TlsError> {
    let provider = provider();
    let mut expiries = Vec::new();
    let verifier: Arc<dyn rustls::client::danger::ServerCertVerifier> = match config.mode {
        BackTlsMode::Disabled => return Ok(ClientTls::disabled()),
        BackTlsMode::Preferred | BackTlsMode::Required => Arc::new(trust::Anybody::new(&provider)),
        BackTlsMode::VerifyCa | BackTlsMode::VerifyIdentity => {
            let roots = match &config.ca {
                Some(path) => {
                    let trusted = certificates(path)?;
                    expiries.extend(first_to_expire("backend_ca", &trusted));
                    trusted
                }
                None => rustls_native_certs::load_native_certs().certs,
            };
            let names = match config.mode {
                BackTlsMode::VerifyIdentity => trust::Names::MustFit,
                _ => trust::Names::Ignored,
            };
            let verifier = trust::Authorities::new(roots, names, provider.clone());
            let no_authority = || match &config.ca {
                Some(path) => content(path, "no authority among the certificates"),
                None => TlsError::NoSystemAuthorities,
            };
            Arc::new(verifier.ok_or_else(no_authority)?)
        }
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let client = match &config.identity {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let certified = identity(files)?;
            expiries.extend(first_to_expire("backend_client", &certified.cert[..1]));
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
    };
    let connector = Some(TlsConnector::from(Arc::new(client)));
    Ok(ClientTls { mode: config.mode, connector, expiries })
}

/// Becomes the TLS server of a client that has asked for it. `leftover` is what it sent behind its
/// request: the beginning of the TLS handshake and nothing else, so that nobody on the way can slip
/// plain commands in.
///
/// Not cancel safe: the connection is of no use afterwards.
///
/// # Errors
///
/// When the handshake fails or the network does.
pub async fn accept(tls: &ServerTls, tcp: TcpStream, leftover: BytesMut) -> io::Result<Stream> {
    let mut refused = None;
    let mut handshake = tls.acceptor.accept_with(tcp, |connection| {
        refused = feed(connection, &leftover).err().map(|error| {
            let mut alert = Vec::new();
            // Into memory, which takes everything.
            let _ = connection.write_tls(&mut alert);
            (error, alert)
        });
    });
    if let Some((error, alert)) = refused {
        // The handshake would wait for more. So that the client hears why, as far as TLS says it:
        if let Some(tcp) = handshake.get_mut() {
            let _ = tcp.write_all(&alert).await;
        }
        return Err(error);
    }
    Ok(Stream::TlsServer(Box::new(handshake.await?)))
}

/// Hands the handshake's beginning to rustls.
fn feed(connection: &mut ServerConnection, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        if connection.read_tls(&mut bytes)? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        connection
            .process_new_packets()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    }
    Ok(())
}

/// Becomes the TLS client of the server called `host`.
///
/// Not cancel safe: the connection is of no use afterwards.
///
/// # Errors
///
/// When the handshake fails, the server is not trusted, or the network fails.
pub async fn connect(connector: &TlsConnector, tcp: TcpStream, host: &str) -> io::Result<Stream> {
    // A name that no certificate can be for is refused by the verifiers that look at names.
    let nobody = ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let name = ServerName::try_from(host.to_owned()).unwrap_or(nobody);
    Ok(Stream::TlsClient(Box::new(connector.connect(name, tcp).await?)))
}

/// Whether a failed handshake was TLS's own refusal, not the network's.
pub fn is_refusal(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

/// A protocol version as OpenSSL, and so a server's status variable `Ssl_version`, names it.
pub fn version_name(version: rustls::ProtocolVersion) -> Option<&'static str> {
    match version {
        rustls::ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
        rustls::ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
        _ => None,
    }
}

/// A cipher as OpenSSL, and so a server's status variable `Ssl_cipher`, names it: those that the
/// provider has.
pub fn cipher_name(cipher: rustls::CipherSuite) -> Option<&'static str> {
    use rustls::CipherSuite as C;
    Some(match cipher {
        C::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        C::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        C::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        C::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        C::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        C::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        C::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        C::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        C::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => return None,
    })
}

/// Named, because another crate in the same program may bring a second provider, and then rustls
/// has no default.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// When a certificate in use expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Whose it is: the metric's label.
    pub whose: &'static str,
    /// When, in seconds since 1970.
    pub at: i64,
}

/// When the first of these expires. Of version 1 it is not known.
fn first_to_expire(whose: &'static str, certificates: &[CertificateDer<'_>]) -> Option<Expiry> {
    let at = certificates.iter().filter_map(|one| names::expiry(one)).min()?;
    Some(Expiry { whose, at })
}

#[cfg(test)]
mod tests;
