use std::fs;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// An authority, and a certificate of its own for `name`.
struct Authority {
    folder: TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new([name.to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        fs::write(folder.path().join("cert.pem"), leaf.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn identity(&self) -> CertificateFiles {
        CertificateFiles { certificate: self.path("cert.pem"), key: self.path("key.pem") }
    }
}

fn front(identity: Option<CertificateFiles>, client_ca: Option<PathBuf>) -> FrontTls {
    FrontTls { mode: FrontTlsMode::Preferred, identity, client_ca }
}

fn back(mode: BackTlsMode, ca: Option<PathBuf>) -> BackTls {
    BackTls { mode, ca, identity: None }
}

/// Connects the two over a real socket and lets a byte go each way; says who failed how.
async fn meet(front: &FrontTls, back: &BackTls, host: &str) -> Result<(), (String, String)> {
    let acceptor = acceptor(front).unwrap().unwrap();
    let client = connector(back).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async {
        let (tcp, _) = listener.accept().await?;
        let mut stream = accept(&acceptor, tcp, BytesMut::new()).await?;
        assert_eq!(stream.read_u8().await?, b'x');
        stream.write_all(b"y").await?;
        stream.flush().await
    };
    let client = async {
        let tcp = TcpStream::connect(address).await?;
        let mut stream = connect(client.connector().unwrap(), tcp, host).await?;
        assert!(stream.is_tls());
        stream.write_all(b"x").await?;
        stream.flush().await?;
        assert_eq!(stream.read_u8().await?, b'y');
        io::Result::Ok(())
    };
    match tokio::join!(server, client) {
        (Ok(()), Ok(())) => Ok(()),
        (server, client) => Err((format!("{server:?}"), format!("{client:?}"))),
    }
}

#[tokio::test]
async fn each_mode_believes_whom_it_should() {
    let ours = Authority::new("db.internal");
    let other = Authority::new("db.internal");
    let front = front(Some(ours.identity()), None);
    let ca = |authority: &Authority| Some(authority.path("ca.pem"));
    for (mode, ca, host, good) in [
        (BackTlsMode::Preferred, None, "whatever", true),
        (BackTlsMode::Required, ca(&other), "whatever", true),
        (BackTlsMode::VerifyCa, ca(&ours), "whatever", true),
        (BackTlsMode::VerifyCa, ca(&ours), "not a name!", true),
        (BackTlsMode::VerifyCa, ca(&other), "db.internal", false),
        (BackTlsMode::VerifyCa, Some(ours.path("cert.pem")), "whatever", true),
        (BackTlsMode::VerifyIdentity, ca(&ours), "db.internal", true),
        (BackTlsMode::VerifyIdentity, Some(ours.path("cert.pem")), "db.internal", true),
        (BackTlsMode::VerifyIdentity, Some(ours.path("cert.pem")), "127.0.0.1", false),
        (BackTlsMode::VerifyIdentity, ca(&ours), "127.0.0.1", false),
        (BackTlsMode::VerifyIdentity, ca(&ours), "not a name!", false),
        (BackTlsMode::VerifyIdentity, ca(&other), "db.internal", false),
    ] {
        let met = meet(&front, &back(mode, ca), host).await;
        assert_eq!(met.is_ok(), good, "{mode:?} {host}: {met:?}");
    }
}

#[tokio::test]
async fn without_a_certificate_one_is_made() {
    let back = back(BackTlsMode::Required, None);
    meet(&front(None, None), &back, "localhost").await.unwrap();
    assert!(
        acceptor(&FrontTls { mode: FrontTlsMode::Disabled, ..front(None, None) })
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_client_certificate_is_checked_if_there_is_one() {
    let ours = Authority::new("client");
    let other = Authority::new("client");
    let front = front(None, Some(ours.path("ca.pem")));
    for (identity, good) in
        [(None, true), (Some(ours.identity()), true), (Some(other.identity()), false)]
    {
        let back = BackTls { identity, ..back(BackTlsMode::Required, None) };
        assert_eq!(meet(&front, &back, "x").await.is_ok(), good);
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let authority = Authority::new("x");
    let told = |result: Result<Option<ServerTls>, TlsError>| match result {
        Err(error) => error.to_string(),
        Ok(_) => "accepted".into(),
    };
    let missing = CertificateFiles { certificate: "/no/such.pem".into(), ..authority.identity() };
    assert!(told(acceptor(&front(Some(missing), None))).starts_with("/no/such.pem: "));
    let swapped = CertificateFiles {
        certificate: authority.path("key.pem"),
        key: authority.path("cert.pem"),
    };
    let text = told(acceptor(&front(Some(swapped), None)));
    assert!(text.ends_with("key.pem: expected certificates in PEM"), "{text}");
    let stranger = Authority::new("y");
    let mixed = CertificateFiles { key: stranger.path("key.pem"), ..authority.identity() };
    let text = told(acceptor(&front(Some(mixed), None)));
    let certificate = authority.path("cert.pem");
    let expected = format!("{}: the certificate cannot be used", certificate.display());
    assert!(text.starts_with(&expected), "{text}");
}

/// Made by `openssl req -newkey ec ...` and `openssl x509 -req`, without extensions.
const VERSION_1: (&str, &str) =
    (include_str!("tests/version-1.pem"), include_str!("tests/version-1.key"));

#[tokio::test]
async fn certificates_of_version_1_can_be_shown_and_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&certificate, VERSION_1.0).unwrap();
    fs::write(&key, VERSION_1.1).unwrap();
    let identity = Some(CertificateFiles { certificate, key });
    let back = BackTls { identity: identity.clone(), ..back(BackTlsMode::Required, None) };
    meet(&front(identity, None), &back, "x").await.unwrap();
}

#[tokio::test]
async fn what_came_with_the_request_is_the_handshake_and_garbage_is_refused() {
    let acceptor = acceptor(&front(None, None)).unwrap().unwrap();
    for garbage in [&b"\x03\x00\x00\x02SELECT 1"[..], b"GET / HTTP/1.1\r\n\r\n", &[0x16; 40_000]] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (tcp, _) = listener.accept().await.unwrap();
        let error = accept(&acceptor, tcp, BytesMut::from(garbage)).await.unwrap_err();
        assert!(is_refusal(&error), "{error:?}");
        drop(client);
    }
}
