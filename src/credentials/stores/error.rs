//! Why a store gives no secret.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::exec::Why;
use crate::net::http::HttpError;

/// Why there is no secret. The fault is the configuration's or the store's, never a client's, and
/// no text contains anything that a store holds.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A service has answered with something that is not what it documents.
    #[error("{service}: the answer is not what it should be: {what}")]
    Answer {
        /// The service's address.
        service: String,
        /// What there should have been.
        what: &'static str,
    },
    /// The service knows Millpond, and it may not have this secret.
    #[error("{service} does not allow Millpond to read {key:?} ({code})")]
    Denied {
        /// The service's address.
        service: String,
        /// The secret's name.
        key: String,
        /// The service's own word, or the status of its answer.
        code: Code,
    },
    /// The secret is there, but its password is empty.
    #[error("the password of {key:?} is empty")]
    Empty {
        /// The secret's name.
        key: String,
    },
    /// A service could not do it now.
    #[error("{service} has failed ({code})")]
    Failed {
        /// The service's address.
        service: String,
        /// The service's own word, or the status of its answer.
        code: Code,
    },
    /// Millpond could not say who it is in a way that the service takes.
    #[error("{service}: Millpond could not log in to the store: {what} ({code})")]
    Login {
        /// The service's address.
        service: String,
        /// What it lacks.
        what: &'static str,
        /// The service's own word, or the status of its answer.
        code: Code,
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
    /// What a service has under this name is no secret that Millpond can use.
    #[error("the secret {key:?} of {service}: expected a password, or JSON with `password`")]
    MalformedSecret {
        /// The service's address.
        service: String,
        /// The secret's name.
        key: String,
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
        /// Where it was looked for: a path, an address, or a variable's name.
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
    /// The service has been asked too often.
    #[error("{service} is asked too often ({code})")]
    Throttled {
        /// The service's address.
        service: String,
        /// The service's own word, or the status of its answer.
        code: Code,
    },
    /// The service can't be asked now.
    #[error("{service}: {source}")]
    Unreachable {
        /// The service's address.
        service: String,
        /// Why.
        source: Arc<HttpError>,
    },
    /// The store can't be read now; it may be later.
    #[error("{path}: {}", io::Error::from(*kind))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
    /// The authorities that the service's certificate has to come from can't be used.
    #[error("{path}: expected certificates of authorities in PEM")]
    Untrusting {
        /// The file.
        path: PathBuf,
    },
}

impl StoreError {
    /// Whether the store has answered, and its answer is that there is no such secret for Millpond:
    /// to wait for it is to wait for somebody who mends that.
    pub fn is_definite(&self) -> bool {
        match self {
            Self::Denied { .. }
            | Self::Empty { .. }
            | Self::Malformed { .. }
            | Self::MalformedSecret { .. }
            | Self::MalformedVariable { .. }
            | Self::Missing { .. } => true,
            Self::Answer { .. }
            | Self::Failed { .. }
            | Self::Login { .. }
            | Self::NoStore { .. }
            | Self::Program { .. }
            | Self::Slow { .. }
            | Self::Throttled { .. }
            | Self::Unreachable { .. }
            | Self::Unreadable { .. }
            | Self::Untrusting { .. } => false,
        }
    }
}

/// A service's own word for what is wrong, such as `AccessDeniedException`, or an HTTP status: only
/// letters, digits and `._-`, and few of them, so that it holds nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// What may be shown of it.
    #[allow(dead_code, reason = "not used by a build without the stores that have codes")]
    pub(super) fn new(text: impl ToString) -> Self {
        let shown = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let text: String = text.to_string().chars().filter(shown).take(64).collect();
        Self(if text.is_empty() { "unknown".to_owned() } else { text })
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
