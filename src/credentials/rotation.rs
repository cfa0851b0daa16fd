//! Secrets that change while they are in use.
//!
//! A [`Keyring`] holds one login: what it is now and what it was before. Whoever needs it reads it
//! without waiting; only [`Keyring::refresh`] goes to the store.
//!
//! ```text
//! poll, SIGHUP ────────────────┐
//! the store's lease wears off ─┤
//! server refuses the login ────┼─▶ refresh ─▶ store ─┬─ same, or none ─▶ nothing changes
//! client proves another one ───┘   (one at a time,   └─ another ─▶ current becomes previous
//!                                   with a pause)
//! ```

mod known;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::metrics::{FetchOutcome, SecretMetrics};
pub use super::stores::Pair;
use super::stores::{Occasion, StoreError, Stores, Version, VersionedSecret};
use crate::config::secret::Secret;
use crate::config::{OnStart, RefreshConfig, SecretRef};
use crate::runtime::Backoff;
use crate::runtime::backoff::Waits;
pub use known::Known;

/// The shortest pause between two fetches of one secret.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest, while fetch upon fetch brings nothing new: somebody is guessing passwords.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The same when the store has said that it is asked too often.
const THROTTLED_PAUSE: Duration = Duration::from_secs(15);
/// How long a store may take for one answer.
const FETCH_LIMIT: Duration = Duration::from_secs(10);

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
    /// What a server took last, where that is not what is in force.
    works: ArcSwapOption<Pair>,
    source: Option<Source>,
}

#[derive(Debug)]
struct Source {
    stores: Arc<Stores>,
    reference: SecretRef,
    policy: RefreshConfig,
    metrics: SecretMetrics,
    gate: tokio::sync::Mutex<Gate>,
    /// When the store wants to be asked again.
    due: Mutex<Option<Instant>>,
    /// When it takes back what it gave last.
    lease_end: Mutex<Option<Instant>>,
}

/// When the store was asked last.
#[derive(Debug)]
struct Gate {
    asked: Instant,
    pause: Duration,
}

impl Keyring {
    /// A login that is in no store.
    pub fn fixed(password: Secret) -> Self {
        let known = Known::first(Pair { username: None, password });
        Self::holding(known, None)
    }

