//! Which tokens are believed, and which keys.

use super::*;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

const ISSUER: &str = "https://id.example";

/// A key pair: the private one, and the public one as a JWK.
fn ec(id: &str) -> (EncodingKey, Value) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let public = pair.public_key().as_ref().to_vec();
    let der = pair.to_pkcs8v1().unwrap();
    let coordinate = |bytes: &[u8]| base64(bytes);
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "alg": "ES256",
        "x": coordinate(&public[1..33]), "y": coordinate(&public[33..65]),
    });
    (EncodingKey::from_ec_der(der.as_ref()), jwk)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(padded);
        for place in 0..=group.len() {
            let index = (bits >> (18 - 6 * place)) & 63;
            out.push(char::from(DIGITS[index as usize]));
        }
    }
    out
}

fn issuer(keys: &[Value]) -> Jwt {
    let config = JwtConfig {
        issuer: ISSUER.into(),
        audience: vec!["millpond".into(), "other".into()],
        jwks_url: Some("http://127.0.0.1:1/keys".parse().unwrap()),
        algorithms: vec![crate::config::JwtAlgorithm::ES256, crate::config::JwtAlgorithm::EdDSA],
        leeway: Duration::from_secs(30),
        refresh: Duration::from_secs(600),
        ca: None,
    };
    let jwt = Jwt::new(config, HttpClient::system());
    let keys = keys.iter().cloned().filter_map(Key::of_value).collect();
    jwt.keys.store(Some(Arc::new(Keys { keys, fetched: Instant::now() })));
    jwt
}

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "millpond", "exp": now() + 300, "sub": "orders"})
}

fn with(change: Value) -> Value {
    let (Value::Object(mut all), Value::Object(change)) = (claims(), change) else { panic!() };
    for (name, value) in change {
        match value {
            Value::Null => drop(all.remove(&name)),
            value => drop(all.insert(name, value)),
        }
    }
    Value::Object(all)
}

fn sign(algorithm: Algorithm, id: Option<&str>, key: &EncodingKey, claims: &Value) -> String {
    let header = Header { kid: id.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, key).unwrap()
}

#[tokio::test]
async fn a_token_is_believed_only_if_everything_is_right() {
    let (private, public) = ec("one");
    let jwt = issuer(&[public]);
    let sign = |claims: &Value| sign(Algorithm::ES256, Some("one"), &private, claims);
    let believed = jwt.verify(&sign(&claims())).await.unwrap();
    assert_eq!(believed["sub"], "orders");
    for right in
        [json!({"aud": ["x", "other"]}), json!({"exp": now() - 10}), json!({"nbf": now() + 10})]
    {
        assert!(jwt.verify(&sign(&with(right.clone()))).await.is_ok(), "{right}");
    }
    for (wrong, why) in [
        (json!({"aud": "millpond2"}), "InvalidAudience"),
        (json!({"aud": null}), "aud"),
        (json!({"aud": 7}), "aud"),
        (json!({"iss": "https://evil.example"}), "InvalidIssuer"),
        (json!({"iss": null}), "iss"),
        (json!({"exp": now() - 60}), "ExpiredSignature"),
        (json!({"exp": null}), "exp"),
        (json!({"exp": "soon"}), "exp"),
        (json!({"nbf": now() + 60}), "ImmatureSignature"),
    ] {
        let error = jwt.verify(&sign(&with(wrong.clone()))).await.unwrap_err().to_string();
        assert!(error.contains(why), "{wrong}: {error}");
    }
    let token = sign(&claims());
    let (head, signature) = token.rsplit_once('.').unwrap();
    for forged in [
        format!("{head}."),
        format!("{head}.{}", "A".repeat(signature.len())),
        token.replacen('.', ".e", 1),
        format!("{token}.x"),
        "eyJ.eyJ.x".to_owned(),
        String::new(),
    ] {
        assert!(jwt.verify(&forged).await.is_err(), "{forged}");
    }
}

#[tokio::test]
async fn no_shared_key_and_no_signature_is_a_signature() {
    let (_, public) = ec("one");
    let secret = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "two"});
    let encryption = json!({"kty": "EC", "crv": "P-256", "kid": "three", "use": "enc",
        "x": public["x"], "y": public["y"]});
    let jwt = issuer(&[public.clone(), secret, encryption, json!({"kty": "new"}), json!(7)]);
    assert_eq!(jwt.keys.load_full().unwrap().keys.len(), 1);
    // The public key as if it were a secret that both sides know: the oldest trick.
    let known = EncodingKey::from_secret(public["x"].as_str().unwrap().as_bytes());
    let token = sign(Algorithm::HS256, Some("one"), &known, &claims());
    let error = jwt.verify(&token).await.unwrap_err().to_string();
    assert!(error.contains("HS256 is not among"), "{error}");
    let none = format!("{}.{}.", base64(br#"{"alg":"none"}"#), base64(b"{}"));
    assert!(jwt.verify(&none).await.is_err());
    let critical = base64(br#"{"alg":"ES256","kid":"one","crit":["b64"],"b64":false}"#);
    let error = jwt.verify(&format!("{critical}.e30.AA")).await.unwrap_err().to_string();
    assert!(error.contains("crit"), "{error}");
}

#[tokio::test]
async fn ed25519_is_known_too_and_a_key_is_found_without_its_name() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let public = base64(pair.public_key().as_ref());
    let private = EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
    let (other, ec) = ec("one");
    let jwt = issuer(&[ec, json!({"kty": "OKP", "crv": "Ed25519", "x": public})]);
    assert!(jwt.verify(&sign(Algorithm::EdDSA, None, &private, &claims())).await.is_ok());
    assert!(jwt.verify(&sign(Algorithm::ES256, None, &other, &claims())).await.is_ok());
}

#[tokio::test]
async fn an_issuer_that_is_away_is_not_flooded_and_its_keys_do_while_they_fit() {
    let (private, public) = ec("one");
    let jwt = issuer(&[public]);
    let (stranger, _) = ec("two");
    let token = sign(Algorithm::ES256, Some("two"), &stranger, &claims());
    let error = jwt.verify(&token).await.unwrap_err();
    assert!(matches!(error, TokenError::Unreachable(_)), "{error}");
    let error = jwt.verify(&token).await.unwrap_err();
    assert!(error.to_string().contains("no key of its issuer"), "not asked again: {error}");
    let old = jwt.keys.load_full().unwrap();
    let keys = Keys { keys: Vec::new(), fetched: old.fetched };
    drop(keys);
    assert!(jwt.verify(&sign(Algorithm::ES256, Some("one"), &private, &claims())).await.is_ok());
}
