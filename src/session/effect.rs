//! What a statement needs before it runs, and what it did to the session when it has run.
//!
//! Pure functions over the session's values: the server's trackers are the ground truth, the
//! statement's text tells what trackers do not show.

mod action;
mod diagnostics;
pub mod found_rows;
pub use self::diagnostics::RESIGNAL_WITHOUT_ACTIVE_HANDLER;
mod metadata;

use super::changes::Changes;
use super::model::Session;
use super::pin::{Holds, PinReason, Pins};
use super::residue::{Counts, Diagnostics, LastError, NextTransaction};
use super::server::Flavor;
use super::statement::{Action, Analysis, Marks, StatementKind};
use crate::wire::capability::Status;
use std::sync::Arc;

/// `ER_PARSE_ERROR`: nothing was looked at.
const PARSE_ERROR: u16 = 1064;

/// What the reply to a command said, as far as the session is concerned.
#[derive(Debug)]
pub struct Result<'a> {
    /// The number of the error that ended it.
    pub error: Option<u16>,
    /// That error.
    pub last_error: Option<LastError>,
    /// The status flags sent last, if any OK came.
    pub status: Option<Status>,
    /// Affected rows of the last OK.
    pub affected_rows: u64,
    /// Rows that the last UPDATE looked for, where its OK says so.
    pub matched_rows: Option<u64>,
    /// `FOUND_ROWS()` of the connection before the statement, where that was known.
    pub found_before: Option<u64>,
    /// Whether any OK carried an insert id.
    pub inserted_id: bool,
    /// Warnings of the last result.
    pub warnings: u16,
    /// Rows of the last result, if it was a result set.
    pub rows: Option<u64>,
    /// The sum of the trackers.
    pub changes: &'a Changes,
}

/// What a statement did beyond the session itself: to the connection that ran it, and to what is
/// known of the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beyond {
    /// The session's environment changed, and with it the connection's.
    pub environment: bool,
    /// Whether the connection holds somebody's warnings or errors now; `None` for as before.
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
) -> Beyond {
    let mut beyond = Beyond::default();
    if !result.changes.is_empty() {
        beyond.environment = take_in_changes(session, analysis, result.changes);
    }
    if let Some(status) = result.status {
        take_in_status(session, status);
        if result.error.is_none() {
            session.unsettled.after_error = false;
            session.unsettled.unreported &= flavor == Flavor::MariaDb && result.changes.is_empty();
        }
    }
    let begins = analysis.kind.changes_rows() || analysis.marks.has(Marks::ENDS_TRANSACTION);
    if begins && analysis.count == 1 && result.error.is_none() {
        session.pins.put(PinReason::NextTransaction, Holds::No);
    }
    if result.error.is_some() {
        let outside =
            session.status.has(Status::AUTOCOMMIT) && !session.pins.has(PinReason::Transaction);
        // A statement that fails may have begun, and so ended, what was said of the next transaction.
        let pending = session.residue.next_transaction.is_some();
        if pending || !(analysis.marks.has(Marks::PURE_READ) && outside) {
            session.unsettled.after_error = true;
            session.unsettled.unreported = true;
        }
    }
    if !session.status.has(Status::AUTOCOMMIT) || session.pins.has(PinReason::MetadataLock) {
        metadata::locks(session, analysis, result, flavor);
    }
    // MariaDB does not report every setting.
    let sets = flavor == Flavor::MariaDb && analysis.marks.has(Marks::SET_VARIABLE);
    if analysis.touches_session() || sets {
        take_in_text(session, analysis, result, flavor, &mut beyond);
    }
    if session.pins.has(PinReason::Xa) {
        // It has begun, which XA START does not report.
        session.residue.next_transaction = None;
    }
    diagnostics::residue(session, analysis, result, flavor, &mut beyond);
    unseen(session, analysis, result);
    beyond
}

/// What ends that of which only the server knows that it is there; and what may begin such a thing.
const UNSEEN: Marks = Marks::IMPURE
    .union(Marks::OPAQUE)
    .union(Marks::UNCERTAIN)
    .union(Marks::HANDLER_CLOSE)
    .union(Marks::TABLE_DROP)
    .union(Marks::TEXT_PREPARE)
    .union(Marks::TEXT_DEALLOCATE)
    .union(Marks::UNLOCK_TABLES)
    .union(Marks::BEGINS_TRANSACTION)
    .union(Marks::ENDS_TRANSACTION);

