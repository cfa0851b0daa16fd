//! The sessions of each user, and how often, why and for how long they keep their backend
//! connections.

use super::cut::CutReason;
use crate::net::stream::Transport;
use crate::session::pin::{PinReason, Pins};
use parking_lot::RwLock;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use tokio::time::Instant;

/// The metrics of all services.
#[derive(Debug, Clone)]
pub struct PinsFamily {
    sessions: IntGaugeVec,
    pins: IntCounterVec,
    unpins: IntCounterVec,
    pinned: IntGaugeVec,
    keeping: IntGaugeVec,
    pin_seconds: HistogramVec,
    transaction_seconds: HistogramVec,
    cuts: IntCounterVec,
}

impl PinsFamily {
    /// Registers the metrics of all services.
    ///
    /// # Errors
    ///
    /// When one of the names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let user = &["service", "user"];
        let reason = &["service", "user", "reason"];
        // From a millisecond to over an hour.
        let buckets = prometheus::exponential_buckets(1e-3, 4.0, 12)?;
        let seconds = |name: &str, help: &str, labels: &[&str]| {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.clone()), labels)
        };
        let family = Self {
            sessions: IntGaugeVec::new(
                Opts::new("millpond_sessions", "Clients that are logged in, by transport."),
                &["service", "user", "transport"],
            )?,
            pins: IntCounterVec::new(
                Opts::new(
                    "millpond_session_pins_total",
                    "How often sessions had to keep their backend connection, by reason.",
                ),
                reason,
            )?,
            unpins: IntCounterVec::new(
                Opts::new(
                    "millpond_session_unpins_total",
                    "How often a reason to keep the backend connection ended before its session \
                     did.",
                ),
                reason,
            )?,
            keeping: IntGaugeVec::new(
                Opts::new(
                    "millpond_sessions_keeping_connections",
                    "Sessions that keep their backend connection now, each counted once.",
                ),
                user,
            )?,
            pinned: IntGaugeVec::new(
                Opts::new(
                    "millpond_sessions_pinned",
                    "Sessions that keep their backend connection now, by reason.",
                ),
                reason,
            )?,
            pin_seconds: seconds(
                "millpond_session_pin_seconds",
                "How long sessions kept their backend connection, by the reason that began it.",
                reason,
            )?,
            cuts: IntCounterVec::new(
                Opts::new(
                    "millpond_transactions_cut_total",
                    "Transactions rolled back because they took too long, by reason.",
                ),
                reason,
            )?,
            transaction_seconds: seconds(
                "millpond_transaction_seconds",
                "How long transactions were open.",
                user,
            )?,
        };
        registry.register(Box::new(family.sessions.clone()))?;
        registry.register(Box::new(family.cuts.clone()))?;
        registry.register(Box::new(family.keeping.clone()))?;
        registry.register(Box::new(family.pins.clone()))?;
        registry.register(Box::new(family.unpins.clone()))?;
        registry.register(Box::new(family.pinned.clone()))?;
        registry.register(Box::new(family.pin_seconds.clone()))?;
        registry.register(Box::new(family.transaction_seconds.clone()))?;
        Ok(family)
    }

    /// The metrics of one service.
    pub fn of(&self, service: &str) -> ServicePins {
        ServicePins { family: self.clone(), service: service.into(), users: Arc::default() }
    }
}

/// The metrics of one service, resolved when a user first comes.
#[derive(Debug, Clone)]
pub struct ServicePins {
    family: PinsFamily,
    service: Arc<str>,
    users: Arc<RwLock<HashMap<Arc<str>, Arc<UserPins>>>>,
}

impl ServicePins {
    /// What counts one session of this user and its pins.
    pub fn session_of(&self, user: &Arc<str>, transport: Transport) -> SessionPins {
        let known = self.users.read().get(user).cloned();
        let metrics = known.unwrap_or_else(|| {
            let made = || Arc::new(UserPins::new(self.family.clone(), &self.service, user));
            self.users.write().entry(user.clone()).or_insert_with(made).clone()
        });
        metrics.sessions[transport as usize].inc();
        let began = PinReason::Transaction;
        SessionPins { metrics, transport, counted: 0, began, since: None, transaction_since: None }
    }
}

/// The metrics of one user; a reason has series from its first pin on.
#[derive(Debug)]
struct UserPins {
    family: PinsFamily,
    labels: [Box<str>; 2],
    sessions: [IntGauge; 2],
    keeping: IntGauge,
    reasons: [OnceLock<ReasonMetrics>; PinReason::ALL.len()],
    transaction_seconds: Histogram,
    cuts: [IntCounter; 2],
}

/// The metrics of one reason.
#[derive(Debug)]
struct ReasonMetrics {
    pins: IntCounter,
    unpins: IntCounter,
    pinned: IntGauge,
    seconds: Histogram,
}

impl UserPins {
    fn new(family: PinsFamily, service: &str, user: &str) -> Self {
        let labels = [service, user];
        Self {
            sessions: Transport::ALL.map(|transport| {
                family.sessions.with_label_values(&[service, user, transport.name()])
            }),
            keeping: family.keeping.with_label_values(&labels),
            cuts: CutReason::ALL
                .map(|cut| family.cuts.with_label_values(&[service, user, cut.name()])),
            transaction_seconds: family.transaction_seconds.with_label_values(&labels),
            labels: labels.map(Box::from),
            reasons: Default::default(),
            family,
        }
    }

