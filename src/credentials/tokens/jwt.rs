//! Tokens that an issuer has signed: JSON Web Tokens, as OpenID Connect has them.
//!
//! <https://www.rfc-editor.org/rfc/rfc8725> says what to look at.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::TokenError;
use crate::config::{HttpUrl, JwtConfig};
use crate::net::http::{HttpClient, HttpRequest};

/// How long the issuer may take for one answer.
const LIMIT: Duration = Duration::from_secs(3);
/// The shortest time between two questions for keys.
const PAUSE: Duration = Duration::from_secs(5);
/// The most keys that an issuer may have.
const MOST_KEYS: usize = 64;

/// An issuer.
#[derive(Debug)]
pub struct Jwt {
    config: JwtConfig,
    algorithms: Vec<Algorithm>,
    client: HttpClient,
    keys: ArcSwapOption<Keys>,
    /// When the keys were asked for last.
    asked: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Keys {
    keys: Vec<Key>,
    fetched: Instant,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// The only algorithm that it is for, where it says so.
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

/// Whether a text can be such a token: three parts, of which the first is a JSON object in base64.
pub(super) fn is_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.split('.').count() == 3
}

impl Jwt {
    /// Keys are fetched when the first token comes.
    pub(super) fn new(config: JwtConfig, client: HttpClient) -> Self {
        let named = |algorithm: &crate::config::JwtAlgorithm| algorithm.rfc_name().parse().ok();
        let algorithms = config.algorithms.iter().filter_map(named).collect();
        Self { config, algorithms, client, keys: ArcSwapOption::empty(), asked: Mutex::default() }
    }

    /// The claims of a token that is valid.
    ///
    /// Cancel safe.
    pub(super) async fn verify(&self, token: &str) -> Result<Map<String, Value>, TokenError> {
        let header = decode_header(token).map_err(|_| TokenError::Form("its header"))?;
        let algorithm = header.alg;
        if !self.algorithms.contains(&algorithm) {
            let why = format!("its algorithm {algorithm:?} is not among `algorithms`");
            return Err(TokenError::Invalid(why));
        }
        if header.crit.is_some() {
            return Err(TokenError::Form("it wants an extension (`crit`)"));
        }
        let id = header.kid.as_deref();
        let keys = self.keys_for(id, algorithm).await?;
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.config.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&self.config.audience);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let mut refused = None;
        for key in keys.fitting(id, algorithm) {
            match decode::<Map<String, Value>>(token, &key.key, &validation) {
                Ok(token) => return Ok(token.claims),
                Err(error) => refused = Some(error),
            }
        }
        // The names of errors say nothing of what is in the token.
        let why = refused.map_or("no key of its issuer".to_owned(), |error| error.to_string());
        Err(TokenError::Invalid(why))
    }

    /// The issuer's keys, with one that fits if there is any.
    async fn keys_for(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<Keys>, TokenError> {
        let fits = |keys: &Arc<Keys>| keys.fitting(id, algorithm).next().is_some();
        if let Some(keys) = self.known().filter(fits) {
            return Ok(keys);
        }
        match self.fetch_in_turn(fits).await {
            Ok(keys) => Ok(keys),
            // The issuer is away: what is known has to do.
            Err(error) => match self.keys.load_full() {
                Some(keys) if fits(&keys) => {
                    tracing::warn!(issuer = self.config.issuer, %error, "keys not fetched");
                    Ok(keys)
                }
                _ => Err(error),
            },
        }
    }

    /// The keys, while they need not be fetched again.
    fn known(&self) -> Option<Arc<Keys>> {
        self.keys.load_full().filter(|keys| keys.fetched.elapsed() < self.config.refresh)
    }

    /// One after another; those who wait share the answer.
    async fn fetch_in_turn(
        &self,
        fits: impl Fn(&Arc<Keys>) -> bool,
    ) -> Result<Arc<Keys>, TokenError> {
        let mut asked = self.asked.lock().await;
        if let Some(keys) = self.known().filter(fits) {
            return Ok(keys);
        }
        // Tokens with invented keys must not make Millpond flood the issuer.
        if let Some(last) = *asked
            && last.elapsed() < PAUSE
        {
            return match self.keys.load_full() {
                Some(keys) => Ok(keys),
                None => Err(TokenError::Answer("its keys could not be had a moment ago".into())),
            };
        }
        *asked = Some(Instant::now());
        let keys = Arc::new(self.fetch().await?);
        self.keys.store(Some(keys.clone()));
        Ok(keys)
    }

    async fn fetch(&self) -> Result<Keys, TokenError> {
        let url = match &self.config.jwks_url {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        let set: KeySet = self.page(url).await?;
        let keys: Vec<Key> =
            set.keys.into_iter().take(MOST_KEYS).filter_map(Key::of_value).collect();
        if keys.is_empty() {
            return Err(TokenError::Answer("there is no key for signatures among its keys".into()));
        }
        tracing::info!(issuer = self.config.issuer, keys = keys.len(), "keys fetched");
        Ok(Keys { keys, fetched: Instant::now() })
    }

    /// <https://openid.net/specs/openid-connect-discovery-1_0.html>
    async fn discover(&self) -> Result<HttpUrl, TokenError> {
        let bad = |what: &str| TokenError::Answer(format!("its discovery document: {what}"));
        let issuer: HttpUrl = self.config.issuer.parse().map_err(|_| bad("no address"))?;
        let url = issuer.join(".well-known/openid-configuration").map_err(|_| bad("no address"))?;
        let found: Discovery = self.page(url).await?;
        if found.issuer != self.config.issuer {
            return Err(bad("it is another issuer's"));
        }
        let keys: HttpUrl = found.jwks_uri.parse().map_err(|_| bad("`jwks_uri` is no address"))?;
        // Who may use http for the issuer, on this machine, may for the keys.
        match keys.is_encrypted() || !issuer.is_encrypted() {
            true => Ok(keys),
            false => Err(bad("`jwks_uri` is not encrypted")),
        }
    }

    async fn page<T: for<'de> Deserialize<'de>>(&self, url: HttpUrl) -> Result<T, TokenError> {
        let answer = self.client.send(HttpRequest::get(url), LIMIT).await?;
        if answer.status != hyper::StatusCode::OK {
            return Err(TokenError::Answer(format!("status {}", answer.status.as_u16())));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|_| TokenError::Answer("it is not the JSON that it has to be".into()))
    }
}

/// Keys that are not understood are left out, not the end of all.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Keys {
    /// Those that a token with this header may be signed by.
    fn fitting(&self, id: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| {
            let named = id.is_none() || key.id.as_deref() == id;
            let made_for = key.algorithm.is_none_or(|only| only == algorithm);
            named && made_for && key.key.family() == algorithm.family()
        })
    }
}

impl Key {
    /// `None` for a key that is not for signatures, or that both sides would know.
    fn of_value(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let shared = matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_));
        if !signs || shared {
            return None;
        }
        let algorithm = match jwk.common.key_algorithm {
            Some(algorithm) => Some(algorithm.to_string().parse().ok()?),
            None => None,
        };
        Some(Self {
            id: jwk.common.key_id.clone(),
            algorithm,
            key: DecodingKey::from_jwk(&jwk).ok()?,
        })
    }
}

#[cfg(test)]
mod tests;
