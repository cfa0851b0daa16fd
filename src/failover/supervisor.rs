//! Watches the servers of one service and says which one is the writer.

mod obey;

use super::doubt::Doubt;
use super::events::{Cause, Events, Standing, What, differences, membership, writer_change};
use super::metrics::FailoverMetrics;
use super::orders::{Commanded, Commands, Orders};
use super::probe::{Pace, Probe, ProbeSettings, Prober, Sight};
use super::providers::names::Names;
use super::recovery::RecoverySettings;
use super::roster::{Member, Roster};
use super::snapshot::{Health, ServerId, ServerState, Snapshot, Writer};
use super::suspicion::{Evidence, Suspicion, Suspicions};
use super::verdict::{Lone, Observation, Reason, Transition, Verdict};
use crate::config::Endpoint;
use crate::runtime::{Law, Tasks};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What a supervisor needs.
#[derive(Debug)]
pub struct SupervisorParts {
    /// The service's name.
    pub service: Arc<str>,
    /// Its servers.
    pub endpoints: Vec<Endpoint>,
    /// What is thought of a single one.
    pub lone: Lone,
    /// Looks the endpoints' names up, where each of their addresses is a server of its own.
    pub names: Option<Names>,
    /// How they are asked.
    pub settings: ProbeSettings,
    /// How servers come back that were away.
    pub recovery: RecoverySettings,
    /// Connects to them.
    pub prober: Arc<dyn Prober>,
    /// What is counted.
    pub metrics: FailoverMetrics,
    /// Where to tell what happens.
    pub events: Arc<Events>,
}

/// Whether the servers are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// They are.
    Awake,
    /// They are left alone: nobody needs them, and they may stop. What was known last stands.
    Asleep,
}

/// A server that is being set to `read_only` refuses writes before `@@read_only` says so: for so
/// long, its refusal weighs more than its word.
const SETTING_READ_ONLY: Duration = Duration::from_millis(50);

/// Watches the servers of one service.
#[derive(Debug)]
pub struct Supervisor {
    parts: SupervisorParts,
    roster: Roster,
    verdict: Verdict,
    probes: HashMap<ServerId, Watch>,
    lines: Option<Lines>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    suspicions: mpsc::Receiver<Suspicion>,
    orders: Orders,
    commands: mpsc::Receiver<Commanded>,
    rest: watch::Receiver<Rest>,
    /// Since when there is no writer, while there is none.
    without_writer: Option<Instant>,
}

/// A server's probe, which ends with this.
#[derive(Debug)]
struct Watch {
    at_once: Arc<Notify>,
    _over: DropGuard,
    /// How soon the server itself wants to be asked again.
    pace: Pace,
    doubt: Doubt,
}

/// What tasks need that are started while the supervisor runs.
#[derive(Debug)]
struct Lines {
    tasks: Tasks,
    pace: watch::Sender<Pace>,
    seen: mpsc::Sender<(ServerId, Sight)>,
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
    /// Has the servers watched, or left alone.
    pub rest: watch::Sender<Rest>,
}

impl Supervisor {
    /// A supervisor that knows nothing yet; a lone server is the writer from the start.
    pub fn new(parts: SupervisorParts) -> (Self, Watched) {
        let is_name = |endpoint: &Endpoint| endpoint.host.parse::<IpAddr>().is_err();
        let configured = parts.endpoints.iter().map(|endpoint| match parts.names {
            Some(_) if is_name(endpoint) => Vec::new(),
            _ => vec![Member::at(endpoint.clone())],
        });
        let mut roster = Roster::new(configured.collect());
        let verdict =
            Verdict::new(roster.update().joined, parts.lone).recovering(parts.recovery.clone());
        let (snapshot, seen) = watch::channel(Arc::new(verdict.snapshot()));
        let (sender, suspicions) = Suspicions::channel();
        let (commander, commands) = Commands::channel();
        let (sleeper, rest) = watch::channel(Rest::Awake);
        let watched =
            Watched { snapshot: seen, suspicions: sender, commands: commander, rest: sleeper };
        let without_writer = verdict.snapshot().writer().is_none().then(Instant::now);
        let orders = Orders::default();
        let (probes, lines) = (HashMap::new(), None);
        let supervisor = Self {
            parts,
            roster,
            verdict,
            probes,
            lines,
            snapshot,
            suspicions,
            orders,
            commands,
            rest,
            without_writer,
        };
        (supervisor, watched)
    }

