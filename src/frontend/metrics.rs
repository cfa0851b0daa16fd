//! What the front end counts.

use super::disturbance::{Disturbances, DisturbancesFamily};
use super::incident::{Incidents, IncidentsFamily};
use super::inspect::PinCheck;
use super::outcome::Left;
use super::pins::{PinsFamily, ServicePins};
use crate::net::stream::Transport;
use crate::pool::Pool;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The metrics of all services.
#[derive(Debug, Clone)]
pub struct FrontendMetrics {
    clients: IntGaugeVec,
    received: IntCounterVec,
    hidden_triggers: IntCounterVec,
    pin_checks: IntCounterVec,
    abandoned: IntCounterVec,
    left: IntCounterVec,
    login_seconds: HistogramVec,
    command_seconds: HistogramVec,
    backend_seconds: HistogramVec,
    client_bytes: IntCounterVec,
    oldest_waiter: GaugeVec,
    most_connections: IntGaugeVec,
    pins: PinsFamily,
    disturbances: DisturbancesFamily,
    incidents: IncidentsFamily,
}

/// The metrics of one service, resolved once.
#[derive(Debug, Clone)]
pub struct ServiceMetrics {
    /// Clients connected now.
    pub clients: IntGauge,
    /// Clients that ever connected.
    pub received: IntCounter,
    /// Statements that may have fired triggers which nobody showed.
    pub hidden_triggers: IntCounter,
    /// Looks at what a session holds that may hold anything.
    pub pin_checks: [IntCounter; PinCheck::ALL.len()],
    /// Reads that were ended because their client was gone.
    pub abandoned: IntCounter,
    /// From a connection to the end of its login, by transport.
    pub login_seconds: [Histogram; 2],
    /// From a command to the end of its reply, by transport.
    pub command_seconds: [Histogram; 2],
    /// From a command sent to a server to the end of the reply.
    pub backend_seconds: Histogram,
    /// Bytes that clients sent, after their login.
    pub bytes_received: IntCounter,
    /// Bytes that clients were sent, after their login.
    pub bytes_sent: IntCounter,
    /// How long the statement that has waited longest for a connection has waited by now.
    pub oldest_waiter: Gauge,
    /// The most connections to one server.
    pub most_connections: IntGauge,
    /// Why sessions keep their connections.
    pub pins: ServicePins,
    /// What clients notice of servers that fail.
    pub disturbances: Disturbances,
    /// The errors that clients are told.
    pub incidents: Incidents,
    left: Vec<IntCounter>,
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
        let histogram = |name: &str, help: &str, labels: &[&str]| {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.clone()), labels)
        };
        let metrics = Self {
            clients: IntGaugeVec::new(
                Opts::new("millpond_client_connections", "Clients connected."),
                service,
            )?,
            received: IntCounterVec::new(
                Opts::new("millpond_client_connections_received_total", "Clients accepted."),
                service,
            )?,
            hidden_triggers: IntCounterVec::new(
                Opts::new(
                    "millpond_hidden_triggers_total",
                    "Statements that changed rows of tables whose triggers cannot be seen.",
                ),
                service,
            )?,
            pin_checks: IntCounterVec::new(
                Opts::new(
                    "millpond_pin_checks_total",
                    "Looks at what a session's connection holds that may hold anything, by what \
                     came of them.",
                ),
                &["service", "outcome"],
            )?,
            abandoned: IntCounterVec::new(
                Opts::new(
                    "millpond_abandoned_reads_total",
                    "Reads that were ended because their client had left.",
                ),
                service,
            )?,
            left: IntCounterVec::new(
                Opts::new("millpond_client_connections_closed_total", "Clients gone, by reason."),
                reason,
            )?,
            login_seconds: histogram(
                "millpond_client_login_seconds",
                "Time from a connection to the end of its login, by transport (plain, tls).",
                &["service", "transport"],
            )?,
            command_seconds: histogram(
                "millpond_command_seconds",
                "Time from a command to the end of its reply, waiting included, by transport.",
                &["service", "transport"],
            )?,
            backend_seconds: histogram(
                "millpond_backend_response_seconds",
                "Time from a command sent to a server to the end of its reply.",
                service,
            )?,
            oldest_waiter: GaugeVec::new(
                Opts::new(
                    "millpond_oldest_waiter_seconds",
                    "How long the statement that has waited longest for a backend connection has \
                     waited by now.",
                ),
                service,
            )?,
            most_connections: IntGaugeVec::new(
                Opts::new(
                    "millpond_backend_connections_allowed",
                    "The most connections that Millpond opens to one server.",
                ),
                service,
            )?,
            pins: PinsFamily::register(registry)?,
            client_bytes: IntCounterVec::new(
                Opts::new("millpond_client_bytes_total", "Bytes from and to clients."),
                &["service", "direction"],
            )?,
            disturbances: DisturbancesFamily::register(registry)?,
            incidents: IncidentsFamily::register(registry)?,
        };
        registry.register(Box::new(metrics.clients.clone()))?;
        registry.register(Box::new(metrics.received.clone()))?;
        registry.register(Box::new(metrics.hidden_triggers.clone()))?;
        registry.register(Box::new(metrics.pin_checks.clone()))?;
        registry.register(Box::new(metrics.abandoned.clone()))?;
        registry.register(Box::new(metrics.left.clone()))?;
        registry.register(Box::new(metrics.client_bytes.clone()))?;
        registry.register(Box::new(metrics.login_seconds.clone()))?;
        registry.register(Box::new(metrics.command_seconds.clone()))?;
        registry.register(Box::new(metrics.backend_seconds.clone()))?;
        registry.register(Box::new(metrics.oldest_waiter.clone()))?;
        registry.register(Box::new(metrics.most_connections.clone()))?;
        Ok(metrics)
    }

    /// The metrics of one service.
    pub fn of(&self, service: &str) -> ServiceMetrics {
        let only = &[service];
        let by_transport = |seconds: &HistogramVec| {
            Transport::ALL.map(|transport| seconds.with_label_values(&[service, transport.name()]))
        };
        let bytes = |direction| self.client_bytes.with_label_values(&[service, direction]);
        ServiceMetrics {
            clients: self.clients.with_label_values(only),
            received: self.received.with_label_values(only),
            hidden_triggers: self.hidden_triggers.with_label_values(only),
            pin_checks: PinCheck::ALL
                .map(|outcome| self.pin_checks.with_label_values(&[service, outcome.name()])),
            abandoned: self.abandoned.with_label_values(only),
            login_seconds: by_transport(&self.login_seconds),
            command_seconds: by_transport(&self.command_seconds),
            backend_seconds: self.backend_seconds.with_label_values(only),
            bytes_received: bytes("received"),
            bytes_sent: bytes("sent"),
            oldest_waiter: self.oldest_waiter.with_label_values(only),
            most_connections: self.most_connections.with_label_values(only),
            pins: self.pins.of(service),
            disturbances: self.disturbances.of(service),
            incidents: self.incidents.of(service),
            left: Left::ALL
                .iter()
                .map(|left| self.left.with_label_values(&[service, left.name()]))
                .collect(),
        }
    }
}

