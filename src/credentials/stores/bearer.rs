//! Tokens that clouds give for a while.

use std::fmt;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::StoreError;
use crate::config::Secret;

/// A token for the header `Authorization`, and when it ends.
pub(super) struct Bearer {
    /// With the word `Bearer` in front.
    pub(super) header: Secret,
    end: Instant,
}

impl Bearer {
    /// This token, for so many seconds.
    pub(super) fn new(token: &str, seconds: u64) -> Self {
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

    /// This token is not taken.
    pub(super) async fn forget(&self, header: &Secret) {
        let mut held = self.0.lock().await;
        if held.as_ref().is_some_and(|bearer| bearer.header == *header) {
            *held = None;
        }
    }
}
