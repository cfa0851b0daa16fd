//! What the front end counts.

use super::disturbance::{Disturbances, DisturbancesFamily};
use super::outcome::Left;
use crate::session::pin::PinReason;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// The metrics of all services.
#[derive(Debug, Clone)]
pub struct FrontendMetrics {
    clients: IntGaugeVec,
    received: IntCounterVec,
    left: IntCounterVec,
    queries: IntCounterVec,
    query_seconds: HistogramVec,
    pins: IntCounterVec,
    pinned: IntGaugeVec,
    client_bytes: IntCounterVec,
    disturbances: DisturbancesFamily,
}

/// The metrics of one service, resolved once.
#[derive(Debug, Clone)]
pub struct ServiceMetrics {
    /// Clients connected now.
    pub clients: IntGauge,
    /// Clients that ever connected.
    pub received: IntCounter,
    /// Commands that a backend ran.
    pub queries: IntCounter,
    /// From a command to the end of its reply.
    pub query_seconds: Histogram,
    /// What clients notice of servers that fail.
    pub disturbances: Disturbances,
    left: Vec<IntCounter>,
    pins: Vec<IntCounter>,
    pinned: Vec<IntGauge>,
}

impl FrontendMetrics {
    /// Registers the metrics of all services.
    ///
    /// # Errors
    ///
    /// When one of the names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let service = &["service"];
        let reason = &["service", "reason"];
        let buckets = prometheus::exponential_buckets(1e-4, 2.5, 14)?;
        let metrics = Self {
            clients: IntGaugeVec::new(
                Opts::new("millpond_client_connections", "Clients connected."),
                service,
            )?,
            received: IntCounterVec::new(
                Opts::new("millpond_client_connections_received_total", "Clients accepted."),
                service,
            )?,
            left: IntCounterVec::new(
                Opts::new("millpond_client_connections_closed_total", "Clients gone, by reason."),
                reason,
            )?,
            queries: IntCounterVec::new(
                Opts::new("millpond_commands_total", "Commands that a backend ran."),
                service,
            )?,
            query_seconds: HistogramVec::new(
                HistogramOpts::new(
                    "millpond_command_seconds",
                    "Time from a command to the end of its reply, waiting included.",
                )
                .buckets(buckets),
                service,
            )?,
            pins: IntCounterVec::new(
                Opts::new(
                    "millpond_session_pins_total",
                    "How often sessions had to keep their backend connection, by reason.",
                ),
                reason,
            )?,
            pinned: IntGaugeVec::new(
                Opts::new(
                    "millpond_sessions_pinned",
                    "Sessions that keep their backend connection now, by reason.",
                ),
                reason,
            )?,
            client_bytes: IntCounterVec::new(
                Opts::new("millpond_client_bytes_total", "Bytes from and to clients."),
                &["service", "direction"],
            )?,
            disturbances: DisturbancesFamily::register(registry)?,
        };
        registry.register(Box::new(metrics.clients.clone()))?;
        registry.register(Box::new(metrics.received.clone()))?;
        registry.register(Box::new(metrics.left.clone()))?;
        registry.register(Box::new(metrics.queries.clone()))?;
        registry.register(Box::new(metrics.query_seconds.clone()))?;
        registry.register(Box::new(metrics.pins.clone()))?;
        registry.register(Box::new(metrics.pinned.clone()))?;
        registry.register(Box::new(metrics.client_bytes.clone()))?;
        Ok(metrics)
    }

    /// The metrics of one service.
    pub fn of(&self, service: &str) -> ServiceMetrics {
        let only = &[service];
        let pins = PinReason::ALL.iter();
        ServiceMetrics {
            clients: self.clients.with_label_values(only),
            received: self.received.with_label_values(only),
            queries: self.queries.with_label_values(only),
            query_seconds: self.query_seconds.with_label_values(only),
            disturbances: self.disturbances.of(service),
            left: Left::ALL
                .iter()
                .map(|left| self.left.with_label_values(&[service, left.name()]))
                .collect(),
            pins: pins
                .clone()
                .map(|pin| self.pins.with_label_values(&[service, pin.name()]))
                .collect(),
            pinned: pins.map(|pin| self.pinned.with_label_values(&[service, pin.name()])).collect(),
        }
    }
}

impl ServiceMetrics {
    /// A client has gone.
    pub fn left(&self, left: Left) {
        self.left[left as usize].inc();
    }

    /// The reasons to keep a backend connection changed from one set to another.
    pub fn pins_changed(&self, before: u32, now: u32) {
        if before == now {
            return;
        }
        for (at, _) in PinReason::ALL.iter().enumerate() {
            let bit = 1 << at;
            match (before & bit != 0, now & bit != 0) {
                (false, true) => {
                    self.pins[at].inc();
                    self.pinned[at].inc();
                }
                (true, false) => self.pinned[at].dec(),
                _ => {}
            }
        }
    }
}
