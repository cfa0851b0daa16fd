//! What is counted about secrets. No value here is one: they are named by their stores and keys.

use std::sync::Arc;

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
}

/// A gauge that is computed when it is asked for: ages grow by themselves.
#[derive(Debug, Clone)]
struct Ages {
    gauge: GaugeVec,
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
        let ages = Ages { gauge, known: Arc::default() };
        registry.register(Box::new(fetches.clone()))?;
        registry.register(Box::new(ages.clone()))?;
        Ok(Self { fetches, ages })
    }

    /// The metrics of one secret.
    pub fn of(&self, reference: &SecretRef) -> SecretMetrics {
        let (family, reference) = (self.clone(), reference.clone());
        let metrics = SecretMetrics { family, reference, fetched: Arc::default() };
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

impl Collector for Ages {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for metrics in self.known.lock().iter() {
            if let Some(fetched) = *metrics.fetched.lock() {
                let SecretRef { store, key } = &metrics.reference;
                let age = fetched.elapsed().as_secs_f64();
                self.gauge.with_label_values(&[store, key]).set(age);
            }
        }
        self.gauge.collect()
    }
}
