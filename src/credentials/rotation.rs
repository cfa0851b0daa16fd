//! Secrets that change while they are in use.
//!
//! A [`Keyring`] holds one login: what it is now and what it was before. Whoever needs it reads it
//! without waiting; only [`Keyring::refresh`] goes to the store.
//!
//! ```text
//! poll, SIGHUP ────────────────┐
//! server refuses the login ────┼─▶ refresh ─▶ store ─┬─ same, or none ─▶ nothing changes
//! client proves another one ───┘   (one at a time,   └─ another ─▶ current becomes previous
//!                                   with a pause)
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::metrics::{FetchOutcome, SecretMetrics};
use super::stores::{StoreError, Stores, VersionedSecret};
use crate::config::secret::Secret;
use crate::config::{OnStart, RefreshConfig, SecretRef};
use crate::runtime::Backoff;
use crate::runtime::backoff::Waits;

/// The shortest pause between two fetches of one secret.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest, while fetch upon fetch brings nothing new: somebody is guessing passwords.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long a store may take for one answer.
const FETCH_LIMIT: Duration = Duration::from_secs(10);

/// A user name, where the store has one, and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Whom the store says the password is for.
    pub username: Option<String>,
    /// The password.
    pub password: Secret,
}

/// A login at one moment.
#[derive(Debug)]
pub struct Known {
    /// What is in force.
    pub current: Pair,
    /// What was in force before, if there ever was anything else.
    pub previous: Option<Pair>,
    /// When it changed last; `None` for never.
    pub changed: Option<Instant>,
    /// How many changes there were.
    pub version: u64,
    /// Until when clients may come with the previous password.
    overlap_end: Option<Instant>,
}

impl Known {
    /// The password before this one, while clients may still come with it.
    pub fn accepted_previous(&self, now: Instant) -> Option<&Secret> {
        let pair = self.previous.as_ref()?;
        self.overlap_end.filter(|end| now < *end).map(|_| &pair.password)
    }

    fn first(current: Pair) -> Self {
        Self { current, previous: None, changed: None, version: 0, overlap_end: None }
    }
}

/// What a refresh brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// There is another secret than the caller knew.
    Changed,
    /// There is not, or the store did not say.
    Same,
}

/// One login, kept up to date.
#[derive(Debug)]
pub struct Keyring {
    known: ArcSwap<Known>,
    /// The version whose previous password is the one that servers take.
    previous_works: AtomicU64,
    source: Option<Source>,
}

#[derive(Debug)]
struct Source {
    stores: Arc<Stores>,
    reference: SecretRef,
    policy: RefreshConfig,
    metrics: SecretMetrics,
    gate: tokio::sync::Mutex<Gate>,
}

/// When the store was asked last.
#[derive(Debug)]
struct Gate {
    asked: Instant,
    pause: Duration,
}

/// No version: no login has ended that way.
const NONE: u64 = u64::MAX;

impl Keyring {
    /// A login that is in no store.
    pub fn fixed(password: Secret) -> Self {
        let known = Known::first(Pair { username: None, password });
        Self::holding(known, None)
    }

    /// Fetches a login, as patiently as the policy says.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When the store has no such secret and the policy is not to wait for it.
    pub async fn fetched(
        stores: Arc<Stores>,
        reference: SecretRef,
        policy: RefreshConfig,
        metrics: SecretMetrics,
    ) -> Result<Self, StoreError> {
        let SecretRef { store, key } = &reference;
        let mut waits = retries();
        let fetched = loop {
            let error = match fetch(&stores, &reference).await {
                Ok(fetched) => break fetched,
                Err(error) => error,
            };
            metrics.fetched(FetchOutcome::Failed);
            // A store that is not configured will not come.
            let hopeless = matches!(error, StoreError::NoStore { .. });
            if hopeless || policy.on_start == OnStart::Fail {
                return Err(error);
            }
            let wait = waits.next().unwrap_or(FETCH_LIMIT);
            tracing::warn!(%store, secret = %key, %error, retry_in = ?wait, "waiting for a secret");
            tokio::time::sleep(wait).await;
        };
        metrics.fetched(FetchOutcome::Changed);
        tracing::info!(%store, secret = %key, version = %fetched.version, "secret fetched");
        let gate = Gate { asked: Instant::now(), pause: PAUSE };
        let gate = tokio::sync::Mutex::new(gate);
        let source = Source { stores, reference, policy, metrics, gate };
        Ok(Self::holding(Known::first(pair(fetched)), Some(source)))
    }

    /// The configuration has another password for a login that is in no store: it is taken over as
    /// one from a store would be.
    pub fn replace(&self, password: Secret) {
        self.learn(Pair { username: None, password }, RefreshConfig::default().overlap);
    }

    /// A login that has changed a moment ago.
    #[cfg(test)]
    pub fn changed(previous: Secret, current: Secret) -> Self {
        let keyring = Self::fixed(previous);
        keyring.learn(Pair { username: None, password: current }, PAUSE * 1_000);
        keyring
    }

    fn holding(known: Known, source: Option<Source>) -> Self {
        let known = ArcSwap::from_pointee(known);
        Self { known, previous_works: AtomicU64::new(NONE), source }
    }

    /// The login as it is now.
    pub fn known(&self) -> Arc<Known> {
        self.known.load_full()
    }

    /// Whether no store has it.
    pub fn is_fixed(&self) -> bool {
        self.source.is_none()
    }

