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
//! until it has once said that it reads.

use super::orders::Orders;
use super::snapshot::{Health, Role, ServerId, ServerState, Snapshot, Writer};
use crate::config::Endpoint;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a server says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Writer or reader, in its own words.
    pub claim: Claim,
    /// How far it is behind, if it replicates and says so.
    pub lag: Option<Duration>,
}

/// A server's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Claim {
    /// It takes writes.
    Writer,
    /// It only reads.
    Reader,
}

/// What was seen of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// It answered.
    Answered(Answer),
    /// It could not be reached, or did not answer in time.
    Failed,
    /// Something speaks against it; it is being asked.
    Doubted,
}

/// Why the writer is another one now, or none: the text of the log and the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The first one that was found.
    Found,
    /// The former one is the only one that claims to write, again.
    Returned,
    /// It cannot be reached.
    Unreachable,
    /// It says that it only reads.
    Demoted,
    /// It claims to write, and the former one is gone or reads.
    Promoted,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Found, Self::Returned, Self::Unreachable, Self::Demoted, Self::Promoted];

    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Returned => "returned",
            Self::Unreachable => "unreachable",
            Self::Demoted => "demoted",
            Self::Promoted => "promoted",
        }
    }
}

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
}

/// All that is known of a service's servers.
#[derive(Debug, Clone)]
pub struct Verdict {
    servers: Vec<Known>,
    epoch: u64,
    writer: Writer,
    last: Option<ServerId>,
}

impl Verdict {
    /// Nothing is known yet. A lone server is the writer whatever it says: there is no other.
    pub fn new(endpoints: &[Endpoint]) -> Self {
        let servers: Vec<_> = (0..)
            .zip(endpoints)
            .map(|(id, endpoint)| Known {
                state: ServerState {
                    id: ServerId(id),
                    endpoint: Arc::new(endpoint.clone()),
                    address: None,
                    role: Role::Unknown,
                    health: Health::Suspect,
                    lag: None,
                },
                claim: None,
                became_writer: None,
                disputed: false,
                tried: false,
            })
            .collect();
        let lone = (servers.len() == 1).then_some(ServerId(0));
        Self {
            servers,
            epoch: u64::from(lone.is_some()),
            writer: lone.map_or(Writer::Awaited, Writer::Confirmed),
            last: lone,
        }
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
                known.claim = None;
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
        let transition = self.decide();
        self.name_roles();
        transition
    }

    fn decide(&mut self) -> Option<Transition> {
        if self.servers.len() == 1 {
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
                known.disputed =
                    known.state.id != id && (known.disputed || known.claim == Some(Claim::Writer));
                known.became_writer = None;
            }
        }
        self.writer = to;
        Some(Transition { writer: to, reason })
    }

    /// The writer that the observations speak for, if that is a change.
    fn judge(&self) -> Option<(Writer, Reason)> {
        let last = self.last.and_then(|id| self.servers.iter().find(|k| k.state.id == id));
        let Some(last) = last else { return self.first() };
        let confirmed = self.writer == Writer::Confirmed(last.state.id);
        let successor = self.successor(last);
        match (last.state.health, last.claim) {
            (Health::Up, Some(Claim::Writer)) if last.disputed => None,
            (Health::Up, Some(Claim::Writer)) => {
                (!confirmed).then_some((Writer::Confirmed(last.state.id), Reason::Returned))
            }
            // It may only be slow; its answer, or its time, decides.
            (Health::Suspect, _) => None,
            _ if successor.is_some() => {
                successor.map(|id| (Writer::Confirmed(id), Reason::Promoted))
            }
            (Health::Up, _) => confirmed.then_some((Writer::Awaited, Reason::Demoted)),
            (Health::Down, _) => confirmed.then_some((Writer::Awaited, Reason::Unreachable)),
        }
    }

    /// At the start: the only claimant, or the first one in the order of the configuration once
    /// all others have been asked.
    fn first(&self) -> Option<(Writer, Reason)> {
        if self.servers.iter().any(|known| !known.tried) {
            return None;
        }
        let claimant = self.servers.iter().find(|known| known.claim == Some(Claim::Writer))?;
        Some((Writer::Confirmed(claimant.state.id), Reason::Found))
    }

    /// The one server that has become a writer while the last one was confirmed, or after. One that
    /// has claimed to write all along is nobody's successor.
    fn successor(&self, last: &Known) -> Option<ServerId> {
        let mut candidates: Vec<_> = self
            .servers
            .iter()
            .filter(|known| known.state.id != last.state.id && !known.disputed)
            .filter(|known| known.claim == Some(Claim::Writer) && known.state.health == Health::Up)
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

    fn name_roles(&mut self) {
        let lone = self.servers.len() == 1;
        for known in &mut self.servers {
            let is_writer = self.writer == Writer::Confirmed(known.state.id);
            known.state.role = match known.claim {
                _ if is_writer => Role::Writer,
                Some(Claim::Reader) if !lone => Role::Reader,
                _ => Role::Unknown,
            };
        }
    }

    /// Whether no observation can change anything: a lone server.
    pub fn is_settled(&self) -> bool {
        self.servers.len() == 1
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
            .any(|known| known.state.id != writer && known.claim == Some(Claim::Writer)))
    }

    /// Everything, as sessions see it where nobody has given orders.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            epoch: self.epoch,
            writer: self.writer,
            orders: Orders::default(),
            servers: self.servers.iter().map(|known| known.state.clone()).collect(),
        }
    }
}

impl Known {
    fn heard(&mut self, answer: Answer, now: Instant, confirmed: Writer) {
        let before = self.claim;
        self.tried = true;
        self.claim = Some(answer.claim);
        self.state.health = Health::Up;
        self.state.lag = answer.lag;
        match answer.claim {
            Claim::Reader => {
                self.disputed = false;
                self.became_writer = None;
            }
            Claim::Writer if before == Some(Claim::Reader) => self.became_writer = Some(now),
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
