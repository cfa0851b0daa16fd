//! Watches the servers of one service and says which one is the writer.

mod hear;
mod members;
mod obey;

use super::doubt::Doubt;
use super::events::Events;
use super::metrics::FailoverMetrics;
use super::orders::{Commanded, Commands, Orders};
use super::probe::{Pace, ProbeSettings, Prober, Sight};
use super::providers::names::Names;
use super::recovery::RecoverySettings;
use super::roster::{Member, Roster};
use super::snapshot::{ServerId, Snapshot};
use super::suspicion::{Suspicion, Suspicions};
use super::verdict::{Lone, Verdict};
use crate::config::Endpoint;
use crate::runtime::Tasks;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

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

    /// Begins to watch, until the process stops. A supervisor that panics goes on a moment later
    /// with what it knew; until then everybody does.
    pub fn start(self, tasks: &Tasks) -> JoinHandle<()> {
        let (supervisor, tasks) = (Arc::new(Mutex::new(self)), tasks.clone());
        let begin = {
            let tasks = tasks.clone();
            move || {
                let (supervisor, tasks) = (supervisor.clone(), tasks.clone());
                async move { supervisor.lock().await.run(tasks).await }
            }
        };
        tasks.keep("supervisor of servers", begin)
    }

    async fn run(&mut self, tasks: Tasks) {
        if self.lines.is_some() {
            self.parts.metrics.restarts.inc();
            // Those end when nobody has them any more.
            self.probes.clear();
        }
        let stopping = tasks.stop_signal().clone();
        let (pace, _) = watch::channel(self.wanted_pace());
        let (seen, mut sights) = mpsc::channel(64);
        // Whoever looks names up has gone when there is nothing to look up.
        let (found, mut resolved) = mpsc::channel(16);
        if let Some(names) = &self.parts.names {
            for (number, endpoint) in self.parts.endpoints.iter().enumerate() {
                if endpoint.host.parse::<IpAddr>().is_err() {
                    let endpoint = Arc::new(endpoint.clone());
                    let (names, found, pace) = (names.clone(), found.clone(), pace.subscribe());
                    tasks.keep("lookup of a name", move || {
                        names.clone().watch(number, endpoint.clone(), pace.clone(), found.clone())
                    });
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
                    self.ask_all();
                }
            }
            let wanted = self.wanted_pace();
            if let Some(lines) = &self.lines {
                lines.pace.send_if_modified(|pace| std::mem::replace(pace, wanted) != wanted);
            }
        }
    }

    /// Has all servers asked at once what they are.
    fn ask_all(&self) {
        if !self.verdict.is_settled() && *self.rest.borrow() == Rest::Awake {
            self.probes.values().for_each(|probe| probe.at_once.notify_one());
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
