//! What an execution makes of the types that the server keeps for a statement's parameters, and how
//! another of the server's statements gets the types that executions elsewhere gave it.

use super::client::{Client, Stop};
use super::failure::Sent;
use super::restore::Adopted;
use super::told::Told;
use crate::backend::dialogue::{Content, Question};
use crate::session::need::Leftover;
use crate::session::parameters::{Given, Parameters, Settled, Step};
use crate::session::prepared::{BackendStatements, LongValues, StatementKey};
use crate::session::state::Environment;
use crate::session::statement::{Analysis, Marks};
use crate::wire::command::Execute;
use std::iter;
use std::sync::Arc;

/// Executions behind this compute nothing for any row, unless their own text says how many.
const NO_ROWS: &[u8] = b"SET @@SESSION.sql_select_limit=0";

/// The types of a statement's parameters around one execution.
#[derive(Debug, Default)]
pub(super) struct Typing {
    /// What they depend on before.
    before: Settled,
    /// What they depend on behind it; `None` if that is the same.
    changed: Option<Parameters>,
    /// Whether it makes the same of a statement that was just prepared.
    origin: Origin,
    /// Whether it works only once, so that a statement on which it took place will not do.
    once: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Any statement will do.
    #[default]
    Fresh,
    /// Only one with these types will do.
    Settled,
}

impl Typing {
    fn after(&self) -> &Settled {
        self.changed.as_ref().map_or(&self.before, |parameters| &parameters.settled)
    }

    /// The server's number of the connection's statement that will do for the execution.
    pub(super) fn find(
        &self,
        statements: &mut BackendStatements,
        key: &Arc<StatementKey>,
    ) -> Option<u32> {
        let found = if self.once { None } else { statements.find(key, self.after()) };
        if found.is_some() || self.changed.is_none() {
            return found;
        }
        // The execution makes that of it.
        statements.resettle(key, &self.before, self.after())
    }

    /// Takes in a statement that the execution will make what it has to be.
    pub(super) fn insert(
        &self,
        statements: &mut BackendStatements,
        key: &Arc<StatementKey>,
        id: u32,
    ) {
        statements.insert(key, self.after(), id);
    }

    /// Whether a statement that was just prepared will do.
    pub(super) fn is_fresh(&self) -> bool {
        self.origin == Origin::Fresh
    }
}

impl Client {
    /// What an execution makes of the types of a statement's parameters.
    pub(super) fn typing(
        &mut self,
        id: u32,
        execute: &Execute<'_>,
        types: &[u8],
        long_data: &LongValues,
    ) -> Typing {
        let environment = self.session.environment.clone();
        let Some(statement) = self.session.statements().get_mut(id) else {
            return Typing::default();
        };
        if statement.typed.is_empty() || statement.only.is_some() {
            return Typing::default();
        }
        let Ok(bound) = execute.bound(types, |parameter| long_data.of(parameter)) else {
            // The server will say what is wrong with it.
            return Typing { before: statement.typed.settled.clone(), ..Typing::default() };
        };
        let given: Vec<_> = bound.iter().map(Given::of).collect();
        let now = || statement.key.frozen_otherwise(&environment);
        let before = statement.typed.settled.clone();
        let changed = statement.typed.given(&given, now);
        let once = changed.as_ref().is_some_and(|later| statement.typed.are_once(later));
        let mut typing = Typing { before, changed, origin: Origin::Fresh, once };
        if typing.before.is_some() {
            let fresh = statement.typed.fresh().given(&given, now);
            if fresh.map(|parameters| parameters.settled).unwrap_or_default() != *typing.after() {
                typing.origin = Origin::Settled;
            }
        }
        typing
    }

    /// Gives a statement that was just prepared the types that it has elsewhere, by executions that
    /// find no rows. False where that would do more than that: then there is nothing better than
    /// the statement as it is. `None` when the command is run again.
    pub(super) async fn settle_types(
        &mut self,
        backend_id: u32,
        analysis: &Analysis,
        typing: &Typing,
        first: &Environment,
        sequence: u8,
    ) -> Result<Option<bool>, Stop> {
        let steps = typing.before.as_deref().unwrap_or_default();
        let reads =
            analysis.marks.has(Marks::PURE_READ) && !analysis.marks.has(Marks::LOCKING_READ);
        if !reads || !steps.iter().all(Step::is_repeatable) {
            return Ok(Some(false));
        }
        let mut moved = false;
        for steps in steps.chunk_by(|one, next| one.otherwise() == next.otherwise()) {
            let otherwise = steps.first().and_then(Step::otherwise);
            if moved || otherwise.is_some() {
                let environment = otherwise.map_or(first, |otherwise| &otherwise.whole);
                match self.adopt(environment, sequence).await? {
                    Adopted::Exactly | Adopted::ButDatabase => {}
                    Adopted::Elsewhere => {
                        self.run_again(Told::LOST_NOT_RUN, None);
                        return Ok(None);
                    }
                    Adopted::Not => return Ok(None),
                }
                moved = true;
            }
            match self.give_types(backend_id, steps, sequence).await? {
                Some(true) => {}
                other => return Ok(other),
            }
        }
        Ok(Some(true))
    }

    /// The executions of [`Self::settle_types`] in one environment.
    async fn give_types(
        &mut self,
        backend_id: u32,
        steps: &[Step],
        sequence: u8,
    ) -> Result<Option<bool>, Stop> {
        let Some(lease) = &mut self.lease else { return Ok(None) };
        let connection = lease.connection();
        let executions =
            steps.iter().map(|step| Question::Execute { id: backend_id, given: step.given() });
        let questions: Vec<_> = iter::once(Question::Query(NO_ROWS)).chain(executions).collect();
        let asked = connection.ask(&questions).await;
        if let Ok([limited, ..]) = asked.as_deref()
            && matches!(limited.content, Content::Err(_))
        {
            // In a distributed transaction that has come to its end, no statement works.
            return Ok(Some(false));
        }
        // What is put in front of the client's statement sets it back.
        Arc::make_mut(&mut connection.environment).variables.set("sql_select_limit", b"0");
        connection.traces.diagnostics = Leftover::Present;
        lease.pool().metrics.executions_typed.inc();
        if let Err(error) = asked {
            tracing::debug!(%error, "a statement's types could not be settled");
            return self.connection_failed(sequence, Sent::Nothing).map(|()| None);
        }
        Ok(Some(true))
    }

    /// The execution took place.
    pub(super) fn typed(&mut self, id: u32, typing: Typing) {
        if let Some(changed) = typing.changed
            && let Some(statement) = self.session.statements().get_mut(id)
        {
            statement.typed = changed;
            if statement.is_tied() {
                self.pin_statements();
            }
        }
    }
}
