//! Secrets that a program prints: for every place that Millpond has no store for.

use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::entry::Entry;
use super::{Fetching, MAX_SECRET, Occasion, SecretStore, StoreError, Version, VersionedSecret};

/// Runs a program for each fetch. `{key}` in an argument is the secret's name; if it is in none,
/// the name is the last argument. What it prints is the password itself, or JSON with `username`
/// and `password`.
///
/// No shell is between: nothing in a name is ever code. What the program says on its standard error
/// is thrown away, because it might say the secret.
#[derive(Debug)]
pub struct ExecStore {
    program: String,
    arguments: Vec<String>,
}

impl ExecStore {
    /// The store whose secrets `command`, a program and its arguments, prints.
    pub fn new(command: &[String]) -> Self {
        let mut words = command.iter().cloned();
        let program = words.next().unwrap_or_default();
        let mut arguments: Vec<String> = words.collect();
        if !arguments.iter().any(|argument| argument.contains(KEY)) {
            arguments.push(KEY.to_owned());
        }
        Self { program, arguments }
    }

    async fn find(&self, key: &str) -> Result<VersionedSecret, StoreError> {
        let failed = |why: Why| StoreError::Program { program: self.program.clone(), why };
        let arguments = self.arguments.iter().map(|argument| argument.replace(KEY, key));
        let mut child = Command::new(&self.program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A fetch that takes too long is dropped.
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(Why::NotRun(error.kind())))?;
        let mut text = Zeroizing::new(Vec::with_capacity(4_096));
        if let Some(output) = child.stdout.take() {
            let read = output.take(MAX_SECRET + 1).read_to_end(&mut text).await;
            let length = read.map_err(|error| failed(Why::NotRun(error.kind())))?;
            if u64::try_from(length).is_ok_and(|length| length > MAX_SECRET) {
                return Err(failed(Why::TooLong));
            }
        }
        let status = child.wait().await.map_err(|error| failed(Why::NotRun(error.kind())))?;
        if !status.success() {
            return Err(failed(Why::Failed(status)));
        }
        let entry = Entry::of_text(&text).map_err(|_| failed(Why::Malformed))?;
        let Entry { username, password } = entry;
        VersionedSecret::checked(key, username, password, Version::new("printed"))
    }
}

impl SecretStore for ExecStore {
    fn fetch<'a>(&'a self, key: &'a str, _occasion: Occasion) -> Fetching<'a> {
        Box::pin(self.find(key))
    }
}

const KEY: &str = "{key}";

/// Why a program gave no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It ended with a status that is not 0.
    #[error("{0}")]
    Failed(ExitStatus),
    /// It printed a JSON object, but not one with a password.
    #[error("printed something else than a password, or JSON with `password`")]
    Malformed,
    /// It could not be started, or not be listened to.
    #[error("{}", std::io::Error::from(*.0))]
    NotRun(std::io::ErrorKind),
    /// It printed more than a secret may have.
    #[error("printed more than 64 KiB")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::config::secret::Secret;

    async fn fetch(command: &[&str], key: &str) -> Result<VersionedSecret, StoreError> {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        ExecStore::new(&command).fetch(key, Occasion::Routine).await
    }

    #[tokio::test]
    async fn a_program_prints_a_password_or_json() {
        let plain = fetch(&["echo", "the secret {key}!"], "app").await.unwrap();
        assert_eq!((plain.username, plain.password), (None, Secret::new("the secret app!")));
        let last = fetch(&["echo", "-n", "of"], "app; id $HOME").await.unwrap();
        assert_eq!(last.password, Secret::new("of app; id $HOME"));
        let text = r#"{"username": "u", "password": "hunter2", "port": 1}"#;
        let json = fetch(&["printf", "%s", text, "{key}"], "").await.unwrap();
        assert_eq!(json.username.as_deref(), Some("u"));
        assert_eq!(json.password, Secret::new("hunter2"));
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_without_secrets() {
        for (command, expected) in [
            (&["sh", "-c", "echo hunter2; echo hunter2 >&2; exit 3"][..], "exit status: 3"),
            (&["sh", "-c", "echo hunter2; kill -9 $$"], "signal: 9"),
            (&["sh", "-c", "printf '{\"password\": hunter2}'"], "expected a password, or JSON"),
            (&["sh", "-c", "yes hunter2"], "printed more than 64 KiB"),
            (&["sh", "-c", "echo"], "the password of \"app\" is empty"),
            (&["no-such-program"], "no-such-program: entity not found"),
        ] {
            let error = fetch(command, "app").await.unwrap_err();
            let said = error.to_string().replace("printed something else than", "expected");
            assert!(said.contains(expected), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_program_that_is_given_up_ends() {
        let folder = tempfile::tempdir().unwrap();
        let started = folder.path().join("started");
        let script = format!("echo $$ > {}; exec sleep 600", started.display());
        let limit = Duration::from_millis(500);
        assert!(tokio::time::timeout(limit, fetch(&["sh", "-c", &script], "app")).await.is_err());
        let pid = std::fs::read_to_string(&started).unwrap();
        let alive = format!("/proc/{}", pid.trim());
        let patience = Instant::now() + Duration::from_secs(20);
        let gone = || {
            // Killed, and perhaps not yet waited for.
            let stat = std::fs::read_to_string(format!("{alive}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        while !gone() && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(gone());
    }
}
