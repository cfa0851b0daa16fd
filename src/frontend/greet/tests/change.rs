//! `COM_CHANGE_USER`.

use super::*;
use crate::wire::auth::{native_proof, sha2_proof};
use crate::wire::greeting::AuthSwitchRequest;

const NONCE_20: [u8; NONCE] = *b"abcdefghijklmnopqrst";

/// A change of user by a client that answers a request to switch with `second`. Gives the user and
/// the plugin that was asked for.
async fn change(
    context: &GreetContext,
    user: &str,
    plugin: Option<&str>,
    first: &[u8],
    second: &[u8],
) -> (Result<User, String>, Option<String>) {
    let (near, far) = tokio::io::duplex(4096);
    let (mut server, mut client) = (PacketStream::new(near), PacketStream::new(far));
    let attempt =
        Attempt { user: user.as_bytes(), plugin: plugin.map(str::as_bytes), proof: first };
    let change = ChangeProof { attempt, encrypted: false, nonce: NONCE_20, certificate: None };
    let answer = async {
        let packet = client.read(1000).await.ok()?;
        let switch = AuthSwitchRequest::parse(&packet).unwrap();
        assert_eq!(switch.nonce, NONCE_20, "the nonce stays");
        client.put(second);
        client.flush().await.unwrap();
        Some(String::from_utf8_lossy(switch.plugin).into_owned())
    };
    let serve = async {
        let proven = reauthenticate(&mut server, context, change, &peer()).await;
        drop(server);
        proven
    };
    let (proven, asked) = tokio::join!(serve, answer);
    let told = |error: GreetError| {
        let told = error.told().unwrap();
        format!("{} {}", told.code, String::from_utf8_lossy(&told.message))
    };
    (proven.map(|(user, _)| user).map_err(told), asked)
}

#[tokio::test]
async fn a_proof_is_always_asked_for_again() {
    let context = context(Plugin::CachingSha2, FrontTlsMode::Disabled);
    let native = native_proof(b"secret", &NONCE_20);
    let sha2 = sha2_proof(b"secret", &NONCE_20);
    for (plugin, asked, proof) in [
        ("mysql_native_password", "mysql_native_password", &native[..]),
        ("caching_sha2_password", "caching_sha2_password", &sha2),
        ("dialog", "mysql_native_password", &native),
        ("sha256_password", "caching_sha2_password", &sha2),
    ] {
        for first in [b"", proof] {
            let (user, switched) = change(&context, "app", Some(plugin), first, proof).await;
            assert_eq!(&*user.unwrap().name, "app");
            assert_eq!(switched.as_deref(), Some(asked));
        }
    }
    let (user, _) = change(&context, "free", Some("caching_sha2_password"), b"", b"").await;
    assert_eq!(&*user.unwrap().name, "free");
}

#[tokio::test]
async fn a_client_without_plugins_proves_at_once() {
    let context = context(Plugin::CachingSha2, FrontTlsMode::Disabled);
    let native = native_proof(b"previous", &NONCE_20);
    let (user, asked) = change(&context, "app", None, &native, b"").await;
    assert_eq!(&*user.unwrap().name, "app");
    assert_eq!(asked, None);
}

#[tokio::test]
async fn a_wrong_proof_is_denied() {
    let context = context(Plugin::Native, FrontTlsMode::Disabled);
    let wrong = native_proof(b"wrong", &NONCE_20);
    for user in ["app", "nobody", "safe"] {
        let native = Some("mysql_native_password");
        let (proven, _) = change(&context, user, native, &wrong, &wrong).await;
        let text = format!("1045 Access denied for user '{user}'@'{HOST}' (using password: YES)");
        assert_eq!(proven.unwrap_err(), text);
    }
    let right = native_proof(b"secret", &NONCE_20);
    let native = Some("mysql_native_password");
    let (proven, _) = change(&context, "safe", native, &right, &right).await;
    assert!(proven.is_err(), "only under TLS");
}
