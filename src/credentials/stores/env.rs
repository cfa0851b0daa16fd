//! Secrets in environment variables.

use super::{Fetching, SecretStore, StoreError, VersionedSecret};
use crate::config::secret::Secret;

/// Variables of this process whose names begin with a prefix.
#[derive(Debug)]
pub struct EnvStore {
    prefix: String,
}

impl EnvStore {
    /// Reads variables that begin with `prefix`.
    pub fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// The variable of a secret: the name in upper case, `_` for what a variable cannot have.
    fn variable(&self, name: &str) -> String {
        let name = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
        format!("{}{}", self.prefix, name.collect::<String>().to_ascii_uppercase())
    }
}

impl SecretStore for EnvStore {
    fn fetch<'a>(&'a self, name: &'a str) -> Fetching<'a> {
        Box::pin(async move {
            let value = std::env::var(self.variable(name)).map_err(|_| StoreError::Missing)?;
            let password = Secret::new(value);
            Ok(VersionedSecret { username: None, password, version: String::new() })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_variables() {
        let store = EnvStore::new("APP_".into());
        assert_eq!(store.variable("app-db.main"), "APP_APP_DB_MAIN");
    }
}
