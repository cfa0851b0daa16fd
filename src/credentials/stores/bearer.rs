//! Tokens that clouds give for a while.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::error::StoreError;
use super::web::Web;
use crate::config::{HttpUrl, Secret};
use crate::net::http::{HttpRequest, HttpResponse};

/// A token for the header `Authorization`, and when it ends.
pub(super) struct Bearer {
    /// With the word `Bearer` in front.
    pub(super) header: Secret,
    end: Instant,
}

impl Bearer {
    /// The one that a service gives for this request.
    pub(super) async fn granted(web: &Web, request: HttpRequest) -> Result<Self, StoreError> {
        let answer = web.ask(request).await?;
        if !answer.status.is_success() {
            return Err(web.login("no access token is given", answer.status.as_u16()));
        }
        let Granted { access_token, expires_in, expires_on } =
            web.json(&answer, "an access token")?;
        let until = |end: u64| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
            Some(end.saturating_sub(now.as_secs()))
        };
        let seconds = match (expires_in, expires_on) {
            (Some(seconds), _) => seconds.value(),
            (None, end) => end.and_then(|end| end.value()).and_then(until),
        };
        let seconds = seconds.ok_or_else(|| web.answer("an access token's end"))?;
        Ok(Self::new(&access_token, seconds))
    }

    /// This token, for so many seconds.
    fn new(token: &str, seconds: u64) -> Self {
        let header = Secret::new(format!("Bearer {token}"));
        // No cloud's token is for longer than a day.
        let end = Instant::now() + Duration::from_secs(seconds.min(86_400));
        Self { header, end }
    }
}

/// The token that is in use.
#[derive(Default)]
pub(super) struct Tokens(Mutex<Option<Bearer>>);

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}

/// A token that ends sooner is not used any more.
const MARGIN: Duration = Duration::from_secs(60);

impl Tokens {
    /// The value of the header; a token is had by `get` where there is none that lasts. Cancel safe.
    pub(super) async fn header(
        &self,
        get: impl Future<Output = Result<Bearer, StoreError>>,
    ) -> Result<Secret, StoreError> {
        let mut held = self.0.lock().await;
        if let Some(bearer) = &*held
            && bearer.end > Instant::now() + MARGIN
        {
            return Ok(bearer.header.clone());
        }
        Ok(held.insert(get.await?).header.clone())
    }

    /// Gets what this header opens; a token that is not taken any more is forgotten.
    pub(super) async fn get(
        &self,
        web: &Web,
        url: HttpUrl,
        header: &Secret,
        key: &str,
    ) -> Result<HttpResponse, StoreError> {
        let request = HttpRequest::get(url).with(AUTHORIZATION, header.expose());
        let answer = web.ask(request.map_err(|_| web.request())?).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let error = web.refusal(answer.status, key);
        if matches!(error, StoreError::Login { .. }) {
            self.forget(header).await;
        }
        Err(error)
    }

    /// This token is not taken.
    async fn forget(&self, header: &Secret) {
        let mut held = self.0.lock().await;
        if held.as_ref().is_some_and(|bearer| bearer.header == *header) {
            *held = None;
        }
    }
}

/// A form that asks for a token.
pub(super) fn form(web: &Web, url: HttpUrl, body: String) -> Result<HttpRequest, StoreError> {
    let request = HttpRequest::post(url, body.into_bytes());
    let request = request.with(CONTENT_TYPE, "application/x-www-form-urlencoded");
    request.map_err(|_| web.request())
}

#[derive(Deserialize)]
struct Granted {
    access_token: Zeroizing<String>,
    expires_in: Option<Number>,
    expires_on: Option<Number>,
}

/// Some services write numbers as texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

impl Number {
    fn value(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}