/// Whether the server is to be asked what there is on the connection.
fn unseen(session: &mut Session, analysis: &Analysis, result: &Result<'_>) {
    let ended = analysis.marks.has(Marks::ENDS_TRANSACTION);
    session.unseen.open |= analysis.marks.intersects(UNSEEN);
    session.unseen.outside = ended && analysis.count == 1 && result.error.is_none();
}

fn take_in_status(session: &mut Session, status: Status) {
    session.status = status.without(Status::OF_ONE_STATEMENT);
    session.pins.put(PinReason::Transaction, status.has(Status::IN_TRANS).into());
}

/// Takes in what came out when something left open was asked. Says whether the environment
/// changed.
pub fn settled(session: &mut Session, changes: &Changes, status: Option<Status>) -> bool {
    let status = status.map(|s| s.without(Status::MORE_RESULTS));
    if let Some(status) = status {
        take_in_status(session, status);
    }
    take_in_changes(session, &Analysis::default(), changes)
}

/// The trackers' report. Says whether the environment changed.
fn take_in_changes(session: &mut Session, analysis: &Analysis, changes: &Changes) -> bool {
    let treatment = session.treatment.clone();
    let ignored = |name: &str| {
        let temporary = analysis.temporary_settings();
        treatment.as_ref().is_some_and(|treatment| treatment.ignores(name))
            || temporary.iter().any(|i| i.eq_ignore_ascii_case(name.as_bytes()))
    };
    if !changes.immovable.iter().all(|name| ignored(name)) {
        session.pins.put(PinReason::ImmovableVariable, Holds::Yes);
    }
    if changes.unreadable {
        session.pins.put(PinReason::Opaque, Holds::Yes);
    }
    if let Some(text) = &changes.characteristics {
        // "SET TRANSACTION …" alone waits for the next transaction.
        let begun = memchr::memmem::find(text, b"START TRANSACTION").is_some();
        let pending = text.starts_with(b"SET TRANSACTION") && !begun;
        session.residue.next_transaction = pending
            .then(|| Box::new(NextTransaction { statements: text.clone(), on_backend: true }));
    }
    if changes.charsets && !sets_names(analysis) {
        session.unsettled.charsets = true;
        session.unsettled.results |= changes.results;
    }
    if changes.variables.is_empty() && changes.schema.is_none() {
        return false;
    }
    let environment = Arc::make_mut(&mut session.environment);
    for (name, value) in &changes.variables {
        if !ignored(name) {
            environment.variables.set(name, value);
            pin_by_value(&mut session.pins, name, value);
            // What was profiled stays with the connection, on MariaDB over every reset (measured).
            session.dedicated |= session.pins.has(PinReason::Profiling);
        }
    }
    if let Some(schema) = &changes.schema {
        environment.database = (!schema.is_empty()).then(|| schema.clone());
    }
    true
}

/// Settings that make a connection remember what no other can be told.
fn pin_by_value(pins: &mut Pins, name: &str, value: &[u8]) {
    match name {
        "optimizer_trace" if memchr::memmem::find(value, b"enabled=on").is_some() => {
            pins.put(PinReason::OptimizerTrace, Holds::Yes);
        }
        "profiling" if value == b"ON" => pins.put(PinReason::Profiling, Holds::Yes),
        "sql_auto_is_null" => pins.put(PinReason::AutoIsNull, (value == b"ON").into()),
        _ => {}
    }
}

/// Whether the command is one `SET NAMES` and nothing else.
fn sets_names(analysis: &Analysis) -> bool {
    let mut actions = analysis.actions().iter().map(|placed| &placed.action);
    analysis.count == 1
        && !analysis.marks.has(Marks::UNCERTAIN)
        && matches!((actions.next(), actions.next()), (Some(Action::SetNames { .. }), None))
}

