//! Proofs of a password: what each authentication plugin computes. Knows no dialogue.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_authentication_methods.html>

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Algorithm, Context, Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::fault::Fault;

/// Bytes of the nonce that a server challenges with; `client_ed25519` has its own.
pub const NONCE: usize = 20;
/// Bytes of the nonce of `client_ed25519`.
pub const ED25519_NONCE: usize = 32;

/// An authentication plugin, as its client half is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plugin {
    /// SHA-256 with a cache in the server, or the password itself over a safe channel.
    CachingSha2,
    /// The password itself. Only for encrypted connections.
    ClearPassword,
    /// MariaDB's signature by a key that is the password.
    Ed25519,
    /// SHA-1, of MySQL 4.1 to 8 and of MariaDB.
    Native,
    /// The password itself, RSA-encrypted where the connection is not.
    Sha256,
}

impl Plugin {
    /// The name in the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CachingSha2 => "caching_sha2_password",
            Self::ClearPassword => "mysql_clear_password",
            Self::Ed25519 => "client_ed25519",
            Self::Native => "mysql_native_password",
            Self::Sha256 => "sha256_password",
        }
    }

    /// The plugin of that name; `None` for one that Millpond does not know.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [Self::CachingSha2, Self::ClearPassword, Self::Ed25519, Self::Native, Self::Sha256]
            .into_iter()
            .find(|plugin| plugin.name().as_bytes() == name)
    }
}

/// Makes a nonce of bytes that every client takes: seven bits, no NUL (which some read as the end
/// of a string) and no `$` (which servers avoid, for it divides fields where hashes are stored).
///
/// # Errors
///
/// When the system has no randomness.
pub fn random_nonce() -> Result<[u8; NONCE], aws_lc_rs::error::Unspecified> {
    let mut nonce = [0; NONCE];
    aws_lc_rs::rand::fill(&mut nonce)?;
    for byte in &mut nonce {
        *byte &= 0x7F;
        if matches!(*byte, 0 | b'$') {
            *byte += 1;
        }
    }
    Ok(nonce)
}

/// `mysql_native_password`: SHA1(password) XOR SHA1(nonce, SHA1(SHA1(password))).
pub fn native_proof(password: &[u8], nonce: &[u8; NONCE]) -> [u8; 20] {
    let stage1 = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[password]);
    let stage2 = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[stage1.as_ref()]);
    let mask = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[nonce, stage2.as_ref()]);
    xor(&stage1, &mask)
}

/// `caching_sha2_password`: SHA256(password) XOR SHA256(SHA256(SHA256(password)), nonce).
pub fn sha2_proof(password: &[u8], nonce: &[u8; NONCE]) -> [u8; 32] {
    let stage1 = hash(&SHA256, &[password]);
    let stage2 = hash(&SHA256, &[stage1.as_ref()]);
    let mask = hash(&SHA256, &[stage2.as_ref(), nonce]);
    xor(&stage1, &mask)
}

/// `client_ed25519`: the signature of the nonce with a key expanded from the password, which here
/// has any length, where RFC 8032 hashes a seed of 32 bytes.
///
/// <https://github.com/MariaDB/server/tree/10.11/plugin/auth_ed25519>
pub fn ed25519_signature(password: &[u8], nonce: &[u8; ED25519_NONCE]) -> [u8; 64] {
    let expanded = hash(&SHA512, &[password]);
    let (low, prefix) = expanded.as_ref().split_at(32);
    let secret = Scalar::from_bytes_mod_order(clamp_integer(head(low)));
    let public = EdwardsPoint::mul_base(&secret).compress();

    let r = wide_scalar(&hash(&SHA512, &[prefix, nonce]));
    let big_r = EdwardsPoint::mul_base(&r).compress();
    let challenge = wide_scalar(&hash(&SHA512, &[big_r.as_bytes(), public.as_bytes(), nonce]));
    let s = r + challenge * secret;

    let mut signature = [0; 64];
    signature[..32].copy_from_slice(big_r.as_bytes());
    signature[32..].copy_from_slice(s.as_bytes());
    signature
}

/// What a MariaDB server says in the OK that ends the login by `mysql_native_password` under TLS: by
/// its knowledge of the password it vouches for its certificate, of which this is the SHA-256. Its
/// clients since 11.4 demand this of a certificate that nobody else vouches for.
///
/// <https://mariadb.org/mission-impossible-zero-configuration-ssl/>
pub fn server_proof(password: &[u8], nonce: &[u8; NONCE], fingerprint: &[u8; 32]) -> Vec<u8> {
    let stage1 = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[password]);
    let stage2 = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[stage1.as_ref()]);
    let digest = hash(&SHA256, &[stage2.as_ref(), nonce, fingerprint]);
    let mut proof = vec![SHA256_FOLLOWS];
    for byte in digest.as_ref() {
        proof.extend_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 0xF)]);
    }
    proof
}

const SHA256_FOLLOWS: u8 = 0x01;

fn hex_digit(value: u8) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ => b'A' + value - 10,
    }
}

/// A password as the plugins send it that trust the channel: closed by a NUL.
pub fn closed_password(password: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut closed = Zeroizing::new(Vec::with_capacity(password.len() + 1));
    closed.extend_from_slice(password);
    closed.push(0);
    closed
}

/// Applies the nonce to a closed password, or takes it off again, around RSA: what is encrypted
/// differs for each connection.
pub fn mask(closed_password: &mut [u8], nonce: &[u8; NONCE]) {
    for (byte, mask) in closed_password.iter_mut().zip(nonce.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Encrypts a password for the server that has sent `public_key` (PEM), as `sha256_password` and
/// the full authentication of `caching_sha2_password` want it on plain connections.
///
/// # Errors
///
/// When the key is none, or too small for the password.
pub fn encrypt_password(
    password: &[u8],
    nonce: &[u8; NONCE],
    public_key: &[u8],
) -> Result<Vec<u8>, Fault> {
    let bad_key = || Fault::BadValue("the server's RSA public key");
    let der = SubjectPublicKeyInfoDer::from_pem_slice(public_key).map_err(|_| bad_key())?;
    let key = PublicEncryptingKey::from_der(&der).map_err(|_| bad_key())?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| bad_key())?;
    let mut masked = closed_password(password);
    mask(&mut masked, nonce);
    let mut encrypted = vec![0; key.ciphertext_size()];
    let length = key
        .encrypt(&OAEP_SHA1_MGF1SHA1, &masked, &mut encrypted, None)
        .map_err(|_| bad_key())?
        .len();
    encrypted.truncate(length);
    Ok(encrypted)
}

/// Whether two proofs are equal, in a time that does not depend on where they differ.
pub fn proofs_equal(a: &[u8], b: &[u8]) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}

/// Whether two passwords are equal, in a time that says neither where they differ nor how long the
/// second is.
pub fn passwords_equal(a: &[u8], b: &[u8]) -> bool {
    proofs_equal(hash(&SHA256, &[a]).as_ref(), hash(&SHA256, &[b]).as_ref())
}

fn hash(algorithm: &'static Algorithm, parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish()
}

fn xor<const N: usize>(a: &Digest, b: &Digest) -> [u8; N] {
    let mut out = head(a.as_ref());
    for (byte, mask) in out.iter_mut().zip(b.as_ref()) {
        *byte ^= mask;
    }
    out
}

fn wide_scalar(digest: &Digest) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&head(digest.as_ref()))
}

/// The first `N` bytes of a digest that has as many.
fn head<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[..N]);
    out
}

#[cfg(test)]
mod tests;
