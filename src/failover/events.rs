//! What happened to the servers lately: kept in memory, the oldest makes room.

use super::orders::Order;
use super::recovery::Share;
use super::snapshot::{Health, Role, ServerState, Snapshot, Writer};
use super::supervisor::Rest;
use super::suspicion::Evidence;
use super::verdict::Reason;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// Why a server is seen otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It answered a probe.
    Answered,
    /// It did not answer a probe, or not in time.
    ProbeFailed,
    /// The connection of its probe ended.
    ProbeLost,
    /// A statement met this.
    Evidence(Evidence),
}

impl Cause {
    /// The name in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ProbeFailed => "probe_failed",
            Self::ProbeLost => "probe_lost",
            Self::Evidence(evidence) => evidence.name(),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Another server is the writer, or none.
    Writer {
        /// The writer from now on.
        to: Option<Arc<str>>,
        /// Why.
        reason: Reason,
        /// How long there was none.
        without: Duration,
    },
    /// A server has another role.
    Role {
        /// The server.
        server: Arc<str>,
        /// What it was.
        from: Role,
        /// What it is.
        to: Role,
    },
    /// A server answers, or not, or something speaks against it.
    Health {
        /// The server.
        server: Arc<str>,
        /// As it was.
        from: Health,
        /// As it is.
        to: Health,
        /// What changed it.
        cause: Cause,
    },
    /// The servers are left alone from now on, or watched again.
    Rest(Rest),
    /// A server that comes and goes is not read from for a while.
    HeldOut(Arc<str>),
    /// It is read from again.
    LetIn(Arc<str>),
    /// A server belongs to the service from now on.
    Joined(Arc<str>),
    /// A server does not belong to the service any more.
    Left(Arc<str>),
    /// An operator's order stands from now on, or not any more.
    Order {
        /// Which.
        order: Order,
        /// The server that it is about.
        server: Option<Arc<str>>,
        /// What became of it.
        standing: Standing,
    },
}

/// What became of an operator's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It was given.
    Given,
    /// It was lifted.
    Lifted,
    /// Its time was over.
    Expired,
    /// What it waited for has come.
    Fulfilled,
}

impl Standing {
    /// The name in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Lifted => "lifted",
            Self::Expired => "expired",
            Self::Fulfilled => "fulfilled",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Counts all events of this process, from 1.
    pub number: u64,
    /// When.
    pub at: SystemTime,
    /// Of which service.
    pub service: Arc<str>,
    /// The service's epoch after it.
    pub epoch: u64,
    /// What.
    pub what: What,
}

impl What {
    fn json(&self) -> Value {
        match self {
            Self::Writer { to, reason, without } => json!({
                "event": "writer",
                "server": to.as_deref(),
                "reason": reason.name(),
                "without_writer_ms": milliseconds(*without),
            }),
            Self::Role { server, from, to } => json!({
                "event": "role", "server": &**server, "from": from.name(), "to": to.name(),
            }),
            Self::Health { server, from, to, cause } => json!({
                "event": "health", "server": &**server, "from": from.name(), "to": to.name(),
                "reason": cause.name(),
            }),
            Self::Rest(Rest::Asleep) => json!({"event": "asleep"}),
            Self::Rest(Rest::Awake) => json!({"event": "woken"}),
            Self::HeldOut(server) => json!({
                "event": "held_out", "server": &**server, "reason": "flapping",
            }),
            Self::LetIn(server) => json!({"event": "let_in", "server": &**server}),
            Self::Joined(server) => json!({"event": "joined", "server": &**server}),
            Self::Order { order, server, standing } => json!({
                "event": order.name(), "server": server.as_deref(), "reason": standing.name(),
            }),
            Self::Left(server) => json!({"event": "left", "server": &**server}),
        }
    }
}

