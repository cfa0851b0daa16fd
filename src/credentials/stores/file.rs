//! Secrets in a file, TOML or JSON: `name = "password"`, or a table with `password` and,
//! perhaps, `username`.

use super::{Fetching, SecretStore, StoreError, VersionedSecret};
use crate::config::secret::Secret;
use std::path::PathBuf;
use toml::{Table, Value};

/// A file, read anew at each fetch.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
}

impl FileStore {
    /// Reads this file.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    async fn table(&self) -> Result<Table, StoreError> {
        let file = |source| StoreError::File { path: self.path.clone(), source };
        let text = tokio::fs::read_to_string(&self.path).await.map_err(file)?;
        if self.path.extension().is_some_and(|e| e == "json") {
            return serde_json::from_str(&text).map_err(|_| StoreError::Malformed);
        }
        text.parse().map_err(|_| StoreError::Malformed)
    }
}

fn secret(value: &Value) -> Result<VersionedSecret, StoreError> {
    let (username, password) = match value {
        Value::String(password) => (None, password),
        Value::Table(table) => {
            let username = table.get("username").and_then(Value::as_str).map(str::to_owned);
            match table.get("password") {
                Some(Value::String(password)) => (username, password),
                _ => return Err(StoreError::NoPassword),
            }
        }
        _ => return Err(StoreError::NoPassword),
    };
    Ok(VersionedSecret { username, password: Secret::new(password), version: String::new() })
}

impl SecretStore for FileStore {
    fn fetch<'a>(&'a self, name: &'a str) -> Fetching<'a> {
        Box::pin(async move {
            let table = self.table().await?;
            secret(table.get(name).ok_or(StoreError::Missing)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fetch(name: &str, text: &str, key: &str) -> Result<VersionedSecret, StoreError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file in it");
        FileStore::new(path).fetch(key).await
    }

    #[tokio::test]
    async fn both_forms_of_both_formats_are_read() {
        let toml = "a = \"one\"\n[b]\nusername = \"u\"\npassword = \"two\"\n";
        let a = fetch("s.toml", toml, "a").await.expect("a password");
        assert_eq!(a.password, Secret::new("one"));
        let b = fetch("s.toml", toml, "b").await.expect("a table");
        assert_eq!((b.username.as_deref(), b.password), (Some("u"), Secret::new("two")));
        let json = r#"{"b": {"username": "u", "password": "two"}}"#;
        let b = fetch("s.json", json, "b").await.expect("a table");
        assert_eq!(b.password, Secret::new("two"));
    }

    #[tokio::test]
    async fn what_is_not_there_is_said() {
        assert!(matches!(fetch("s.toml", "a = 1", "a").await, Err(StoreError::NoPassword)));
        assert!(matches!(fetch("s.toml", "a = \"x\"", "b").await, Err(StoreError::Missing)));
        let error = fetch("s.toml", "a = hunter2", "a").await.expect_err("no TOML");
        assert!(!error.to_string().contains("hunter2"));
    }
}
