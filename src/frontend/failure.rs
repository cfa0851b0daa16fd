//! What becomes of a command whose backend connection failed: it is run again where that is
//! provably right, otherwise the client is told what is known.

use super::client::{Client, Stop};
use super::repetition::{Repetition, Undone};
use super::reply::Withhold;

use super::told::Told;
use crate::backend::server::ServerId;
use crate::config::{LostStatement, Retry};
use crate::failover::snapshot::Health;
use crate::failover::suspicion::Evidence;
use crate::router::{Access, Route};
use crate::session::need::Leftover;
use crate::session::pin::{Holds, PinReason};

use crate::wire::exchange::ReplyShape;
use std::time::Duration;
use tokio::time::Instant;

/// The first pause between two attempts after the second one; doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// How long it may take until it is known whether a server is gone, or just one connection to it:
/// usually a few milliseconds, but a server that hangs has to be waited for.
const JUDGMENT: Duration = Duration::from_millis(1_500);

/// How much of a command may have reached the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Nothing of it.
    Nothing,
    /// All of it, for all that is known, and the client has seen nothing of an answer.
    Unanswered,
    /// All of it, for all that is known.
    Perhaps,
}

/// A command that is to be run again.
#[derive(Debug)]
pub struct Again {
    /// Until when it is worth trying.
    deadline: Instant,
    /// How long to wait before the next attempt.
    pause: Duration,
    /// What the client is told when that does not help.
    told: Told,
    /// Whether the last attempt failed.
    pending: bool,
    /// It is only run again if this server is not the right one any more.
    after: Option<ServerId>,
}

impl Client {
    /// The backend connection failed: the command is run again, or the client is told whether it
    /// may have run.
    pub(super) fn connection_failed(&mut self, sequence: u8, sent: Sent) -> Result<(), Stop> {
        let server = self.lease.as_ref().map(|lease| lease.pool().key().server);
        if let Some(server) = server {
            self.service.topology.report(server, Evidence::ConnectionLost);
        }
        self.lost(sequence, sent)
    }

    /// The session's connection is one to a server that was given up: nothing is sent there.
    pub(super) fn fenced(&mut self, sequence: u8) -> Result<(), Stop> {
        self.service.metrics.disturbances.fenced.inc();
        self.lost(sequence, Sent::Nothing)
    }

    /// The backend connection is gone: the command is run again, or the client is told.
    pub(super) fn lost(&mut self, sequence: u8, sent: Sent) -> Result<(), Stop> {
        let server = self.lease.as_ref().map(|lease| lease.pool().key().server);
        if let Some(lease) = self.lease.take() {
            lease.discard();
        }
        self.entry.handle().gives();
        self.severed = false;
        let state_lost = self.session.pins.beyond_transaction();
        if state_lost && self.has_released_unseen() {
            return Err(Stop::Released);
        }
        let in_transaction = self.session.pins.in_transaction();
        self.session.residue.lost();
        if in_transaction && !state_lost && self.has_its_wish() {
            // There is nothing left to be rolled back; a server says what it says then.
            self.forget_transaction();
            self.run_again(Told::LOST_TRANSACTION, None);
            return Ok(());
        }
        let undone = in_transaction && self.undone != Undone::Unknown;
        let known = |told: Told| match self.service.limits().lost_statement {
            // Who is thrown out cannot try the transaction again.
            LostStatement::Deadlock if !state_lost => told.as_deadlock(),
            _ => told,
        };
        self.session.pins.put(PinReason::PoolMode, Holds::No);
        let told = match (sent, state_lost, in_transaction) {
            (Sent::Perhaps | Sent::Unanswered, _, _) if undone => known(Told::LOST_UNDONE),
            (Sent::Perhaps | Sent::Unanswered, _, _) => Told::LOST_UNKNOWN,
            (Sent::Nothing, true, _) => Told::LOST_STATE,
            (Sent::Nothing, false, true) => known(Told::LOST_TRANSACTION),
            (Sent::Nothing, false, false) => known(Told::LOST_NOT_RUN),
        };
        if !state_lost && !in_transaction && self.may_run_again(sent) {
            let after = server.filter(|_| sent == Sent::Unanswered);
            self.run_again(told, after);
            return Ok(());
        }
        let disturbances = &self.service.metrics.disturbances;
        match sent {
            Sent::Nothing => disturbances.not_run.inc(),
            Sent::Unanswered | Sent::Perhaps if undone => disturbances.undone.inc(),
            Sent::Unanswered | Sent::Perhaps => disturbances.unknown.inc(),
        }
        self.put_error(sequence.wrapping_add(1), &told);
        if state_lost {
            return Err(Stop::StateLost);
        }
        if in_transaction {
            self.forget_transaction();
        }
        Ok(())
    }

    /// Whether the command under way is a `ROLLBACK` that is done with the end of the connection. Not
    /// where another transaction is to follow that inherits something.
    fn has_its_wish(&self) -> bool {
        let chains = self.session.environment.variables.get("completion_type").is_some();
        self.undone == Undone::AsWished && !chains
    }

