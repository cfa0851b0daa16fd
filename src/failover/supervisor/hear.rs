//! What is seen and heard of servers, and what follows from it.

use super::{Rest, Supervisor};
use crate::failover::events::{Cause, Standing, What, differences, writer_change};
use crate::failover::probe::Sight;
use crate::failover::snapshot::{Health, ServerId, Snapshot, Writer};
use crate::failover::suspicion::{Evidence, Suspicion};
use crate::failover::verdict::{Observation, Reason, Transition};
use std::time::Duration;
use tokio::time::Instant;

/// A server that is being set to `read_only` refuses writes before `@@read_only` says so: for so
/// long, its refusal weighs more than its word.
const SETTING_READ_ONLY: Duration = Duration::from_millis(50);

impl Supervisor {
    pub(super) fn sighted(&mut self, server: ServerId, sight: Sight) {
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
            // The one that is may hang, and be succeeded by this one.
            self.ask_all();
        }
        if observation == Observation::Failed {
            self.parts.metrics.failed_probes.inc();
        }
        // The writer was kept until there was another one.
        self.let_go(&after);
        self.publish();
    }

    /// The servers are to be left alone from now on, or watched again.
    pub(super) fn rested(&mut self) {
        let rest = *self.rest.borrow_and_update();
        tracing::info!(service = &*self.parts.service, ?rest, "whether the servers are watched");
        self.parts.metrics.asleep.set(i64::from(rest == Rest::Asleep));
        let what = What::Rest(rest);
        self.parts.events.add(&self.parts.service, self.verdict.snapshot().epoch, what);
    }

    pub(super) fn suspected(&mut self, suspicion: Suspicion) {
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
}
