//! The errors that Millpond itself tells its clients: each is counted, and carries an id that finds
//! its line in the log. While the same trouble goes on, its errors share one id and one line.
//!
//! What a server said, and what Millpond says in a server's place and words, carries none: a client
//! must not be able to tell.

use super::told::Told;
use parking_lot::Mutex;
use prometheus::{IntCounterVec, Opts, Registry};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long the same trouble of the same user is one incident.
const PERIOD: Duration = Duration::from_secs(10);

/// The metrics of all services.
#[derive(Debug, Clone)]
pub struct IncidentsFamily {
    errors: IntCounterVec,
}

impl IncidentsFamily {
    /// Registers them.
    ///
    /// # Errors
    ///
    /// When the name is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let errors = IntCounterVec::new(
            Opts::new(
                "millpond_client_errors_total",
                "Errors of Millpond's own that clients were told, by trouble.",
            ),
            &["service", "trouble"],
        )?;
        registry.register(Box::new(errors.clone()))?;
        Ok(Self { errors })
    }

    /// Those of one service.
    pub fn of(&self, service: &str) -> Incidents {
        // Ids of other processes, and of this one's other services, are others.
        let prefix = fastrand::u32(..);
        Incidents {
            errors: self.errors.clone(),
            service: service.into(),
            open: Arc::new(Mutex::new(Open { prefix, last: 0, incidents: HashMap::new() })),
        }
    }
}

/// The incidents of one service.
#[derive(Debug, Clone)]
pub struct Incidents {
    errors: IntCounterVec,
    service: Arc<str>,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug)]
struct Open {
    prefix: u32,
    last: u32,
    /// By user and trouble.
    incidents: HashMap<(Arc<str>, &'static str), Incident>,
}

#[derive(Debug)]
struct Incident {
    id: String,
    since: Instant,
    /// Errors after the first.
    more: u64,
}

/// Whom an error concerns.
#[derive(Debug, Clone, Copy)]
pub struct Concerned<'a> {
    /// The user; empty before the login.
    pub user: &'a Arc<str>,
    /// The client's number.
    pub client: u32,
}

impl Incidents {
    /// Counts and logs an error; gives it as it is to be told.
    pub fn note<'a>(&self, told: &'a Told, concerned: Concerned<'_>) -> Cow<'a, Told> {
        let Some(trouble) = told.trouble else { return Cow::Borrowed(told) };
        self.errors.with_label_values(&[&*self.service, trouble]).inc();
        let (id, opened) = self.incident(trouble, concerned.user, Instant::now());
        if opened {
            tracing::warn!(
                id,
                trouble,
                service = &*self.service,
                user = &**concerned.user,
                client = concerned.client,
                code = told.code,
                error = &*String::from_utf8_lossy(&told.message),
                cause = told.cause.as_deref(),
                "a client was told an error"
            );
        }
        let mut told = told.clone();
        told.message.to_mut().extend_from_slice(format!(" [{id}]").as_bytes());
        Cow::Owned(told)
    }

    /// The id of the incident that this is part of, and whether it began with it.
    fn incident(&self, trouble: &'static str, user: &Arc<str>, now: Instant) -> (String, bool) {
        let mut over = None;
        let mut open = self.open.lock();
        let key = (user.clone(), trouble);
        if let Some(incident) = open.incidents.get_mut(&key) {
            if !incident.is_over(now) {
                incident.more += 1;
                return (incident.id.clone(), false);
            }
            over = open.incidents.remove(&key);
        }
        open.last = open.last.wrapping_add(1);
        let id = format!("{:08x}-{:x}", open.prefix, open.last);
        open.incidents.insert(key, Incident { id: id.clone(), since: now, more: 0 });
        drop(open);
        if let Some(incident) = over {
            incident.tell();
        }
        (id, true)
    }

    /// Logs how many more errors were told in incidents that are over. To be called about once a
    /// second.
    pub fn close_old(&self, now: Instant) {
        let over: Vec<_> =
            self.open.lock().incidents.extract_if(|_, incident| incident.is_over(now)).collect();
        over.iter().for_each(|(_, incident)| incident.tell());
    }
}

impl Incident {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= PERIOD
    }

    fn tell(&self) {
        if self.more > 0 {
            let (id, times) = (self.id.as_str(), self.more);
            tracing::warn!(id, times, seconds = PERIOD.as_secs(), "clients were told the same");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_trouble_of_a_user_is_one_incident_for_a_while() {
        let incidents = IncidentsFamily::register(&Registry::new()).unwrap().of("orders");
        let (app, batch): (Arc<str>, Arc<str>) = ("app".into(), "batch".into());
        let text = |told: &Told, user| {
            let told = incidents.note(told, Concerned { user, client: 1 }).into_owned();
            String::from_utf8(told.message.into_owned()).unwrap()
        };
        let first = text(&Told::QUEUE_FULL, &app);
        assert!(first.starts_with("Too many clients wait") && first.ends_with(']'), "{first}");
        assert_eq!(text(&Told::QUEUE_FULL, &app), first);
        assert_ne!(text(&Told::QUEUE_FULL, &batch), first);
        assert_ne!(text(&Told::LOST_NOT_RUN, &app), first);
        tokio::time::advance(PERIOD).await;
        assert_ne!(text(&Told::QUEUE_FULL, &app), first);
        tokio::time::advance(PERIOD).await;
        incidents.close_old(Instant::now());
        assert!(incidents.open.lock().incidents.is_empty());
        let told = ["orders", "queue_full"];
        assert_eq!(incidents.errors.with_label_values(&told).get(), 4);
    }

    #[test]
    fn what_a_server_would_say_is_said_in_its_words() {
        let incidents = IncidentsFamily::register(&Registry::new()).unwrap().of("orders");
        let told = Told::no_such_thread(7);
        let noted = incidents.note(&told, Concerned { user: &"app".into(), client: 1 });
        assert_eq!(*noted, told);
    }
}
