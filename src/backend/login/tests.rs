use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::wire::auth::{ED25519_NONCE, NONCE, Plugin, mask, native_proof, sha2_proof};
use crate::wire::greeting::AuthSwitchRequest;

const NONCE_20: [u8; NONCE] = *b"abcdefghijklmnopqrst";
const OTHER_NONCE: [u8; NONCE] = *b"ABCDEFGHIJKLMNOPQRST";

fn greeting(plugin: &[u8]) -> Greeting<'_> {
    Greeting {
        server_version: b"9.7.4",
        connection_id: 7,
        nonce: NONCE_20,
        capabilities: WANTED | Capabilities::SSL,
        collation: 255,
        status: Status::AUTOCOMMIT,
        plugin,
    }
}

fn secret() -> Secret {
    Secret::new("secret")
}

fn begin<'a>(
    secret: &'a Secret,
    channel: Channel,
    plugin: &str,
    flavor: Flavor,
) -> (Prover<'a>, Vec<u8>) {
    let (prover, proof) = Prover::new(secret, channel, &greeting(plugin.as_bytes()), flavor);
    (prover, proof.to_vec())
}

fn switch(plugin: &str, nonce: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    AuthSwitchRequest { plugin: plugin.as_bytes(), nonce }.encode(&mut out);
    out
}

