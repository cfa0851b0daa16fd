//! How a client logs in: `mysql_native_password`, and `caching_sha2_password` by its fast path, over
//! TLS, and by the server's RSA key.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY as SHA1, SHA256, digest};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{ServerName, SubjectPublicKeyInfoDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::wire::{Client, Failure, Stream, failure};

const LONG_PASSWORD: u32 = 1;
const LONG_FLAG: u32 = 1 << 2;
const CONNECT_WITH_DB: u32 = 1 << 3;
const PROTOCOL_41: u32 = 1 << 9;
const SSL: u32 = 1 << 11;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE_CONNECTION: u32 = 1 << 15;
const PLUGIN_AUTH: u32 = 1 << 19;
const DEPRECATE_EOF: u32 = 1 << 24;

const UTF8MB4: u8 = 45;

/// Where to log in, and as whom.
#[derive(Clone)]
pub(crate) struct Target {
    /// The server's address, or the proxy's.
    pub(crate) address: SocketAddr,
    /// The user.
    pub(crate) user: &'static str,
    /// The password.
    pub(crate) password: &'static str,
    /// The database.
    pub(crate) database: &'static str,
    /// TLS, if it is wanted.
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
}

impl Target {
    /// Connects and logs in.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let mut client = Client::new(Stream::Plain(stream));
        let greeting = client.packet().await?;
        let greeting = Greeting::parse(&greeting)?;
        let mut sequence = 1;
        if let Some(config) = &self.tls {
            client.send_packet(sequence, &self.start(self.capabilities())).await?;
            sequence += 1;
            let Stream::Plain(stream) = client.into_stream() else {
                return Err(Failure::Unexpected("TLS within TLS"));
            };
            let name = ServerName::IpAddress(self.address.ip().into());
            let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
            client = Client::new(Stream::Tls(Box::new(stream)));
        }
        let proof = self.proof(&greeting.plugin, &greeting.nonce);
        client.send_packet(sequence, &self.response(&greeting.plugin, &proof)).await?;
        self.finish(client, sequence, greeting).await
    }

    async fn finish(
        &self,
        mut client: Client,
        mut sequence: u8,
        mut greeting: Greeting,
    ) -> Result<Client, Failure> {
        loop {
            let packet = client.packet().await?;
            sequence = sequence.wrapping_add(2);
            match packet[..] {
                [0x00, ..] => return Ok(client),
                [0xfe, ref switch @ ..] => {
                    greeting.switch(switch)?;
                    let proof = self.proof(&greeting.plugin, &greeting.nonce);
                    client.send_packet(sequence, &proof).await?;
                }
                // Fast: the OK follows at once.
                [0x01, 0x03] => sequence = sequence.wrapping_sub(1),
                [0x01, 0x04] if self.tls.is_some() => {
                    let clear = [self.password.as_bytes(), &[0]].concat();
                    client.send_packet(sequence, &clear).await?;
                }
                // Full, on a plain connection: ask for the server's key.
                [0x01, 0x04] => client.send_packet(sequence, &[0x02]).await?,
                [0x01, ref key @ ..] => {
                    let encrypted = encrypt(self.password, &greeting.nonce, key)?;
                    client.send_packet(sequence, &encrypted).await?;
                }
                _ => return Err(failure(&packet)),
            }
        }
    }

    fn capabilities(&self) -> u32 {
        let tls = if self.tls.is_some() { SSL } else { 0 };
        LONG_PASSWORD | LONG_FLAG | CONNECT_WITH_DB | PROTOCOL_41 | TRANSACTIONS
            | SECURE_CONNECTION | PLUGIN_AUTH | DEPRECATE_EOF | tls
    }

    /// What begins the response, and is the whole of the request for TLS.
    fn start(&self, capabilities: u32) -> Vec<u8> {
        let mut start = capabilities.to_le_bytes().to_vec();
        start.extend((1u32 << 24).to_le_bytes());
        start.push(UTF8MB4);
        start.extend([0; 23]);
        start
    }

    fn response(&self, plugin: &[u8], proof: &[u8]) -> Vec<u8> {
        let mut response = self.start(self.capabilities());
        response.extend(self.user.as_bytes());
        response.push(0);
        response.push(proof.len() as u8);
        response.extend(proof);
        response.extend(self.database.as_bytes());
        response.push(0);
        response.extend(plugin);
        response.push(0);
        response
    }

    fn proof(&self, plugin: &[u8], nonce: &[u8]) -> Vec<u8> {
        let password = self.password.as_bytes();
        let (once, mask) = if plugin == b"mysql_native_password" {
            let once = digest(&SHA1, password);
            let twice = digest(&SHA1, once.as_ref());
            (once, digest(&SHA1, &[nonce, twice.as_ref()].concat()))
        } else {
            let once = digest(&SHA256, password);
            let twice = digest(&SHA256, once.as_ref());
            (once, digest(&SHA256, &[twice.as_ref(), nonce].concat()))
        };
        once.as_ref().iter().zip(mask.as_ref()).map(|(a, b)| a ^ b).collect()
    }
}

