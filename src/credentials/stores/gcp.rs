//! Google's Secret Manager.
//!
//! <https://cloud.google.com/secret-manager/docs/reference/rest>

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hyper::header::HeaderName;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::bearer::{Bearer, Tokens, form};
use super::error::StoreError;
use super::web::{Environment, Web, read_file};
use super::{Fetching, Occasion, SecretStore, Version, VersionedSecret};
use crate::config::{GcpConfig, HttpUrl, escaped};
use crate::net::http::{HttpRequest, HttpResponse};

/// Secrets of a project: the password itself, or JSON. A secret's name may have a version behind
/// it, `name/versions/3`, or a project in front, `projects/other/secrets/name`.
#[derive(Debug)]
pub struct GcpStore {
    web: Web,
    endpoint: Option<HttpUrl>,
    project: String,
    key_file: Option<PathBuf>,
    /// The host of the metadata server, where it is not Google's own.
    metadata: Option<String>,
    tokens: Tokens,
}

const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
const SERVICE: &str = "https://secretmanager.googleapis.com";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

impl GcpStore {
    /// The store; nobody is asked yet.
    pub(super) fn new(config: &GcpConfig, environment: &Environment) -> Self {
        let GcpConfig { project, key_file, endpoint, ca } = config.clone();
        let endpoint = endpoint.or_else(|| SERVICE.parse().ok());
        Self {
            web: Web::new("Google Secret Manager", ca),
            endpoint,
            project,
            key_file,
            metadata: environment.get("GCE_METADATA_HOST").map(|host| host.to_string()),
            tokens: Tokens::default(),
        }
    }

    async fn find(&self, key: &str) -> Result<VersionedSecret, StoreError> {
        let answer = match self.access(key).await {
            // The token has ended, or was taken away.
            Err(StoreError::Login { .. }) => self.access(key).await?,
            answer => answer?,
        };
        let Accessed { name, payload } = self.web.json(&answer, "a secret's version")?;
        let text = STANDARD.decode(payload.data.as_bytes()).map(Zeroizing::new);
        let text = text.map_err(|_| self.web.answer("a payload in Base64"))?;
        let sum = crc32c(&text).to_string();
        if payload.data_crc32c.is_some_and(|announced| announced != sum) {
            return Err(self.web.answer("a payload with its checksum"));
        }
        let version = name.rsplit('/').next().unwrap_or_default();
        self.web.secret(key, &text, Version::new(version))
    }

    async fn access(&self, key: &str) -> Result<HttpResponse, StoreError> {
        let header = self.tokens.header(self.token()).await?;
        let endpoint = self.endpoint.as_ref().ok_or_else(|| self.web.request())?;
        let url = endpoint.join(&self.path(key)).map_err(|_| self.web.request())?;
        self.tokens.get(&self.web, url, &header, key).await
    }

    fn path(&self, key: &str) -> String {
        let parts: Vec<_> = key.split('/').map(escaped).collect();
        let name = match parts.first() {
            Some(first) if first == "projects" => parts.join("/"),
            _ => format!("projects/{}/secrets/{}", escaped(&self.project), parts.join("/")),
        };
        let version = if name.contains("/versions/") { "" } else { "/versions/latest" };
        format!("v1/{name}{version}:access")
    }

    async fn token(&self) -> Result<Bearer, StoreError> {
        let request = match &self.key_file {
            Some(path) => self.signed(path).await?,
            None => self.metadata()?,
        };
        Bearer::granted(&self.web, request).await
    }

    /// Asks who this machine, or this pod, is.
    fn metadata(&self) -> Result<HttpRequest, StoreError> {
        let host = self.metadata.as_deref().unwrap_or("metadata.google.internal");
        let path = "computeMetadata/v1/instance/service-accounts/default/token";
        let url = format!("http://{host}/{path}").parse().map_err(|_| self.web.request())?;
        HttpRequest::get(url).with(FLAVOR, "Google").map_err(|_| self.web.request())
    }

    /// Asks for a token with a service account's key.
    async fn signed(&self, path: &Path) -> Result<HttpRequest, StoreError> {
        let text = read_file(path).await?;
        let malformed = |what| self.web.login(what, "key_file");
        let account: Account = serde_json::from_str(&text)
            .map_err(|_| malformed("expected the JSON key of a service account"))?;
        let assertion = account
            .assertion(SystemTime::now())
            .ok_or_else(|| malformed("the service account's key cannot be used"))?;
        let url = account.token_uri.parse();
        let url = url.map_err(|_| malformed("the key's token_uri is no address"))?;
        let grant = escaped("urn:ietf:params:oauth:grant-type:jwt-bearer");
        let body = format!("grant_type={grant}&assertion={}", *assertion);
        form(&self.web, url, body)
    }
}

impl SecretStore for GcpStore {
    fn fetch<'a>(&'a self, key: &'a str, _occasion: Occasion) -> Fetching<'a> {
        Box::pin(self.find(key))
    }
}

/// A service account's key.
#[derive(Deserialize)]
struct Account {
    client_email: String,
    private_key: Zeroizing<String>,
    #[serde(default)]
    private_key_id: String,
    token_uri: String,
}

impl Account {
    /// What a token is given for: a claim, signed.
    fn assertion(&self, now: SystemTime) -> Option<Zeroizing<String>> {
        let key = pem::parse(self.private_key.as_bytes()).ok()?;
        let key = KeyPair::from_pkcs8(key.contents()).ok()?;
        let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let head = serde_json::json!({ "alg": "RS256", "typ": "JWT", "kid": self.private_key_id });
        let claim = serde_json::json!({
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": self.token_uri,
            "iat": now,
            "exp": now + 3_600,
        });
        let [head, claim] = [head, claim].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{head}.{claim}");
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .ok()?;
        Some(Zeroizing::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

#[derive(Deserialize)]
struct Accessed {
    #[serde(default)]
    name: String,
    payload: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    data: Zeroizing<String>,
    data_crc32c: Option<String>,
}

/// The checksum of Castagnoli, bit by bit: secrets are short.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { (sum >> 1) ^ 0x82F6_3B78 } else { sum >> 1 }
        })
    })
}

#[cfg(test)]
mod tests;
