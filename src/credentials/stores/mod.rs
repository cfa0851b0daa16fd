//! Secret stores, behind one small trait.

pub mod env;
pub mod file;

use crate::config::StoreConfig;
use crate::config::secret::Secret;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

/// A secret as a store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionedSecret {
    /// The database user, where the store names one.
    pub username: Option<String>,
    /// The password.
    pub password: Secret,
    /// What changes when the secret does; empty where the store has no versions.
    pub version: String,
}

/// Why a secret could not be fetched. No text contains a secret.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store's file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store's content is not of the expected form.
    #[error("the store holds no table of secrets")]
    Malformed,
    /// There is no such secret.
    #[error("no secret of this name")]
    Missing,
    /// The secret is there, but has no password.
    #[error("the secret has no password")]
    NoPassword,
}

/// A future in a box: what a store returns.
pub type Fetching<'a> =
    Pin<Box<dyn Future<Output = Result<VersionedSecret, StoreError>> + Send + 'a>>;

/// Where secrets come from.
pub trait SecretStore: Send + Sync + fmt::Debug {
    /// Fetches a secret by its name.
    ///
    /// Cancel safe.
    fn fetch<'a>(&'a self, name: &'a str) -> Fetching<'a>;
}

/// The store that a configuration describes.
pub fn open(config: &StoreConfig) -> Box<dyn SecretStore> {
    match config {
        StoreConfig::Env { prefix } => Box::new(env::EnvStore::new(prefix.clone())),
        StoreConfig::File { path } => Box::new(file::FileStore::new(path.clone())),
    }
}
