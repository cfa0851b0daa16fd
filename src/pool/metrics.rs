//! What the pools count.

use super::census::Occupation;
use super::manager::OpenError;
use crate::net::stream::Transport;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};
use std::time::Duration;

/// The metrics of all pools, by service and user.
#[derive(Debug, Clone)]
pub struct PoolMetricsFamily {
    waiting: IntGaugeVec,
    connections: IntGaugeVec,
    open: IntGaugeVec,
    closed: IntCounterVec,
    stale: IntCounterVec,
    open_failures: IntCounterVec,
    deposits_taken: IntCounterVec,
    executions: IntCounterVec,
    statements_closed: IntCounterVec,
    connect_seconds: HistogramVec,
    borrow_seconds: HistogramVec,
    alignments: IntCounterVec,
    borrow_failures: IntCounterVec,
}

/// The metrics of one pool, resolved once.
#[derive(Debug, Clone)]
pub struct PoolMetrics {
    /// Borrowers that wait.
    pub waiting: IntGauge,
    /// Connections in the order of [`Occupation::ALL`].
    pub connections: [IntGauge; 3],
    /// Connections closed in order.
    pub closed: IntCounter,
    /// Connections that the server had closed.
    pub stale: IntCounter,
    /// Deposits taken over by another session.
    pub deposits_taken: IntCounter,
    /// From the wish to the lease.
    pub borrow_seconds: Histogram,
    /// Statements that found the connection as it had to be.
    pub exact: IntCounter,
    /// Statements in front of which session state was replayed.
    pub replayed: IntCounter,
    /// Statements in front of which the connection was reset or logged in again.
    pub reset: IntCounter,
    /// Executions of prepared statements that the connection had.
    pub executions_cached: IntCounter,
    /// Executions of statements that had to be prepared on the connection first.
    pub executions_prepared: IntCounter,
    /// Of those, the ones whose parameters were given the types of former executions, too.
    pub executions_typed: IntCounter,
    /// Prepared statements closed on connections, to make room or after their last use.
    pub statements_closed: IntCounter,
    /// Borrowers that waited in vain.
    pub borrow_timeouts: IntCounter,
    /// Borrowers that waited in vain because of their user's own limit.
    pub user_limits: IntCounter,
    /// Borrowers refused because too many waited.
    pub borrow_refusals: IntCounter,
    open: [IntGauge; 2],
    connect_seconds: [Histogram; 2],
    open_failures: IntCounterVec,
    labels: [String; 2],
}

const LABELS: [&str; 2] = ["service", "user"];

/// From a tenth of a millisecond to ten seconds.
fn buckets() -> Vec<f64> {
    [
        1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
        10.0,
    ]
    .to_vec()
}

