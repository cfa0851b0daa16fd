//! What Millpond is told to be: a TOML file, overridden by the environment, read once and checked
//! whole.
//!
//! The raw side is a tree of values (`source`) from which `section` reads; only checked types
//! leave this room, and one that exists is right. Defaults stand where a key is read. All that is
//! wrong is reported together, each with its key, what was found and what would be right.
//!
//! Every key with its default, unit, range and meaning is in the annotated `proxy.toml`; a test
//! holds it to this code.

mod admin;
mod backend;
mod certificate;
mod failover;
mod given;
mod identity;
mod limits;
mod login_limits;
mod network;
mod pattern;
mod pool;
mod process;
mod refresh;
mod refusal;
mod reload;
pub mod secret;
mod section;
mod service;
mod show;
mod source;
mod store;
#[cfg(test)]
mod tests;
mod tls;
mod units;
mod url;
mod user;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{fs, io};

pub use admin::{AdminConfig, AdminReach, AdminTls};
pub use backend::{BackendConfig, Endpoint, HiddenTriggers, InstanceHost, Provider, ProxyProtocol};
pub use certificate::{CertificateRule, CertifiedPassword};
pub use failover::{FailoverConfig, LostStatement, Retry, WithoutReaders};
pub use identity::{AwsIamConfig, IdentityConfig, JwtAlgorithm, JwtConfig, TokenRule};
pub use limits::{OwnLimits, TimeLimits};
pub use login_limits::LoginLimits;
pub use network::{Network, NotANetwork};
pub use pattern::{NoPattern, Pattern};
pub use pool::{HandOver, PoolConfig, PoolSize};
pub use process::{
    EventsConfig, LogConfig, LogFormat, LogLevel, NotALevel, RuntimeConfig, SlowConfig, SlowText,
    WebhookConfig,
};
pub use refresh::{OnStart, RefreshConfig};
pub use refusal::{Problem, Refusal, Refusals};
pub use secret::Secret;
use section::{Report, Section};
pub use service::{Compression, ServerVersionSetting, ServiceConfig, UnknownUsers};
use show::Shown;
pub use source::SourceError;
pub use store::{
    AwsConfig, AwsVia, AzureAuth, AzureConfig, GcpConfig, Kept, StoreConfig, VaultAuth,
    VaultConfig, VaultEngine,
};
pub use tls::{BackTls, BackTlsMode, CertificateFiles, FrontTls, FrontTlsMode};
pub(crate) use units::parse_duration;
pub use url::{HttpUrl, NotAnUrl, escaped};
use user::Named;
pub use user::{SecretRef, UserConfig, UserLogin, UserSecret, UserTransport};

/// A configuration that is right.
///
/// Two of them can be compared, key by key: that is what a reload does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The database services, in the order of the file; at least one.
    pub services: Vec<ServiceConfig>,
    /// The secret stores by name.
    pub secrets: BTreeMap<String, StoreConfig>,
    /// Who vouches for clients that come with tokens, by name.
    pub identity: BTreeMap<String, IdentityConfig>,
    /// How the secrets of each store are kept up to date.
    pub refresh: BTreeMap<String, RefreshConfig>,
    /// The admin port.
    pub admin: AdminConfig,
    /// What is remembered of the servers.
    pub events: EventsConfig,
    /// The log.
    pub log: LogConfig,
    /// The process.
    pub runtime: RuntimeConfig,
}

/// Why there is no [`Config`]. Always the operator's to mend; no text contains a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A source is not what it has to be.
    #[error("{path}: {source}")]
    Source {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, or with the environment.
        source: SourceError,
    },
    /// Settings are wrong.
    #[error(transparent)]
    Refused(#[from] Refusals),
}

impl Config {
    /// Reads the file at `path`, overridden by those of `variables` that begin with `MILLPOND__`.
    ///
    /// Relative paths in it start from the file's own folder.
    pub fn load(
        path: &Path,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        let merged = source::merge(&text, variables)
            .map_err(|source| ConfigError::Source { path: path.to_owned(), source })?;
        let mut report = Report::new(path.parent().unwrap_or(Path::new("")));
        let config = report.read(merged, Self::read);
        match Refusals::among(report.refusals) {
            Some(refusals) => Err(refusals.into()),
            None => Ok(config),
        }
    }

    /// The effective configuration as TOML, secrets shown as `…`.
    pub fn show(&self) -> String {
        self.shown().into_text()
    }

    fn shown(&self) -> Shown {
        let services =
            self.services.iter().fold(Shown::new(), |all, one| all.section(&one.name, one.show()));
        let refresh = |name| self.refresh.get(name).copied().unwrap_or_default().show();
        let secrets = self.secrets.iter().fold(Shown::new(), |all, (name, store)| {
            all.section(name, store.show().all(refresh(name)))
        });
        let identity = self
            .identity
            .iter()
            .fold(Shown::new(), |all, (name, one)| all.section(name, one.show()));
        Shown::new()
            .section("services", services)
            .section("secrets", secrets)
            .section("identity", identity)
            .section("admin", self.admin.show())
            .section("events", self.events.show())
            .section("log", self.log.show())
            .section("runtime", self.runtime.show())
    }

    fn read(top: &mut Section<'_>) -> Self {
        let (mut stores, mut refresh) = (BTreeMap::new(), BTreeMap::new());
        for (name, kept, store) in top.each("secrets", |name, store| {
            (name.to_owned(), RefreshConfig::read(store), StoreConfig::read(store))
        }) {
            refresh.insert(name.clone(), kept);
            // A store that was refused is still one that users may name.
            let unknown = StoreConfig::Env { prefix: String::new() };
            stores.insert(name, store.unwrap_or(unknown));
        }
        let providers =
            |name: &str, one: &mut Section<'_>| (name.to_owned(), IdentityConfig::read(one));
        let identity = top.each("identity", providers).into_iter().collect();
        let named = Named { stores: &stores, identity: &identity };
        let services =
            top.each("services", |name, section| ServiceConfig::read(name, section, named));
        if services.is_empty() {
            top.missing("services", "at least one service, as [services.<name>]");
        }
        let config = Self {
            services: services.into_iter().flatten().collect(),
            identity: identity
                .into_iter()
                .filter_map(|(name, one)| one.map(|one| (name, one)))
                .collect(),
            secrets: stores,
            refresh,
            admin: top.section("admin", AdminConfig::read),
            events: top.section("events", EventsConfig::read),
            log: top.section("log", LogConfig::read),
            runtime: top.section("runtime", RuntimeConfig::read),
        };
        config.refuse_collisions(top);
        config
    }

    /// No two listeners may want the same port.
    fn refuse_collisions(&self, top: &mut Section<'_>) {
        let mut taken: Vec<(String, SocketAddr)> = Vec::new();
        let mut listeners = Vec::new();
        for service in &self.services {
            let key = |name| format!("services.{}.{name}", service.name);
            listeners.push((key("listen"), service.listen));
            listeners.extend(service.reader_listen.map(|address| (key("reader_listen"), address)));
        }
        listeners.push(("admin.listen".to_owned(), self.admin.listen));
        for (key, address) in listeners {
            match taken.iter().find(|(_, other)| collide(*other, address)) {
                Some((other, _)) => {
                    let why = format!("the port is taken by {other}: expected another port");
                    top.refuse_found(key, format!("\"{address}\""), Problem::Conflict(why.into()));
                }
                None => taken.push((key, address)),
            }
        }
    }
}

/// Whether two listeners want the same port. Port 0 is any free port.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (everywhere || one.ip() == other.ip())
}
