//! Which server is the writer: a pure function of what was observed.
//!
//! ```text
//!              the only claimant            it says that it reads, or is down
//!  Awaited ───────────────────▶ Confirmed ────────────────────────────────────▶ Awaited
//!                                  │ the same, and another one has become a writer
//!                                  ▼
//!                              Confirmed(the other), epoch + 1
//! ```
//!
//! A server that claims to write while another one is confirmed is *disputed*: it is not believed
//! until it has once said that it reads. Not so one that joins the service later and claims to
//! write from its first word, and one that the others have elected: that is newer evidence.
//!
//! Servers come and go ([`Verdict::join`], [`Verdict::unlist`]). The confirmed writer is kept when
//! nothing lists it any more, until it fails or a listed server claims to write.

mod reason;
mod words;

pub use reason::Reason;
pub use words::{Answer, Claim, Observation};

use super::orders::Orders;
use super::recovery::{Recovery, RecoverySettings, Share};
use super::roster::Member;
use super::snapshot::{Health, Role, ServerId, ServerState, Snapshot, Writer};
use tokio::time::Instant;

/// A change of the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The writer from now on.
    pub writer: Writer,
    /// Why.
    pub reason: Reason,
}

#[derive(Debug, Clone)]
struct Known {
    state: ServerState,
    /// Its last answer, while it can be reached.
    claim: Option<Claim>,
    /// Since when it claims to write, having said otherwise before.
    became_writer: Option<Instant>,
    /// It claims, or claimed when last heard, to write beside a confirmed writer.
    disputed: bool,
    /// Whether it was ever heard or waited for in vain.
    tried: bool,
    /// It joined when there was, or had been, a writer, and has not answered yet.
    newcomer: bool,
    /// It belongs to the service, by what is known now.
    listed: bool,
    /// How it comes back when it was away.
    recovery: Recovery,
}

/// What is to be thought of a server without rivals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lone {
    /// It is the writer, whatever it says: there can be no other.
    IsWriter,
    /// As of any other server: tomorrow there may be more.
    IsAsked,
}

/// All that is known of a service's servers.
#[derive(Debug, Clone)]
pub struct Verdict {
    servers: Vec<Known>,
    epoch: u64,
    writer: Writer,
    last: Option<ServerId>,
    /// There is one server, and nothing that it says can change that it is the writer.
    settled: bool,
    recovery: RecoverySettings,
}

impl Verdict {
    /// Nothing is known of these servers yet.
    pub fn new(members: impl IntoIterator<Item = (ServerId, Member)>, lone: Lone) -> Self {
        let mut verdict = Self {
            servers: Vec::new(),
            epoch: 0,
            writer: Writer::Awaited,
            last: None,
            settled: false,
            recovery: RecoverySettings::default(),
        };
        for (id, member) in members {
            verdict.join(id, member);
        }
        if let ([only], Lone::IsWriter) = (verdict.servers.as_slice(), lone) {
            verdict.last = Some(only.state.id);
            verdict.writer = Writer::Confirmed(only.state.id);
            (verdict.epoch, verdict.settled) = (1, true);
        }
        verdict
    }

    /// The same, with servers that come back like this.
    pub fn recovering(self, recovery: RecoverySettings) -> Self {
        Self { recovery, ..self }
    }

    /// A server belongs to the service from now on.
    pub fn join(&mut self, id: ServerId, member: Member) {
        self.servers.push(Known {
            state: ServerState {
                id,
                endpoint: member.endpoint,
                address: member.address,
                role: Role::Unknown,
                health: Health::Suspect,
                lag: None,
                share: Share::FULL,
            },
            claim: None,
            became_writer: None,
            disputed: false,
            tried: false,
            newcomer: self.last.is_some(),
            listed: true,
            recovery: Recovery::default(),
        });
    }

    /// A server is not known to belong to the service any more.
    pub fn unlist(&mut self, id: ServerId) {
        for known in self.servers.iter_mut().filter(|known| known.state.id == id) {
            known.listed = false;
        }
    }

    /// A server belongs to the service after all.
    pub fn relist(&mut self, id: ServerId) {
        for known in self.servers.iter_mut().filter(|known| known.state.id == id) {
            known.listed = true;
        }
    }

