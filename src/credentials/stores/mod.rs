//! Where passwords are kept: one file for each kind of store, all behind [`SecretStore`].

mod directory;
mod entry;
mod env;
mod exec;
mod file;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::Pin;
use std::{fmt, io};

use crate::config::secret::Secret;
use crate::config::{SecretRef, StoreConfig};

pub use directory::DirectoryStore;
pub use env::EnvStore;
pub use exec::{ExecStore, Why};
pub use file::FileStore;

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
    fn fetch<'a>(&'a self, key: &'a str) -> Fetching<'a>;
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
}

/// What a store calls one version of a secret: for the log and for support. Whether a secret has
/// changed is known by comparing passwords: a file's time may change without them, or too coarsely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why there is no secret. The fault is the configuration's or the store's, never a client's, and
/// no text contains anything that a store holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The secret is there, but its password is empty.
    #[error("the password of {key:?} is empty")]
    Empty {
        /// The secret's name.
        key: String,
    },
    /// The file is neither TOML nor JSON, or not of the form that it has to be.
    #[error(
        "{path}, line {line}: expected {format} in which each secret is a password, or has \
         `username` and `password`"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Counted from 1; 0 when it is the file as a whole.
        line: usize,
        /// "TOML" or "JSON", whichever it was taken for.
        format: &'static str,
    },
    /// The variable's value is a JSON object, but not one with a password.
    #[error("the environment variable {variable}: expected a password, or JSON with `password`")]
    MalformedVariable {
        /// The variable's name.
        variable: String,
    },
    /// There is no such secret.
    #[error("there is no secret {key:?} in {store}")]
    Missing {
        /// The secret's name.
        key: String,
        /// Where it was looked for: a path, or a variable's name.
        store: String,
    },
    /// There is no store of that name.
    #[error("there is no store {store:?}")]
    NoStore {
        /// The store's name.
        store: String,
    },
    /// The program that prints secrets has not.
    #[error("{program}: {why}")]
    Program {
        /// The program, without its arguments.
        program: String,
        /// Why.
        why: Why,
    },
    /// The store has not answered in time.
    #[error("the store {store:?} has not answered in time")]
    Slow {
        /// The store's name.
        store: String,
    },
    /// The store can't be read now; it may be later.
    #[error("{path}: {}", io::Error::from(*kind))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
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
        let made = stores.iter().map(|(name, store)| {
            let store: Box<dyn SecretStore> = match store {
                StoreConfig::Directory { path } => Box::new(DirectoryStore::new(path.clone())),
                StoreConfig::Exec { command } => Box::new(ExecStore::new(command)),
                StoreConfig::Env { prefix } => {
                    Box::new(EnvStore::new(prefix, variables.iter().cloned()))
                }
                StoreConfig::File { path } => Box::new(FileStore::new(path.clone())),
            };
            (name.clone(), store)
        });
        Self(made.collect())
    }

    /// The secret that `reference` names. Cancel safe.
    pub async fn fetch(&self, reference: &SecretRef) -> Result<VersionedSecret, StoreError> {
        match self.0.get(&reference.store) {
            Some(store) => store.fetch(&reference.key).await,
            None => Err(StoreError::NoStore { store: reference.store.clone() }),
        }
    }
}
