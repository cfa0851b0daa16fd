//! What becomes of a command whose backend connection failed: it is run again where that is
//! provably right, otherwise the client is told what is known.

use super::client::{Client, Stop};
use super::reply::Withhold;
use super::run::Request;
use super::told::Told;
use crate::backend::server::ServerId;
use crate::config::{LostStatement, Retry};
use crate::failover::snapshot::Health;
use crate::failover::suspicion::Evidence;
use crate::router::{Access, Route};
use crate::session::need::Leftover;
use crate::session::pin::{Holds, PinReason};
use crate::session::statement::{Action, AfterEnd, Analysis, Marks, Placed, StatementKind};
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

/// What a repetition of the command that is under way would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Repetition {
    /// Nothing but what the first run did: it only reads.
    Harmless,
    /// Perhaps something a second time.
    #[default]
    Harmful,
}

impl Repetition {
    /// Of this command.
    pub(super) fn of(request: &Request<'_>) -> Self {
        let only_reads = |analysis: &Analysis| {
            analysis.count == 1
                && analysis.kind.is_read()
                && analysis.marks.has(Marks::PURE_READ)
                && !analysis.touches_session()
        };
        match request.shape {
            ReplyShape::Prepare | ReplyShape::FieldList | ReplyShape::Statistics => Self::Harmless,
            ReplyShape::Query | ReplyShape::Execute if only_reads(request.analysis) => {
                Self::Harmless
            }
            _ => Self::Harmful,
        }
    }
}

/// What becomes of the command that is under way when its connection ends in the middle of an open
/// transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Undone {
    /// It is rolled back with everything else: nobody can commit it any more.
    WithTransaction,
    /// It is the `ROLLBACK` itself: what it asked for has happened.
    AsWished,
    /// It may itself have ended the transaction.
    #[default]
    Unknown,
}

impl Undone {
    /// Of this command. Only what can neither commit nor reach beyond the transaction is sure to be
    /// undone; tables without transactions are left out of account, as they are by the server's own
    /// rollback.
    pub(super) fn of(analysis: &Analysis) -> Self {
        use StatementKind as Kind;
        const BEYOND: Marks = Marks::ENDS_TRANSACTION
            .union(Marks::BEGINS_TRANSACTION)
            .union(Marks::OPAQUE)
            .union(Marks::UNCERTAIN)
            .union(Marks::CALL)
            .union(Marks::XA)
            .union(Marks::TEXT_EXECUTE)
            .union(Marks::EXECUTE_IMMEDIATE)
            .union(Marks::SET_STATEMENT)
            .union(Marks::SET_GLOBAL)
            .union(Marks::BACKEND_LOCAL_WRITE);
        match rolls_back(analysis) {
            Some(AfterEnd::Default | AfterEnd::NoChain | AfterEnd::NoRelease) => {
                return Self::AsWished;
            }
            Some(AfterEnd::Chain | AfterEnd::ChainNoRelease) => return Self::WithTransaction,
            Some(AfterEnd::Release) | None => {}
        }
        let rows = analysis.kind.changes_rows() || matches!(analysis.kind, Kind::Select);
        if rows && analysis.count == 1 && !analysis.marks.intersects(BEYOND) {
            Self::WithTransaction
        } else {
            Self::Unknown
        }
    }
}

/// What is to follow a text that is a `ROLLBACK` of the whole transaction and no more.
fn rolls_back(analysis: &Analysis) -> Option<AfterEnd> {
    const MORE: Marks = Marks::OPAQUE.union(Marks::UNCERTAIN);
    let then = match analysis.actions() {
        // The word alone has no particulars.
        [] if analysis.marks.has(Marks::ENDS_TRANSACTION) => AfterEnd::Default,
        [Placed { action: Action::EndTransaction { then }, .. }] => *then,
        _ => return None,
    };
    let only = analysis.kind == StatementKind::Rollback
        && analysis.count == 1
        && !analysis.marks.intersects(MORE);
    only.then_some(then)
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

    /// Whether a server's refusal to write, because it only reads, is kept from the client: another
    /// server may do it.
    pub(super) fn withholds(&self) -> Withhold {
        let free = self.session.pins.is_empty() && self.access == Access::Write;
        if free && self.service.topology.has_choice() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::catalogue::Catalogue;
    use crate::session::server::ServerVersion;
    use crate::session::statement::{Dialect, analyze};

    fn undone(sql: &str) -> Undone {
        let dialect = Dialect::new(&ServerVersion::parse(b"8.4.3"), b"", "utf8mb4");
        Undone::of(&analyze(sql.as_bytes(), &dialect, &Catalogue::default()))
    }

    #[test]
    fn a_rollback_has_what_it_wants_when_its_connection_ends() {
        for sql in
            ["ROLLBACK", "rollback work", "ROLLBACK AND NO CHAIN NO RELEASE", "/* a */ ROLLBACK"]
        {
            assert_eq!(undone(sql), Undone::AsWished, "{sql}");
        }
    }

    #[test]
    fn only_what_cannot_commit_is_sure_to_be_undone() {
        for sql in [
            "INSERT INTO t VALUES (1)",
            "update t set a = 1",
            "DELETE FROM t",
            "REPLACE INTO t VALUES (1)",
            "SELECT * FROM t FOR UPDATE",
            "ROLLBACK AND CHAIN",
        ] {
            assert_eq!(undone(sql), Undone::WithTransaction, "{sql}");
        }
        for sql in [
            "COMMIT",
            "commit and chain",
            "ROLLBACK RELEASE",
            "ROLLBACK TO SAVEPOINT a",
            "ROLLBACK; COMMIT",
            "BEGIN",
            "SET autocommit = 1",
            "CREATE TABLE t (a INT)",
            "TRUNCATE t",
            "CALL p()",
            "EXECUTE s",
            "XA END 'a'",
            "INSERT INTO t VALUES (1); COMMIT",
            "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)",
            "",
        ] {
            assert_eq!(undone(sql), Undone::Unknown, "{sql}");
        }
    }
}
