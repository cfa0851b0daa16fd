//! Packets that no driver sends: answered as MySQL 9.7 and MariaDB 10.11 answer them.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const BASE: Capabilities = Capabilities(
    Capabilities::PROTOCOL_41.0
        | Capabilities::SECURE_CONNECTION.0
        | Capabilities::LONG_PASSWORD.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA.0,
);

fn response(capabilities: Capabilities, user: &[u8], proof: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    let response = HandshakeResponse {
        head: SslRequest { capabilities, max_packet: 1 << 24, collation: 45 },
        user,
        auth_response: proof,
        database: None,
        plugin: Some(b"caching_sha2_password"),
        attributes: b"",
        zstd_level: None,
    };
    response.encode(&mut out);
    out.to_vec()
}

/// Sends bytes in place of a response, and gives all that comes back behind the greeting.
async fn answer(context: &GreetContext, raw: Vec<u8>) -> (Result<Greeted, GreetError>, Vec<u8>) {
    meet(context, async |mut tcp: TcpStream| {
        let mut header = [0; 4];
        tcp.read_exact(&mut header).await.unwrap();
        let mut greeting = vec![0; header[0].into()];
        tcp.read_exact(&mut greeting).await.unwrap();
        tcp.write_all(&raw).await.unwrap();
        tcp.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A reset is an end too.
        let _ = tcp.read_to_end(&mut answer).await;
        answer
    })
    .await
}

fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    crate::wire::frame::put_packet(&mut out, &mut { sequence }, payload);
    out.to_vec()
}

fn plain() -> GreetContext {
    context(Plugin::CachingSha2, FrontTlsMode::Disabled)
}

#[tokio::test]
async fn what_is_no_response_is_a_bad_handshake() {
    let context = plain();
    let whole = response(BASE, b"app", b"");
    let with_attributes = response(BASE | Capabilities::CONNECT_ATTRS, b"app", b"");
    let mut cases: Vec<&[u8]> = vec![b"", b"\x01", &whole[..4], &whole[..32], &whole[..36]];
    cases.push(&with_attributes[..with_attributes.len() - 1]);
    for payload in cases {
        let (greeted, answer) = answer(&context, packet(1, payload)).await;
        assert_eq!(answer, packet(2, b"\xFF\x13\x04#08S01Bad handshake"), "{payload:?}");
        assert!(matches!(greeted, Err(GreetError::Fault(_))));
    }
    // A native proof of another length, as MariaDB.
    let native = HandshakeResponse::parse(&whole).unwrap();
    let native = HandshakeResponse {
        plugin: Some(b"mysql_native_password"),
        auth_response: b"short",
        ..native
    };
    let mut out = BytesMut::new();
    native.encode(&mut out);
    let (_, answer) = answer(&context, packet(1, &out)).await;
    assert_eq!(answer, packet(2, b"\xFF\x13\x04#08S01Bad handshake"));
}

#[tokio::test]
async fn a_short_sha2_proof_is_a_wrong_one() {
    let (_, answer) = answer(&plain(), packet(1, &response(BASE, b"app", b"short"))).await;
    let text = "\u{15}\u{4}#28000Access denied for user 'app'@'10.0.0.9' (using password: YES)";
    assert_eq!(answer, packet(2, &[&[0xFF], text.as_bytes()].concat()));
}

#[tokio::test]
async fn disorder_and_excess_are_refused_at_once() {
    let context = plain();
    let (_, told) = answer(&context, packet(5, &response(BASE, b"app", b""))).await;
    assert_eq!(told, packet(1, b"\xFF\x84\x04#08S01Got packets out of order"));
    let (greeted, _) = answer(&context, vec![0xFF, 0xFF, 0xFF, 1, 0, 0]).await;
    assert!(matches!(greeted, Err(GreetError::Fault(Fault::TooLarge { .. }))));
    for cut in [0, 3, 4, 20] {
        let raw = packet(1, &response(BASE, b"app", b""));
        let (greeted, told) = answer(&context, raw[..cut].to_vec()).await;
        assert!(matches!(greeted, Err(GreetError::Io(_))) && told.is_empty());
    }
}

