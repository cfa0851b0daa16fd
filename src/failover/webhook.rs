//! What happens to the servers, posted to a web service of the operator's.
//!
//! The events that are kept in memory are the queue: whoever makes events never waits, and a service
//! that is away for long misses those that had to make room. What it was sent and did not take is
//! sent again: it tells events that it has seen by their number.

use super::events::{Event, Events};
use crate::config::WebhookConfig;
use crate::net::http::{HttpClient, HttpRequest};
use crate::net::tls::TlsError;
use crate::runtime::backoff::{Backoff, InvalidBackoff};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The most events of one request.
const MOST: usize = 100;
/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The pause after the first failure; it doubles up to the longest.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);
/// Of the answer, only the status counts.
const ANSWER: usize = 64 * 1_024;

/// Posts events.
#[derive(Debug)]
pub struct Webhook {
    target: WebhookConfig,
    client: HttpClient,
    backoff: Backoff,
    delivered: IntCounter,
    failed: IntCounter,
    lost: IntCounter,
}

/// Why there is no webhook.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The authorities cannot be read.
    #[error("events.webhook_ca: {0}")]
    Authorities(#[from] TlsError),
    /// A metric cannot be registered.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    /// The pauses are none.
    #[error(transparent)]
    Backoff(#[from] InvalidBackoff),
}

impl Webhook {
    /// Reads the authorities that are trusted, and registers the metrics.
    ///
    /// # Errors
    ///
    /// See [`WebhookError`].
    pub fn new(target: &WebhookConfig, registry: &Registry) -> Result<Self, WebhookError> {
        let client = match &target.ca {
            Some(ca) => HttpClient::trusting(ca)?,
            None => HttpClient::system(),
        };
        let posts = IntCounterVec::new(
            Opts::new(
                "millpond_webhook_posts_total",
                "Requests to the webhook: delivered (it said 2xx), failed (they are repeated).",
            ),
            &["outcome"],
        )?;
        let lost = IntCounter::new(
            "millpond_webhook_lost_events_total",
            "Events that made room in memory before the webhook had taken them.",
        )?;
        registry.register(Box::new(posts.clone()))?;
        registry.register(Box::new(lost.clone()))?;
        Ok(Self {
            target: target.clone(),
            client,
            backoff: Backoff::try_new(SHORTEST, LONGEST, 0.5)?,
            delivered: posts.with_label_values(&["delivered"]),
            failed: posts.with_label_values(&["failed"]),
            lost,
        })
    }

    /// Posts all events, one batch after another, until it is stopped.
    pub async fn run(self, events: Arc<Events>, stopping: CancellationToken) {
        let delivering = self.deliver(&events);
        stopping.run_until_cancelled(delivering).await;
    }

    async fn deliver(&self, events: &Events) {
        let mut last = events.last();
        let mut taken = 0;
        let mut waits = self.backoff.waits(fastrand::Rng::new());
        loop {
            if last.wait_for(|last| *last > taken).await.is_err() {
                return;
            }
            let mut batch = events.after(taken);
            batch.truncate(MOST);
            let (Some(first), Some(newest)) = (batch.first(), batch.last()) else { continue };
            let missed = first.number - taken - 1;
            match self.post(&batch).await {
                Ok(()) => {
                    self.delivered.inc();
                    self.lost.inc_by(missed);
                    taken = newest.number;
                    waits = self.backoff.waits(fastrand::Rng::new());
                }
                Err(why) => {
                    self.failed.inc();
                    tracing::warn!(
                        webhook = self.target.url.authority(),
                        why,
                        "events were not taken; they are posted again"
                    );
                    tokio::time::sleep(waits.next().unwrap_or(LONGEST)).await;
                }
            }
        }
    }

    /// One request; why it was in vain.
    async fn post(&self, batch: &[Event]) -> Result<(), String> {
        let events: Vec<_> = batch.iter().map(Event::json).collect();
        let body = json!({ "events": events }).to_string();
        let told = |error: crate::net::http::HttpError| error.to_string();
        let mut request = HttpRequest::post(self.target.url.clone(), body)
            .at_most(ANSWER)
            .with(CONTENT_TYPE, "application/json")
            .map_err(told)?;
        if let Some(authorization) = &self.target.authorization {
            request = request.with(AUTHORIZATION, authorization.expose()).map_err(told)?;
        }
        let answer = self.client.send(request, LIMIT).await.map_err(told)?;
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(format!("it answered {}", answer.status)),
        }
    }
}