fn sent(reaction: Result<Reaction, LoginError>) -> Vec<u8> {
    match reaction {
        Ok(Reaction::Send(bytes)) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_proof_is_one_of_the_servers_default_plugin() {
    let secret = secret();
    for (plugin, flavor, named, proof) in [
        (
            "mysql_native_password",
            Flavor::MariaDb,
            Plugin::Native,
            &native_proof(b"secret", &NONCE_20)[..],
        ),
        (
            "caching_sha2_password",
            Flavor::MySql,
            Plugin::CachingSha2,
            &sha2_proof(b"secret", &NONCE_20),
        ),
        ("sha256_password", Flavor::MySql, Plugin::Sha256, &[1]),
        ("client_ed25519", Flavor::MariaDb, Plugin::Native, b""),
        ("mysql_clear_password", Flavor::MySql, Plugin::CachingSha2, b""),
        ("auth_gssapi_client", Flavor::MariaDb, Plugin::Native, b""),
        ("", Flavor::MySql, Plugin::CachingSha2, b""),
    ] {
        for channel in [Channel::Plain, Channel::Encrypted] {
            let (prover, sent) = begin(&secret, channel, plugin, flavor);
            assert_eq!((prover.plugin(), &sent[..]), (named, proof), "{plugin}");
        }
    }
}

#[test]
fn a_switch_is_answered_with_the_new_nonce() {
    let secret = secret();
    let (mut prover, _) = begin(&secret, Channel::Plain, "caching_sha2_password", Flavor::MySql);
    let answer = sent(prover.react(&switch("mysql_native_password", &OTHER_NONCE)));
    assert_eq!(answer, native_proof(b"secret", &OTHER_NONCE));
    let answer = sent(prover.react(&switch("caching_sha2_password", &OTHER_NONCE)));
    assert_eq!(answer, sha2_proof(b"secret", &OTHER_NONCE));
    let nonce = [9; ED25519_NONCE];
    let answer = sent(prover.react(&switch("client_ed25519", &nonce)));
    assert_eq!(answer, crate::wire::auth::ed25519_signature(b"secret", &nonce));
}

#[test]
fn the_password_itself_is_sent_under_tls_only() {
    let secret = secret();
    let clear = switch("mysql_clear_password", &OTHER_NONCE);
    let (mut prover, _) =
        begin(&secret, Channel::Encrypted, "caching_sha2_password", Flavor::MySql);
    assert_eq!(sent(prover.react(&clear)), b"secret\0");
    let sha256 = switch("sha256_password", &OTHER_NONCE);
    assert_eq!(sent(prover.react(&sha256)), b"secret\0");
    let (mut prover, _) =
        begin(&secret, Channel::Encrypted, "caching_sha2_password", Flavor::MySql);
    assert_eq!(sent(prover.react(&[1, 4])), b"secret\0");

    let (mut prover, _) = begin(&secret, Channel::Plain, "caching_sha2_password", Flavor::MySql);
    assert!(matches!(prover.react(&clear), Err(LoginError::Unsafe)));
    let (mut prover, _) = begin(&secret, Channel::Plain, "caching_sha2_password", Flavor::MySql);
    assert_eq!(sent(prover.react(&sha256)), [1]);
}

#[test]
fn on_a_plain_connection_the_password_is_encrypted_with_the_servers_key() {
    let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(&key.public_key()).unwrap();
    let pem = pem::encode(&pem::Pem::new("PUBLIC KEY", public.as_ref()));
    let key = OaepPrivateDecryptingKey::new(key).unwrap();
    let open = |sealed: &[u8], nonce| {
        let mut opened = vec![0; key.min_output_size()];
        let n = key.decrypt(&OAEP_SHA1_MGF1SHA1, sealed, &mut opened, None).unwrap().len();
        opened.truncate(n);
        mask(&mut opened, nonce);
        opened
    };
    let packet = [&[1], pem.as_bytes()].concat();
    let secret = secret();
    let (mut prover, _) = begin(&secret, Channel::Plain, "caching_sha2_password", Flavor::MySql);
    assert_eq!(sent(prover.react(&[1, 4])), [2]);
    assert_eq!(open(&sent(prover.react(&packet)), &NONCE_20), b"secret\0");
    let (mut prover, _) = begin(&secret, Channel::Plain, "caching_sha2_password", Flavor::MySql);
    assert_eq!(sent(prover.react(&switch("sha256_password", &OTHER_NONCE))), [1]);
    assert_eq!(open(&sent(prover.react(&packet)), &OTHER_NONCE), b"secret\0");
    // A server's default plugin, asked for its key in the first response.
    let (mut prover, _) = begin(&secret, Channel::Plain, "sha256_password", Flavor::MySql);
    assert_eq!(open(&sent(prover.react(&packet)), &NONCE_20), b"secret\0");
}

#[test]
fn an_empty_password_needs_no_proof() {
    let empty = Secret::new("");
    for plugin in ["mysql_native_password", "caching_sha2_password", "sha256_password"] {
        let (mut prover, proof) = begin(&empty, Channel::Plain, plugin, Flavor::MySql);
        assert_eq!(proof, b"");
        let answer = sent(prover.react(&switch(plugin, &OTHER_NONCE)));
        assert!(matches!(&answer[..], [] | [0]), "{plugin}: {answer:?}");
    }
}

#[test]
fn what_no_server_says_is_a_fault() {
    let secret = secret();
    let start = |channel| begin(&secret, channel, "caching_sha2_password", Flavor::MySql).0;
    for packet in [&[][..], &[1, 5], &[1], &[7], b"\xFEmysql_native_password\0short", &[1, 3, 3]] {
        let reaction = start(Channel::Encrypted).react(packet);
        assert!(matches!(reaction, Err(LoginError::Protocol(_))), "{packet:?}: {reaction:?}");
    }
    let mut prover = start(Channel::Plain);
    assert_eq!(prover.react(&[1, 3]).unwrap(), Reaction::Wait);
    assert!(matches!(prover.react(&[1, 4]), Err(LoginError::Protocol(_))));
    let mut prover = start(Channel::Plain);
    assert_eq!(sent(prover.react(&[1, 4])), [2]);
    assert!(matches!(prover.react(b"\x01no key"), Err(LoginError::Protocol(_))));
    let told = |packet: &[u8]| start(Channel::Plain).react(packet).unwrap_err().to_string();
    assert!(told(b"\xFEdialog\0").contains("\"dialog\""));
    assert!(told(b"\xFE").contains("\"mysql_old_password\""));
}

/// A server that says `packets`, each whole with its header, without listening.
async fn against(packets: &[(u8, &[u8])], tls: &ClientTls) -> Result<LoggedIn, LoginError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let endpoint = Endpoint { host: "127.0.0.1".into(), port, zone: None };
    let request = LoginRequest {
        user: "app".into(),
        secret: secret(),
        extra: Capabilities::FOUND_ROWS,
        database: None,
        proxy_protocol: crate::config::ProxyProtocol::Off,
    };
    let server = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        for (sequence, payload) in packets {
            let mut out = BytesMut::new();
            crate::wire::frame::put_packet(&mut out, &mut { *sequence }, payload);
            // The client may have had enough already.
            let _ = tcp.write_all(&out).await;
        }
        tcp
    };
    let (login, _tcp) = tokio::join!(login(&endpoint, None, &request, tls), server);
    login
}

