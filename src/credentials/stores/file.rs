//! Secrets in a TOML or JSON file, read anew at each fetch, so an edit needs no restart.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;
use std::{io, str};

use zeroize::Zeroizing;

use super::entry::Entry;
use super::{Fetching, Occasion, SecretStore, StoreError, Version, VersionedSecret};

/// A file such as
///
/// ```toml
/// app-db = "password"
/// batch-db = { username = "batch", password = "password" }
/// ```
///
/// or the same as a JSON object.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
}

impl FileStore {
    /// The store in the file at `path`, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    async fn find(&self, key: &str) -> Result<VersionedSecret, StoreError> {
        let (text, version) = self.read().await.map_err(|error| StoreError::Unreadable {
            path: self.path.clone(),
            kind: error.kind(),
        })?;
        let mut entries = self.parse(&text)?;
        let Some(Entry { username, password }) = entries.remove(key) else {
            let store = self.path.display().to_string();
            return Err(StoreError::Missing { key: key.to_owned(), store });
        };
        VersionedSecret::checked(key, username, password, version)
    }

    async fn read(&self) -> io::Result<(Zeroizing<Vec<u8>>, Version)> {
        let text = Zeroizing::new(tokio::fs::read(&self.path).await?);
        let modified = tokio::fs::metadata(&self.path).await?.modified()?;
        let age = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok((text, Version(format!("{}.{:09}", age.as_secs(), age.subsec_nanos()))))
    }

    /// The errors of both parsers repeat what they could not read, so only the line is kept.
    fn parse(&self, text: &[u8]) -> Result<BTreeMap<String, Entry>, StoreError> {
        let malformed =
            |line, format| StoreError::Malformed { path: self.path.clone(), line, format };
        if text.trim_ascii_start().starts_with(b"{") {
            return serde_json::from_slice(text).map_err(|error| malformed(error.line(), "JSON"));
        }
        let text = str::from_utf8(text).map_err(|_| malformed(0, "TOML"))?;
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            malformed(before.map_or(0, |before| before.matches('\n').count() + 1), "TOML")
        })
    }
}

impl SecretStore for FileStore {
    fn fetch<'a>(&'a self, key: &'a str, _occasion: Occasion) -> Fetching<'a> {
        Box::pin(self.find(key))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::secret::Secret;

    async fn fetch(text: &str, key: &str) -> Result<VersionedSecret, StoreError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        fs::write(&path, text).unwrap();
        FileStore::new(path).fetch(key, Occasion::Routine).await
    }

    const TOML: &str = "app-db = \"hunter2\"\n\
                        batch = { username = \"b\", password = \"hunter3\", host = \"x\" }\n\
                        none = \"\"\n";
    const JSON: &str = r#"
        {"app-db": "hunter2", "batch": {"password": "hunter\u0033", "username": "b", "port": 1}}"#;

    #[tokio::test]
    async fn both_forms_in_both_formats() {
        for text in [TOML, JSON] {
            let app = fetch(text, "app-db").await.unwrap();
            assert_eq!((app.username, app.password), (None, Secret::new("hunter2")));
            let batch = fetch(text, "batch").await.unwrap();
            assert_eq!(batch.username.as_deref(), Some("b"));
            assert_eq!(batch.password, Secret::new("hunter3"));
        }
    }

    #[tokio::test]
    async fn an_edit_is_another_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.toml");
        let store = FileStore::new(path.clone());
        let missing = store.fetch("app", Occasion::Routine).await.unwrap_err();
        assert!(matches!(missing, StoreError::Unreadable { kind: io::ErrorKind::NotFound, .. }));

        fs::write(&path, "app = \"one\"").unwrap();
        let first = store.fetch("app", Occasion::Routine).await.unwrap();
        assert_eq!(store.fetch("app", Occasion::Routine).await.unwrap(), first);
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        fs::write(&path, "app = \"two\"").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        let second = store.fetch("app", Occasion::Routine).await.unwrap();
        assert_eq!(second.password, Secret::new("two"));
        assert_ne!(second.version, first.version);
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_without_secrets() {
        let wrong = [
            (TOML, "nobody", "there is no secret \"nobody\" in "),
            (TOML, "none", "the password of \"none\" is empty"),
            ("a = \"x\"\nb = \"hunter2", "a", "line 2: expected TOML"),
            ("a = \"x\"\nb = { user = \"hunter2\" }", "a", "line 2: expected TOML"),
            ("a = \"x\"\n\nb = 42", "a", "line 3: expected TOML"),
            ("{\"a\": \"x\",\n\"b\": hunter2}", "a", "line 2: expected JSON"),
            ("{\"a\": [\"hunter2\"]}", "a", "line 1: expected JSON"),
        ];
        for (text, key, expected) in wrong {
            let error = fetch(text, key).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
        }
        let binary = FileStore::new(PathBuf::from("f")).parse(&[0xff]).err().unwrap();
        assert!(binary.to_string().starts_with("f, line 0: expected TOML"), "{binary}");
    }
}
