//! Proofs of passwords, for every authentication plugin: made and checked, without I/O.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_authentication_methods.html>,
//! <https://mariadb.com/kb/en/authentication-plugin-ed25519/>

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512, digest};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;

/// Bytes of a nonce.
pub const NONCE: usize = 20;

/// An authentication plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugin {
    /// `caching_sha2_password`
    CachingSha2,
    /// `mysql_clear_password`
    ClearPassword,
    /// MariaDB's `client_ed25519`
    Ed25519,
    /// `mysql_native_password`
    Native,
    /// `sha256_password`
    Sha256,
}

impl Plugin {
    /// The plugin of this name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"caching_sha2_password" => Some(Self::CachingSha2),
            b"mysql_clear_password" => Some(Self::ClearPassword),
            b"client_ed25519" => Some(Self::Ed25519),
            b"mysql_native_password" => Some(Self::Native),
            b"sha256_password" => Some(Self::Sha256),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::CachingSha2 => "caching_sha2_password",
            Self::ClearPassword => "mysql_clear_password",
            Self::Ed25519 => "client_ed25519",
            Self::Native => "mysql_native_password",
            Self::Sha256 => "sha256_password",
        }
    }
}

fn hash(algorithm: &'static Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    match parts {
        [one] => digest(algorithm, one).as_ref().to_vec(),
        _ => digest(algorithm, &parts.concat()).as_ref().to_vec(),
    }
}

fn xor(mut a: Vec<u8>, b: &[u8]) -> Vec<u8> {
    for (byte, other) in a.iter_mut().zip(b) {
        *byte ^= other;
    }
    a
}

/// The proof of `mysql_native_password`; empty for an empty password.
pub fn native(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[password]);
    let twice = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[&once]);
    xor(once, &hash(&SHA1_FOR_LEGACY_USE_ONLY, &[nonce, &twice]))
}

/// The fast proof of `caching_sha2_password`; empty for an empty password.
pub fn caching_sha2(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = hash(&SHA256, &[password]);
    let twice = hash(&SHA256, &[&once]);
    xor(once, &hash(&SHA256, &[&twice, nonce]))
}

/// The signature of MariaDB's `client_ed25519`: Ed25519 whose seed is the password itself.
pub fn ed25519(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let expanded = hash(&SHA512, &[password]);
    let wide = |bytes: &[u8]| {
        let mut array = [0; 64];
        array.copy_from_slice(bytes);
        Scalar::from_bytes_mod_order_wide(&array)
    };
    let mut secret = [0; 32];
    secret.copy_from_slice(&expanded[..32]);
    let secret = Scalar::from_bytes_mod_order(clamp_integer(secret));
    let public = EdwardsPoint::mul_base(&secret).compress();
    let r = wide(&hash(&SHA512, &[&expanded[32..], nonce]));
    let point = EdwardsPoint::mul_base(&r).compress();
    let k = wide(&hash(&SHA512, &[point.as_bytes(), public.as_bytes(), nonce]));
    let s = r + k * secret;
    [&point.as_bytes()[..], s.as_bytes()].concat()
}

/// Whether a proof is that of this password. Takes the same time whatever is wrong.
pub fn verify(plugin: Plugin, password: &[u8], nonce: &[u8], proof: &[u8]) -> bool {
    let expected = match plugin {
        Plugin::CachingSha2 => caching_sha2(password, nonce),
        Plugin::Native => native(password, nonce),
        Plugin::ClearPassword | Plugin::Sha256 | Plugin::Ed25519 => password.to_vec(),
    };
    verify_slices_are_equal(&expected, proof).is_ok()
}

/// A password as it crosses a plain connection under RSA: with its terminator, and masked by the
/// nonce. Applied twice it gives the password back.
pub fn mask(terminated: &[u8], nonce: &[u8]) -> Vec<u8> {
    terminated.iter().zip(nonce.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

/// The server's public key is no RSA key that can be used, or the password is too long for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's public key cannot encrypt the password")]
pub struct BadPublicKey;

/// Encrypts a masked password with the server's public key.
///
/// # Errors
///
/// When the key is of no use.
pub fn encrypt(pem: &[u8], masked: &[u8]) -> Result<Vec<u8>, BadPublicKey> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| BadPublicKey)?;
    let key = PublicEncryptingKey::from_der(&der).map_err(|_| BadPublicKey)?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| BadPublicKey)?;
    let mut out = vec![0; key.ciphertext_size()];
    let sealed =
        key.encrypt(&OAEP_SHA1_MGF1SHA1, masked, &mut out, None).map_err(|_| BadPublicKey)?;
    Ok(sealed.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_are_checked() {
        let nonce = [7; NONCE];
        for plugin in [Plugin::CachingSha2, Plugin::Native] {
            let proof = match plugin {
                Plugin::Native => native(b"secret", &nonce),
                _ => caching_sha2(b"secret", &nonce),
            };
            assert!(verify(plugin, b"secret", &nonce, &proof));
            assert!(!verify(plugin, b"Secret", &nonce, &proof));
            assert!(!verify(plugin, b"secret", &[8; NONCE], &proof));
            assert!(!verify(plugin, b"secret", &nonce, b""));
            assert!(verify(plugin, b"", &nonce, b""));
        }
    }

    #[test]
    fn masking_twice_gives_the_password_back() {
        let nonce = [3; NONCE];
        let long = b"a password longer than its nonce, for sure\0";
        assert_eq!(mask(&mask(long, &nonce), &nonce), long);
    }
}
