//! HashiCorp Vault and OpenBao, which speak the same interface.
//!
//! ```text
//! kv               GET  v1/MOUNT/data/PATH            a password, or username and password
//! database         GET  v1/MOUNT/creds/ROLE           a user that Vault makes, with a lease
//!                  POST v1/sys/leases/renew           the same user, for longer
//! database_static  GET  v1/MOUNT/static-creds/ROLE    a user whose password Vault changes
//! ```
//!
//! <https://developer.hashicorp.com/vault/api-docs>, <https://openbao.org/api-docs/>

mod lease;
mod login;

use hyper::header::HeaderName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::fmt;
use std::time::Duration;

use super::error::{Code, StoreError};
use super::web::Web;
use super::{Fetching, Lease, Occasion, SecretStore, Version, VersionedSecret};
use crate::config::{HttpUrl, Secret, VaultConfig, VaultEngine, escaped};
use crate::net::http::{HttpRequest, HttpResponse};
use lease::Leases;
use login::Login;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Vault's own clients send it, and an agent may insist on it.
const IS_REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// Secrets of one engine.
#[derive(Debug)]
pub struct VaultStore {
    door: Door,
    engine: VaultEngine,
    mount: String,
    login: Login,
    leases: Leases,
}

impl VaultStore {
    /// The store; nobody is asked yet.
    pub(super) fn new(config: &VaultConfig) -> Self {
        let VaultConfig { address, engine, mount, namespace, ca, auth } = config.clone();
        let web = Web::new(format!("the vault at {address}"), ca);
        Self {
            door: Door { web, address, namespace },
            engine,
            mount: path(&mount),
            login: Login::new(auth),
            leases: Leases::default(),
        }
    }

    async fn find(&self, key: &str, occasion: Occasion) -> Result<VersionedSecret, StoreError> {
        match self.engine {
            VaultEngine::Kv => self.keyed(key).await,
            VaultEngine::Database => self.leases.fetch(self, key, occasion).await,
            VaultEngine::DatabaseStatic => self.fixed(key).await,
        }
    }

    async fn keyed(&self, key: &str) -> Result<VersionedSecret, StoreError> {
        let found = self.read(&format!("{}/data/{}", self.mount, path(key)), key).await?;
        let answer: Answer<Versioned> = self.door.web.json(&found, "a secret of KV version 2")?;
        let Versioned { data, metadata } = answer.data;
        let Some(data) = data else {
            let store = format!("{} (its last version is deleted)", self.door.web.service());
            return Err(StoreError::Missing { key: key.to_owned(), store });
        };
        self.door.web.secret(key, data.get().as_bytes(), Version::new(metadata.version))
    }

    async fn fixed(&self, key: &str) -> Result<VersionedSecret, StoreError> {
        let found = self.read(&format!("{}/static-creds/{}", self.mount, path(key)), key).await?;
        let answer: Answer<Fixed> = self.door.web.json(&found, "a static role's user")?;
        let Fixed { username, password, ttl, last_vault_rotation } = answer.data;
        let version = Version::new(last_vault_rotation);
        let password = Secret::new(password.as_bytes());
        let mut secret = VersionedSecret::checked(key, username, password, version)?;
        // Vault changes it then; a moment later it has.
        let remaining = Duration::from_secs(ttl);
        let ask_again = remaining + Duration::from_millis(500);
        secret.lease = (ttl > 0).then_some(Lease { remaining, ask_again });
        Ok(secret)
    }

    /// Reads something, with a token that is taken.
    async fn read(&self, path: &str, key: &str) -> Result<HttpResponse, StoreError> {
        let answer = self.authorized(HttpRequest::get(self.door.at(path)?)).await?;
        let known = answer.status.as_u16();
        if answer.status.is_success() || (known == 404 && has_data(&answer)) {
            return Ok(answer);
        }
        Err(self.door.refusal(&answer, key))
    }

    /// Asks with the token at hand and, refused, with another.
    async fn authorized(&self, request: HttpRequest) -> Result<HttpResponse, StoreError> {
        let again = request.clone();
        let token = self.login.token(&self.door).await?;
        let answer = self.door.ask(request, Some(&token.secret)).await?;
        // Vault says the same of a token that has ended and of one that may not.
        if answer.status.as_u16() != 403 || !self.login.forget(&token).await {
            return Ok(answer);
        }
        let token = self.login.token(&self.door).await?;
        self.door.ask(again, Some(&token.secret)).await
    }
}

impl SecretStore for VaultStore {
    fn fetch<'a>(&'a self, key: &'a str, occasion: Occasion) -> Fetching<'a> {
        Box::pin(self.find(key, occasion))
    }
}

/// How Vault is asked.
#[derive(Debug)]
struct Door {
    web: Web,
    address: HttpUrl,
    namespace: Option<String>,
}

impl Door {
    /// A path below the interface's version.
    fn at(&self, path: &str) -> Result<HttpUrl, StoreError> {
        self.address.join(&format!("v1/{path}")).map_err(|_| self.web.request())
    }

    async fn ask(
        &self,
        request: HttpRequest,
        token: Option<&Secret>,
    ) -> Result<HttpResponse, StoreError> {
        let refused = |_| self.web.request();
        let mut request = request.with(IS_REQUEST, "true").map_err(refused)?;
        if let Some(namespace) = &self.namespace {
            request = request.with(NAMESPACE, namespace).map_err(refused)?;
        }
        if let Some(token) = token {
            request = request.with(TOKEN, token.expose()).map_err(refused)?;
        }
        self.web.ask(request).await
    }

    /// Why there is no secret in an answer.
    fn refusal(&self, answer: &HttpResponse, key: &str) -> StoreError {
        let (service, key) = (self.web.service().to_owned(), key.to_owned());
        let Errors { errors } = serde_json::from_slice(&answer.body).unwrap_or_default();
        let says = |text: &str| errors.iter().any(|error| error.contains(text));
        match answer.status.as_u16() {
            // The database engine's way to say that there is no such role.
            400 if says("unknown role") => StoreError::Missing { key, store: service },
            503 if says("sealed") => StoreError::Failed { service, code: Code::new("sealed") },
            _ => self.web.refusal(answer.status, &key),
        }
    }
}

/// Whether a "not found" is that of a version that was deleted: it says when.
fn has_data(answer: &HttpResponse) -> bool {
    serde_json::from_slice::<Answer<Versioned>>(&answer.body).is_ok()
}

/// A path whose parts may hold anything.
fn path(text: &str) -> String {
    text.trim_matches('/').split('/').map(escaped).collect::<Vec<_>>().join("/")
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Versioned {
    data: Option<Box<RawValue>>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    version: u64,
}

#[derive(Deserialize)]
struct Fixed {
    username: Option<String>,
    password: zeroize::Zeroizing<String>,
    #[serde(default)]
    ttl: u64,
    #[serde(default)]
    last_vault_rotation: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Errors {
    errors: Vec<String>,
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leases(…)")
    }
}

/// What an answer's body says, or that it does not.
fn read<T: DeserializeOwned>(
    door: &Door,
    answer: &HttpResponse,
    what: &'static str,
) -> Result<T, StoreError> {
    door.web.json(answer, what)
}

#[cfg(test)]
mod tests;