    /// Forgets the servers that do not belong to the service any more, but not the confirmed
    /// writer. Gives those that it forgot.
    pub fn sweep(&mut self) -> Vec<ServerId> {
        let writer = self.writer;
        let goes = |known: &Known| !known.listed && writer != Writer::Confirmed(known.state.id);
        let gone = self.servers.iter().filter(|k| goes(k)).map(|k| k.state.id).collect();
        self.servers.retain(|known| !goes(known));
        gone
    }

    /// Takes in what was seen of a server at `now`. Gives the change of the writer, if there is one.
    pub fn observe(
        &mut self,
        id: ServerId,
        observation: Observation,
        now: Instant,
    ) -> Option<Transition> {
        let confirmed = self.writer;
        let known = self.servers.iter_mut().find(|known| known.state.id == id)?;
        match observation {
            Observation::Answered(answer) => {
                known.heard(answer, now, confirmed);
            }
            Observation::Failed => {
                if known.claim.take().is_some() {
                    known.recovery.went_down(now, &self.recovery);
                }
                known.state.health = Health::Down;
                known.state.lag = None;
                known.tried = true;
            }
            Observation::Doubted => {
                if known.state.health == Health::Up {
                    known.state.health = Health::Suspect;
                }
            }
        }
        known.state.share = known.recovery.share(now, &self.recovery);
        let transition = self.decide();
        self.name_roles();
        transition
    }

    fn decide(&mut self) -> Option<Transition> {
        if self.settled {
            return None;
        }
        let (to, reason) = self.judge()?;
        if let Writer::Confirmed(id) = to {
            if self.last != Some(id) {
                self.epoch += 1;
            }
            self.last = Some(id);
            for known in &mut self.servers {
                // A rival is not believed until it has said that it reads.
                let claims = known.claim.is_some_and(Claim::is_exclusive);
                known.disputed = known.state.id != id && (known.disputed || claims);
                known.became_writer = None;
            }
        }
        self.writer = to;
        Some(Transition { writer: to, reason })
    }

    /// The writer that the observations speak for, if that is a change.
    fn judge(&self) -> Option<(Writer, Reason)> {
        let Some(last) = self.last else { return self.first() };
        let claimant = self.claimant(last);
        let promoted = |id| (Writer::Confirmed(id), Reason::Promoted);
        let Some(last) = self.servers.iter().find(|known| known.state.id == last) else {
            return claimant.or_else(|| self.ablest(last)).map(promoted);
        };
        if let (Some(id), false) = (claimant, last.listed) {
            return Some((Writer::Confirmed(id), Reason::Moved));
        }
        let id = last.state.id;
        let confirmed = self.writer == Writer::Confirmed(id);
        match (last.state.health, last.claim) {
            (Health::Up, Some(claim)) if claim.is_exclusive() => {
                (!confirmed && !last.disputed).then_some((Writer::Confirmed(id), Reason::Returned))
            }
            // Another one has the better claim.
            (Health::Up, Some(Claim::Able(_))) if claimant.is_some() => claimant.map(promoted),
            (Health::Up, Some(Claim::Able(_))) => {
                (!confirmed).then_some((Writer::Confirmed(id), Reason::Returned))
            }
            // It may only be slow; its answer, or its time, decides.
            (Health::Suspect, _) => None,
            (health, _) => match claimant.or_else(|| self.ablest(id)) {
                Some(successor) => Some(promoted(successor)),
                None if !confirmed => None,
                None if health == Health::Up => Some((Writer::Awaited, Reason::Demoted)),
                None => Some((Writer::Awaited, Reason::Unreachable)),
            },
        }
    }

    /// At the start: the only claimant, or the first one in the order of the configuration once
    /// all others have been asked.
    fn first(&self) -> Option<(Writer, Reason)> {
        if self.servers.iter().any(|known| !known.tried) {
            return None;
        }
        let claims = |known: &&Known| known.claim.is_some_and(Claim::is_exclusive);
        let claimant = self.servers.iter().find(claims).map(|known| known.state.id);
        let found = claimant.or_else(|| self.able().min().map(|(_, id)| id))?;
        Some((Writer::Confirmed(found), Reason::Found))
    }

