//! What the supervisors count.

use super::orders::Order;
use super::snapshot::{Health, Role, ServerState, Snapshot};
use super::verdict::Reason;
use prometheus::{
    Counter, CounterVec, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// The metrics of all services.
#[derive(Debug, Clone)]
pub struct FailoverMetricsFamily {
    epoch: IntGaugeVec,
    role: IntGaugeVec,
    up: IntGaugeVec,
    lag: GaugeVec,
    share: GaugeVec,
    asleep: IntGaugeVec,
    downs: IntCounterVec,
    changes: IntCounterVec,
    failed_probes: IntCounterVec,
    suspicions: IntCounterVec,
    restarts: IntCounterVec,
    without_writer: CounterVec,
    orders: IntGaugeVec,
}

/// The metrics of one service.
#[derive(Debug, Clone)]
pub struct FailoverMetrics {
    /// Probes without an answer.
    pub failed_probes: IntCounter,
    /// Reports of the data path.
    pub suspicions: IntCounter,
    /// Times that the supervisor, or a probe, went on after it had panicked.
    pub restarts: IntCounter,
    /// Seconds in which no writer was confirmed, after the first one was.
    pub without_writer: Counter,
    /// 1 while the servers are left alone.
    pub asleep: IntGauge,
    epoch: IntGauge,
    family: FailoverMetricsFamily,
    service: String,
}

impl FailoverMetricsFamily {
    /// Registers the metrics of all services.
    ///
    /// # Errors
    ///
    /// When one of the names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            IntGaugeVec::new(Opts::new(name, help), labels)
        };
        let counter = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels)
        };
        let family = Self {
            epoch: gauge(
                "millpond_failover_epoch",
                "Raised whenever another server is confirmed to be the writer.",
                &["service"],
            )?,
            role: gauge(
                "millpond_server_role",
                "1 for the role that a server has now: writer, reader or unknown.",
                &["service", "server", "role"],
            )?,
            up: gauge(
                "millpond_server_up",
                "1 for a server that answered its last probe.",
                &["service", "server"],
            )?,
            lag: GaugeVec::new(
                Opts::new(
                    "millpond_server_lag_seconds",
                    "How far a reader says it is behind the writer.",
                ),
                &["service", "server"],
            )?,
            share: GaugeVec::new(
                Opts::new(
                    "millpond_server_share",
                    "How much of the readers' work a server gets, of what it would get if it had \
                     never been away: 0 while it is held out for coming and going, then growing to \
                     1.",
                ),
                &["service", "server"],
            )?,
            asleep: gauge(
                "millpond_asleep",
                "1 while the servers are left alone because nobody needs them (sleep_after).",
                &["service"],
            )?,
            downs: counter(
                "millpond_server_downs_total",
                "How often a server that had answered did not any more.",
                &["service", "server"],
            )?,
            changes: counter(
                "millpond_writer_changes_total",
                "Changes of the writer, or of there being one, by reason.",
                &["service", "reason"],
            )?,
            failed_probes: counter(
                "millpond_failed_probes_total",
                "Questions to servers that were not answered.",
                &["service"],
            )?,
            suspicions: counter(
                "millpond_suspicions_total",
                "Reports of statements that met a failing server.",
                &["service"],
            )?,
            restarts: counter(
                "millpond_supervisor_restarts_total",
                "Times that the supervisor of the servers, or the probe of one, panicked and was \
                 begun again. Each is a fault of Millpond's own: the log has more.",
                &["service"],
            )?,
            orders: gauge(
                "millpond_standing_orders",
                "Orders of operators that stand: pause, drain, switchover.",
                &["service", "order"],
            )?,
            without_writer: CounterVec::new(
                Opts::new(
                    "millpond_without_writer_seconds_total",
                    "Time in which there was no writer, counted when there is one again.",
                ),
                &["service"],
            )?,
        };
        registry.register(Box::new(family.epoch.clone()))?;
        registry.register(Box::new(family.role.clone()))?;
        registry.register(Box::new(family.up.clone()))?;
        registry.register(Box::new(family.lag.clone()))?;
        registry.register(Box::new(family.share.clone()))?;
        registry.register(Box::new(family.downs.clone()))?;
        registry.register(Box::new(family.asleep.clone()))?;
        registry.register(Box::new(family.changes.clone()))?;
        registry.register(Box::new(family.failed_probes.clone()))?;
        registry.register(Box::new(family.suspicions.clone()))?;
        registry.register(Box::new(family.restarts.clone()))?;
        registry.register(Box::new(family.without_writer.clone()))?;
        registry.register(Box::new(family.orders.clone()))?;
        Ok(family)
    }

    /// Those of one service.
    pub fn of(&self, service: &str) -> FailoverMetrics {
        for reason in Reason::ALL {
            self.changes.with_label_values(&[service, reason.name()]);
        }
        FailoverMetrics {
            failed_probes: self.failed_probes.with_label_values(&[service]),
            suspicions: self.suspicions.with_label_values(&[service]),
            restarts: self.restarts.with_label_values(&[service]),
            without_writer: self.without_writer.with_label_values(&[service]),
            asleep: self.asleep.with_label_values(&[service]),
            epoch: self.epoch.with_label_values(&[service]),
            family: self.clone(),
            service: service.to_owned(),
        }
    }
}

impl FailoverMetrics {
    /// The writer changed.
    pub fn changed(&self, reason: Reason) {
        self.family.changes.with_label_values(&[self.service.as_str(), reason.name()]).inc();
    }

    /// A server went down.
    pub fn went_down(&self, server: &str) {
        self.family.downs.with_label_values(&[self.service.as_str(), server]).inc();
    }

    /// A server that went is not shown any more.
    pub fn forget(&self, server: &ServerState) {
        let (service, name) = (self.service.as_str(), server.name());
        for role in ["writer", "reader", "unknown"] {
            // It may never have been shown.
            let _ = self.family.role.remove_label_values(&[service, &name, role]);
        }
        let _ = self.family.up.remove_label_values(&[service, &name]);
        let _ = self.family.lag.remove_label_values(&[service, &name]);
        let _ = self.family.share.remove_label_values(&[service, &name]);
        let _ = self.family.downs.remove_label_values(&[service, &name]);
    }

    /// Shows what is known now.
    pub fn show(&self, snapshot: &Snapshot) {
        let service = self.service.as_str();
        self.epoch.set(i64::try_from(snapshot.epoch).unwrap_or(i64::MAX));
        for name in Order::NAMES {
            let standing = snapshot.orders.standing().filter(|order| order.name() == name).count();
            let gauge = self.family.orders.with_label_values(&[service, name]);
            gauge.set(i64::try_from(standing).unwrap_or(i64::MAX));
        }
        for server in &snapshot.servers {
            let name = server.name();
            let labels = [service, name.as_str()];
            for role in Role::ALL {
                let gauge = self.family.role.with_label_values(&[service, &name, role.name()]);
                gauge.set(i64::from(server.role == role));
            }
            self.family.up.with_label_values(&labels).set(i64::from(server.health == Health::Up));
            let share = f64::from(server.share.percent()) / 100.0;
            self.family.share.with_label_values(&labels).set(share);
            match server.lag {
                Some(lag) => {
                    self.family.lag.with_label_values(&labels).set(lag.as_secs_f64());
                }
                // It may never have had one.
                None => drop(self.family.lag.remove_label_values(&labels)),
            }
        }
    }
}
