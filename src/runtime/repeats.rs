//! The same trouble a thousand times is one line and a count: what repeats itself is kept out of
//! the log, and told once in a while.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// How long an event that was logged keeps others like it out.
const PERIOD: Duration = Duration::from_secs(10);
/// How many events of one place in the code, differing in their fields, are logged in that time.
const MOST_OF_A_KIND: u32 = 50;

/// A layer that lets each event through once in ten seconds. It leaves `debug` and `trace` alone:
/// who asks for those wants all of them.
#[derive(Clone, Debug, Default)]
pub struct Repeats(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// Events, by their place in the code and a hash of their fields.
    events: HashMap<(Identifier, u64), Repeated>,
    /// Places in the code.
    kinds: HashMap<Identifier, Kind>,
    /// What is over and was not told yet.
    over: Vec<Repeated>,
}

#[derive(Debug)]
struct Kind {
    events: u32,
    beyond: Repeated,
}

/// What was kept out.
#[derive(Debug)]
struct Repeated {
    since: Instant,
    level: Level,
    message: String,
    times: u64,
}

impl Repeated {
    fn new(level: Level, message: String, since: Instant) -> Self {
        Self { since, level, message, times: 0 }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= PERIOD
    }

    fn tell(self) {
        let (times, event) = (self.times, self.message);
        let seconds = PERIOD.as_secs();
        match self.level {
            Level::ERROR => tracing::error!(times, seconds, event, "repeated"),
            Level::WARN => tracing::warn!(times, seconds, event, "repeated"),
            _ => tracing::info!(times, seconds, event, "repeated"),
        }
    }
}

impl Repeats {
    /// Logs how often events that were kept out happened, as far as their time is over. To be
    /// called about once a second.
    pub fn tell(&self) {
        self.tell_at(Instant::now());
    }

    fn tell_at(&self, now: Instant) {
        let over = {
            let mut seen = self.0.lock();
            let Seen { events, kinds, over } = &mut *seen;
            over.extend(events.extract_if(|_, event| event.is_over(now)).map(|(_, event)| event));
            over.extend(
                kinds.extract_if(|_, kind| kind.beyond.is_over(now)).map(|(_, k)| k.beyond),
            );
            std::mem::take(over)
        };
        // Without the lock: these are events, too.
        over.into_iter().filter(|event| event.times > 0).for_each(Repeated::tell);
    }

    /// Whether an event is to be logged.
    fn admit(&self, place: Identifier, level: Level, looked_at: Looked, now: Instant) -> bool {
        let mut seen = self.0.lock();
        let Seen { events, kinds, over } = &mut *seen;
        let key = (place.clone(), looked_at.hash.finish());
        match events.get_mut(&key) {
            Some(known) if !known.is_over(now) => {
                known.times += 1;
                return false;
            }
            Some(_) => over.extend(events.remove(&key)),
            None => {}
        }
        if kinds.get(&place).is_some_and(|kind| kind.beyond.is_over(now)) {
            over.extend(kinds.remove(&place).map(|kind| kind.beyond));
        }
        let message = looked_at.message;
        let kind = kinds.entry(place).or_insert_with(|| {
            let message = format!("{message} (others of the kind)");
            Kind { events: 0, beyond: Repeated::new(level, message, now) }
        });
        if kind.events >= MOST_OF_A_KIND {
            kind.beyond.times += 1;
            return false;
        }
        kind.events += 1;
        events.insert(key, Repeated::new(level, message, now));
        true
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO || metadata.target() == module_path!() {
            return true;
        }
        let mut looked = Looked::default();
        event.record(&mut looked);
        self.admit(metadata.callsite(), *metadata.level(), looked, Instant::now())
    }
}

/// What an event says.
#[derive(Default)]
struct Looked {
    hash: DefaultHasher,
    message: String,
}

impl Visit for Looked {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        (field.name(), &value).hash(&mut self.hash);
        if field.name() == "message" {
            self.message = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event's identity is its place in the code: this is one.
    fn place() -> Identifier {
        static METADATA: tracing::Metadata<'static> = tracing::metadata! {
            name: "test",
            target: "test",
            level: Level::WARN,
            fields: &[],
            callsite: &CALLSITE,
            kind: tracing::metadata::Kind::EVENT
        };
        static CALLSITE: tracing::callsite::DefaultCallsite =
            tracing::callsite::DefaultCallsite::new(&METADATA);
        METADATA.callsite()
    }

    fn event(repeats: &Repeats, fields: u32, now: Instant) -> bool {
        let mut looked = Looked { message: "trouble".to_owned(), ..Looked::default() };
        fields.hash(&mut looked.hash);
        repeats.admit(place(), Level::WARN, looked, now)
    }

    #[test]
    fn the_same_trouble_a_thousand_times_is_one_line_and_a_count() {
        let (repeats, now) = (Repeats::default(), Instant::now());
        assert!(event(&repeats, 1, now));
        assert!((1..1_000).all(|_| !event(&repeats, 1, now)));
        assert!(event(&repeats, 2, now), "another trouble");
        assert_eq!(repeats.0.lock().events.values().map(|event| event.times).max(), Some(999));
        // When its time is over, it is news again, and what was kept out is told.
        assert!(event(&repeats, 1, now + PERIOD));
        assert_eq!(repeats.0.lock().over.iter().map(|event| event.times).sum::<u64>(), 999);
        repeats.tell_at(now + PERIOD * 3);
        let seen = repeats.0.lock();
        assert!(seen.events.is_empty() && seen.kinds.is_empty() && seen.over.is_empty());
    }

    #[test]
    fn troubles_that_differ_without_end_are_bounded() {
        let (repeats, now) = (Repeats::default(), Instant::now());
        let admitted = (0..1_000).filter(|fields| event(&repeats, *fields, now)).count();
        assert_eq!(admitted, MOST_OF_A_KIND as usize);
        let seen = repeats.0.lock();
        assert_eq!(seen.events.len(), admitted);
        let beyond: u64 = seen.kinds.values().map(|kind| kind.beyond.times).sum();
        assert_eq!(beyond, 950);
    }
}
