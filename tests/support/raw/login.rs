//! How a raw client logs in, with every plugin that a client can use.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY as SHA1, SHA256, digest};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use mysql_common::constants::CapabilityFlags;
use parking_lot::Mutex;
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, SignatureScheme};

use super::packets::Packets;
use super::reply::{Raw, error_in};
use crate::support::accounts::Account;

/// The plugin that the client names, and uses until the server asks for another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Plugin {
    CachingSha2,
    Clear,
    Native,
}

impl Plugin {
    fn name(self) -> &'static str {
        match self {
            Self::CachingSha2 => "caching_sha2_password",
            Self::Clear => "mysql_clear_password",
            Self::Native => "mysql_native_password",
        }
    }

    fn named(name: &[u8]) -> Option<Self> {
        [Self::CachingSha2, Self::Clear, Self::Native]
            .into_iter()
            .find(|plugin| plugin.name().as_bytes() == name)
    }

    fn proof(self, password: &str, nonce: &[u8]) -> Vec<u8> {
        let password = password.as_bytes();
        let (once, mask) = match self {
            Self::Clear => return [password, &[0]].concat(),
            _ if password.is_empty() => return Vec::new(),
            Self::Native => {
                let once = digest(&SHA1, password);
                let twice = digest(&SHA1, once.as_ref());
                (once, digest(&SHA1, &[nonce, twice.as_ref()].concat()))
            }
            Self::CachingSha2 => {
                let once = digest(&SHA256, password);
                let twice = digest(&SHA256, once.as_ref());
                (once, digest(&SHA256, &[twice.as_ref(), nonce].concat()))
            }
        };
        once.as_ref().iter().zip(mask.as_ref()).map(|(a, b)| a ^ b).collect()
    }
}

/// What the client says about itself.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    /// Who.
    pub(crate) user: String,
    /// By what.
    pub(crate) password: String,
    /// Where to.
    pub(crate) database: Option<String>,
    /// Beyond those that a login always has.
    pub(crate) capabilities: CapabilityFlags,
    /// The plugin to begin with.
    pub(crate) plugin: Plugin,
    /// The number of a collation.
    pub(crate) collation: u8,
    /// Whether to encrypt.
    pub(crate) encrypted: Encrypted,
    /// The certificate to show, and its key: files in PEM format.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    /// The address to come from, one of this machine.
    pub(crate) from: Ipv4Addr,
    /// All that was sent to prove the password, of this login and its copies.
    pub(crate) proofs: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// Whether to encrypt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Encrypted {
    No,
    Yes,
}

impl Login {
    /// As a modern driver does.
    pub(crate) fn of(account: &Account) -> Self {
        Self {
            user: account.name.to_owned(),
            password: account.password.to_owned(),
            database: Some("app".to_owned()),
            capabilities: CapabilityFlags::CLIENT_DEPRECATE_EOF
                | CapabilityFlags::CLIENT_MULTI_RESULTS
                | CapabilityFlags::CLIENT_PS_MULTI_RESULTS,
            plugin: Plugin::CachingSha2,
            collation: 45,
            encrypted: Encrypted::No,
            identity: None,
            from: Ipv4Addr::LOCALHOST,
            proofs: Arc::default(),
        }
    }

    /// Connects and logs in. A refusal comes as an error of kind `PermissionDenied`, with the
    /// server's number and text.
    pub(crate) async fn at(&self, port: u16) -> io::Result<Raw> {
        self.on(Packets::connect(port, self.from).await?).await
    }

    /// Logs in on a connection that is open. A refusal comes as for [`Self::at`].
    pub(crate) async fn on(&self, mut packets: Packets) -> io::Result<Raw> {
        let (_, greeting) = packets.receive().await?;
        let greeting = Greeting::parse(&greeting)?;
        let mut sequence = 1;
        // What a server does not offer it must not be asked for.
        let mut capabilities = self.capabilities & greeting.capabilities;
        capabilities |= CapabilityFlags::CLIENT_LONG_PASSWORD
            | CapabilityFlags::CLIENT_LONG_FLAG
            | CapabilityFlags::CLIENT_PROTOCOL_41
            | CapabilityFlags::CLIENT_TRANSACTIONS
            | CapabilityFlags::CLIENT_SECURE_CONNECTION
            | CapabilityFlags::CLIENT_PLUGIN_AUTH;
        capabilities.set(CapabilityFlags::CLIENT_CONNECT_WITH_DB, self.database.is_some());
        capabilities.set(CapabilityFlags::CLIENT_SSL, self.encrypted == Encrypted::Yes);
        if self.encrypted == Encrypted::Yes {
            packets.send(sequence, &self.start(capabilities)).await?;
            sequence += 1;
            packets = packets.encrypt(self.tls()).await?;
        }
        let mut response = self.start(capabilities);
        let mut proof = self.plugin.proof(&self.password, &greeting.nonce);
        self.proofs.lock().push(proof.clone());
        if proof.len() > 250 {
            // It has one byte for the length; the server asks for it again.
            proof.clear();
        }
        response.extend([self.user.as_bytes(), &[0, proof.len() as u8], &proof].concat());
        if let Some(database) = &self.database {
            response.extend([database.as_bytes(), &[0]].concat());
        }
        response.extend([self.plugin.name().as_bytes(), &[0]].concat());
        packets.send(sequence, &response).await?;
        self.finish(&mut packets, greeting.nonce).await?;
        Ok(Raw { packets, capabilities, connection_id: greeting.connection_id })
    }

