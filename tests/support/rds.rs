//! A stand-in for a server of RDS, which takes a signature of IAM in place of a password: it checks
//! the signature, and is a real server behind that.
//!
//! No community server has AWS's plugin. This one speaks for it: it asks for TLS, then for the token
//! by `mysql_clear_password`, computes the signature by itself, and lets what comes after pass to and
//! from a MariaDB, where it has logged in with a password.

use std::net::Ipv4Addr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY as SHA1, SHA256, digest};
use aws_lc_rs::hmac;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::accounts::Account;
use super::certificates::Certificates;

/// The stand-in.
pub(crate) struct Rds {
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    tokens: Arc<Mutex<Vec<String>>>,
}

/// Whose signatures it takes, and for whom it logs in.
#[derive(Clone)]
pub(crate) struct Rules {
    /// The region that tokens are for.
    pub(crate) region: &'static str,
    /// The database user that tokens are for.
    pub(crate) user: &'static str,
    /// The key that they are signed with.
    pub(crate) secret_key: &'static str,
    /// The server behind, which has to be a MariaDB.
    pub(crate) server: u16,
    /// As whom to log in there; by `mysql_native_password`.
    pub(crate) account: Account,
}

impl Rds {
    /// Starts it; it works until its runtime ends.
    pub(crate) async fn start(certificates: &Certificates, rules: Rules) -> Self {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(&certificates.certificate).expect("a file").collect();
        let key = PrivateKeyDer::from_pem_file(&certificates.key).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain.expect("certificates"), key)
            .expect("a certificate with its key");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let tokens: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = tokens.clone();
        #[allow(clippy::disallowed_methods, reason = "it ends with its test")]
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, rules, seen) = (acceptor.clone(), rules.clone(), seen.clone());
                tokio::spawn(async move {
                    let _ = serve(client, &acceptor, &rules, port, &seen).await;
                });
            }
        });
        Self { port, tokens }
    }

    /// All tokens that came.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.tokens.lock().clone()
    }
}

async fn serve(
    mut client: TcpStream,
    acceptor: &TlsAcceptor,
    rules: &Rules,
    port: u16,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, rules.server)).await?;
    let (_, greeting) = read(&mut server).await?;
    write(&mut client, 0, &greeting).await?;
    // The request for TLS, which is the head of the response.
    let (_, request) = read(&mut client).await?;
    assert_eq!(request.len(), 32, "no token without TLS");
    let mut client = acceptor.accept(client).await?;
    let (sequence, response) = read(&mut client).await?;
    write(&mut client, sequence + 1, b"\xfemysql_clear_password\0").await?;
    let (sequence, token) = read(&mut client).await?;
    let token = String::from_utf8_lossy(token.strip_suffix(b"\0").unwrap_or(&token)).into_owned();
    let good = is_good(&token, rules, port) && response[32..].starts_with(rules.user.as_bytes());
    seen.lock().push(token);
    if !good {
        let denied = b"\xff\x15\x04#28000Access denied for user";
        return write(&mut client, sequence + 1, denied).await;
    }
    // The same response by another user, with a proof, and without TLS.
    let mut head = response[..32].to_vec();
    head[1] &= !0x08;
    let name = rules.account.name.as_bytes();
    let proof = native(rules.account.password.as_bytes(), &nonce(&greeting));
    let rest = &response[32 + rules.user.len() + 1..];
    let rest = &rest[1 + usize::from(rest[0])..];
    let mut own = [&head[..], name, b"\0", &[20], &proof].concat();
    own.extend_from_slice(rest);
    write(&mut server, 1, &own).await?;
    let (_, verdict) = read(&mut server).await?;
    assert_eq!(verdict.first(), Some(&0), "the account is not as it has to be: {verdict:?}");
    write(&mut client, sequence + 1, &verdict).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// Signs the token's request again, by the documentation of Signature Version 4.
fn is_good(token: &str, rules: &Rules, port: u16) -> bool {
    let host = format!("127.0.0.1:{port}");
    let start = format!("{host}/?Action=connect&DBUser={}&", rules.user);
    let Some((unsigned, signature)) = token.split_once("&X-Amz-Signature=") else { return false };
    let Some(query) = unsigned.strip_prefix(&format!("{host}/?")) else { return false };
    let mut parts: Vec<_> = query.split('&').collect();
    parts.sort_unstable();
    let value = |name: &str| parts.iter().find_map(|part| part.strip_prefix(name)).unwrap_or("");
    let (date, expires) = (value("X-Amz-Date="), value("X-Amz-Expires="));
    if !unsigned.starts_with(&start) || expires != "900" || date.len() != 16 {
        return false;
    }
    let empty = hex(digest(&SHA256, b"").as_ref());
    let canonical = format!("GET\n/\n{}\nhost:{host}\n\nhost\n{empty}", parts.join("&"));
    let scope = format!("{}/{}/rds-db/aws4_request", &date[..8], rules.region);
    let hashed = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashed}");
    let mut key = format!("AWS4{}", rules.secret_key).into_bytes();
    for part in [&date[..8], rules.region, "rds-db", "aws4_request", &text] {
        let signing = hmac::Key::new(hmac::HMAC_SHA256, &key);
        key = hmac::sign(&signing, part.as_bytes()).as_ref().to_vec();
    }
    // Behind the signature there is at most the session's token, which is signed, too.
    hex(&key) == signature
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The proof of `mysql_native_password`.
fn native(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let once = digest(&SHA1, password);
    let twice = digest(&SHA1, once.as_ref());
    let mask = digest(&SHA1, &[nonce, twice.as_ref()].concat());
    once.as_ref().iter().zip(mask.as_ref()).map(|(one, other)| one ^ other).collect()
}

/// The 20 bytes of a greeting that a proof is made with.
fn nonce(greeting: &[u8]) -> Vec<u8> {
    let version = greeting[1..].iter().position(|byte| *byte == 0).expect("a version");
    let first = 1 + version + 1 + 4;
    let second = first + 8 + 1 + 2 + 1 + 2 + 2 + 1 + 10;
    [&greeting[first..first + 8], &greeting[second..second + 12]].concat()
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let length = u32::from_le_bytes([head[0], head[1], head[2], 0]);
    let mut packet = vec![0; length as usize];
    stream.read_exact(&mut packet).await?;
    Ok((head[3], packet))
}

async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    sequence: u8,
    packet: &[u8],
) -> std::io::Result<()> {
    let length = u32::try_from(packet.len()).expect("a short packet").to_le_bytes();
    let head = [length[0], length[1], length[2], sequence];
    stream.write_all(&[&head[..], packet].concat()).await?;
    stream.flush().await
}