impl Event {
    /// As `GET /events` shows it.
    pub fn json(&self) -> Value {
        let since = self.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut shown = json!({
            "number": self.number,
            "unix_ms": milliseconds(since),
            "service": &*self.service,
            "epoch": self.epoch,
        });
        if let (Some(shown), Value::Object(what)) = (shown.as_object_mut(), self.what.json()) {
            shown.extend(what);
        }
        shown
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The latest events of all services.
#[derive(Debug)]
pub struct Events {
    kept: Mutex<VecDeque<Event>>,
    most: usize,
    last: watch::Sender<u64>,
}

impl Events {
    /// Room for this many, at least one.
    pub fn new(most: usize) -> Arc<Self> {
        let last = watch::Sender::new(0);
        Arc::new(Self { kept: Mutex::default(), most: most.max(1), last })
    }

    /// Something happens now.
    pub fn add(&self, service: &Arc<str>, epoch: u64, what: What) {
        let mut kept = self.kept.lock();
        if kept.len() >= self.most {
            kept.pop_front();
        }
        let number = *self.last.borrow() + 1;
        let (at, service) = (SystemTime::now(), service.clone());
        kept.push_back(Event { number, at, service, epoch, what });
        self.last.send_replace(number);
    }

    /// Those that are kept and have a higher number, the oldest first.
    pub fn after(&self, number: u64) -> Vec<Event> {
        self.kept.lock().iter().filter(|event| event.number > number).cloned().collect()
    }

    /// The number of the latest event; changes with each.
    pub fn last(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }
}

/// What became different of the servers themselves.
pub(super) fn differences(before: &Snapshot, after: &Snapshot, cause: Cause) -> Vec<What> {
    let name = |server: &ServerState| -> Arc<str> { server.name().into() };
    let mut found = Vec::new();
    for is in &after.servers {
        let Some(was) = before.server(is.id) else { continue };
        if was.health != is.health {
            let (from, to) = (was.health, is.health);
            found.push(What::Health { server: name(is), from, to, cause });
        }
        if was.role != is.role {
            found.push(What::Role { server: name(is), from: was.role, to: is.role });
        }
        match (was.share == Share::NONE, is.share == Share::NONE) {
            (false, true) => found.push(What::HeldOut(name(is))),
            (true, false) => found.push(What::LetIn(name(is))),
            (true, true) | (false, false) => {}
        }
    }
    found
}

/// Which servers came and went.
pub(super) fn membership(before: &Snapshot, after: &Snapshot) -> Vec<What> {
    let only = |all: &Snapshot, others: &Snapshot| -> Vec<Arc<str>> {
        let alone = all.servers.iter().filter(|server| others.server(server.id).is_none());
        alone.map(|server| server.name().into()).collect()
    };
    let left = only(before, after).into_iter().map(What::Left);
    left.chain(only(after, before).into_iter().map(What::Joined)).collect()
}

/// The writer's change, told with how long there was none.
pub(super) fn writer_change(after: &Snapshot, reason: Reason, without: Duration) -> What {
    let to = match after.writer {
        Writer::Confirmed(_) => after.writer().map(|server| server.name().into()),
        Writer::Awaited => None,
    };
    What::Writer { to, reason, without }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Endpoint;
    use crate::failover::orders::Orders;
    use crate::failover::snapshot::ServerId;

    fn server(id: u32, role: Role, health: Health) -> ServerState {
        let port = 3306 + u16::try_from(id).unwrap();
        let endpoint = Arc::new(Endpoint { host: "db".into(), port, zone: None });
        let share = Share::FULL;
        ServerState { id: ServerId(id), endpoint, address: None, role, health, lag: None, share }
    }

    fn snapshot(servers: Vec<ServerState>) -> Snapshot {
        let orders = Orders::default();
        Snapshot { epoch: 1, writer: Writer::Awaited, settled: false, orders, servers }
    }

    #[test]
    fn the_oldest_makes_room_and_numbers_go_on() {
        let events = Events::new(2);
        let last = events.last();
        for name in ["a", "b", "c"] {
            events.add(&"orders".into(), 1, What::Joined(name.into()));
        }
        let kept: Vec<_> = events.after(0).iter().map(|event| event.number).collect();
        assert_eq!(kept, [2, 3]);
        assert_eq!(events.after(2).len(), 1);
        assert_eq!(*last.borrow(), 3);
    }

    #[test]
    fn each_difference_is_told_with_its_cause() {
        let before = snapshot(vec![
            server(0, Role::Writer, Health::Suspect),
            server(1, Role::Reader, Health::Up),
        ]);
        let after = snapshot(vec![
            server(0, Role::Unknown, Health::Down),
            server(2, Role::Unknown, Health::Suspect),
        ]);
        let mut found = membership(&before, &after);
        found.extend(differences(&before, &after, Cause::ProbeFailed));
        let shown: Vec<_> = found.iter().map(|what| what.json().to_string()).collect();
        assert_eq!(
            shown,
            [
                r#"{"event":"left","server":"db:3307"}"#,
                r#"{"event":"joined","server":"db:3308"}"#,
                r#"{"event":"health","from":"suspect","reason":"probe_failed","server":"db:3306","to":"down"}"#,
                r#"{"event":"role","from":"writer","server":"db:3306","to":"unknown"}"#,
            ]
        );
        assert!(differences(&after, &after, Cause::Answered).is_empty());
    }
}
