//! What is counted about secrets. No value here is one: they are named by their stores and keys.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounterVec, Opts, Registry};
use tokio::time::Instant;

use crate::config::SecretRef;

/// What came of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchOutcome {
    /// There was a secret that was not known.
    Changed,
    /// There was no answer, or none of use.
    Failed,
    /// There was the secret that was known.
    Same,
}

impl FetchOutcome {
    /// The label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Failed => "failed",
            Self::Same => "same",
        }
    }
}

/// The metrics of all secrets.
#[derive(Debug, Clone)]
pub struct SecretMetricsFamily {
    fetches: IntCounterVec,
    ages: Ages,
}

/// The metrics of one secret.
#[derive(Debug, Clone)]
pub struct SecretMetrics {
    family: SecretMetricsFamily,
    reference: SecretRef,
    fetched: Arc<Mutex<Option<Instant>>>,
    ends: Arc<Mutex<Option<Instant>>>,
}

/// Gauges that are computed when they are asked for: ages grow by themselves.
#[derive(Debug, Clone)]
struct Ages {
    gauge: GaugeVec,
    leases: GaugeVec,
    known: Arc<Mutex<Vec<SecretMetrics>>>,
}

impl SecretMetricsFamily {
    /// Registers the metrics of all secrets.
    ///
    /// # Errors
    ///
    /// When one of the names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let fetches = IntCounterVec::new(
            Opts::new("millpond_secret_fetches_total", "Fetches of secrets, by what came of them."),
            &["store", "secret", "outcome"],
        )?;
        let age = "Time since a secret was last fetched with success.";
        let gauge =
            GaugeVec::new(Opts::new("millpond_secret_age_seconds", age), &["store", "secret"])?;
        let lease = "Time until a secret ends that its store gives for a while; less than 0 when it \
                     has ended.";
        let leases =
            GaugeVec::new(Opts::new("millpond_secret_lease_seconds", lease), &["store", "secret"])?;
        let ages = Ages { gauge, leases, known: Arc::default() };
        registry.register(Box::new(fetches.clone()))?;
        registry.register(Box::new(ages.clone()))?;
        Ok(Self { fetches, ages })
    }

    /// The metrics of one secret.
    pub fn of(&self, reference: &SecretRef) -> SecretMetrics {
        let (family, reference) = (self.clone(), reference.clone());
        let (fetched, ends) = (Arc::default(), Arc::default());
        let metrics = SecretMetrics { family, reference, fetched, ends };
        self.ages.known.lock().push(metrics.clone());
        metrics
    }
}

impl SecretMetrics {
    /// A fetch has ended.
    pub fn fetched(&self, outcome: FetchOutcome) {
        let SecretRef { store, key } = &self.reference;
        self.family.fetches.with_label_values(&[store, key, outcome.name()]).inc();
        if outcome != FetchOutcome::Failed {
            *self.fetched.lock() = Some(Instant::now());
        }
    }
}

impl SecretMetrics {
    /// The secret is good for so long, from now; for ever when there is no such time.
    pub fn lasts(&self, remaining: Option<Duration>) {
        *self.ends.lock() = remaining.map(|remaining| Instant::now() + remaining);
    }
}

impl Collector for Ages {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc().into_iter().chain(self.leases.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for metrics in self.known.lock().iter() {
            if let Some(fetched) = *metrics.fetched.lock() {
                let SecretRef { store, key } = &metrics.reference;
                let age = fetched.elapsed().as_secs_f64();
                self.gauge.with_label_values(&[store, key]).set(age);
            }
            if let Some(end) = *metrics.ends.lock() {
                let SecretRef { store, key } = &metrics.reference;
                let now = Instant::now();
                let left = end.saturating_duration_since(now).as_secs_f64()
                    - now.saturating_duration_since(end).as_secs_f64();
                self.leases.with_label_values(&[store, key]).set(left);
            }
        }
        self.gauge.collect().into_iter().chain(self.leases.collect()).collect()
    }
}