#[tokio::test]
async fn clients_of_before_4_1_are_told_in_their_own_form() {
    let context = plain();
    let whole = response(BASE.without(Capabilities::PROTOCOL_41), b"app", b"");
    let (greeted, told) = answer(&context, packet(1, &whole)).await;
    assert!(matches!(greeted, Err(GreetError::Old(_))));
    let text = b"\xFF\xE3\x04Client does not support authentication protocol requested by server; \
                 consider upgrading MySQL client";
    assert_eq!(told, packet(2, text));
    let (_, told) = answer(&context, packet(1, b"\x05\x00\x00\x00\x40root\0")).await;
    assert_eq!(told, packet(2, b"\xFF\x13\x04Bad handshake"));
}

#[tokio::test]
async fn tls_that_is_not_offered_is_a_bad_handshake_or_ignored() {
    let context = plain();
    let capabilities = BASE | Capabilities::SSL;
    let whole = response(capabilities, b"free", b"");
    let (_, told) = answer(&context, packet(1, &whole[..32])).await;
    assert_eq!(told, packet(2, b"\xFF\x13\x04#08S01Bad handshake"));
    let (greeted, _) = answer(&context, packet(1, &whole)).await;
    assert!(!greeted.unwrap().capabilities.has(Capabilities::SSL));
}

#[tokio::test]
async fn plain_bytes_behind_a_request_for_tls_are_no_commands() {
    let context = context(Plugin::CachingSha2, FrontTlsMode::Preferred);
    let whole = response(BASE | Capabilities::SSL, b"free", b"");
    for behind in [&packet(2, &whole)[..], b"GET / HTTP/1.1\r\n\r\n"] {
        let raw = [&packet(1, &whole[..32]), behind].concat();
        let (greeted, told) = answer(&context, raw).await;
        assert!(matches!(greeted, Err(GreetError::Tls(_))));
        // A TLS alert, not a packet.
        assert_eq!(told.first(), Some(&0x15), "{told:?}");
    }
}

#[tokio::test]
async fn names_are_read_as_servers_read_them() {
    let context = plain();
    let (greeted, _) = answer(&context, packet(1, &response(BASE, b"'free'", b""))).await;
    assert_eq!(&*greeted.unwrap().user.name, "free");
    let long = [b'u'; 200];
    let (_, told) = answer(&context, packet(1, &response(BASE, &long, b""))).await;
    assert!(
        told.windows(50)
            .any(|w| w.starts_with(b"'") && w.ends_with(b"'") && w[1..49] == long[..48])
    );
    for user in [&b"\xFF\xFE"[..], b"", b"'", b"'; DROP TABLE users --"] {
        let (greeted, _) = answer(&context, packet(1, &response(BASE, user, b""))).await;
        assert!(matches!(greeted, Err(GreetError::Denied(_))), "{user:?}");
    }
}

#[tokio::test]
async fn what_was_not_offered_is_not_negotiated_and_pipelined_commands_are_kept() {
    let asked = BASE | Capabilities::COMPRESS | Capabilities::OPTIONAL_RESULTSET_METADATA;
    let command = packet(0, b"\x03SELECT 1");
    let raw = [packet(1, &response(asked, b"free", b"")), command.clone()].concat();
    let (greeted, _) = answer(&plain(), raw).await;
    let greeted = greeted.unwrap();
    assert_eq!(greeted.capabilities, BASE);
    assert_eq!(greeted.input, command);
}

#[tokio::test]
async fn a_handshake_can_be_given_up_at_any_point() {
    let context = plain();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (tcp, _) = listener.accept().await.unwrap();
    let limit = std::time::Duration::from_millis(20);
    let greeting = introduced(tcp, &context);
    assert!(tokio::time::timeout(limit, greeting).await.is_err());
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), 4 + usize::from(all[0]), "the greeting and nothing else");
}
