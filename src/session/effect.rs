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
use super::statement::{
    Action, Analysis, CallPlace, DropScope, LockFunction, Marks, ObjectName, Sole, StatementKind,
};
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
    if analysis.touches_session() {
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
        session.unsettled.results |= changes.results;
    }
    if changes.variables.is_empty() && changes.schema.is_none() {
        return false;
    }
    let ignored = analysis.temporary_settings();
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
    let mut actions = analysis.actions().iter().map(|placed| &placed.action);
    analysis.count == 1
        && !analysis.marks.has(Marks::UNCERTAIN)
        && matches!((actions.next(), actions.next()), (Some(Action::SetNames { .. }), None))
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
    for placed in analysis.actions() {
        take_in_action(session, &placed.action, ran, flavor, beyond);
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
    // Under autocommit=0 a savepoint exists although the status says that no transaction does.
    if marks.has(Marks::SAVEPOINT) && !status.has(Status::AUTOCOMMIT) {
        session.pins.put(PinReason::Savepoint, Holds::Yes);
    }
}

fn take_in_action(
    session: &mut Session,
    action: &Action,
    ran: Ran,
    flavor: Flavor,
    beyond: &mut Beyond,
) {
    let pins = &mut session.pins;
    let begun = ran != Ran::Failed;
    let certain = ran == Ran::Certainly;
    match action {
        // Locks are taken and released even by a statement that fails later.
        Action::Lock { function, name, place } => {
            take_in_lock(
                session,
                *function,
                name.as_deref(),
                certain && *place != CallPlace::Within,
            );
        }
        Action::Mark(mark) => lock_or_unlock(session, *mark, ran),
        Action::Begin if certain => pins.put(PinReason::TableLock, Holds::No),
        Action::Backup(_) if begun => pins.put(PinReason::Backup, Holds::Yes),
        Action::CreateTemporaryTable { name: Some(table), .. } if begun => {
            let table = resolve(session, table);
            session.pins.temporary_table_created(table);
        }
        Action::CreateTemporaryTable { name: None, .. } => pins.temporary_tables_unknown(),
        Action::DropTables { names, .. } if certain => {
            let tables: Vec<_> = names.iter().map(|table| resolve(session, table)).collect();
            session.pins.tables_dropped(&tables);
        }
        Action::RenameTables(_) if pins.has(PinReason::TemporaryTable) => {
            pins.temporary_tables_unknown();
        }
        Action::HandlerOpen { alias, .. } if begun => pins.handler_opened(alias),
        Action::HandlerClose(handler) if certain => pins.handler_closed(&handler.name),
        Action::Prepare { name, prepared, .. } if begun => {
            pins.text_statement_prepared(name, prepared.clone());
        }
        // The former statement of this name is gone even if the new one could not be prepared.
        Action::Prepare { name, .. } => pins.text_statement_deallocated(name),
        Action::Deallocate(name) if certain => pins.text_statement_deallocated(name),
        Action::SetNames { charset, collation } if certain => {
            let text = |name: &[u8]| -> Box<str> { String::from_utf8_lossy(name).into() };
            let environment = Arc::make_mut(&mut session.environment);
            environment.names = Names {
                charset: charset.as_deref().map(text),
                collation: collation.as_deref().map(text),
            };
            environment.separate_charsets = None;
            session.unsettled.results = false;
            beyond.environment = true;
        }
        Action::SetRole(text) if begun => match flavor {
            Flavor::MySql if certain => {
                let environment = Arc::make_mut(&mut session.environment);
                environment.role = Role::Set(text.clone());
                beyond.environment = true;
            }
            // MariaDB has no statement that returns to the role of the login.
            _ => pins.put(PinReason::Role, Holds::Yes),
        },
        _ => {}
    }
}

/// `GET_LOCK` and its kin; `certain` that the call was made, and made once.
fn take_in_lock(session: &mut Session, function: LockFunction, name: Option<&[u8]>, certain: bool) {
    match function {
        LockFunction::Get => {
            let unknown = if name.is_some() { UnknownLocks::None } else { UnknownLocks::Some };
            let names: Vec<Box<[u8]>> = name.map(Into::into).into_iter().collect();
            session.pins.user_locks_taken(&names, unknown);
        }
        LockFunction::ReleaseAll if certain => session.pins.user_locks_released(),
        LockFunction::Release | LockFunction::ReleaseAll => {
            session.unsettled.locks = session.pins.has(PinReason::UserLock);
        }
    }
}

