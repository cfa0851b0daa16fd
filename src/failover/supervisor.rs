//! Watches the servers of one service and says which one is the writer.

use super::events::{Cause, Events, Standing, What, differences, writer_change};
use super::metrics::FailoverMetrics;
use super::orders::{Command, Commanded, Commands, NotFollowed, Order, Orders};
use super::probe::{Pace, Probe, ProbeSettings, Prober};
use super::snapshot::{ServerId, Snapshot, Writer};
use super::suspicion::{Suspicion, Suspicions};
use super::verdict::{Observation, Reason, Transition, Verdict};
use crate::config::Endpoint;
use crate::runtime::{Law, Tasks};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

/// What a supervisor needs.
#[derive(Debug)]
pub struct SupervisorParts {
    /// The service's name.
    pub service: Arc<str>,
    /// Its servers.
    pub endpoints: Vec<Endpoint>,
    /// How they are asked.
    pub settings: ProbeSettings,
    /// Connects to them.
    pub prober: Arc<dyn Prober>,
    /// What is counted.
    pub metrics: FailoverMetrics,
    /// Where to tell what happens.
    pub events: Arc<Events>,
}

/// Watches the servers of one service.
#[derive(Debug)]
pub struct Supervisor {
    parts: SupervisorParts,
    verdict: Verdict,
    snapshot: watch::Sender<Arc<Snapshot>>,
    suspicions: mpsc::Receiver<Suspicion>,
    orders: Orders,
    commands: mpsc::Receiver<Commanded>,
    /// Since when there is no writer, while there is none.
    without_writer: Option<Instant>,
}

/// What a supervisor is seen by.
#[derive(Debug, Clone)]
pub struct Watched {
    /// What it knows.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Where to report what speaks against a server.
    pub suspicions: Suspicions,
    /// Where operators' orders go.
    pub commands: Commands,
}

impl Supervisor {
    /// A supervisor that knows nothing yet; a lone server is the writer from the start.
    pub fn new(parts: SupervisorParts) -> (Self, Watched) {
        let verdict = Verdict::new(&parts.endpoints);
        let (snapshot, seen) = watch::channel(Arc::new(verdict.snapshot()));
        let (sender, suspicions) = Suspicions::channel();
        let (commander, commands) = Commands::channel();
        let watched = Watched { snapshot: seen, suspicions: sender, commands: commander };
        let without_writer = verdict.snapshot().writer().is_none().then(Instant::now);
        let orders = Orders::default();
        (Self { parts, verdict, snapshot, suspicions, orders, commands, without_writer }, watched)
    }

    /// Watches until the process stops.
    pub async fn run(mut self, tasks: Tasks) {
        let stopping = tasks.stop_signal().clone();
        let (pace, _) = watch::channel(self.wanted_pace());
        let (seen, mut observations) = mpsc::channel(64);
        let mut wishes: Vec<Arc<Notify>> = Vec::new();
        for server in self.verdict.snapshot().servers {
            let at_once = Arc::new(Notify::new());
            wishes.push(at_once.clone());
            let probe = Probe {
                server,
                prober: self.parts.prober.clone(),
                settings: self.parts.settings.clone(),
                pace: pace.subscribe(),
                at_once,
                seen: seen.clone(),
                failures: 0,
            };
            // It ends when nobody listens any more.
            tasks.spawn("probe of a server", Law::Mortal, probe.run());
        }
        self.publish();
        loop {
            let next_end = self.orders.next_end();
            tokio::select! {
                // Reports of statements come in floods: they must not keep anything else waiting.
                biased;
                () = stopping.cancelled() => return,
                Some((command, done)) = self.commands.recv() => {
                    let followed = self.commanded(command);
                    self.publish();
                    // Whoever commanded may not wait for it.
                    let _ = done.send(followed);
                }
                () = at(next_end) => self.expire(),
                Some((server, observation)) = observations.recv() => {
                    let cause = match observation {
                        Observation::Answered(_) => Cause::Answered,
                        Observation::Failed => Cause::ProbeFailed,
                        Observation::Doubted => Cause::ProbeLost,
                    };
                    self.observed(server, observation, cause);
                }
                Some(suspicion) = self.suspicions.recv() => {
                    self.suspected(suspicion);
                    // Others may know more about it already.
                    if !self.verdict.is_settled() {
                        wishes.iter().for_each(|at_once| at_once.notify_one());
                    }
                }
            }
            let wanted = self.wanted_pace();
            pace.send_if_modified(|pace| std::mem::replace(pace, wanted) != wanted);
        }
    }

    /// About a lone server there is nothing to be decided: it is asked for its health only.
    fn wanted_pace(&self) -> Pace {
        let doubt = self.verdict.is_in_doubt() || self.orders.await_successor();
        let alert = doubt && !self.verdict.is_settled();
        if alert { Pace::Alert } else { Pace::Calm }
    }

