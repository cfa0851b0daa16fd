use mysql_common::io::ParseBuf;
use mysql_common::packets as oracle;
use mysql_common::proto::{MyDeserialize, MySerialize};
use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Sent by MySQL 9.7.4.
const MYSQL: &str = "0a392e372e342d32000a000000500b52281331387300ffffff0200ffdf15000000000000000000\
                     00443e1634766a064637437c070063616368696e675f736861325f70617373776f726400";
/// Sent by MariaDB 10.11.19.
const MARIADB: &str = "0a352e352e352d31302e31312e31392d4d6172696144422d302b646562313275310004000000\
                       654a21624b345f6400feff080200ff81150000000000001d0000005765784e59547b2d6d5e6f\
                       35006d7973716c5f6e61746976655f70617373776f726400";

#[test]
fn greetings_of_both_servers_are_read_and_written_byte_for_byte() {
    for (raw, version, plugin) in [
        (hex(MYSQL), &b"9.7.4-2"[..], &b"caching_sha2_password"[..]),
        (hex(MARIADB), b"5.5.5-10.11.19-MariaDB-0+deb12u1", b"mysql_native_password"),
    ] {
        let greeting = Greeting::parse(&raw).unwrap();
        assert_eq!(greeting.server_version, version);
        assert_eq!(greeting.plugin, plugin);
        let mut again = BytesMut::new();
        greeting.encode(&mut again);
        assert_eq!(again, raw);
        assert_eq!(greeting.status, Status::AUTOCOMMIT);
    }
    let raw = hex(MARIADB);
    let capabilities = Greeting::parse(&raw).unwrap().capabilities;
    assert!(capabilities.has(Capabilities::MARIADB_STMT_BULK_OPERATIONS));
    assert!(!capabilities.has(Capabilities::LONG_PASSWORD));
}

#[test]
fn a_greeting_cut_anywhere_is_a_fault_or_lacks_only_its_last_nul() {
    for raw in [hex(MYSQL), hex(MARIADB)] {
        let whole = Greeting::parse(&raw).unwrap();
        for cut in 0..raw.len() {
            if let Ok(greeting) = Greeting::parse(&raw[..cut]) {
                assert!(whole.plugin.starts_with(greeting.plugin));
            }
        }
        assert_eq!(Greeting::parse(&raw[..40]), Err(Fault::Truncated));
    }
}

fn response(capabilities: Capabilities) -> HandshakeResponse<'static> {
    HandshakeResponse {
        head: SslRequest { capabilities, max_packet: 1 << 24, collation: 45 },
        user: b"app",
        auth_response: b"0123456789",
        database: None,
        plugin: None,
        attributes: b"",
        zstd_level: None,
    }
}

const BASE: Capabilities = Capabilities(
    Capabilities::PROTOCOL_41.0 | Capabilities::SECURE_CONNECTION.0 | Capabilities::LONG_PASSWORD.0,
);

#[test]
fn what_servers_forgive_is_forgiven() {
    let mut out = BytesMut::new();
    response(BASE).encode(&mut out);
    // A plugin's name without a NUL, a database's too, an empty database, garbage behind the end.
    for (flags, tail, database, plugin) in [
        (Capabilities::PLUGIN_AUTH, &b"dialog"[..], None, Some(&b"dialog"[..])),
        (Capabilities::PLUGIN_AUTH, b"", None, Some(b"")),
        (Capabilities::CONNECT_WITH_DB, b"shop", Some(&b"shop"[..]), None),
        (Capabilities::CONNECT_WITH_DB, b"\0garbage", None, None),
    ] {
        let mut raw = out.clone();
        raw[..4].copy_from_slice(&(BASE | flags).mysql().to_le_bytes());
        raw.extend_from_slice(tail);
        let parsed = HandshakeResponse::parse(&raw).unwrap();
        assert_eq!((parsed.database, parsed.plugin), (database, plugin));
    }
}

#[test]
fn what_servers_refuse_is_refused() {
    let mut out = BytesMut::new();
    response(BASE | Capabilities::CONNECT_ATTRS).encode(&mut out);
    assert!(HandshakeResponse::parse(&out).is_ok());
    for cut in 0..out.len() {
        assert_eq!(HandshakeResponse::parse(&out[..cut]), Err(Fault::Truncated), "cut at {cut}");
    }
    let old = (BASE.mysql() & !Capabilities::PROTOCOL_41.mysql()).to_le_bytes();
    out[..4].copy_from_slice(&old);
    assert!(matches!(HandshakeResponse::parse(&out), Err(Fault::BadValue(_))));
}