/// Statements that lock tables or the server, and those that unlock them.
fn lock_or_unlock(session: &mut Session, mark: Marks, ran: Ran) {
    let pins = &mut session.pins;
    for (lock, reason) in [
        (Marks::LOCK_TABLES, PinReason::TableLock),
        (Marks::FLUSH_LOCK, PinReason::ReadLock),
        (Marks::LOCK_INSTANCE, PinReason::InstanceLock),
    ] {
        if mark == lock && ran != Ran::Failed {
            pins.put(reason, Holds::Yes);
        }
    }
    if ran != Ran::Certainly {
        return;
    }
    if mark == Marks::UNLOCK_TABLES {
        pins.put(PinReason::TableLock, Holds::No);
        pins.put(PinReason::ReadLock, Holds::No);
    }
    if mark == Marks::UNLOCK_INSTANCE {
        pins.put(PinReason::InstanceLock, Holds::No);
    }
}

fn resolve(session: &Session, table: &ObjectName) -> TableName {
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
    residue.found_rows = found_rows(residue.found_rows, analysis, result, flavor);
    let diagnostics = failed || result.warnings > 0;
    session.warnings = if failed { 1 } else { result.warnings };
    if marks.intersects(Marks::SHOW_DIAGNOSTICS | Marks::GET_DIAGNOSTICS) && !diagnostics {
        // Asking for warnings does not clear them.
    } else if diagnostics {
        residue.diagnostics = Diagnostics::OnBackend;
        beyond.diagnostics = Some(true);
    } else if !(flavor == Flavor::MariaDb && keeps_diagnostics(analysis)) {
        residue.diagnostics = Diagnostics::None;
        beyond.diagnostics = Some(false);
    }
    let inserts = result.inserted_id
        || marks.has(Marks::LAST_INSERT_ID_SET)
        || marks.intersects(Marks::IMPURE | Marks::OPAQUE)
        || analysis.kind == StatementKind::Call
        || (analysis.kind.inserts() && (failed || result.rows.is_some()))
        || (analysis.count > 1 && failed);
    if inserts {
        residue.last_insert_id = LastInsertId::OnBackend;
        beyond.last_insert_id = true;
    }
}

/// `SHOW WARNINGS` and `SHOW ERRORS`, whose rows are not counted; the numbers of them are.
fn lists_diagnostics(analysis: &Analysis) -> bool {
    analysis.kind == StatementKind::Show
        && analysis.marks.has(Marks::SHOW_DIAGNOSTICS)
        && !matches!(analysis.sole, Some(Sole::WarningCount | Sole::ErrorCount))
}

/// `FOUND_ROWS()` after a statement: most that have no rows leave it as it was (measured).
fn found_rows(
    before: FoundRows,
    analysis: &Analysis,
    result: &Result<'_>,
    flavor: Flavor,
) -> FoundRows {
    use StatementKind as Kind;
    let kind = analysis.kind;
    let counted = !matches!(kind, Kind::Empty | Kind::Explain | Kind::Help | Kind::Maintenance)
        && !lists_diagnostics(analysis);
    if analysis.count > 1 || analysis.marks.has(Marks::OPAQUE) {
        return match result.rows {
            Some(rows) if result.error.is_none() => FoundRows::Known(rows),
            _ => FoundRows::Unknown,
        };
    }
    match result.rows {
        Some(_) if analysis.marks.has(Marks::SQL_CALC_FOUND_ROWS) => FoundRows::OnBackend,
        Some(rows) if counted && result.error.is_none() => FoundRows::Known(rows),
        Some(_) if counted => FoundRows::Unknown,
        Some(_) => before,
        None if result.error.is_some() && kind != Kind::Call => before,
        None => match kind {
            Kind::Select if flavor == Flavor::MySql => FoundRows::Known(result.affected_rows),
            Kind::Do if flavor == Flavor::MySql => FoundRows::Known(1),
            Kind::Update if flavor == Flavor::MySql => FoundRows::Unknown,
            Kind::Call
            | Kind::Compound
            | Kind::CreateTable
            | Kind::CreateTemporaryTable
            | Kind::Execute
            | Kind::Other
            | Kind::Select
            | Kind::With => FoundRows::Unknown,
            _ => before,
        },
    }
}

/// MariaDB clears warnings only with a statement that uses a table (measured).
fn keeps_diagnostics(analysis: &Analysis) -> bool {
    use StatementKind as Kind;
    let temporary = |placed: &super::statement::Placed| {
        matches!(placed.action, Action::DropTables { scope: DropScope::Temporary, .. })
    };
    match analysis.kind {
        Kind::DropTable => analysis.actions().iter().all(temporary),
        Kind::Explain | Kind::Select => !analysis.reads_tables,
        Kind::Begin
        | Kind::Commit
        | Kind::Deallocate
        | Kind::Do
        | Kind::Empty
        | Kind::Prepare
        | Kind::ReleaseSavepoint
        | Kind::Rollback
        | Kind::Savepoint
        | Kind::Set
        | Kind::UnlockTables
        | Kind::Use
        | Kind::Xa => true,
        _ => false,
    }
}

/// The warnings of the last statement are gone with the connection that had them.
pub fn forget_diagnostics(session: &mut Session) {
    session.residue.diagnostics = Diagnostics::None;
    session.residue.found_rows = FoundRows::Unknown;
}