    /// Which refusal is kept from the client: to prepare one statement more, where Millpond keeps some
    /// that no client may need; to write, because the server only reads, where another may do it.
    pub(super) fn withholds(&mut self, shape: ReplyShape) -> Withhold {
        let free = self.session.pins.is_empty() && self.access == Access::Write;
        let or_read_only = free && self.service.topology.has_choice();
        if shape == ReplyShape::Prepare
            && let Some(lease) = &mut self.lease
            && !lease.connection().statements.is_empty()
        {
            Withhold::Statements { or_read_only }
        } else if or_read_only {
            Withhold::ReadOnly
        } else {
            Withhold::Nothing
        }
    }

    /// The server has become a reader: the statement, which it did not run, goes to the writer.
    pub(super) fn refused_by_reader(&mut self, error: Told) {
        if let Some(lease) = &mut self.lease {
            lease.connection().traces.diagnostics = Leftover::Present;
            let server = lease.pool().key().server;
            self.service.topology.report(server, Evidence::ReadOnly);
        }
        crate::session::effect::forget_diagnostics(&mut self.session);
        self.run_again(error, None);
    }

    /// The server has no room for a statement more: it gets rid of those that have been used least on
    /// this connection, as often as there are any.
    pub(super) fn refused_for_statements(&mut self, error: Told) {
        if let Some(lease) = &mut self.lease {
            let connection = lease.connection();
            connection.traces.diagnostics = Leftover::Present;
            connection.statements.shed_half();
        }
        crate::session::effect::forget_diagnostics(&mut self.session);
        self.run_again(error, None);
    }

    /// Whether the command is one that is to be prepared and had no room: MySQL adds each such refusal
    /// to the warnings that there are (measured).
    pub(super) fn is_crowded_out(&self) -> bool {
        self.again.as_ref().is_some_and(|again| again.told.code == Told::TOO_MANY_STATEMENTS)
    }

    /// The server has become a reader in the middle of a transaction, or of several statements: that
    /// is the client's to hear, but only once it is known where it is to go next, so that it does
    /// not begin the next transaction here.
    pub(super) async fn refused_to_client(&mut self, server: ServerId) -> Result<(), Stop> {
        if self.access == Access::Write && self.service.topology.has_choice() {
            self.service.topology.report(server, Evidence::ReadOnly);
            self.is_given_up(server).await?;
        }
        Ok(())
    }

    fn may_run_again(&self, sent: Sent) -> bool {
        match sent {
            Sent::Nothing => true,
            // Only once: the statement itself may be what brings servers down.
            Sent::Unanswered => {
                self.service.limits().retry == Retry::Safe
                    && self.repetition == Repetition::Harmless
                    && self.service.topology.has_choice()
                    && self.again.is_none()
            }
            Sent::Perhaps => false,
        }
    }

    /// Has the present command run again, but only if this server is given up where one is named;
    /// `told` is what the client hears if that fails, too.
    pub(super) fn run_again(&mut self, told: Told, after: Option<ServerId>) {
        let limit = self.service.limits().borrow_timeout;
        match &mut self.again {
            Some(again) => {
                again.pending = true;
                again.told = told;
                again.after = after;
            }
            None => {
                let deadline = Instant::now() + limit;
                let pause = Duration::ZERO;
                let again = Again { deadline, pause, told, pending: true, after };
                self.again = Some(Box::new(again));
            }
        }
    }

    /// Waits until it is known whether a server is still the right one: the supervisor, which has
    /// been told that a connection broke, asks it.
    async fn is_given_up(&mut self, server: ServerId) -> Result<bool, Stop> {
        let deadline = Instant::now() + JUDGMENT;
        let mut asked = false;
        while self.service.route(self.access, server) == Route::To(server) {
            let snapshot = self.service.topology.snapshot();
            match snapshot.server(server).map(|server| server.health) {
                Some(Health::Suspect) => asked = true,
                Some(Health::Up) if asked => return Ok(false),
                _ => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            self.pause(left).await?;
        }
        Ok(true)
    }

    /// Whether the present command is to be run again.
    pub(super) fn is_unfinished(&self) -> bool {
        self.again.as_ref().is_some_and(|again| again.pending)
    }

    /// After an attempt: whether there is to be another one, after a wait that ends early when the
    /// servers are seen otherwise.
    pub(super) async fn tries_again(&mut self, sequence: u8) -> Result<bool, Stop> {
        let Some(again) = &mut self.again else { return Ok(false) };
        if !again.pending {
            self.again = None;
            return Ok(false);
        }
        let (late, told) = (Instant::now() + again.pause >= again.deadline, again.told.clone());
        again.pending = false;
        let pause = again.pause;
        again.pause = (pause * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
        let after = again.after.take();
        let in_vain = match after {
            // Somebody ended that one connection, or the statement: that is the client's answer.
            Some(server) => !self.is_given_up(server).await?,
            None => late,
        };
        if in_vain {
            self.again = None;
            let disturbances = &self.service.metrics.disturbances;
            let outcome =
                if after.is_some() { &disturbances.unknown } else { &disturbances.not_run };
            outcome.inc();
            self.put_error(sequence.wrapping_add(1), &told);
            return Ok(false);
        }
        self.service.metrics.disturbances.retried.inc();
        if !pause.is_zero() {
            self.pause(pause).await?;
        }
        Ok(true)
    }
}