    /// The one server that has become a writer while the last one was confirmed, or after. One that
    /// has claimed to write all along is nobody's successor.
    fn claimant(&self, last: ServerId) -> Option<ServerId> {
        let claims = |known: &&Known| known.claim.is_some_and(Claim::is_exclusive);
        let mut candidates: Vec<_> = self
            .servers
            .iter()
            .filter(|known| known.state.id != last && !known.disputed && known.listed)
            .filter(|known| claims(known) && known.state.health == Health::Up)
            .map(|known| (known.became_writer, known.state.id))
            .collect();
        candidates.sort();
        match candidates.as_slice() {
            [] => None,
            [(_, only)] => Some(*only),
            // The newest evidence wins; where there is none, nobody does.
            [.., (before, _), (newest, id)] => (newest > before).then_some(*id),
        }
    }

    /// Of those that all could write, the one that is to.
    fn ablest(&self, last: ServerId) -> Option<ServerId> {
        self.able().filter(|(_, id)| *id != last).min().map(|(_, id)| id)
    }

    /// By their ranks; those that come and go come last.
    fn able(&self) -> impl Iterator<Item = ((bool, u32), ServerId)> {
        let fit = |known: &&Known| known.state.health == Health::Up && known.listed;
        self.servers.iter().filter(fit).filter_map(|known| match known.claim {
            Some(Claim::Able(rank)) => {
                Some(((known.state.share == Share::NONE, rank), known.state.id))
            }
            _ => None,
        })
    }

    fn name_roles(&mut self) {
        let settled = self.settled;
        for known in &mut self.servers {
            let is_writer = self.writer == Writer::Confirmed(known.state.id);
            known.state.role = match known.claim {
                _ if is_writer => Role::Writer,
                Some(Claim::Reader | Claim::Able(_)) if !settled => Role::Reader,
                _ => Role::Unknown,
            };
        }
    }

    /// Whether no observation can change anything: a lone server.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether something is not as it should be, so that servers are asked more often.
    pub fn is_in_doubt(&self) -> bool {
        let writer = self.servers.iter().find(|k| self.writer == Writer::Confirmed(k.state.id));
        writer.is_none_or(|known| known.state.health != Health::Up)
    }

    /// Whether a server other than the confirmed writer claims to write.
    pub fn is_contested(&self) -> bool {
        matches!(self.writer, Writer::Confirmed(writer) if self
            .servers
            .iter()
            .any(|known| known.state.id != writer && known.claim.is_some_and(Claim::is_exclusive)))
    }

    /// Everything, as sessions see it where nobody has given orders.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            epoch: self.epoch,
            writer: self.writer,
            orders: Orders::default(),
            settled: self.settled,
            servers: self.servers.iter().map(|known| known.state.clone()).collect(),
        }
    }
}

impl Known {
    fn heard(&mut self, answer: Answer, now: Instant, confirmed: Writer) {
        let before = self.claim;
        self.claim = Some(answer.claim);
        self.state.lag = answer.lag;
        let newcomer = std::mem::take(&mut self.newcomer);
        if newcomer || (self.tried && self.state.health == Health::Down) {
            self.recovery.came_up(now);
        }
        self.tried = true;
        self.state.health = Health::Up;
        let changes = before.is_some_and(|claim| !claim.is_exclusive());
        match answer.claim {
            Claim::Reader | Claim::Able(_) | Claim::Unfit => {
                self.disputed = false;
                self.became_writer = None;
            }
            Claim::Elected => {
                self.disputed = false;
                if !before.is_some_and(Claim::is_exclusive) {
                    self.became_writer = Some(now);
                }
            }
            Claim::Writer if changes || newcomer => self.became_writer = Some(now),
            // It was away, and comes back with a claim while another one is confirmed.
            Claim::Writer => {
                let other = matches!(confirmed, Writer::Confirmed(id) if id != self.state.id);
                self.disputed |= other && self.became_writer.is_none();
            }
        }
    }
}

#[cfg(test)]
mod tests;