    fn observed(&mut self, server: ServerId, observation: Observation, cause: Cause) {
        let contested = self.verdict.is_contested();
        let transition = self.verdict.observe(server, observation, Instant::now());
        let before = self.snapshot.borrow().clone();
        let after = self.verdict.snapshot();
        for what in differences(&before, &after, cause) {
            self.parts.events.add(&self.parts.service, after.epoch, what);
        }
        if let Some(transition) = transition {
            self.tell(transition, &after);
            let fulfilled = self.orders.fulfil(after.writer);
            self.tell_orders(fulfilled, Standing::Fulfilled);
        }
        if !contested && self.verdict.is_contested() {
            tracing::warn!(
                service = &*self.parts.service,
                server = server.0,
                "a server claims to be the writer beside the one that is; it is not used"
            );
        }
        if observation == Observation::Failed {
            self.parts.metrics.failed_probes.inc();
        }
        self.publish();
    }

    fn suspected(&mut self, suspicion: Suspicion) {
        self.parts.metrics.suspicions.inc();
        tracing::debug!(
            service = &*self.parts.service, server = suspicion.server.0,
            evidence = ?suspicion.evidence, "a server is in doubt"
        );
        self.observed(suspicion.server, Observation::Doubted, Cause::Evidence(suspicion.evidence));
    }

    fn tell(&mut self, transition: Transition, snapshot: &Snapshot) {
        let Transition { writer, reason } = transition;
        self.parts.metrics.changed(reason);
        let now = Instant::now();
        let without = self.without_writer.map_or(Duration::ZERO, |since| now - since);
        self.without_writer = (writer == Writer::Awaited).then_some(now);
        if reason != Reason::Found {
            self.parts.metrics.without_writer.inc_by(without.as_secs_f64());
        }
        let what = writer_change(snapshot, reason, without);
        self.parts.events.add(&self.parts.service, snapshot.epoch, what);
        let service = &*self.parts.service;
        match snapshot.writer() {
            Some(server) => tracing::info!(
                service, server = %server.endpoint, epoch = snapshot.epoch, reason = reason.name(),
                "the writer is confirmed"
            ),
            None => tracing::warn!(
                service,
                reason = reason.name(),
                "there is no writer; statements wait"
            ),
        }
        debug_assert_eq!(writer == Writer::Awaited, snapshot.writer().is_none());
    }

    /// Follows a command of an operator.
    fn commanded(&mut self, command: Command) -> Result<(), NotFollowed> {
        let (orders, standing) = match command {
            Command::Give(Order::Succeed(id), _)
                if self.verdict.snapshot().writer != Writer::Confirmed(id) =>
            {
                return Err(NotFollowed::NotWriter);
            }
            Command::Give(order, limit) => {
                self.orders.give(order, limit.map(|limit| Instant::now() + limit));
                (vec![order], Standing::Given)
            }
            Command::Lift(order) => {
                (self.orders.lift(|standing, _| standing == order), Standing::Lifted)
            }
            Command::LiftAll(None) => (self.orders.lift(|_, _| true), Standing::Lifted),
            Command::LiftAll(server) => {
                (self.orders.lift(|order, _| order.server() == server), Standing::Lifted)
            }
        };
        self.tell_orders(orders, standing);
        Ok(())
    }

    /// Lifts the orders whose time is over.
    fn expire(&mut self) {
        let now = Instant::now();
        let expired = self.orders.lift(|_, until| until.is_some_and(|until| until <= now));
        self.tell_orders(expired, Standing::Expired);
        self.publish();
    }

    fn tell_orders(&self, orders: Vec<Order>, standing: Standing) {
        let snapshot = self.verdict.snapshot();
        let service = &self.parts.service;
        for order in orders {
            let server = order.server().and_then(|id| snapshot.server(id));
            let server: Option<Arc<str>> = server.map(|s| s.endpoint.to_string().into());
            tracing::warn!(
                service = &**service,
                order = order.name(),
                server = server.as_deref(),
                standing = standing.name(),
                "an operator's order"
            );
            let what = What::Order { order, server, standing };
            self.parts.events.add(service, snapshot.epoch, what);
        }
    }

    /// Has everybody see what is known, if that is news.
    fn publish(&self) {
        let now = Snapshot { orders: self.orders.clone(), ..self.verdict.snapshot() };
        self.parts.metrics.show(&now);
        self.snapshot.send_if_modified(|known| {
            let news = **known != now;
            if news {
                *known = Arc::new(now);
            }
            news
        });
    }
}

/// Waits until then; for ever when there is no such moment.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
