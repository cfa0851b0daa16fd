//! What all stores behind HTTP have in common.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::entry::Entry;
use super::error::{Code, StoreError};
use super::{Version, VersionedSecret};
use crate::net::http::{HttpClient, HttpError, HttpRequest, HttpResponse};

/// How long one request may take. Two of them, a login and a question, fit into the limit on a
/// fetch.
const LIMIT: Duration = Duration::from_secs(4);

/// Asks one web service.
pub(super) struct Web {
    /// What it is called in errors.
    service: String,
    ca: Option<PathBuf>,
    system: OnceCell<HttpClient>,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("service", &self.service).field("ca", &self.ca).finish()
    }
}

impl Web {
    /// Asks `service`; nobody yet. Where there is no `ca`, the system's authorities are trusted.
    pub(super) fn new(service: impl ToString, ca: Option<PathBuf>) -> Self {
        Self { service: service.to_string(), ca, system: OnceCell::new() }
    }

    /// What it is called in errors.
    pub(super) fn service(&self) -> &str {
        &self.service
    }

    /// Trusts whom the files say at this moment: authorities are exchanged, too.
    pub(super) async fn client(&self) -> Result<HttpClient, StoreError> {
        let Some(path) = self.ca.clone() else {
            let load = async || {
                let loading = tokio::task::spawn_blocking(HttpClient::system).await;
                loading.unwrap_or_else(|_| HttpClient::system())
            };
            return Ok(self.system.get_or_init(load).await.clone());
        };
        let file = path.clone();
        let trusting = tokio::task::spawn_blocking(move || HttpClient::trusting(&file)).await;
        trusting.ok().and_then(Result::ok).ok_or(StoreError::Untrusting { path })
    }

    /// The answer, whatever its status.
    pub(super) async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, StoreError> {
        let client = self.client().await?;
        client.send(request, LIMIT).await.map_err(|error| self.unreachable(error))
    }

    /// Nobody could be asked.
    pub(super) fn unreachable(&self, error: HttpError) -> StoreError {
        StoreError::Unreachable { service: self.service.clone(), source: Arc::new(error) }
    }

    /// A request could not be made of what the configuration or the service gave.
    pub(super) fn request(&self) -> StoreError {
        self.unreachable(HttpError::Request)
    }

    /// The JSON of an answer.
    pub(super) fn json<T: DeserializeOwned>(
        &self,
        answer: &HttpResponse,
        what: &'static str,
    ) -> Result<T, StoreError> {
        serde_json::from_slice(&answer.body).map_err(|_| self.answer(what))
    }

    /// The answer lacks something.
    pub(super) fn answer(&self, what: &'static str) -> StoreError {
        StoreError::Answer { service: self.service.clone(), what }
    }

    /// What an answer means that brings no secret, where the service says no more than its status.
    pub(super) fn refusal(&self, status: StatusCode, key: &str) -> StoreError {
        let (service, key, code) =
            (self.service.clone(), key.to_owned(), Code::new(status.as_u16()));
        match status.as_u16() {
            401 => StoreError::Login { service, what: "its token is not taken", code },
            403 => StoreError::Denied { service, key, code },
            404 => StoreError::Missing { key, store: service },
            429 => StoreError::Throttled { service, code },
            _ => StoreError::Failed { service, code },
        }
    }

    /// Millpond could not log in.
    pub(super) fn login(&self, what: &'static str, code: impl ToString) -> StoreError {
        StoreError::Login { service: self.service.clone(), what, code: Code::new(code) }
    }

    /// A secret from its text: the password itself, or JSON.
    pub(super) fn secret(
        &self,
        key: &str,
        text: &[u8],
        version: Version,
    ) -> Result<VersionedSecret, StoreError> {
        let malformed =
            |_| StoreError::MalformedSecret { service: self.service.clone(), key: key.to_owned() };
        let Entry { username, password } = Entry::of_text(text).map_err(malformed)?;
        VersionedSecret::checked(key, username, password, version)
    }
}

/// The environment, for those stores that have settings there that are not Millpond's own.
#[derive(Clone)]
pub(super) struct Environment(Arc<Vec<(OsString, OsString)>>);

impl Environment {
    pub(super) fn new(variables: Vec<(OsString, OsString)>) -> Self {
        Self(Arc::new(variables))
    }

    /// A variable's value, if it has one that is UTF-8 and not empty.
    pub(super) fn get(&self, name: &str) -> Option<Zeroizing<String>> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        let value = value.to_str().filter(|value| !value.is_empty())?;
        Some(Zeroizing::new(value.to_owned()))
    }
}

// By hand: it has secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment(…)")
    }
}

/// How long ago it was, in seconds since 1970; not at all when it is to come.
pub(super) fn age(seconds: f64) -> Option<Duration> {
    let then = Duration::try_from_secs_f64(seconds).ok()?;
    let then = SystemTime::UNIX_EPOCH.checked_add(then)?;
    Some(SystemTime::now().duration_since(then).unwrap_or_default())
}

/// Reads a small file with a token or a password. A line feed at its end is not meant.
pub(super) async fn read_file(path: &std::path::Path) -> Result<Zeroizing<String>, StoreError> {
    let unreadable = |kind| StoreError::Unreadable { path: path.to_owned(), kind };
    let text = tokio::fs::read(path).await.map(Zeroizing::new);
    let text = text.map_err(|error| unreadable(error.kind()))?;
    let text =
        std::str::from_utf8(&text).map_err(|_| unreadable(std::io::ErrorKind::InvalidData))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}
