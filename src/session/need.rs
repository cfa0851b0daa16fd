//! What of a session's belongings must be in place on a connection before a statement runs there.

use super::align::Restore;
use super::effect::found_rows;
use super::inspection::random::RandomState;
use super::model::Session;
use super::pin::{Holds, PinReason};
use super::residue::{
    Capture, Diagnostics, FoundRows, LastInsertId, VariableName, put_variable_name,
};
use super::sequences::{LastValue, MAX_SEQUENCES, SequenceName, SequenceTraces, Trace};
use super::statement::{Access, Action, Analysis, DropScope, Marks, StatementKind};
use super::text::TextTraces;
use crate::wire::capability::Status;
use std::collections::BTreeMap;

/// What former users of a connection left in it, beside the environment.
#[derive(Debug, Clone, Default)]
pub struct Traces {
    /// User variables that exist, with the literal that made them where that is known.
    pub variables: BTreeMap<VariableName, Option<Box<[u8]>>>,
    /// Statements prepared by text.
    pub text_statements: TextTraces,
    /// Last values of sequences.
    pub sequences: SequenceTraces,
    /// `LAST_INSERT_ID()`, where it is known.
    pub last_insert_id: Option<u64>,
    /// `FOUND_ROWS()`, where it is known.
    pub found_rows: Option<u64>,
    /// Whether somebody's warnings are still there.
    pub diagnostics: Leftover,
    /// Whether somebody's `SET TRANSACTION` waits for the next transaction.
    pub next_transaction: Leftover,
    /// Whether `SET ROLE` was ever said: a reset keeps the role.
    pub role: Leftover,
    /// Whether there may be optimizer traces, which MySQL keeps over a reset (measured).
    pub optimizer_traces: Leftover,
    /// How many tables were made since the last reset, as far as statements said so that succeeded.
    pub tables_made: u64,
    /// The same of temporary tables.
    pub temporary_tables_made: u64,
    /// The state of MariaDB's random numbers, when they were last looked at.
    pub random: Option<RandomState>,
}

/// Whether a former user left something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Leftover {
    /// Nothing.
    #[default]
    None,
    /// Something that the next user must not see.
    Present,
}

/// Whether a statement may read anything that belongs to its session.
fn reads_everything(analysis: &Analysis) -> bool {
    analysis.marks.intersects(Marks::OPAQUE | Marks::IMPURE)
}

/// Whether a statement may read the last insert id, which is a variable, too; or whether it may
/// change it and may not: what is on the connection afterwards has to be the session's own either
/// way. (A row with an id of its own gets an OK with that id, and leaves the last insert id.)
fn reads_last_insert_id(analysis: &Analysis) -> bool {
    const MARKS: Marks =
        Marks::LAST_INSERT_ID_READ.union(Marks::LAST_INSERT_ID_SET).union(Marks::SHOW_VARIABLES);
    reads_everything(analysis)
        || analysis.marks.intersects(MARKS)
        || analysis.kind.inserts()
        || analysis.kind == StatementKind::Call
        || analysis.count > 1
}

/// Whether a connection holds a user variable that is not this session's.
fn is_foreign(session: &Session, traces: &Traces, name: &[u8]) -> bool {
    traces.variables.contains_key(name)
        && session.residue.variable(name).is_none()
        && !session.residue.is_on_backend(name)
}

/// Whether a connection holds a value in a user variable that is not this session's.
fn has_foreign_value(session: &Session, traces: &Traces, name: &[u8]) -> bool {
    is_foreign(session, traces, name)
        && traces.variables.get(name).and_then(Option::as_deref) != Some(b"NULL")
}

/// Whether a statement may read what went down with a backend connection.
pub fn reads_lost(session: &Session, analysis: &Analysis) -> bool {
    let residue = &session.residue;
    let marks = analysis.marks;
    let everything = reads_everything(analysis);
    let diagnostics = Marks::SHOW_DIAGNOSTICS | Marks::GET_DIAGNOSTICS;
    (residue.last_insert_id == LastInsertId::Lost
        && (everything || marks.intersects(Marks::LAST_INSERT_ID_READ | Marks::IS_NULL)))
        || (residue.diagnostics == Diagnostics::Lost && marks.intersects(diagnostics))
        || (residue.found_rows == FoundRows::Lost && marks.has(Marks::FOUND_ROWS))
        || (everything && residue.has_lost_variables())
        || has_lost_sequence(session, analysis)
        || analysis.user_variables().iter().any(|variable| {
            variable.access != Access::Write && residue.is_variable_lost(&variable.name)
        })
}

