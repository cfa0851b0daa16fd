//! What a statement needs before it runs, and what it did to the session when it has run.
//!
//! Pure functions over the session's values: the server's trackers are the ground truth, the
//! statement's text tells what trackers do not show.

use super::changes::Changes;
use super::model::Session;
use super::pin::{Holds, PinReason, TableName, UnknownLocks};
use super::residue::{Diagnostics, FoundRows, LastInsertId};
use super::server::Flavor;
use super::state::{Names, Role};
use super::statement::{Analysis, Marks, StatementKind, TableRef, TextEffect, analyze};
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
        }
    }
    if result.error.is_some() {
        let outside =
            session.status.has(Status::AUTOCOMMIT) && !session.pins.has(PinReason::Transaction);
        if !(analysis.marks.has(Marks::PURE_READ) && outside) {
            session.unsettled.after_error = true;
        }
    }
    if analysis.marks.touches_session() {
        take_in_text(session, analysis, result, flavor, &mut beyond);
    }
    residue(session, analysis, result, flavor, &mut beyond);
    beyond
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
    if !changes.immovable.is_empty() {
        session.pins.put(PinReason::ImmovableVariable, Holds::Yes);
    }
    if let Some(text) = &changes.characteristics {
        // "SET TRANSACTION …" alone waits for the next transaction.
        let begun = memchr::memmem::find(text, b"START TRANSACTION").is_some();
        let pending = text.starts_with(b"SET TRANSACTION") && !begun;
        session.pins.put(PinReason::NextTransaction, pending.into());
    }
    if changes.charsets && !sets_names(analysis) {
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

/// Whether the command is one `SET NAMES` and nothing else.
fn sets_names(analysis: &Analysis) -> bool {
    analysis.count == 1 && matches!(analysis.effects(), [TextEffect::Names { .. }])
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
    // What may have happened even if the statement failed later.
    for (mark, reason) in [
        (Marks::OPAQUE, PinReason::Opaque),
        (Marks::IMPURE, PinReason::Impure),
        (Marks::SESSION_TRACK, PinReason::SessionTrack),
        (Marks::SET_RESOURCE_GROUP, PinReason::ResourceGroup),
        (Marks::HINT_PIN, PinReason::Hint),
    ] {
        if marks.has(mark) {
            session.pins.put(reason, Holds::Yes);
        }
    }
    if marks.has(Marks::GET_LOCK) {
        let names = analysis.details().map(|d| &d.locks[..]).unwrap_or_default();
        let unknown = marks.has(Marks::LOCK_NAME_UNKNOWN) || names.is_empty();
        let unknown = if unknown { UnknownLocks::Some } else { UnknownLocks::None };
        session.pins.user_locks_taken(names, unknown);
    }
    if marks.has(Marks::RELEASE_LOCK) {
        session.unsettled.locks = session.pins.has(PinReason::UserLock);
    }
    if result.error.is_none() {
        locks_and_transactions(session, analysis, result);
    }
    if marks.intersects(Marks::SET_NAMES | Marks::SET_CHARACTER_SET) && !sets_names(analysis) {
        session.unsettled.charsets = true;
    }
    for effect in analysis.effects() {
        take_in_effect(session, effect, result.error.is_none(), flavor, beyond);
    }
}

/// Locks, savepoints and distributed transactions after a statement that succeeded.
fn locks_and_transactions(session: &mut Session, analysis: &Analysis, result: &Result<'_>) {
    let marks = analysis.marks;
    let pins = &mut session.pins;
    if marks.has(Marks::RELEASE_ALL_LOCKS) {
        pins.user_locks_released();
    }
    if marks.intersects(Marks::UNLOCK_TABLES | Marks::BEGINS_TRANSACTION) {
        pins.put(PinReason::TableLock, Holds::No);
    }
    if marks.has(Marks::UNLOCK_TABLES) {
        pins.put(PinReason::ReadLock, Holds::No);
    }
    for (mark, reason) in [
        (Marks::LOCK_TABLES, PinReason::TableLock),
        (Marks::FLUSH_LOCK, PinReason::ReadLock),
        (Marks::LOCK_INSTANCE, PinReason::InstanceLock),
        (Marks::BACKUP, PinReason::Backup),
    ] {
        if marks.has(mark) {
            pins.put(reason, Holds::Yes);
        }
    }
    if marks.has(Marks::UNLOCK_INSTANCE) {
        pins.put(PinReason::InstanceLock, Holds::No);
    }
    if marks.has(Marks::XA) {
        pins.put(PinReason::Xa, Holds::Yes);
    }
    let status = result.status.unwrap_or(session.status);
    if marks.has(Marks::ENDS_TRANSACTION) {
        pins.put(PinReason::Savepoint, Holds::No);
    }
    // Under autocommit=0 a savepoint exists although the status says that no transaction does.
    if marks.has(Marks::SAVEPOINT) && !status.has(Status::AUTOCOMMIT) {
        pins.put(PinReason::Savepoint, Holds::Yes);
    }
}

fn take_in_effect(
    session: &mut Session,
    effect: &TextEffect,
    ok: bool,
    flavor: Flavor,
    beyond: &mut Beyond,
) {
    match effect {
        TextEffect::TemporaryCreated(Some(table)) if ok => {
            let table = resolve(session, table);
            session.pins.temporary_table_created(table);
        }
        // A failed CREATE … SELECT, or one whose name could not be read, may have left a table.
        TextEffect::TemporaryCreated(None) => session.pins.temporary_tables_unknown(),
        TextEffect::TablesDropped(tables) if ok => {
            let tables: Vec<_> = tables.iter().map(|table| resolve(session, table)).collect();
            session.pins.tables_dropped(&tables);
        }
        TextEffect::TablesRenamed if session.pins.has(PinReason::TemporaryTable) => {
            session.pins.temporary_tables_unknown();
        }
        TextEffect::HandlerOpened(name) if ok => session.pins.handler_opened(name),
        TextEffect::HandlerClosed(name) if ok => session.pins.handler_closed(name),
        TextEffect::Prepared { name, text } if ok => {
            let analysis = match text {
                Some(text) => analyze(text, &session.dialect, &Default::default()),
                None => Analysis::opaque(),
            };
            session.pins.text_statement_prepared(name, Arc::new(analysis));
        }
        // The former statement of this name is gone even if the new one could not be prepared.
        TextEffect::Prepared { name, .. } => session.pins.text_statement_deallocated(name),
        TextEffect::Deallocated(name) if ok => session.pins.text_statement_deallocated(name),
        TextEffect::Names { charset, collation } if ok => {
            let environment = Arc::make_mut(&mut session.environment);
            environment.names = Names { charset: charset.clone(), collation: collation.clone() };
            environment.separate_charsets = None;
            beyond.environment = true;
        }
        TextEffect::Role(text) if ok => {
            beyond.role = true;
            match flavor {
                Flavor::MySql => {
                    let environment = Arc::make_mut(&mut session.environment);
                    environment.role = Role::Set(text.clone());
                    beyond.environment = true;
                }
                // There is no statement that returns to the role of the login.
                Flavor::MariaDb => session.pins.put(PinReason::Role, Holds::Yes),
            }
        }
        _ => {}
    }
}

fn resolve(session: &Session, table: &TableRef) -> TableName {
    let database = table.database.clone().or_else(|| session.environment.database.clone());
    TableName { database, name: table.name.clone() }
}

/// Row counts, warnings and the last insert id.
fn residue(
    session: &mut Session,
    analysis: &Analysis,
    result: &Result<'_>,
    flavor: Flavor,
    beyond: &mut Beyond,
) {
    let marks = analysis.marks;
    let residue = &mut session.residue;
    let failed = result.error.is_some();
    residue.row_count = match result.rows {
        None if !failed => result.affected_rows.cast_signed(),
        _ => -1,
    };
    match result.rows {
        Some(_) if marks.has(Marks::SQL_CALC_FOUND_ROWS) => {
            residue.found_rows = FoundRows::OnBackend;
        }
        Some(rows) if !failed => residue.found_rows = FoundRows::Known(rows),
        _ => residue.found_rows = FoundRows::Unknown,
    }
    let diagnostics = failed || result.warnings > 0;
    session.warnings = if failed { 1 } else { result.warnings };
    if marks.intersects(Marks::SHOW_DIAGNOSTICS | Marks::GET_DIAGNOSTICS) && !diagnostics {
        // Asking for warnings does not clear them.
    } else if diagnostics {
        residue.diagnostics = Diagnostics::OnBackend;
        beyond.diagnostics = Some(true);
    } else if !(flavor == Flavor::MariaDb && keeps_diagnostics(analysis.kind)) {
        residue.diagnostics = Diagnostics::None;
        beyond.diagnostics = Some(false);
    }
    let inserts = result.inserted_id
        || marks.has(Marks::LAST_INSERT_ID_SET)
        || marks.intersects(Marks::IMPURE | Marks::OPAQUE)
        || analysis.kind == StatementKind::Call
        || (analysis.kind == StatementKind::Insert && (failed || result.rows.is_some()))
        || (analysis.count > 1 && failed);
    if inserts {
        residue.last_insert_id = LastInsertId::OnBackend;
        beyond.last_insert_id = true;
    }
}

/// MariaDB clears warnings only with a statement that uses a table (measured).
fn keeps_diagnostics(kind: StatementKind) -> bool {
    matches!(
        kind,
        StatementKind::Begin
            | StatementKind::Commit
            | StatementKind::Do
            | StatementKind::Empty
            | StatementKind::Rollback
            | StatementKind::Select
            | StatementKind::Set
            | StatementKind::Use
    )
}

/// The warnings of the last statement are gone with the connection that had them.
pub fn forget_diagnostics(session: &mut Session) {
    session.residue.diagnostics = Diagnostics::None;
    session.residue.found_rows = FoundRows::Unknown;
}