    fn of(&self, reason: PinReason) -> &ReasonMetrics {
        self.reasons[reason as usize].get_or_init(|| {
            let labels = [&*self.labels[0], &*self.labels[1], reason.name()];
            let Self { family, .. } = self;
            ReasonMetrics {
                pins: family.pins.with_label_values(&labels),
                unpins: family.unpins.with_label_values(&labels),
                pinned: family.pinned.with_label_values(&labels),
                seconds: family.pin_seconds.with_label_values(&labels),
            }
        })
    }
}

/// What the metrics know of one session and its pins; dropping it ends both.
#[derive(Debug)]
pub struct SessionPins {
    metrics: Arc<UserPins>,
    transport: Transport,
    /// The reason with which the present time of keeping began.
    began: PinReason,
    /// The reasons that are counted, as a set of bits.
    counted: u32,
    since: Option<Instant>,
    transaction_since: Option<Instant>,
}

impl SessionPins {
    /// The session has these reasons from now on ([`crate::session::pin::Pins::bits`]).
    pub fn are(&mut self, reasons: u32) {
        self.change(reasons, Ending::Reason);
    }

    /// Since when a transaction is open, if one is.
    pub fn transaction_since(&self) -> Option<Instant> {
        self.transaction_since
    }

    /// The session's transaction was rolled back because it took too long.
    pub fn cut(&self, reason: CutReason) {
        self.metrics.cuts[reason as usize].inc();
    }

    fn change(&mut self, reasons: u32, ending: Ending) {
        let before = std::mem::replace(&mut self.counted, reasons);
        if before == reasons {
            return;
        }
        if before == 0
            && let Some(first) = PinReason::ALL.get(reasons.trailing_zeros() as usize)
        {
            self.began = *first;
        }
        for reason in PinReason::ALL {
            let bit = 1 << reason as u8;
            match (before & bit != 0, reasons & bit != 0) {
                (false, true) => {
                    let metrics = self.metrics.of(reason);
                    metrics.pins.inc();
                    metrics.pinned.inc();
                }
                (true, false) => {
                    let metrics = self.metrics.of(reason);
                    metrics.pinned.dec();
                    if ending == Ending::Reason {
                        metrics.unpins.inc();
                    }
                }
                _ => {}
            }
        }
        match (before, reasons) {
            (0, _) => self.metrics.keeping.inc(),
            (_, 0) => self.metrics.keeping.dec(),
            _ => {}
        }
        let now = Instant::now();
        let Self { metrics, began, since, transaction_since, .. } = self;
        time(since, reasons != 0, now, &metrics.of(*began).seconds);
        time(
            transaction_since,
            reasons & Pins::OF_TRANSACTION != 0,
            now,
            &metrics.transaction_seconds,
        );
    }
}

impl Drop for SessionPins {
    fn drop(&mut self) {
        self.change(0, Ending::Session);
        self.metrics.sessions[self.transport as usize].dec();
    }
}

/// What ends with a reason to pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Only that reason.
    Reason,
    /// The session.
    Session,
}

/// Keeps the beginning of a state, and tells `seconds` how long it lasted at its end.
fn time(since: &mut Option<Instant>, lasts: bool, now: Instant, seconds: &Histogram) {
    if lasts {
        since.get_or_insert(now);
    } else if let Some(since) = since.take() {
        seconds.observe(now.saturating_duration_since(since).as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn pins_are_counted_and_timed_by_user() {
        let family = PinsFamily::register(&Registry::new()).unwrap();
        let service = family.of("orders");
        let mut session = service.session_of(&"app".into(), Transport::Plain);
        let transaction = 1 << PinReason::Transaction as u8;
        let table = 1 << PinReason::TemporaryTable as u8;
        session.are(transaction);
        tokio::time::advance(Duration::from_secs(2)).await;
        session.are(transaction | table);
        tokio::time::advance(Duration::from_secs(3)).await;
        session.are(table);
        let labels = |reason| ["orders", "app", reason];
        assert_eq!(family.pinned.with_label_values(&labels("temporary_table")).get(), 1);
        assert_eq!(family.pinned.with_label_values(&labels("transaction")).get(), 0);
        assert_eq!(family.pins.with_label_values(&labels("transaction")).get(), 1);
        let transactions = family.transaction_seconds.with_label_values(&["orders", "app"]);
        assert_eq!(transactions.get_sample_sum(), 5.0);
        assert_eq!(family.unpins.with_label_values(&labels("transaction")).get(), 1);
        let keeping = family.keeping.with_label_values(&["orders", "app"]);
        let sessions = family.sessions.with_label_values(&["orders", "app", "plain"]);
        assert_eq!((keeping.get(), sessions.get()), (1, 1));
        drop(session);
        assert_eq!((keeping.get(), sessions.get()), (0, 0));
        assert_eq!(family.unpins.with_label_values(&labels("temporary_table")).get(), 0);
        assert_eq!(family.pinned.with_label_values(&labels("temporary_table")).get(), 0);
        let pins = family.pin_seconds.with_label_values(&labels("transaction"));
        assert_eq!((pins.get_sample_count(), pins.get_sample_sum()), (1, 5.0));
    }
}