fn has_lost_sequence(session: &Session, analysis: &Analysis) -> bool {
    session.residue.last_values().is_some_and(|values| {
        let lost = |name| values.get(name) == Some(LastValue::Lost);
        analysis.reads_last_values_of().any(lost)
    })
}

/// Whether a connection says last values of others' that this statement would see, or that stored
/// code may ask for from now on.
fn sees_sequences(session: &Session, analysis: &Analysis, traces: &Traces) -> bool {
    (reads_everything(analysis) || analysis.reads_last_values() || analysis.draws_unknown())
        && traces.sequences.has_foreign(session.residue.last_values())
}

/// Whether a connection holds user variables of others, or the like, that this statement would see.
pub fn must_reset(session: &Session, analysis: &Analysis, traces: &Traces) -> bool {
    if sees_sequences(session, analysis, traces) {
        return true;
    }
    let foreign = |name: &[u8]| is_foreign(session, traces, name);
    // What may hold the connection from now on cannot have it reset later.
    let may_hold = analysis.touches_session()
        || analysis.marks.has(Marks::CALL)
        || !session.status.has(Status::AUTOCOMMIT);
    if reads_everything(analysis)
        && traces.text_statements.has_foreign(session.text_statements.as_deref())
    {
        return true;
    }
    if may_hold || reads_everything(analysis) || analysis.marks.has(Marks::SHOW_VARIABLES) {
        return traces.variables.keys().any(|name| foreign(name));
    }
    analysis.user_variables().iter().any(|variable| foreign(&variable.name))
}

/// Adds the statement that puts the session's own variables and last insert id in place, where the
/// client's statement may read them and the connection does not have them.
pub fn put_variables(
    session: &Session,
    analysis: &Analysis,
    traces: &Traces,
    steps: &mut Vec<Restore>,
) {
    let mut sql = Vec::new();
    let everything = reads_everything(analysis);
    if reads_last_insert_id(analysis)
        && let LastInsertId::Known(id) = session.residue.last_insert_id
        && traces.last_insert_id != Some(id)
    {
        sql.extend_from_slice(b"@@SESSION.last_insert_id=");
        sql.extend_from_slice(id.to_string().as_bytes());
    }
    let mut put = |name: &[u8]| {
        let Some(wanted) = session.residue.variable(name) else { return };
        if session.residue.is_on_backend(name) {
            return;
        }
        if traces.variables.get(name).and_then(Option::as_deref) == Some(wanted) {
            return;
        }
        if !sql.is_empty() {
            sql.push(b',');
        }
        put_variable_name(&mut sql, name);
        sql.push(b'=');
        sql.extend_from_slice(wanted);
    };
    if everything {
        session.residue.variable_names().for_each(&mut put);
    } else {
        analysis.user_variables().iter().for_each(|variable| put(&variable.name));
    }
    // A session that holds the connection in a transaction or the like cannot have it reset: what
    // it must not see is emptied. (Where nothing holds, a reset came before.)
    let mut empty = |name: &[u8]| {
        if has_foreign_value(session, traces, name) {
            if !sql.is_empty() {
                sql.push(b',');
            }
            put_variable_name(&mut sql, name);
            sql.extend_from_slice(b"=NULL");
        }
    };
    if everything {
        traces.variables.keys().for_each(|name| empty(name));
    } else {
        analysis.user_variables().iter().for_each(|variable| empty(&variable.name));
    }
    if !sql.is_empty() {
        steps.push(Restore::Query([b"SET ", &sql[..]].concat()));
    }
}