/// Whether the server could not read it either: nothing of it has run. (Code that builds texts may run
/// into one that cannot be read at any time; it begins with a word that is known.)
fn is_no_statement(analysis: &Analysis, result: &Result<'_>) -> bool {
    analysis.kind == StatementKind::Other
        && !analysis.marks.intersects(Marks::IMPURE | Marks::UNCERTAIN)
        && result.error == Some(PARSE_ERROR)
        && result.status.is_none()
}

/// What trackers do not show.
fn take_in_text(
    session: &mut Session,
    analysis: &Analysis,
    result: &Result<'_>,
    flavor: Flavor,
    beyond: &mut Beyond,
) {
    let marks = analysis.marks;
    beyond.unproven |= marks.intersects(Marks::DROP_DATABASE | Marks::PRIVILEGES);
    beyond.catalogue |= marks.has(Marks::DDL_ROUTINE);
    // What may have happened even if the statement failed later, unless the client vouches for it.
    if !marks.has(Marks::HINT_SHARE) {
        for (mark, reason) in
            [(Marks::OPAQUE, PinReason::Opaque), (Marks::IMPURE, PinReason::Impure)]
        {
            if marks.has(mark) && !is_no_statement(analysis, result) {
                session.pins.put(reason, Holds::Yes);
            }
        }
    }
    for (mark, reason) in [
        (Marks::SESSION_TRACK, PinReason::SessionTrack),
        (Marks::SET_RESOURCE_GROUP, PinReason::ResourceGroup),
        (Marks::HINT_PIN, PinReason::Hint),
    ] {
        if marks.has(mark) {
            session.pins.put(reason, Holds::Yes);
        }
    }
    session.dedicated |= analysis.details.as_ref().is_some_and(|details| details.dedicated);
    beyond.role |= marks.has(Marks::SET_ROLE);
    if marks.intersects(Marks::SET_NAMES | Marks::SET_CHARACTER_SET) && !sets_names(analysis) {
        session.unsettled.charsets = true;
    }
    let ran = Ran::of(analysis, result.error);
    if ran == Ran::Certainly {
        transactions(session, marks, result);
    }
    if marks.has(Marks::XA) && ran != Ran::Failed {
        session.pins.put(PinReason::Xa, Holds::Yes);
    }
    if flavor == Flavor::MariaDb
        && let Some(details) = &analysis.details
    {
        for name in &details.impure.silent_settings {
            action::set_silently(session, name);
        }
    }
    for placed in analysis.actions() {
        action::take_in(session, analysis, &placed.action, ran, flavor, beyond);
    }
}

/// Whether the actions of a text have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ran {
    /// All of them, in their order.
    Certainly,
    /// The only statement failed.
    Failed,
    /// Any of them: what they begin may have begun, what they end may go on.
    Perhaps,
}

impl Ran {
    fn of(analysis: &Analysis, error: Option<u16>) -> Self {
        match error {
            _ if analysis.marks.intersects(Marks::UNCERTAIN | Marks::OPAQUE) => Self::Perhaps,
            None => Self::Certainly,
            Some(_) if analysis.count > 1 => Self::Perhaps,
            Some(_) => Self::Failed,
        }
    }
}

/// Savepoints after statements that succeeded.
fn transactions(session: &mut Session, marks: Marks, result: &Result<'_>) {
    let status = result.status.unwrap_or(session.status);
    if marks.has(Marks::BEGINS_TRANSACTION) && !marks.has(Marks::LOCK_TABLES) {
        session.pins.put(PinReason::TableLock, Holds::No);
    }
    if marks.has(Marks::ENDS_TRANSACTION) {
        session.pins.put(PinReason::Savepoint, Holds::No);
    }
    // Under autocommit=0 a savepoint exists although the status says that no transaction does. In one,
    // the transaction's end is its own.
    if marks.has(Marks::SAVEPOINT)
        && !(status.has(Status::AUTOCOMMIT) || status.has(Status::IN_TRANS))
    {
        session.pins.put(PinReason::Savepoint, Holds::Yes);
    }
}

/// The warnings of the last statement are gone with the connection that had them.
pub fn forget_diagnostics(session: &mut Session) {
    session.residue.diagnostics = Diagnostics::None;
    session.counted = Counts::default();
}
