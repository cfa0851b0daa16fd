//! What a statement needs before it runs, and what it did to the session when it has run.
//!
//! Pure functions over the session's values: the server's trackers are the ground truth, the
//! statement's text tells what trackers do not show.

use super::changes::Changes;
use super::model::Session;
use super::pin::{Holds, LockChange, PinReason, TableName};
use super::residue::{Diagnostics, FoundRows, LastInsertId};
use super::server::Flavor;
use super::state::{Environment, Names, Role};
use super::statement::{Analysis, Details, Marks, StatementKind};
use crate::wire::capability::Status;
use std::sync::Arc;

/// What the reply to a command said, as far as the session is concerned.
#[derive(Debug)]
pub struct Result<'a> {
    /// The error that ended it.
    pub error: Option<u16>,
    /// The status flags sent last, if any OK came.
    pub status: Option<Status>,
    /// Affected rows of the last OK.
    pub affected_rows: u64,
    /// Whether any OK carried an insert id.
    pub inserted_id: bool,
    /// Warnings of the last result.
    pub warnings: u16,
    /// Rows of the last result, if it was a result set.
    pub rows: Option<u64>,
    /// The sum of the trackers.
    pub changes: &'a Changes,
}

/// What else changed beside the session itself: about the connection that ran the statement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OnConnection {
    /// The connection's environment is the session's from now on.
    pub environment: bool,
    /// The connection holds somebody's warnings or errors.
    pub diagnostics: Option<bool>,
    /// The connection's last insert id is not known any more.
    pub last_insert_id: bool,
    /// The role was changed, which a reset does not undo.
    pub role: bool,
    /// Databases, roles or privileges changed: what was proven is not any more.
    pub unproven: bool,
    /// Routines, triggers or views changed.
    pub catalogue: bool,
}

/// Takes in the result of a statement.
pub fn after(
    session: &mut Session,
    analysis: &Analysis,
    result: &Result<'_>,
    flavor: Flavor,
) -> OnConnection {
    let mut on = OnConnection::default();
    if !result.changes.is_empty() {
        on.environment = take_in_changes(session, analysis, result.changes);
    }
    if let Some(status) = result.status {
        session.status = status.without(Status::MORE_RESULTS | Status::SESSION_STATE_CHANGED);
        session.pins.put(PinReason::Transaction, status.has(Status::IN_TRANS).into());
        if result.error.is_none() {
            session.unsettled.after_error = false;
        }
    }
    if result.error.is_some() && !analysis.marks.has(Marks::PURE_READ) {
        session.unsettled.after_error = true;
    }
    if analysis.marks.touches_session() {
        on.environment |= take_in_text(session, analysis, result, flavor, &mut on);
    }
    residue(session, analysis, result, flavor, &mut on);
    on
}

/// The trackers' report. Says whether the environment changed.
fn take_in_changes(session: &mut Session, analysis: &Analysis, changes: &Changes) -> bool {
    for _ in &changes.immovable {
        session.pins.put(PinReason::ImmovableVariable, Holds::Yes);
    }
    if let Some(text) = &changes.characteristics {
        // "SET TRANSACTION …" alone waits for the next transaction.
        let pending = text.starts_with(b"SET TRANSACTION") && !contains(text, b"START TRANSACTION");
        session.pins.put(PinReason::NextTransaction, pending.into());
    }
    if changes.charsets && !analysis.marks.has(Marks::SET_NAMES) {
        session.unsettled.charsets = true;
    }
    if changes.variables.is_empty() && changes.schema.is_none() {
        return false;
    }
    let ignored = analysis.details().map(|d| &d.temporary_settings[..]).unwrap_or_default();
    let environment = Arc::make_mut(&mut session.environment);
    for (name, value) in &changes.variables {
        if !ignored.iter().any(|i| i.eq_ignore_ascii_case(name.as_bytes())) {
            environment.variables.set(name, value);
        }
    }
    if let Some(schema) = &changes.schema {
        environment.database = (!schema.is_empty()).then(|| schema.clone());
    }
    true
}

/// What trackers do not show. Says whether the environment changed.
fn take_in_text(
    session: &mut Session,
    analysis: &Analysis,
    result: &Result<'_>,
    flavor: Flavor,
    on: &mut OnConnection,
) -> bool {
    let marks = analysis.marks;
    let ok = result.error.is_none();
    on.unproven = marks.has(Marks::DROP_DATABASE) || marks.has(Marks::PRIVILEGES);
    on.catalogue = marks.has(Marks::DDL_ROUTINE);
    let pins = &mut session.pins;
    // What may have happened even if the statement failed later.
    for (mark, reason) in [
        (Marks::OPAQUE, PinReason::Opaque),
        (Marks::IMPURE, PinReason::Impure),
        (Marks::SESSION_TRACK, PinReason::SessionTrack),
        (Marks::SET_RESOURCE_GROUP, PinReason::ResourceGroup),
        (Marks::HINT_PIN, PinReason::Hint),
        (Marks::XA, PinReason::Xa),
        (Marks::SPECIAL_VARIABLE, PinReason::ImmovableVariable),
    ] {
        if marks.has(mark) {
            pins.put(reason, Holds::Yes);
        }
    }
    let details = analysis.details();
    if marks.has(Marks::GET_LOCK) {
        pins.user_locks(LockChange::Taken);
    }
    if let Some(details) = details {
        temporary_tables(session, analysis, details, ok);
    }
    let pins = &mut session.pins;
    if !ok {
        return false;
    }
    locks(session, analysis, details);
    transaction_text(session, analysis, result);
    let mut changed = false;
    if marks.has(Marks::SET_NAMES) && analysis.count == 1 {
        changed |= set_names(session, details);
    } else if marks.has(Marks::SET_NAMES) || marks.has(Marks::SET_CHARACTER_SET) {
        session.unsettled.charsets = true;
    }
    if marks.has(Marks::SET_ROLE) {
        on.role = true;
        match flavor {
            Flavor::MySql => {
                let role = details.and_then(|d| d.role.clone());
                let environment = Arc::make_mut(&mut session.environment);
                environment.role = role.map_or(Role::Login, |text| Role::Set(text.into()));
                changed = true;
            }
            // There is no statement that returns to the role of the login.
            Flavor::MariaDb => session.pins.put(PinReason::Role, Holds::Yes),
        }
    }
    changed
}