    /// The logins to try on a server, the likeliest first.
    pub fn attempts(&self, known: &Known) -> Vec<Pair> {
        let mut pairs: Vec<Pair> = [Some(&known.current), known.previous.as_ref()]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        if self.previous_works.load(Ordering::Relaxed) == known.version {
            pairs.reverse();
        }
        pairs
    }

    /// A server has taken this login: it is tried first from now on.
    pub fn worked(&self, known: &Known, pair: &Pair) {
        let works = if *pair == known.current { NONE } else { known.version };
        self.previous_works.store(works, Ordering::Relaxed);
    }

    /// When a connection that was opened then has had its time with a former password; `None` for
    /// one with the present password. Those of one change go one after another: `number` decides
    /// which when.
    pub fn outdated_from(&self, opened: Instant, number: u32) -> Option<Instant> {
        let known = self.known.load();
        let changed = known.changed.filter(|changed| opened < *changed)?;
        // Scattered, so that connections with numbers in a row are not next to each other.
        let place = f64::from(number.wrapping_mul(0x9E37_79B1)) / f64::from(u32::MAX);
        let policy = self.source.as_ref().map_or_else(RefreshConfig::default, |s| s.policy);
        Some(changed + policy.replace_over.mul_f64(place))
    }

    /// Asks the store whether there is something newer than version `seen`. All who ask at the same
    /// time share an answer, and between two questions there is a pause.
    ///
    /// Cancel safe.
    pub async fn refresh(&self, seen: u64) -> Refreshed {
        let Some(source) = &self.source else { return Refreshed::Same };
        let came = Instant::now();
        let mut gate = source.gate.lock().await;
        if self.known.load().version != seen {
            return Refreshed::Changed;
        }
        if gate.asked > came {
            // The store was asked while this caller waited, and had nothing.
            return Refreshed::Same;
        }
        tokio::time::sleep_until(gate.asked + gate.pause).await;
        gate.asked = Instant::now();
        match self.ask(source).await {
            Ok(Refreshed::Changed) => {
                gate.pause = PAUSE;
                Refreshed::Changed
            }
            Ok(Refreshed::Same) | Err(_) => {
                gate.pause = (gate.pause * 2).min(LONGEST_PAUSE);
                Refreshed::Same
            }
        }
    }

    /// Keeps the login up to date until `stop`: at the policy's interval, and whenever `wanted`
    /// changes.
    pub async fn keep(self: Arc<Self>, mut wanted: watch::Receiver<()>, stop: CancellationToken) {
        let Some(source) = &self.source else { return stop.cancelled().await };
        let mut waits = retries();
        let mut failed = false;
        loop {
            let wait = match (failed, source.policy.refresh) {
                (true, _) => waits.next(),
                // In step with nobody: a fleet that was started together asks one by one.
                (false, Some(refresh)) => Some(refresh.mul_f64(0.9 + 0.2 * fastrand::f64())),
                (false, None) => None,
            };
            let pause = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = pause => {}
                changed = wanted.changed() => if changed.is_err() {
                    return stop.cancelled().await;
                },
            }
            let asking = async {
                let mut gate = source.gate.lock().await;
                gate.asked = Instant::now();
                // The interval is a pause as good as any.
                gate.pause = PAUSE;
                self.ask(source).await
            };
            tokio::select! {
                () = stop.cancelled() => return,
                asked = asking => failed = asked.is_err(),
            }
            if !failed {
                waits = retries();
            }
        }
    }

    /// Asks the store; the caller holds the gate.
    async fn ask(&self, source: &Source) -> Result<Refreshed, StoreError> {
        let SecretRef { store, key } = &source.reference;
        let fetched = fetch(&source.stores, &source.reference).await.inspect_err(|error| {
            source.metrics.fetched(FetchOutcome::Failed);
            tracing::warn!(%store, secret = %key, %error, "secret not fetched, the last one is used");
        })?;
        let version = fetched.version.clone();
        let outcome = self.learn(pair(fetched), source.policy.overlap);
        source.metrics.fetched(match outcome {
            Refreshed::Changed => FetchOutcome::Changed,
            Refreshed::Same => FetchOutcome::Same,
        });
        if outcome == Refreshed::Changed {
            tracing::info!(%store, secret = %key, %version, "secret changed");
        }
        Ok(outcome)
    }

    /// Takes over what a store says. Only called by the holder of the gate; where there is no
    /// store, by the one who reloads the configuration.
    fn learn(&self, fetched: Pair, overlap: Duration) -> Refreshed {
        let known = self.known();
        if fetched == known.current {
            return Refreshed::Same;
        }
        let now = Instant::now();
        let next = Known {
            current: fetched,
            previous: Some(known.current.clone()),
            changed: Some(now),
            version: known.version + 1,
            overlap_end: now.checked_add(overlap),
        };
        self.known.store(Arc::new(next));
        Refreshed::Changed
    }
}

async fn fetch(stores: &Stores, reference: &SecretRef) -> Result<VersionedSecret, StoreError> {
    tokio::time::timeout(FETCH_LIMIT, stores.fetch(reference))
        .await
        .unwrap_or_else(|_| Err(StoreError::Slow { store: reference.store.clone() }))
}

fn pair(fetched: VersionedSecret) -> Pair {
    Pair { username: fetched.username, password: fetched.password }
}

/// The waits after fetches that failed.
fn retries() -> Waits {
    let longest = Duration::from_secs(60);
    Backoff::try_new(Duration::from_millis(500), longest, 0.5)
        .unwrap_or_else(|error| unreachable!("these are right: {error}"))
        .waits(fastrand::Rng::new())
}

#[cfg(test)]
mod tests;
