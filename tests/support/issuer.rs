//! An issuer of tokens: keys, a page with their public halves, and tokens by them.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// A key with a name.
pub(crate) struct Key {
    id: String,
    private: EncodingKey,
    public: Value,
}

impl Key {
    /// A new one.
    pub(crate) fn new(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let point = pair.public_key().as_ref();
        let public = json!({
            "kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "alg": "ES256",
            "x": base64(&point[1..33]), "y": base64(&point[33..65]),
        });
        let der = pair.to_pkcs8v1().expect("its form");
        Self { id: id.to_owned(), private: EncodingKey::from_ec_der(der.as_ref()), public }
    }

    /// A token that says this.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &self.private).expect("a token")
    }
}

impl Key {
    /// What a token says, if this key has signed it, for this audience, and it has not expired.
    pub(crate) fn verified(&self, token: &str, audience: &str) -> Option<Value> {
        let point = |name: &str| self.public[name].as_str().unwrap_or_default();
        let key = DecodingKey::from_ec_components(point("x"), point("y")).ok()?;
        let mut rules = Validation::new(Algorithm::ES256);
        rules.set_audience(&[audience]);
        decode(token, &key, &rules).ok().map(|token| token.claims)
    }
}

/// The page with the public halves of keys.
pub(crate) fn key_set(keys: &[&Key]) -> Vec<u8> {
    let keys: Vec<&Value> = keys.iter().map(|key| &key.public).collect();
    json!({ "keys": keys }).to_string().into_bytes()
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs()
}

/// In base64 for addresses, without padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(padded);
        for place in 0..=group.len() {
            out.push(char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63]));
        }
    }
    out
}