    /// Watches until the process stops.
    pub async fn run(mut self, tasks: Tasks) {
        let stopping = tasks.stop_signal().clone();
        let (pace, _) = watch::channel(self.wanted_pace());
        let (seen, mut sights) = mpsc::channel(64);
        // Whoever looks names up has gone when there is nothing to look up.
        let (found, mut resolved) = mpsc::channel(16);
        if let Some(names) = &self.parts.names {
            for (number, endpoint) in self.parts.endpoints.iter().enumerate() {
                if endpoint.host.parse::<IpAddr>().is_err() {
                    let endpoint = Arc::new(endpoint.clone());
                    let watch =
                        names.clone().watch(number, endpoint, pace.subscribe(), found.clone());
                    tasks.spawn("lookup of a name", Law::Mortal, watch);
                }
            }
        }
        self.lines = Some(Lines { tasks, pace, seen });
        for server in self.verdict.snapshot().servers {
            self.probe(server);
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
                // Whoever could change it has gone when this fails.
                Ok(()) = self.rest.changed() => self.rested(),
                Some((server, sight)) = sights.recv() => self.sighted(server, sight),
                Some((number, members)) = resolved.recv() => {
                    self.roster.resolved(number, members);
                    self.enrol();
                }
                Some(suspicion) = self.suspicions.recv() => {
                    self.suspected(suspicion);
                    // Others may know more about it already.
                    if !self.verdict.is_settled() && *self.rest.borrow() == Rest::Awake {
                        self.probes.values().for_each(|probe| probe.at_once.notify_one());
                    }
                }
            }
            let wanted = self.wanted_pace();
            if let Some(lines) = &self.lines {
                lines.pace.send_if_modified(|pace| std::mem::replace(pace, wanted) != wanted);
            }
        }
    }

    /// Starts the probe of a server.
    fn probe(&mut self, server: ServerState) {
        let Some(lines) = &self.lines else { return };
        let at_once = Arc::new(Notify::new());
        let over = CancellationToken::new();
        let id = server.id;
        let probe = Probe {
            server,
            prober: self.parts.prober.clone(),
            settings: self.parts.settings.clone(),
            pace: lines.pace.subscribe(),
            at_once: at_once.clone(),
            over: over.clone(),
            seen: lines.seen.clone(),
            failures: 0,
        };
        // It ends when nobody listens any more.
        lines.tasks.spawn("probe of a server", Law::Mortal, probe.run());
        let (pace, doubt) = (Pace::Calm, Doubt::default());
        let watch = Watch { at_once, _over: over.drop_guard(), pace, doubt };
        self.probes.insert(id, watch);
    }

    /// Takes in who belongs to the service now.
    fn enrol(&mut self) {
        let before = self.snapshot.borrow().clone();
        let changes = self.roster.update();
        for id in changes.listed {
            self.verdict.relist(id);
        }
        for id in changes.unlisted {
            self.verdict.unlist(id);
        }
        for (id, member) in changes.joined {
            self.verdict.join(id, member);
            if let Some(server) = self.verdict.snapshot().server(id) {
                tracing::info!(
                    service = &*self.parts.service,
                    server = server.name(),
                    "a server joins"
                );
                self.probe(server.clone());
            }
        }
        self.let_go(&before);
        self.publish();
    }

    /// Gives up the servers that do not belong to the service any more.
    fn let_go(&mut self, before: &Snapshot) {
        for id in self.verdict.sweep() {
            self.roster.forget(id);
            self.probes.remove(&id);
            let over = self.orders.lift(|order, _| order.server() == Some(id));
            self.tell_orders(over, Standing::Lifted);
            if let Some(server) = before.server(id) {
                self.parts.metrics.forget(server);
                tracing::info!(
                    service = &*self.parts.service,
                    server = server.name(),
                    "a server is let go"
                );
            }
        }
        let after = self.verdict.snapshot();
        for what in membership(before, &after) {
            self.parts.events.add(&self.parts.service, after.epoch, what);
        }
    }

    fn sighted(&mut self, server: ServerId, sight: Sight) {
        match sight {
            Sight::Answered(finding, asked) => {
                if let Some(watch) = self.probes.get_mut(&server) {
                    watch.pace = finding.pace;
                }
                let writer = self.verdict.snapshot().writer;
                let answer = self.roster.heard(server, finding, writer);
                self.enrol();
                let watch = self.probes.get_mut(&server);
                let heard = watch.is_some_and(|watch| watch.doubt.answered(asked));
                if heard || !answer.claim.is_writing() {
                    self.observed(server, Observation::Answered(answer), Cause::Answered);
                }
            }
            Sight::Failed => {
                self.roster.failed(server);
                self.observed(server, Observation::Failed, Cause::ProbeFailed);
            }
            Sight::Lost => self.doubted(server, Cause::ProbeLost, Duration::ZERO),
        }
    }

    /// About a lone server there is nothing to be decided: it is asked for its health only.
    fn wanted_pace(&self) -> Pace {
        if *self.rest.borrow() == Rest::Asleep {
            return Pace::Asleep;
        }
        let doubt = self.verdict.is_in_doubt() || self.orders.await_successor();
        let urgent = self.probes.values().any(|probe| probe.pace == Pace::Alert);
        let alert = (doubt || urgent) && !self.verdict.is_settled();
        if alert { Pace::Alert } else { Pace::Calm }
    }

    fn observed(&mut self, server: ServerId, observation: Observation, cause: Cause) {
        let contested = self.verdict.is_contested();
        let transition = self.verdict.observe(server, observation, Instant::now());
        let before = self.snapshot.borrow().clone();
        let after = self.verdict.snapshot();
        for what in differences(&before, &after, cause) {
            if let What::Health { server, to: Health::Down, .. } = &what {
                self.parts.metrics.went_down(server);
            }
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
        // The writer was kept until there was another one.
        self.let_go(&after);
        self.publish();
    }

    /// The servers are to be left alone from now on, or watched again.
    fn rested(&mut self) {
        let rest = *self.rest.borrow_and_update();
        tracing::info!(service = &*self.parts.service, ?rest, "whether the servers are watched");
        self.parts.metrics.asleep.set(i64::from(rest == Rest::Asleep));
        let what = What::Rest(rest);
        self.parts.events.add(&self.parts.service, self.verdict.snapshot().epoch, what);
    }

    fn suspected(&mut self, suspicion: Suspicion) {
        self.parts.metrics.suspicions.inc();
        tracing::debug!(
            service = &*self.parts.service, server = suspicion.server.0,
            evidence = ?suspicion.evidence, "a server is in doubt"
        );
        let weight = match suspicion.evidence {
            Evidence::ReadOnly => SETTING_READ_ONLY,
            Evidence::ConnectFailed | Evidence::ConnectionLost | Evidence::Timeout => {
                Duration::ZERO
            }
        };
        self.doubted(suspicion.server, Cause::Evidence(suspicion.evidence), weight);
    }

    /// Something speaks against a server, for so long whatever it says.
    fn doubted(&mut self, server: ServerId, cause: Cause, weight: Duration) {
        if let Some(watch) = self.probes.get_mut(&server) {
            watch.doubt.raise(Instant::now() + weight);
        }
        self.observed(server, Observation::Doubted, cause);
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
                service,
                server = server.name(),
                epoch = snapshot.epoch,
                reason = reason.name(),
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
