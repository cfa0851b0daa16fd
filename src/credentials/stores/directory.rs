//! Secrets in a folder, one file or one folder each: the way Kubernetes and Docker mount them.

use std::io;
use std::path::{Path, PathBuf};

use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

use super::entry::Entry;
use super::{Fetching, MAX_SECRET, Occasion, SecretStore, StoreError, Version, VersionedSecret};
use crate::config::secret::Secret;

/// The secret `app-db` is the file `app-db`: the password itself, or JSON with `username` and
/// `password`. Or it is the folder `app-db` with the files `username`, which may be missing, and
/// `password`: a mounted Kubernetes secret of the type `kubernetes.io/basic-auth`.
///
/// Kubernetes changes all files of a mount at once, by exchanging the symbolic link `..data`. It is
/// followed once for each fetch, so that no new password is seen with an old user name.
#[derive(Debug)]
pub struct DirectoryStore {
    path: PathBuf,
}

impl DirectoryStore {
    /// The store in the folder at `path`, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    async fn find(&self, key: &str) -> Result<VersionedSecret, StoreError> {
        let missing = || {
            let store = self.path.display().to_string();
            StoreError::Missing { key: key.to_owned(), store }
        };
        // A name is never a way out of the folder, nor one of Kubernetes' own `..data`.
        if key.is_empty() || key.starts_with('.') || key.contains(['/', '\0']) {
            return Err(missing());
        }
        let path = self.path.join(key);
        let metadata = match tokio::fs::metadata(&path).await {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Only a folder that is there can lack a secret.
                tokio::fs::metadata(&self.path).await.map_err(|e| unreadable(&self.path, &e))?;
                return Err(missing());
            }
            Err(error) => return Err(unreadable(&path, &error)),
        };
        let (entry, base) = if metadata.is_dir() {
            let base = current(&path).await.map_err(|e| unreadable(&path, &e))?;
            (pair(&base).await?, base)
        } else {
            let base = tokio::fs::canonicalize(&path).await.map_err(|e| unreadable(&path, &e))?;
            let text = read(&base).await.map_err(|e| unreadable(&path, &e))?;
            let malformed =
                |_| StoreError::Malformed { path: path.clone(), line: 0, format: "JSON" };
            (Entry::of_text(&text).map_err(malformed)?, base)
        };
        let Entry { username, password } = entry;
        VersionedSecret::checked(key, username, password, version(&base).await)
    }
}

impl SecretStore for DirectoryStore {
    fn fetch<'a>(&'a self, key: &'a str, _occasion: Occasion) -> Fetching<'a> {
        Box::pin(self.find(key))
    }
}

/// Where the files of this folder are at this moment.
async fn current(folder: &Path) -> io::Result<PathBuf> {
    match tokio::fs::canonicalize(folder.join("..data")).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tokio::fs::canonicalize(folder).await
        }
        data => data,
    }
}

async fn pair(folder: &Path) -> Result<Entry, StoreError> {
    let path = folder.join("password");
    let password = read(&path).await.map_err(|error| unreadable(&path, &error))?;
    let path = folder.join("username");
    let username = match read(&path).await {
        Ok(name) => Some(String::from_utf8_lossy(without_line_end(&name)).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unreadable(&path, &error)),
    };
    Ok(Entry { username, password: Secret::new(without_line_end(&password)) })
}

/// Reads a file, but never more than a secret may have.
async fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(Vec::with_capacity(4_096));
    let file = tokio::fs::File::open(path).await?;
    let read = file.take(MAX_SECRET + 1).read_to_end(&mut text).await?;
    match u64::try_from(read) {
        Ok(length) if length <= MAX_SECRET => Ok(text),
        _ => Err(io::ErrorKind::FileTooLarge.into()),
    }
}

/// Editors and `echo` end a file with a line feed, which no password has.
pub(super) fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

fn unreadable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unreadable { path: path.to_owned(), kind: error.kind() }
}

/// The time of the last change.
async fn version(path: &Path) -> Version {
    let modified = tokio::fs::metadata(path).await.and_then(|metadata| metadata.modified());
    let age = modified.ok().and_then(|m| m.duration_since(std::time::UNIX_EPOCH).ok());
    let age = age.unwrap_or_default();
    Version(format!("{}.{:09}", age.as_secs(), age.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[tokio::test]
    async fn a_secret_is_a_file_or_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("plain"), "hunter2\n").unwrap();
        fs::write(at("json"), r#"{"username": "app", "password": "hunter3"}"#).unwrap();
        fs::create_dir(at("basic")).unwrap();
        fs::write(at("basic/username"), "batch").unwrap();
        fs::write(at("basic/password"), "hunter4\r\n").unwrap();
        let store = DirectoryStore::new(folder.path().to_owned());
        for (key, username, password) in [
            ("plain", None, "hunter2"),
            ("json", Some("app"), "hunter3"),
            ("basic", Some("batch"), "hunter4"),
        ] {
            let secret = store.fetch(key, Occasion::Routine).await.unwrap();
            assert_eq!(secret.username.as_deref(), username, "{key}");
            assert_eq!(secret.password, Secret::new(password), "{key}");
        }
    }

    #[tokio::test]
    async fn an_exchanged_mount_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let mount = folder.path().join("app");
        fs::create_dir(&mount).unwrap();
        for (version, name, password) in [("..1", "one", "hunter1"), ("..2", "two", "hunter2")] {
            fs::create_dir(mount.join(version)).unwrap();
            fs::write(mount.join(version).join("username"), name).unwrap();
            fs::write(mount.join(version).join("password"), password).unwrap();
        }
        for name in ["username", "password"] {
            symlink(Path::new("..data").join(name), mount.join(name)).unwrap();
        }
        let store = DirectoryStore::new(folder.path().to_owned());
        for (version, name) in [("..1", "one"), ("..2", "two")] {
            symlink(version, mount.join("..next")).unwrap();
            fs::rename(mount.join("..next"), mount.join("..data")).unwrap();
            let secret = store.fetch("app", Occasion::Routine).await.unwrap();
            assert_eq!(secret.username.as_deref(), Some(name));
        }
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_without_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(folder.path().with_extension("out"), "hunter2").unwrap();
        fs::write(at("empty"), "\n").unwrap();
        fs::write(at("broken"), "{\"password\": hunter2}").unwrap();
        fs::write(at("huge"), vec![b'x'; 70_000]).unwrap();
        let store = DirectoryStore::new(folder.path().to_owned());
        let outside = format!("../{}.out", folder.path().file_name().unwrap().to_string_lossy());
        for (key, expected) in [
            ("nobody", "there is no secret \"nobody\" in "),
            (&*outside, "there is no secret "),
            ("..data", "there is no secret "),
            ("empty", "the password of \"empty\" is empty"),
            ("broken", "line 0: expected JSON"),
            ("huge", "too large"),
        ] {
            let error = store.fetch(key, Occasion::Routine).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{key}: {error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
        fs::remove_file(folder.path().with_extension("out")).unwrap();
        let gone =
            DirectoryStore::new(at("gone")).fetch("app", Occasion::Routine).await.unwrap_err();
        assert!(matches!(gone, StoreError::Unreadable { .. }), "{gone:?}");
    }
}