/// What is counted of the users that only servers know.
#[derive(Debug, Clone)]
pub struct GuestFamily {
    here: IntGaugeVec,
    asked: IntCounterVec,
}

/// Those of one service.
#[derive(Debug, Clone)]
pub struct GuestMetrics {
    /// How many have sessions.
    pub here: IntGauge,
    right: IntCounter,
    wrong: IntCounter,
    unanswered: IntCounter,
}

impl GuestMetrics {
    /// Registers those of all services.
    ///
    /// # Errors
    ///
    /// When one of the names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<GuestFamily> {
        let here = IntGaugeVec::new(
            Opts::new(
                "millpond_pass_through_users",
                "Users with sessions that are in no configuration.",
            ),
            &["service"],
        )?;
        let asked = IntCounterVec::new(
            Opts::new(
                "millpond_pass_through_questions_total",
                "Questions to servers about such users, by what they said.",
            ),
            &["service", "answer"],
        )?;
        registry.register(Box::new(here.clone()))?;
        registry.register(Box::new(asked.clone()))?;
        Ok(GuestFamily { here, asked })
    }

    /// A server was asked about a password, and took it or not, or did not answer.
    pub(super) fn asked(&self, taken: Option<bool>) {
        match taken {
            Some(true) => self.right.inc(),
            Some(false) => self.wrong.inc(),
            None => self.unanswered.inc(),
        }
    }
}

impl GuestFamily {
    /// Those of one service.
    pub fn of(&self, service: &str) -> GuestMetrics {
        let asked = |answer| self.asked.with_label_values(&[service, answer]);
        GuestMetrics {
            here: self.here.with_label_values(&[service]),
            right: asked("accepted"),
            wrong: asked("denied"),
            unanswered: asked("none"),
        }
    }
}

impl ServiceMetrics {
    /// A client has gone.
    pub fn left(&self, left: Left) {
        self.left[left as usize].inc();
    }

    /// Counts what only all pools together tell.
    pub fn pools_are(&self, pools: &[Arc<Pool>], now: Instant) {
        let oldest = pools.iter().filter_map(|pool| pool.oldest_waiter()).min();
        let waited = oldest.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.oldest_waiter.set(waited.as_secs_f64());
        let allowed = pools.iter().map(|pool| pool.allowed()).max().unwrap_or(0);
        self.most_connections.set(i64::try_from(allowed).unwrap_or(i64::MAX));
    }
}