/// Puts the `FOUND_ROWS()` there that the statement has to find.
pub fn put_found_rows(
    session: &Session,
    analysis: &Analysis,
    traces: &Traces,
    steps: &mut Vec<Restore>,
) {
    if let Some(rows) = found_rows_to_put(session, analysis, traces)
        && let Some(question) = found_rows::put(rows)
    {
        steps.push(Restore::Query(question));
    }
}

/// The `FOUND_ROWS()` that the connection has to have, in order that it is known behind the
/// statement.
fn found_rows_to_put(session: &Session, analysis: &Analysis, traces: &Traces) -> Option<u64> {
    match session.residue.found_rows {
        FoundRows::Known(rows) => {
            found_rows::to_put(rows, traces.found_rows, analysis, session.dialect.flavor)
        }
        _ => None,
    }
}

/// Ends a transaction, or what was said of the next one. It neither begins another transaction nor
/// closes the connection, whatever `completion_type` is.
pub const END_TRANSACTION: &[u8] = b"COMMIT AND NO CHAIN NO RELEASE";

/// Adds what the session said of its next transaction behind all other restores, of which each may
/// take it back; and in front of them, the end of what another session said of its own.
pub fn put_next_transaction(session: &Session, traces: &Traces, steps: &mut Vec<Restore>) {
    if holds_next_transaction(session) {
        return;
    }
    if has_foreign_next_transaction(session, traces) {
        steps.insert(0, Restore::Query(END_TRANSACTION.to_vec()));
    }
    let next = session.residue.next_transaction.as_deref();
    if let Some(next) = next
        && !(next.on_backend && steps.is_empty())
    {
        steps.extend(next.each().map(|sql| Restore::Query(sql.to_vec())));
    }
}

/// Whether what its connection has of a transaction, or of the next one, is the session's own.
fn holds_next_transaction(session: &Session) -> bool {
    [PinReason::Transaction, PinReason::Xa, PinReason::NextTransaction]
        .into_iter()
        .any(|reason| session.pins.has(reason))
}

/// Whether the connection has what another session said of its own next transaction.
pub fn has_foreign_next_transaction(session: &Session, traces: &Traces) -> bool {
    let own = session.residue.next_transaction.as_deref().is_some_and(|next| next.on_backend);
    traces.next_transaction == Leftover::Present && !own && !holds_next_transaction(session)
}

/// What the session's connection has of a next transaction.
pub fn next_transaction(session: &Session) -> Leftover {
    match session.residue.next_transaction {
        Some(_) => Leftover::Present,
        None => Leftover::None,
    }
}

/// The restores of [`put_variables`], [`put_found_rows`] and [`put_next_transaction`] have succeeded.
pub fn restored(session: &mut Session, analysis: &Analysis, traces: &mut Traces) {
    if let Some(next) = &mut session.residue.next_transaction {
        next.on_backend = true;
    }
    traces.next_transaction = next_transaction(session);
    if let Some(rows) = found_rows_to_put(session, analysis, traces) {
        traces.found_rows = Some(rows);
    }
    let everything = reads_everything(analysis);
    if reads_last_insert_id(analysis)
        && let LastInsertId::Known(id) = session.residue.last_insert_id
    {
        traces.last_insert_id = Some(id);
    }
    let foreign: Vec<VariableName> = if everything {
        traces.variables.keys().cloned().collect()
    } else {
        analysis.user_variables().iter().map(|variable| variable.name.clone()).collect()
    };
    for name in foreign {
        if has_foreign_value(session, traces, &name) {
            traces.variables.insert(name, Some(b"NULL"[..].into()));
        }
    }
    let names: Vec<VariableName> = if everything {
        session.residue.variable_names().map(Into::into).collect()
    } else {
        analysis.user_variables().iter().map(|variable| variable.name.clone()).collect()
    };
    for name in names {
        if let Some(literal) = session.residue.variable(&name)
            && !session.residue.is_on_backend(&name)
        {
            traces.variables.insert(name, Some(literal.into()));
        }
    }
}

