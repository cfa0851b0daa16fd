//! Who belongs to the service, and is therefore asked.

use super::{Supervisor, Watch};
use crate::failover::doubt::Doubt;
use crate::failover::events::{Standing, membership};
use crate::failover::probe::{Pace, Probe};
use crate::failover::snapshot::{ServerState, Snapshot};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

impl Supervisor {
    /// Starts the probe of a server.
    pub(super) fn probe(&mut self, server: ServerState) {
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
            died: false,
        };
        let (mut next, restarts) = (probe, self.parts.metrics.restarts.clone());
        // It ends when nobody listens any more.
        lines.tasks.keep("probe of a server", move || {
            let probe = next.clone();
            if std::mem::replace(&mut next.died, true) {
                restarts.inc();
            }
            probe.run()
        });
        let (pace, doubt) = (Pace::Calm, Doubt::default());
        let watch = Watch { at_once, _over: over.drop_guard(), pace, doubt };
        self.probes.insert(id, watch);
    }

    /// Takes in who belongs to the service now.
    pub(super) fn enrol(&mut self) {
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
    pub(super) fn let_go(&mut self, before: &Snapshot) {
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
}
