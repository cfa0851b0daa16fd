//! What is counted about certificates.

use prometheus::{GaugeVec, IntCounterVec, Opts, Registry};

use super::Expiry;

/// The metrics of the certificates of all services.
#[derive(Debug, Clone)]
pub struct CertificateMetrics {
    expiry: GaugeVec,
    renewals: IntCounterVec,
    failures: IntCounterVec,
}

/// The other side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Towards {
    /// Clients.
    Clients,
    /// Servers.
    Servers,
}

impl Towards {
    /// The label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Servers => "servers",
        }
    }
}

impl CertificateMetrics {
    /// Registers them.
    ///
    /// # Errors
    ///
    /// When one of the names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounterVec::new(Opts::new(name, help), &["service", "towards"])?;
            registry.register(Box::new(counter.clone()))?;
            prometheus::Result::Ok(counter)
        };
        let expiry = GaugeVec::new(
            Opts::new(
                "millpond_certificate_expiry_timestamp_seconds",
                "When a certificate in use expires; of several authorities, the first to.",
            ),
            &["service", "certificate"],
        )?;
        registry.register(Box::new(expiry.clone()))?;
        let renewals = counter(
            "millpond_certificate_reloads_total",
            "Changes of certificates' files that were taken over, by the other side.",
        )?;
        let failures = counter(
            "millpond_certificate_reload_failures_total",
            "Changes of certificates' files that could not be used, by the other side.",
        )?;
        Ok(Self { expiry, renewals, failures })
    }

    /// These are in use now.
    pub fn in_use(&self, service: &str, expiries: &[Expiry]) {
        for Expiry { whose, at } in expiries {
            self.expiry.with_label_values(&[service, whose]).set(*at as f64);
        }
    }

    /// Files have changed, and are used.
    pub fn renewed(&self, service: &str, towards: Towards) {
        self.renewals.with_label_values(&[service, towards.name()]).inc();
    }

    /// Files have changed, and cannot be used.
    pub fn failed(&self, service: &str, towards: Towards) {
        self.failures.with_label_values(&[service, towards.name()]).inc();
    }
}
