//! Where passwords are kept: one file for each kind of store, all behind [`SecretStore`].

#[cfg(feature = "aws")]
#[cfg_attr(
    not(all(
        feature = "aws-secrets-manager",
        feature = "aws-parameter-store",
        feature = "rds-iam"
    )),
    allow(dead_code, reason = "there is less in a build with fewer stores")
)]
pub(super) mod aws;
#[cfg(feature = "azure")]
mod azure;
#[cfg(any(feature = "azure", feature = "gcp"))]
mod bearer;
mod directory;
mod entry;
mod env;
mod error;
mod exec;
mod file;
#[cfg(feature = "gcp")]
mod gcp;
#[cfg(all(test, feature = "web-stores"))]
mod service;
#[cfg(feature = "vault")]
mod vault;
#[cfg(feature = "web-stores")]
#[cfg_attr(
    not(all(
        feature = "aws-secrets-manager",
        feature = "azure",
        feature = "gcp",
        feature = "vault"
    )),
    allow(dead_code, reason = "there is less in a build with fewer stores")
)]
mod web;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use crate::config::secret::Secret;
use crate::config::{SecretRef, StoreConfig};

#[cfg(feature = "aws-parameter-store")]
pub use aws::AwsParameterStore;
#[cfg(feature = "aws-secrets-manager")]
pub use aws::AwsSecretsManager;
#[cfg(feature = "azure")]
pub use azure::AzureStore;
pub use directory::DirectoryStore;
pub use env::EnvStore;
pub use error::{Code, StoreError};
pub use exec::{ExecStore, Why};
pub use file::FileStore;
#[cfg(feature = "gcp")]
pub use gcp::GcpStore;
#[cfg(feature = "vault")]
pub use vault::VaultStore;

/// The most that one secret may have where nothing else bounds it, in bytes.
const MAX_SECRET: u64 = 64 * 1_024;

/// A secret on its way from a store.
pub type Fetching<'a> =
    Pin<Box<dyn Future<Output = Result<VersionedSecret, StoreError>> + Send + 'a>>;

/// A place that keeps secrets by name.
///
/// A fetch may take long and is cancel safe: it only reads.
pub trait SecretStore: fmt::Debug + Send + Sync {
    /// The secret called `key`, as it is now.
    fn fetch<'a>(&'a self, key: &'a str, occasion: Occasion) -> Fetching<'a>;
}

/// Why a secret is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A client came with a password that is not known; it may be nothing but wrong.
    ClientUnknown,
    /// It is time, or an operator wants it.
    Routine,
    /// A server refuses what is known.
    ServerRefused,
}

/// A user name, where the store has one, and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Whom the store says the password is for.
    pub username: Option<String>,
    /// The password.
    pub password: Secret,
}

/// A login as a store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedSecret {
    /// The user it is for, if the store says so.
    pub username: Option<String>,
    /// The password.
    pub password: Secret,
    /// Which version of it this is.
    pub version: Version,
    /// What was in force before it, if the store knows.
    pub previous: Option<Pair>,
    /// What is going to be in force, if the store knows: servers may have it already.
    pub pending: Option<Pair>,
    /// How long ago this version was made, if the store knows.
    pub age: Option<Duration>,
    /// For how long it is good, if the store says so.
    pub lease: Option<Lease>,
}

/// For how long a secret is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// From now.
    pub remaining: Duration,
    /// After how long the store wants to be asked again.
    pub ask_again: Duration,
}

impl VersionedSecret {
    /// A secret with a password.
    ///
    /// # Errors
    ///
    /// [`StoreError::Empty`] when the password is empty.
    pub fn checked(
        key: &str,
        username: Option<String>,
        password: Secret,
        version: Version,
    ) -> Result<Self, StoreError> {
        if password.expose().is_empty() {
            return Err(StoreError::Empty { key: key.to_owned() });
        }
        let (previous, pending, age, lease) = (None, None, None, None);
        Ok(Self { username, password, version, previous, pending, age, lease })
    }

    /// User name and password alone.
    pub fn into_pair(self) -> Pair {
        Pair { username: self.username, password: self.password }
    }
}

/// What a store calls one version of a secret: for the log and for support. Whether a secret has
/// changed is known by comparing passwords: a file's time may change without them, or too coarsely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// As the store says it; only of use as far as it is short and fit for a log.
    pub fn new(text: impl ToString) -> Self {
        let shown = |c: &char| c.is_ascii_graphic() || *c == ' ';
        Self(text.to_string().chars().filter(shown).take(128).collect())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All stores of a configuration by name.
#[derive(Debug)]
pub struct Stores(BTreeMap<String, Box<dyn SecretStore>>);

impl Stores {
    /// Makes them. None is asked for anything yet. `variables` is the environment for those stores
    /// that read it.
    pub fn new(
        stores: &BTreeMap<String, StoreConfig>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let variables: Vec<_> = variables.into_iter().collect();
        #[cfg(feature = "web-stores")]
        #[allow(unused_variables, reason = "a build with Vault alone has no use for it")]
        let environment = web::Environment::new(variables.clone());
        let made = stores.iter().filter_map(|(name, store)| {
            let store: Box<dyn SecretStore> = match store {
                #[cfg(feature = "aws-parameter-store")]
                StoreConfig::AwsParameterStore(config) => {
                    Box::new(AwsParameterStore::new(config, environment.clone()))
                }
                #[cfg(feature = "aws-secrets-manager")]
                StoreConfig::AwsSecretsManager(config) => {
                    Box::new(AwsSecretsManager::new(config, environment.clone()))
                }
                #[cfg(feature = "azure")]
                StoreConfig::Azure(config) => {
                    Box::new(AzureStore::new(config, environment.clone()))
                }
                #[cfg(feature = "gcp")]
                StoreConfig::Gcp(config) => Box::new(GcpStore::new(config, &environment)),
                #[cfg(feature = "vault")]
                StoreConfig::Vault(config) => Box::new(VaultStore::new(config)),
                StoreConfig::Directory { path } => Box::new(DirectoryStore::new(path.clone())),
                StoreConfig::Exec { command } => Box::new(ExecStore::new(command)),
                StoreConfig::Env { prefix } => {
                    Box::new(EnvStore::new(prefix, variables.iter().cloned()))
                }
                StoreConfig::File { path } => Box::new(FileStore::new(path.clone())),
                // Refused when the configuration was read.
                #[allow(unreachable_patterns, reason = "a build with every store has no others")]
                _ => return None,
            };
            Some((name.clone(), store))
        });
        Self(made.collect())
    }

    /// The secret that `reference` names. Cancel safe.
    pub async fn fetch(
        &self,
        reference: &SecretRef,
        occasion: Occasion,
    ) -> Result<VersionedSecret, StoreError> {
        match self.0.get(&reference.store) {
            Some(store) => store.fetch(&reference.key, occasion).await,
            None => Err(StoreError::NoStore { store: reference.store.clone() }),
        }
    }
}
