//! Says what puts a session in place, and reads what comes of that.

use super::client::{Client, Stop};
use super::failure::Sent;
use super::repetition::Repetition;
use super::restore::CLEAR;
use super::run::Request;
use super::told::Told;
use crate::backend::dialogue::{Content, Question, Reply};
use crate::session::align::Restore;
use crate::session::need::Leftover;
use crate::session::pin::PinReason;
use crate::session::server::Flavor;
use crate::session::statement::{Marks, StatementKind};
use std::sync::Arc;

/// `ER_XAER_RMFAIL`: the state of a distributed transaction allows no statement.
const XAER_RMFAIL: u16 = 1399;

/// `ER_DBACCESS_DENIED_ERROR`
const DATABASE_ACCESS_DENIED: u16 = 1044;

/// How often a command was sent behind restores that fail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tries {
    /// Once; they are waited for the next time.
    First,
    /// The restores were waited for.
    Later,
}

/// Whether a command does nothing to anything, wherever it runs: another database may have a function of
/// the same name.
fn is_harmless(request: &Request<'_>) -> bool {
    let analysis = request.analysis;
    let begins = analysis.kind == StatementKind::Begin && analysis.count == 1;
    let calls = analysis.marks.has(Marks::FOREIGN_FUNCTION);
    begins || (Repetition::of(request) == Repetition::Harmless && !calls)
}

impl Client {
    /// Whether these restores go out in one write with the command: they have worked before, and
    /// where one of them may fail all the same, what the command does then can be thrown away. It
    /// would run in the database that the connection was in for another session.
    pub(super) fn go_in_front(&mut self, steps: &[Restore], request: &Request<'_>) -> bool {
        let Some(lease) = &mut self.lease else { return false };
        let database = &lease.connection().environment.database;
        // Who looks again at the database that the connection is in stays there, or is nowhere.
        let moves = *database != self.session.environment.database;
        let may_fail = |step: &Restore| match step {
            Restore::InitDb(_) => moves,
            other => other.may_fail(),
        };
        // In a distributed transaction that has come to its end, no statement works.
        !self.session.pins.has(PinReason::Xa)
            && self.pool.proven.all(steps)
            && (is_harmless(request) || !steps.iter().any(may_fail))
    }

    /// A restore failed with this error. Whether the command is run again on another connection.
    fn gives_up_connection(&mut self, code: u16, tries: Tries) -> bool {
        self.pool.proven.forget();
        let Some(lease) = &mut self.lease else { return false };
        // A user of a former login may be there no more.
        let of_former = code == DATABASE_ACCESS_DENIED && lease.is_of_former_login();
        let free = self.session.pins.is_empty() && self.session.residue.is_portable();
        let again = free && (of_former || tries == Tries::First);
        if again {
            self.sever();
            self.run_again(Told::LOST_NOT_RUN, None);
        }
        again
    }

    /// Says restores and waits for their answers: nothing may run behind one that fails.
    pub(super) async fn restore_first(
        &mut self,
        steps: &[Restore],
        sequence: u8,
    ) -> Result<bool, Stop> {
        let Some(lease) = &mut self.lease else { return Ok(false) };
        let questions: Vec<_> = steps.iter().map(Question::from).collect();
        let connection = lease.connection();
        // What will be found behind them is known already.
        let found_rows = connection.traces.found_rows;
        let replies = match connection.ask(&questions).await {
            Ok(replies) => replies,
            Err(error) => {
                tracing::debug!(%error, "session state could not be restored");
                return self.connection_failed(sequence, Sent::Nothing).map(|()| false);
            }
        };
        for reply in replies {
            if let Content::Err(error) = reply.content {
                // The session cannot be put in place: the client is told what the server said,
                // and the half-aligned connection goes.
                let told = Told::passed_on(error);
                if told.code == XAER_RMFAIL {
                    // So says the server to the client's statement, too.
                    self.forget_traces();
                    self.put_error(sequence.wrapping_add(1), &told);
                    return Ok(false);
                }
                if !self.gives_up_connection(told.code, Tries::Later) {
                    self.sever();
                    self.put_error(sequence.wrapping_add(1), &told);
                }
                return Ok(false);
            }
        }
        self.pool.proven.add(steps);
        if let Some(lease) = &mut self.lease {
            lease.connection().traces.found_rows = found_rows;
        }
        self.restored(steps);
        Ok(true)
    }

    /// What the connection has is not known any more.
    fn forget_traces(&mut self) {
        let Some(lease) = &mut self.lease else { return };
        let traces = &mut lease.connection().traces;
        traces.last_insert_id = None;
        traces.variables.values_mut().for_each(|literal| *literal = None);
    }

    /// Reads the answers to restores that were sent in front of the command.
    pub(super) async fn read_restores(
        &mut self,
        steps: &[Restore],
        request: &Request<'_>,
    ) -> Result<bool, Stop> {
        let Some(lease) = &mut self.lease else { return Ok(false) };
        let connection = lease.connection();
        for step in steps {
            match connection.reply(&Question::from(step)).await {
                Ok(Reply { content: Content::Err(error), .. }) => {
                    // The command runs now in a session that is not the client's. Its answer is
                    // worth nothing, and nobody may ever see this connection again.
                    tracing::warn!(code = error.code, "a restore failed that had always worked");
                    let harmless = is_harmless(request);
                    if harmless && self.gives_up_connection(error.code, Tries::First) {
                        return Ok(false);
                    }
                    self.pool.proven.forget();
                    return self.connection_failed(request.sequence, Sent::Perhaps).map(|()| false);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "a backend connection failed");
                    return self.connection_failed(request.sequence, Sent::Perhaps).map(|()| false);
                }
            }
        }
        self.restored(steps);
        Ok(true)
    }

    /// The connection has what the session wants.
    pub(super) fn restored(&mut self, steps: &[Restore]) {
        let Some(lease) = &mut self.lease else { return };
        let connection = lease.connection();
        connection.follow(&self.session.environment, false);
        let entered = steps.iter().rev().find_map(|step| match step {
            Restore::InitDb(database) => Some(database),
            _ => None,
        });
        if self.session.environment.database.is_none()
            && let Some(database) = entered
        {
            Arc::make_mut(&mut connection.environment).database = Some(database.clone());
        }
        if steps.iter().any(|step| matches!(step, Restore::InitDb(_))) {
            connection.entered = self.service.moment();
        }
        let flavor = connection.server.version.flavor;
        let clears = |step: &Restore| match step {
            Restore::Query(sql) => flavor == Flavor::MySql || sql == CLEAR,
            Restore::InitDb(_) | Restore::SetOption(_) => false,
        };
        if steps.iter().any(clears) {
            connection.traces.diagnostics = Leftover::None;
        }
        // Whether the last of them that finds rows finds what is wanted.
        let found = steps.iter().rev().find_map(|step| match step {
            Restore::Query(sql) => sql.starts_with(b"SELECT").then_some(sql != CLEAR),
            Restore::InitDb(_) | Restore::SetOption(_) => None,
        });
        if found == Some(false) {
            connection.traces.found_rows = None;
        }
    }
}