/// What matters of the server's greeting.
struct Greeting {
    nonce: Vec<u8>,
    plugin: Vec<u8>,
}

impl Greeting {
    fn parse(packet: &[u8]) -> Result<Self, Failure> {
        let short = || Failure::Unexpected("a greeting that is too short");
        let [0x0a, rest @ ..] = packet else { return Err(failure(packet)) };
        let version = rest.iter().position(|byte| *byte == 0).ok_or_else(short)?;
        // The connection's id, 8 bytes of nonce and a zero, then fixed fields up to the rest of it.
        let rest = rest.get(version + 1 + 4..).ok_or_else(short)?;
        let (first, second) = (rest.get(..8), rest.get(27..39));
        let nonce = [first.ok_or_else(short)?, second.ok_or_else(short)?].concat();
        let plugin = rest.get(40..).ok_or_else(short)?;
        Ok(Self { nonce, plugin: until_zero(plugin) })
    }

    fn switch(&mut self, packet: &[u8]) -> Result<(), Failure> {
        self.plugin = until_zero(packet);
        let nonce = packet.get(self.plugin.len() + 1..).and_then(|rest| rest.get(..20));
        self.nonce = nonce.ok_or(Failure::Unexpected("a switch without a nonce"))?.to_vec();
        Ok(())
    }
}

fn until_zero(bytes: &[u8]) -> Vec<u8> {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

fn encrypt(password: &str, nonce: &[u8], key: &[u8]) -> Result<Vec<u8>, Failure> {
    let bad = |_| Failure::Unexpected("an RSA key that cannot be used");
    let key = SubjectPublicKeyInfoDer::from_pem_slice(key)
        .map_err(|_| Failure::Unexpected("a key that is not in PEM format"))?;
    let key = PublicEncryptingKey::from_der(&key)
        .map_err(|_| Failure::Unexpected("a key that is not RSA"))?;
    let key = OaepPublicEncryptingKey::new(key).map_err(bad)?;
    let masked: Vec<u8> = password
        .bytes()
        .chain([0])
        .zip(nonce.iter().cycle())
        .map(|(byte, mask)| byte ^ mask)
        .collect();
    let mut encrypted = vec![0; key.ciphertext_size()];
    let written =
        key.encrypt(&OAEP_SHA1_MGF1SHA1, &masked, &mut encrypted, None).map_err(bad)?.len();
    encrypted.truncate(written);
    Ok(encrypted)
}

/// A TLS configuration that believes any server, for servers that make their own certificates. It
/// does not resume sessions, as a function's first connection cannot.
pub(crate) fn unverified_tls() -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the usual protocol versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(algorithms)))
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

#[derive(Debug)]
struct Anybody(rustls::crypto::WebPkiSupportedAlgorithms);

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_schemes()
    }
}