impl PoolMetricsFamily {
    /// Registers the metrics of all pools.
    ///
    /// # Errors
    ///
    /// When one of the names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels)
        };
        let histogram = |name: &str, help: &str, labels: &[&str]| {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets()), labels)
        };
        let transport = &[LABELS[0], LABELS[1], "transport"];
        let family = Self {
            waiting: IntGaugeVec::new(
                Opts::new("millpond_pool_waiting", "Clients that wait for a backend connection."),
                &LABELS,
            )?,
            connections: IntGaugeVec::new(
                Opts::new(
                    "millpond_backend_connections",
                    "Backend connections, by what they do: borrowed, deposited with a session but \
                     to be had, idle.",
                ),
                &[LABELS[0], LABELS[1], "state"],
            )?,
            open: IntGaugeVec::new(
                Opts::new(
                    "millpond_backend_connections_open",
                    "Backend connections, by transport (plain, tls).",
                ),
                transport,
            )?,
            closed: counter(
                "millpond_backend_connections_closed_total",
                "Backend connections closed in order.",
                &LABELS,
            )?,
            stale: counter(
                "millpond_backend_connections_stale_total",
                "Idle backend connections found closed by the server.",
                &LABELS,
            )?,
            open_failures: counter(
                "millpond_backend_connect_failures_total",
                "Backend connections that could not be opened, by reason.",
                &[LABELS[0], LABELS[1], "reason"],
            )?,
            deposits_taken: counter(
                "millpond_pool_deposits_taken_total",
                "Backend connections taken over from a session that kept state on them.",
                &LABELS,
            )?,
            connect_seconds: histogram(
                "millpond_backend_connect_seconds",
                "Time to open, log in and set up a backend connection, by transport.",
                transport,
            )?,
            borrow_seconds: histogram(
                "millpond_borrow_wait_seconds",
                "Time that a statement waited for a backend connection.",
                &LABELS,
            )?,
            executions: counter(
                "millpond_prepared_executions_total",
                "Executions of prepared statements: cached (the backend connection had the \
                 statement), prepared (it was prepared there first).",
                &[LABELS[0], LABELS[1], "outcome"],
            )?,
            statements_closed: counter(
                "millpond_backend_statements_closed_total",
                "Prepared statements closed on backend connections that stay open: to make room, \
                 or because nobody else could use them.",
                &LABELS,
            )?,
            alignments: counter(
                "millpond_alignments_total",
                "How the session state got onto the backend connection: exact (it was there), \
                 replayed (put in front of the statement), reset.",
                &[LABELS[0], LABELS[1], "outcome"],
            )?,
            borrow_failures: counter(
                "millpond_borrow_failures_total",
                "Statements refused because no backend connection could be had, by reason.",
                &[LABELS[0], LABELS[1], "reason"],
            )?,
        };
        registry.register(Box::new(family.waiting.clone()))?;
        registry.register(Box::new(family.connections.clone()))?;
        registry.register(Box::new(family.open.clone()))?;
        registry.register(Box::new(family.executions.clone()))?;
        registry.register(Box::new(family.statements_closed.clone()))?;
        registry.register(Box::new(family.closed.clone()))?;
        registry.register(Box::new(family.stale.clone()))?;
        registry.register(Box::new(family.open_failures.clone()))?;
        registry.register(Box::new(family.deposits_taken.clone()))?;
        registry.register(Box::new(family.connect_seconds.clone()))?;
        registry.register(Box::new(family.borrow_seconds.clone()))?;
        registry.register(Box::new(family.alignments.clone()))?;
        registry.register(Box::new(family.borrow_failures.clone()))?;
        Ok(family)
    }

    /// The metrics of one pool. Pools of one user that differ in capabilities share them.
    pub fn of(&self, service: &str, user: &str) -> PoolMetrics {
        let labels = [service, user];
        let alignment = |outcome| self.alignments.with_label_values(&[service, user, outcome]);
        let execution = |outcome| self.executions.with_label_values(&[service, user, outcome]);
        let failure = |reason| self.borrow_failures.with_label_values(&[service, user, reason]);
        PoolMetrics {
            waiting: self.waiting.with_label_values(&labels),
            connections: Occupation::ALL.map(|occupation| {
                self.connections.with_label_values(&[service, user, occupation.name()])
            }),
            closed: self.closed.with_label_values(&labels),
            stale: self.stale.with_label_values(&labels),
            deposits_taken: self.deposits_taken.with_label_values(&labels),
            borrow_seconds: self.borrow_seconds.with_label_values(&labels),
            exact: alignment("exact"),
            replayed: alignment("replayed"),
            reset: alignment("reset"),
            executions_cached: execution("cached"),
            executions_prepared: execution("prepared"),
            executions_typed: execution("typed"),
            statements_closed: self.statements_closed.with_label_values(&labels),
            borrow_timeouts: failure("timeout"),
            user_limits: failure("user_limit"),
            borrow_refusals: failure("queue_full"),
            open: Transport::ALL
                .map(|transport| self.open.with_label_values(&[service, user, transport.name()])),
            connect_seconds: Transport::ALL.map(|transport| {
                self.connect_seconds.with_label_values(&[service, user, transport.name()])
            }),
            open_failures: self.open_failures.clone(),
            labels: labels.map(str::to_owned),
        }
    }
}

impl PoolMetrics {
    /// A connection was opened; it counts as open until what is given is dropped.
    pub fn opened(&self, transport: Transport, took: Duration) -> Open {
        self.connect_seconds[transport as usize].observe(took.as_secs_f64());
        let gauge = self.open[transport as usize].clone();
        gauge.inc();
        Open(gauge)
    }

    /// A connection could not be opened.
    pub fn open_failed(&self, error: &OpenError) {
        let reason = match error {
            OpenError::GivenUp => "given_up",
            OpenError::Login(error) if error.is_access_denied() => "access_denied",
            OpenError::Login(error) if error.is_network() => "network",
            OpenError::Login(_) => "login",
            OpenError::NoServer => "no_server",
            OpenError::SetUp(_) => "set_up",
            OpenError::Timeout => "timeout",
        };
        let [service, user] = &self.labels;
        self.open_failures.with_label_values(&[service, user, reason]).inc();
    }
}

/// A connection that is open, as the metrics know it.
#[derive(Debug)]
pub struct Open(IntGauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