    /// Fetches a login, as patiently as the policy says: a store that is slow or down is waited for.
    /// One that answers that it has no such secret is not: it would be waited for until somebody
    /// mends that, and all other users with it. The login is then an empty one, with which nobody
    /// can come, until there is a secret.
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
            let error = match fetch(&stores, &reference, Occasion::Routine).await {
                Ok(fetched) => break Some(fetched),
                Err(error) => error,
            };
            metrics.fetched(FetchOutcome::Failed);
            // A store that is not configured will not come.
            let hopeless = matches!(error, StoreError::NoStore { .. });
            if hopeless || policy.on_start == OnStart::Fail {
                return Err(error);
            }
            if error.is_definite() {
                tracing::error!(
                    %store, secret = %key, %error,
                    "no login for the users of this secret until it can be read"
                );
                break None;
            }
            let wait = waits.next().unwrap_or(FETCH_LIMIT);
            tracing::warn!(%store, secret = %key, %error, retry_in = ?wait, "waiting for a secret");
            tokio::time::sleep(wait).await;
        };
        let gate = tokio::sync::Mutex::new(Gate { asked: Instant::now(), pause: PAUSE });
        let (due, lease_end) = (Mutex::default(), Mutex::default());
        let mut source = Source { stores, reference, policy, metrics, gate, due, lease_end };
        let known = match fetched {
            Some(fetched) => {
                let version = fetched.version.clone();
                source.learned(&fetched, FetchOutcome::Changed, &version);
                Known::of_store(fetched, policy.overlap)
            }
            None => {
                source.gate.get_mut().pause = LONGEST_PAUSE;
                Known::absent()
            }
        };
        Ok(Self::holding(known, Some(source)))
    }

    /// The configuration has another password for a login that is in no store: it is taken over as
    /// one from a store would be.
    pub fn replace(&self, password: Secret) {
        self.learn(unversioned(password), RefreshConfig::default().overlap, None);
    }

    /// A login that has changed a moment ago.
    #[cfg(test)]
    pub fn changed(previous: Secret, current: Secret) -> Self {
        let keyring = Self::fixed(previous);
        keyring.learn(unversioned(current), PAUSE * 1_000, None);
        keyring
    }

    fn holding(known: Known, source: Option<Source>) -> Self {
        let known = ArcSwap::from_pointee(known);
        Self { known, works: ArcSwapOption::empty(), source }
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
        let mut pairs = known.candidates();
        if let Some(works) = self.works.load_full()
            && let Some(place) = pairs.iter().position(|pair| *pair == *works)
        {
            pairs[..=place].rotate_right(1);
        }
        pairs
    }

    /// A server has taken this login: it is tried first from now on.
    pub fn worked(&self, known: &Known, pair: &Pair) {
        self.works.store((*pair != known.current).then(|| Arc::new(pair.clone())));
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
        // A user that is taken back soon is left in time.
        let left = known.former_end.map(|end| end.saturating_duration_since(changed) / 2);
        let over = left.map_or(policy.replace_over, |left| policy.replace_over.min(left));
        Some(changed + over.mul_f64(place))
    }

    /// Asks the store whether there is something newer than version `seen`. All who ask at the same
    /// time share an answer, and between two questions there is a pause.
    ///
    /// Cancel safe.
    pub async fn refresh(&self, seen: u64) -> Refreshed {
        self.refresh_for(seen, Occasion::ClientUnknown).await
    }

    /// The same, because a server refuses all of version `seen`: the store may know what is going
    /// to be.
    pub async fn refresh_refused(&self, seen: u64) -> Refreshed {
        self.refresh_for(seen, Occasion::ServerRefused).await
    }

    async fn refresh_for(&self, seen: u64, occasion: Occasion) -> Refreshed {
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
        match self.ask(source, occasion).await {
            Ok(Refreshed::Changed) => {
                gate.pause = PAUSE;
                Refreshed::Changed
            }
            Err(StoreError::Throttled { .. }) => {
                gate.pause = THROTTLED_PAUSE;
                Refreshed::Same
            }
            Ok(Refreshed::Same) | Err(_) => {
                gate.pause = (gate.pause * 2).min(LONGEST_PAUSE);
                Refreshed::Same
            }
        }
    }

    /// Keeps the login up to date until `stop`: at the policy's interval, before what the store
    /// gave wears off, and whenever `wanted` changes.
    pub async fn keep(self: Arc<Self>, mut wanted: watch::Receiver<()>, stop: CancellationToken) {
        let Some(source) = &self.source else { return stop.cancelled().await };
        let mut waits = retries();
        let mut failed = self.known().candidates().is_empty();
        loop {
            let wait = if failed { waits.next() } else { source.next_wait() };
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
                self.ask(source, Occasion::Routine).await
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
    async fn ask(&self, source: &Source, occasion: Occasion) -> Result<Refreshed, StoreError> {
        let SecretRef { store, key } = &source.reference;
        let fetched = fetch(&source.stores, &source.reference, occasion).await;
        let fetched = fetched.inspect_err(|error| {
            source.metrics.fetched(FetchOutcome::Failed);
            match self.known.load().candidates().is_empty() {
                true => tracing::warn!(
                    %store, secret = %key, %error, "secret not fetched, its users have no login"
                ),
                false => tracing::warn!(
                    %store, secret = %key, %error, "secret not fetched, the last one is used"
                ),
            }
        })?;
        let before = self.known();
        let version = fetched.version.clone();
        let told = fetched.clone();
        let end = *source.lease_end.lock();
        let outcome = self.learn(fetched, source.policy.overlap, end);
        let changed = self.known().current != before.current;
        let counted = if changed { FetchOutcome::Changed } else { FetchOutcome::Same };
        source.learned(&told, counted, &version);
        Ok(outcome)
    }

    /// Takes over what a store says, which takes back what it gave last at `end`. Only called by the
    /// holder of the gate; where there is no store, by the one who reloads the configuration.
    fn learn(
        &self,
        fetched: VersionedSecret,
        overlap: Duration,
        end: Option<Instant>,
    ) -> Refreshed {
        match self.known.load().after(fetched, overlap, end) {
            None => Refreshed::Same,
            Some(next) => {
                self.known.store(Arc::new(next));
                Refreshed::Changed
            }
        }
    }
}

impl Source {
    /// Notes what the store has said.
    fn learned(&self, fetched: &VersionedSecret, outcome: FetchOutcome, version: &Version) {
        let SecretRef { store, key } = &self.reference;
        self.metrics.fetched(outcome);
        self.metrics.lasts(fetched.lease.map(|lease| lease.remaining));
        *self.due.lock() = fetched.lease.map(|lease| Instant::now() + lease.ask_again);
        *self.lease_end.lock() = fetched.lease.map(|lease| Instant::now() + lease.remaining);
        if outcome == FetchOutcome::Changed {
            tracing::info!(%store, secret = %key, %version, "secret fetched");
        }
    }

    /// How long to wait before the store is asked again; for ever where nothing asks for it.
    fn next_wait(&self) -> Option<Duration> {
        // In step with nobody: a fleet that was started together asks one by one.
        let refresh = self.policy.refresh.map(|r| r.mul_f64(0.9 + 0.2 * fastrand::f64()));
        let due =
            self.due.lock().map(|due| due.saturating_duration_since(Instant::now()).max(PAUSE));
        refresh.into_iter().chain(due).min()
    }
}

async fn fetch(
    stores: &Stores,
    reference: &SecretRef,
    occasion: Occasion,
) -> Result<VersionedSecret, StoreError> {
    tokio::time::timeout(FETCH_LIMIT, stores.fetch(reference, occasion))
        .await
        .unwrap_or_else(|_| Err(StoreError::Slow { store: reference.store.clone() }))
}

/// A secret that is in no store.
fn unversioned(password: Secret) -> VersionedSecret {
    let version = Version::new("configured");
    let (username, previous, pending, age, lease) = (None, None, None, None, None);
    VersionedSecret { username, password, version, previous, pending, age, lease }
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