fn encoded(greeting: &Greeting<'_>) -> BytesMut {
    let mut out = BytesMut::new();
    greeting.encode(&mut out);
    out
}

#[tokio::test]
async fn a_server_that_turns_away_is_quoted() {
    let refused =
        against(&[(0, b"\xFF\x10\x04Too many connections")], &ClientTls::disabled()).await;
    let error = refused.unwrap_err();
    assert!(error.is_network() && !error.is_access_denied());
    assert!(
        matches!(error, LoginError::Refused(error) if error.message == b"Too many connections")
    );

    let greeted = encoded(&greeting(b"mysql_native_password"));
    let denied = [(0, &greeted[..]), (2, b"\xFF\x15\x04#28000Access denied")];
    let error = against(&denied, &ClientTls::disabled()).await.unwrap_err();
    assert!(error.is_access_denied() && !error.is_network());
    assert!(!format!("{error:?} {error}").contains("secret"));
    assert!(error.of_account().is_none(), "the password may be wrong");

    let locked = [(0, &greeted[..]), (2, b"\xFF\x2E\x0C#HY000Account is locked.")];
    let error = against(&locked, &ClientTls::disabled()).await.unwrap_err();
    assert_eq!(error.of_account().map(|said| said.code), Some(3118));
}

#[tokio::test]
async fn ok_ends_the_login_and_its_trackers_are_kept() {
    let greeted = encoded(&greeting(b"mysql_native_password"));
    let ok = b"\x00\x00\x00\x02\x40\x00\x00\x00\x06\x01\x04\x03app";
    let login = against(&[(0, &greeted), (2, ok)], &ClientTls::disabled()).await.unwrap();
    assert_eq!(login.state_changes, b"\x01\x04\x03app");
    assert_eq!(login.server.connection_id, 7);
    assert_eq!(login.status, Status::AUTOCOMMIT | Status::SESSION_STATE_CHANGED);
    assert!(!login.server.capabilities.has(Capabilities::SSL));
    // Not offered by this server.
    assert!(!login.server.capabilities.has(Capabilities::FOUND_ROWS));
}

#[tokio::test]
async fn servers_that_lead_nowhere_are_left() {
    let greeted = encoded(&greeting(b"caching_sha2_password"));
    let mut endless = vec![(0, &greeted[..])];
    let request = switch("mysql_native_password", &OTHER_NONCE);
    endless.extend((0..20).map(|n| (2 + 2 * n, &request[..])));
    let error = against(&endless, &ClientTls::disabled()).await.unwrap_err();
    assert!(matches!(error, LoginError::Protocol(_)), "{error}");

    let old = Greeting {
        capabilities: Capabilities::PROTOCOL_41 | Capabilities::SECURE_CONNECTION,
        ..greeting(b"")
    };
    let error = against(&[(0, &encoded(&old))], &ClientTls::disabled()).await.unwrap_err();
    assert!(matches!(error, LoginError::TooOld));
    let error = against(&[(0, b"\x0aHTTP/1.1 400")], &ClientTls::disabled()).await.unwrap_err();
    assert!(matches!(error, LoginError::Protocol(Fault::Truncated)));
}

fn tls(mode: BackTlsMode) -> ClientTls {
    tls::connector(&crate::config::BackTls { mode, ca: None, identity: None }).unwrap()
}

#[tokio::test]
async fn required_tls_is_not_given_up() {
    let plain = Greeting { capabilities: WANTED, ..greeting(b"mysql_native_password") };
    let ok = b"\x00\x00\x00\x02\x00\x00\x00";
    let plain = encoded(&plain);
    let error = against(&[(0, &plain), (2, ok)], &tls(BackTlsMode::Required)).await.unwrap_err();
    assert!(matches!(error, LoginError::NoTls));
    against(&[(0, &plain), (2, ok)], &tls(BackTlsMode::Preferred)).await.unwrap();

    // A server that offers TLS and then doesn't speak it is not logged in to in clear.
    let offered = encoded(&greeting(b"mysql_native_password"));
    let packets = [(0, &offered[..]), (2, ok), (3, ok), (4, ok)];
    for mode in [BackTlsMode::Preferred, BackTlsMode::Required] {
        let error = against(&packets, &tls(mode)).await.unwrap_err();
        assert!(matches!(error, LoginError::Tls(_) | LoginError::Protocol(_)), "{error}");
    }
}