    /// Logs in again on the same connection, by a dialogue that begins with a wrong plugin.
    pub(crate) async fn change_user(&self, client: &mut Raw) -> io::Result<()> {
        let mut command = [&[0x11], self.user.as_bytes(), &[0, 0]].concat();
        command.extend(self.database.iter().flat_map(|name| name.bytes()).chain([0]));
        command.extend([self.collation, 0]);
        command.extend([self.plugin.name().as_bytes(), &[0]].concat());
        client.packets.send(0, &command).await?;
        self.finish(&mut client.packets, Vec::new()).await
    }

    async fn finish(&self, packets: &mut Packets, mut nonce: Vec<u8>) -> io::Result<()> {
        loop {
            let (sequence, packet) = packets.receive().await?;
            let answer = match &packet[..] {
                [0x00, ..] => return Ok(()),
                [0xfe, switch @ ..] => {
                    let name = until_zero(switch);
                    let plugin = Plugin::named(&name).ok_or(io::ErrorKind::Unsupported)?;
                    nonce = switch.get(name.len() + 1..).unwrap_or_default().to_vec();
                    nonce.truncate(20);
                    plugin.proof(&self.password, &nonce)
                }
                // Fast: the OK follows at once.
                [0x01, 0x03] => continue,
                [0x01, 0x04] if self.encrypted == Encrypted::Yes => {
                    [self.password.as_bytes(), &[0]].concat()
                }
                // Full, on a plain connection: ask for the server's key.
                [0x01, 0x04] => vec![0x02],
                [0x01, key @ ..] => encrypt(&self.password, &nonce, key),
                _ => {
                    let (code, message) = error_in(&packet).ok_or(io::ErrorKind::InvalidData)?;
                    let text = format!("{code}: {message}");
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
                }
            };
            self.proofs.lock().push(answer.clone());
            packets.send(sequence + 1, &answer).await?;
        }
    }

    fn tls(&self) -> Arc<ClientConfig> {
        let Some((certificate, key)) = &self.identity else { return unverified_tls() };
        let chain = CertificateDer::pem_file_iter(certificate).expect("certificates");
        let chain = chain.map(|certificate| certificate.expect("a certificate")).collect();
        let key = PrivateKeyDer::from_pem_file(key).expect("a key");
        Arc::new(unverified().with_client_auth_cert(chain, key).expect("a pair"))
    }

    /// What begins the response, and is the whole of the request for TLS.
    fn start(&self, capabilities: CapabilityFlags) -> Vec<u8> {
        let mut start = capabilities.bits().to_le_bytes().to_vec();
        start.extend((1u32 << 24).to_le_bytes());
        start.push(self.collation);
        start.extend([0; 23]);
        start
    }
}

/// What matters of the server's greeting.
struct Greeting {
    connection_id: u32,
    capabilities: CapabilityFlags,
    nonce: Vec<u8>,
}

impl Greeting {
    fn parse(packet: &[u8]) -> io::Result<Self> {
        if let Some((code, message)) = error_in(packet) {
            let text = format!("{code}: {message}");
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, text));
        }
        let version = until_zero(&packet[1..]).len();
        // The id, 8 bytes of nonce and a zero, then fixed fields up to the rest of the nonce.
        let rest = &packet[version + 2..];
        let nonce = [&rest[4..12], &rest[31..43]].concat();
        let capabilities = u32::from_le_bytes([rest[13], rest[14], rest[18], rest[19]]);
        Ok(Self {
            connection_id: u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]),
            capabilities: CapabilityFlags::from_bits_truncate(capabilities),
            nonce,
        })
    }
}

fn until_zero(bytes: &[u8]) -> Vec<u8> {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

fn encrypt(password: &str, nonce: &[u8], key: &[u8]) -> Vec<u8> {
    let key = SubjectPublicKeyInfoDer::from_pem_slice(key).expect("a key in PEM format");
    let key = PublicEncryptingKey::from_der(&key).expect("an RSA key");
    let key = OaepPublicEncryptingKey::new(key).expect("a usable key");
    let masks = nonce.iter().cycle();
    let masked: Vec<u8> = password.bytes().chain([0]).zip(masks).map(|(a, b)| a ^ b).collect();
    let mut encrypted = vec![0; key.ciphertext_size()];
    key.encrypt(&OAEP_SHA1_MGF1SHA1, &masked, &mut encrypted, None).expect("to encrypt");
    encrypted
}

/// A configuration that believes any server: theirs make their own certificates.
fn unverified_tls() -> Arc<ClientConfig> {
    static CONFIG: LazyLock<Arc<ClientConfig>> =
        LazyLock::new(|| Arc::new(unverified().with_no_client_auth()));
    Arc::clone(&CONFIG)
}

fn unverified() -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the usual versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(algorithms)))
}

#[derive(Debug)]
struct Anybody(rustls::crypto::WebPkiSupportedAlgorithms);

type Verified = rustls::client::danger::HandshakeSignatureValid;

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<Verified, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<Verified, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