/// The statement has run: variables that it may have assigned are the backend's knowledge now.
pub fn touched(session: &mut Session, analysis: &Analysis, traces: &mut Traces) {
    // For its binary log, MySQL makes a variable that does not exist yet when a statement that
    // changes rows reads it.
    let makes = analysis.kind.changes_rows();
    if !analysis.marks.has(Marks::WRITES_VARIABLES) && !makes {
        return;
    }
    for variable in analysis.user_variables() {
        if variable.access == Access::Write || makes {
            session.residue.variable_touched(&variable.name);
            traces.variables.insert(variable.name.clone(), None);
        }
    }
}

/// The sequences of which this statement may take values, and of which it is not known what the
/// connection says: whether a value was taken would not be known either.
pub fn untold_sequences(
    session: &Session,
    analysis: &Analysis,
    traces: &Traces,
) -> Vec<SequenceName> {
    let values = session.residue.last_values();
    let untold = |name: &&SequenceName| {
        let own = values.and_then(|values| values.get(name));
        traces.sequences.says(name) == Trace::Unknown
            && !matches!(own, Some(LastValue::OnBackend { .. }))
    };
    let asked = if analysis.draws_alone() { None } else { Some(analysis.draws()) };
    asked.into_iter().flatten().filter(untold).take(MAX_SEQUENCES).cloned().collect()
}

/// The statement has run: of these sequences a value was taken, or may have been; `value`, where it
/// was seen.
pub fn drawn(session: &mut Session, analysis: &Analysis, value: Option<i64>, traces: &mut Traces) {
    if analysis.draws_unknown() {
        session.pins.put(PinReason::Sequence, Holds::Yes);
    }
    for name in analysis.draws() {
        let values = session.residue.last_values_mut();
        values.drawn(name, value, &mut traces.sequences);
    }
}

/// The statement has succeeded: of sequences that it dropped, or of whose database, nothing is
/// remembered.
pub fn dropped(session: &mut Session, analysis: &Analysis) {
    let Some(values) = session.residue.last_values_if_any() else { return };
    // Where names are compared without case, they are remembered in lower case.
    let same = |kept: &[u8], name: &[u8]| kept == name || kept == name.to_ascii_lowercase();
    for placed in analysis.actions() {
        match &placed.action {
            Action::DropTables { names, scope: DropScope::All, .. } => values.forget(|kept| {
                names.iter().any(|table| {
                    let database =
                        table.database.as_ref().or(session.environment.database.as_ref());
                    same(&kept.name, &table.name)
                        && database.is_some_and(|database| same(&kept.database, database))
                })
            }),
            Action::DropDatabase(database) => {
                values.forget(|kept| same(&kept.database, database));
            }
            _ => {}
        }
    }
    values.forget(|kept| analysis.drops_sequences().any(|name| name == kept));
}

/// What `capture` asked the connection for is known now, so what the connection has is known, too.
/// Of anything else that the session has, the connection may have somebody else's.
pub fn captured(session: &Session, capture: &Capture, traces: &mut Traces) {
    if capture.asks_last_insert_id()
        && let LastInsertId::Known(id) = session.residue.last_insert_id
    {
        traces.last_insert_id = Some(id);
    }
    for name in capture.variables() {
        match session.residue.variable(name) {
            Some(known) => drop(traces.variables.insert(name.into(), Some(known.into()))),
            // It was never assigned there.
            None => drop(traces.variables.remove(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::server::ServerVersion;
    use crate::session::state::{Baseline, Environment};
    use std::sync::Arc;

    #[test]
    fn a_capture_tells_nothing_of_what_it_did_not_ask_for() {
        let environment = Arc::new(Environment::at_login("utf8mb4", "utf8mb4_general_ci"));
        let version = ServerVersion::parse(b"9.7.0");
        let mut session = Session::new(environment, &version, &Baseline::default());
        // The session knows its last insert id; the connection has another session's.
        session.residue.last_insert_id = LastInsertId::Known(0);
        let mut traces = Traces { last_insert_id: None, ..Traces::default() };
        traces.variables.insert(b"x"[..].into(), None);
        captured(&session, &session.residue.capture(None), &mut traces);
        assert_eq!(traces.last_insert_id, None);
        assert_eq!(traces.variables.get(&b"x"[..]), Some(&None));
    }
}
