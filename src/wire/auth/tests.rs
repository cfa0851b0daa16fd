use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use mysql_common::auth::plugins::{AuthProc, ChallengeResponsePlugin, Context as Client};
use mysql_common::crypto::verify_mariadb_shared_secret;
use mysql_common::packets::AuthPlugin;
use proptest::prelude::*;

use super::*;

const NONCE_20: [u8; NONCE] = *b"abcdefghijklmnopqrst";

#[test]
fn known_vectors() {
    // From go-sql-driver's auth_test.go.
    let nonce = [10, 47, 74, 111, 75, 73, 34, 48, 88, 76, 114, 74, 37, 13, 3, 80, 82, 2, 23, 21];
    assert_eq!(
        sha2_proof(b"secret", &nonce),
        [
            244, 144, 231, 111, 102, 217, 216, 102, 101, 206, 84, 217, 140, 120, 208, 172, 254, 47,
            176, 176, 139, 66, 61, 168, 7, 20, 72, 115, 211, 11, 49, 44,
        ]
    );
    let nonce =
        [70, 114, 92, 94, 1, 38, 11, 116, 63, 114, 23, 101, 126, 103, 26, 95, 81, 17, 24, 21];
    assert_eq!(
        native_proof(b"secret", &nonce),
        [
            53, 177, 140, 159, 251, 189, 127, 53, 109, 252, 172, 50, 211, 192, 240, 164, 26, 48,
            207, 45,
        ]
    );
}

#[test]
fn a_signature_is_good_for_the_key_that_mariadb_stores() {
    // MariaDB's `authentication_string` of a user with the password "secret".
    let key = [
        100, 136, 20, 68, 69, 32, 228, 245, 96, 67, 162, 236, 146, 21, 230, 59, 231, 153, 45, 45,
        39, 11, 198, 222, 232, 115, 227, 97, 100, 120, 96, 150,
    ];
    let key = UnparsedPublicKey::new(&ED25519, key);
    let nonce = [0xA5; ED25519_NONCE];
    assert!(key.verify(&nonce, &ed25519_signature(b"secret", &nonce)).is_ok());
    assert!(key.verify(&nonce, &ed25519_signature(b"Secret", &nonce)).is_err());
}

#[test]
fn a_password_survives_masking_and_encryption() {
    let mut masked = closed_password(b"a password that is longer than the nonce");
    mask(&mut masked, &NONCE_20);
    assert_ne!(masked[20..24], *b"that");
    mask(&mut masked, &NONCE_20);
    assert_eq!(masked.as_slice(), b"a password that is longer than the nonce\0");
    assert_eq!(
        encrypt_password(b"secret", &NONCE_20, b"no key at all"),
        Err(Fault::BadValue("the server's RSA public key"))
    );
}

#[test]
fn a_nonce_has_no_byte_that_a_client_could_stumble_over() {
    for _ in 0..200 {
        let nonce = random_nonce().unwrap();
        assert!(nonce.iter().all(|b| (1..0x80).contains(b) && *b != b'$'), "{nonce:?}");
    }
}

#[test]
fn passwords_are_compared_whole() {
    assert!(passwords_equal(b"secret", b"secret"));
    assert!(!passwords_equal(b"secret", b"secret\0"));
    assert!(!passwords_equal(b"", b"secret"));
}

proptest! {
    #[test]
    fn proofs_are_those_of_mysql_common(password in ".{1,40}", nonce: [u8; NONCE]) {
        let password = password.as_bytes();
        let theirs = oracle(AuthPlugin::MysqlNativePassword, password, &nonce);
        prop_assert_eq!(&native_proof(password, &nonce)[..], theirs);
        let theirs = oracle(AuthPlugin::CachingSha2Password, password, &nonce);
        prop_assert_eq!(&sha2_proof(password, &nonce)[..], theirs);
    }

    #[test]
    fn mysql_common_believes_the_proof_of_a_certificate(
        password in ".{1,40}", nonce: [u8; NONCE], fingerprint: [u8; 32],
    ) {
        let proof = server_proof(password.as_bytes(), &nonce, &fingerprint);
        let client = AuthProc::init(&AuthPlugin::MysqlNativePassword).unwrap();
        let hash = client.password_hash(Plain(password.as_bytes(), &nonce)).unwrap();
        prop_assert_eq!(proof[0], 1);
        let secret = &proof[1..];
        prop_assert!(verify_mariadb_shared_secret(secret, &hash, &nonce, &fingerprint));
    }

    #[test]
    fn signatures_are_those_of_mysql_common(password in ".{1,40}", nonce: [u8; ED25519_NONCE]) {
        let theirs = oracle(AuthPlugin::Ed25519, password.as_bytes(), &nonce);
        prop_assert_eq!(&ed25519_signature(password.as_bytes(), &nonce)[..], theirs);
    }
}

/// What mysql_common answers to a server's nonce.
fn oracle(plugin: AuthPlugin<'_>, password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let mut client = AuthProc::init(&plugin).unwrap();
    client.run(Plain(password, nonce), nonce).unwrap().data().unwrap().to_vec()
}

/// A client on a plain connection: password and nonce.
struct Plain<'a>(&'a [u8], &'a [u8]);

impl Client for Plain<'_> {
    fn pass(&self) -> &[u8] {
        self.0
    }
    fn is_ipc_transport(&self) -> bool {
        false
    }
    fn is_tls_transport(&self) -> bool {
        false
    }
    fn scramble(&self) -> &[u8] {
        self.1
    }
    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}