#[test]
fn mariadbs_capabilities_travel_only_without_long_password() {
    let mariadb = BASE | Capabilities::MARIADB_STMT_BULK_OPERATIONS;
    for (sent, expected) in [
        (mariadb, BASE),
        (
            mariadb.without(Capabilities::LONG_PASSWORD),
            mariadb.without(Capabilities::LONG_PASSWORD),
        ),
    ] {
        let mut out = BytesMut::new();
        response(sent).encode(&mut out);
        assert_eq!(HandshakeResponse::parse(&out).unwrap().head.capabilities, expected);
    }
}

#[test]
fn a_switch_keeps_a_nonce_whose_last_byte_is_zero() {
    let mut nonce = [7; 32];
    nonce[31] = 0;
    let request = AuthSwitchRequest { plugin: b"client_ed25519", nonce: &nonce };
    let mut out = BytesMut::new();
    request.encode(&mut out);
    assert_eq!(AuthSwitchRequest::parse(&out), Ok(request));
    // Of MySQL: 20 bytes and a NUL.
    let raw = b"\xFEcaching_sha2_password\0abcdefghijklmnopqrst\0";
    let request = AuthSwitchRequest::parse(raw).unwrap();
    assert_eq!(request.nonce, b"abcdefghijklmnopqrst");
    out.clear();
    request.encode(&mut out);
    assert_eq!(out, raw[..]);
}

#[test]
fn attributes_come_in_pairs() {
    let pairs: Vec<_> = attributes(b"\x03_os\x05Linux\x04name\x00\x03cut").collect();
    assert_eq!(pairs, [(&b"_os"[..], &b"Linux"[..]), (b"name", b"")]);
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes: Vec<u8>) {
        crate::wire::fuzzing::handshake(&bytes);
        attributes(&bytes).count();
    }

    #[test]
    fn responses_of_mysql_common_are_understood(
        user in "[a-z]{0,20}", database in proptest::option::of("[a-z]{1,9}"),
        proof: [u8; 32], attributes_given: bool,
    ) {
        let flags = mysql_common::constants::CapabilityFlags::CLIENT_PROTOCOL_41
            | mysql_common::constants::CapabilityFlags::CLIENT_LONG_PASSWORD
            | mysql_common::constants::CapabilityFlags::CLIENT_SECURE_CONNECTION
            | mysql_common::constants::CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA;
        let pairs = attributes_given
            .then(|| [("_client_name".to_owned(), "x".to_owned())].into_iter().collect());
        let theirs = oracle::HandshakeResponse::new(
            Some(proof.to_vec()), (9, 7, 4), Some(user.clone().into_bytes()),
            database.clone().map(String::into_bytes),
            Some(oracle::AuthPlugin::CachingSha2Password), flags, pairs, 1 << 24,
        );
        let mut raw = Vec::new();
        theirs.serialize(&mut raw);
        let ours = HandshakeResponse::parse(&raw).unwrap();
        prop_assert_eq!(ours.user, user.as_bytes());
        prop_assert_eq!(ours.auth_response, &proof[..]);
        prop_assert_eq!(ours.database, database.as_deref().map(str::as_bytes));
        prop_assert_eq!(ours.plugin, Some(&b"caching_sha2_password"[..]));
        prop_assert_eq!(attributes(ours.attributes).count(), usize::from(attributes_given));
        let mut again = BytesMut::new();
        ours.encode(&mut again);
        prop_assert_eq!(&again[..], &raw[..]);
    }

    #[test]
    fn mysql_common_reads_our_greeting(version in "[0-9a-z.-]{1,30}", id: u32, nonce in "[a-z]{20}") {
        let greeting = Greeting {
            server_version: version.as_bytes(),
            connection_id: id,
            nonce: nonce.as_bytes().try_into().unwrap(),
            capabilities: BASE | Capabilities::PLUGIN_AUTH,
            collation: 255,
            status: Status::AUTOCOMMIT,
            plugin: b"caching_sha2_password",
        };
        let mut out = BytesMut::new();
        greeting.encode(&mut out);
        let theirs = oracle::HandshakePacket::deserialize((), &mut ParseBuf(&out)).unwrap();
        prop_assert_eq!(theirs.server_version_ref(), version.as_bytes());
        prop_assert_eq!(theirs.connection_id(), id);
        prop_assert_eq!(theirs.nonce(), nonce.into_bytes());
        prop_assert_eq!(Greeting::parse(&out), Ok(greeting));
    }
}
