//! Secrets in Millpond's own environment.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::entry::Entry;
use super::{Fetching, Occasion, SecretStore, StoreError, Version, VersionedSecret};
use crate::config::secret::Secret;

/// The secret `app-db` is the variable `APP_DB` with the store's prefix in front: either the
/// password itself, or a JSON object with `username` and `password`.
///
/// A process's environment does not change, so neither do these secrets.
#[derive(Debug)]
pub struct EnvStore {
    prefix: String,
    variables: BTreeMap<String, Secret>,
}

impl EnvStore {
    /// Keeps those of `variables` that begin with `prefix`. What is not UTF-8 is left out.
    pub fn new(prefix: &str, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let variables = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with(prefix))
            .filter_map(|(name, value)| Some((name, Secret::new(value.to_str()?))))
            .collect();
        Self { prefix: prefix.to_owned(), variables }
    }

    fn find(&self, key: &str) -> Result<VersionedSecret, StoreError> {
        let in_name =
            |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let variable = self.prefix.clone() + &key.chars().map(in_name).collect::<String>();
        let Some(value) = self.variables.get(&variable) else {
            let store = format!("the environment variable {variable}");
            return Err(StoreError::Missing { key: key.to_owned(), store });
        };
        let entry = match value.expose().first() {
            None => return Err(StoreError::Empty { key: key.to_owned() }),
            Some(b'{') => serde_json::from_slice(value.expose())
                .map_err(|_| StoreError::MalformedVariable { variable })?,
            Some(_) => Entry { username: None, password: value.clone() },
        };
        let Entry { username, password } = entry;
        VersionedSecret::checked(key, username, password, Version::new("environment"))
    }
}

impl SecretStore for EnvStore {
    fn fetch<'a>(&'a self, key: &'a str, _occasion: Occasion) -> Fetching<'a> {
        Box::pin(std::future::ready(self.find(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> EnvStore {
        let variables = [
            ("DB_APP_DB", "hunter2"),
            ("DB_JSON", r#"{"username": "app", "password": "hunter3", "port": 3306}"#),
            ("DB_EMPTY", ""),
            ("DB_BROKEN", r#"{"password": hunter4}"#),
            ("DB_EMPTY_JSON", r#"{"password": ""}"#),
            ("APP_DB", "not this one"),
        ];
        EnvStore::new("DB_", variables.map(|(name, value)| (name.into(), value.into())))
    }

    #[tokio::test]
    async fn a_variable_is_a_password_or_json() {
        let plain = store().fetch("app-db", Occasion::Routine).await.unwrap();
        assert_eq!((plain.username, plain.password), (None, Secret::new("hunter2")));
        let json = store().fetch("json", Occasion::Routine).await.unwrap();
        assert_eq!(
            (json.username.as_deref(), json.password),
            (Some("app"), Secret::new("hunter3"))
        );
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_without_secrets() {
        for (key, text) in [
            ("none", "there is no secret \"none\" in the environment variable DB_NONE"),
            ("empty", "the password of \"empty\" is empty"),
            ("empty.json", "the password of \"empty.json\" is empty"),
            (
                "broken",
                "the environment variable DB_BROKEN: expected a password, or JSON with `password`",
            ),
        ] {
            assert_eq!(store().fetch(key, Occasion::Routine).await.unwrap_err().to_string(), text);
        }
        assert!(!format!("{:?}", store()).contains("hunter"));
    }
}
