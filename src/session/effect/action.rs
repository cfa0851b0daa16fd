//! What the actions of a statement do to the session: locks, tables, handlers, names.

use super::{Beyond, Ran};
use crate::session::model::Session;
use crate::session::pin::{Holds, PinReason, TableName, UnknownLocks};
use crate::session::server::Flavor;
use crate::session::state::{Names, Role, is_immovable, is_report_only};
use crate::session::statement::{
    Action, Analysis, CallPlace, LockFunction, Marks, ObjectName, Scope,
};
use std::sync::Arc;

/// Takes in one action of a statement that has run, or may have.
pub(super) fn take_in(
    session: &mut Session,
    analysis: &Analysis,
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
        Action::Prepare { .. } | Action::Deallocate(_) => {
            text_statement(session, analysis, action, ran)
        }
        // MySQL keeps the types of the values: another statement of the same text has others.
        Action::Execute { name, using } if flavor == Flavor::MySql && !using.is_empty() => {
            session.text_statements().tied(name);
            let tied = session.text_statements().are_tied();
            session.pins.put(PinReason::TextStatement, tied.into());
        }
        Action::SetNames { charset, collation } if certain => {
            let text = |name: &[u8]| -> Box<str> { String::from_utf8_lossy(name).into() };
            let environment = Arc::make_mut(&mut session.environment);
            environment.names = Names {
                charset: charset.as_deref().map(text),
                collation: collation.as_deref().map(text),
            };
            environment.separate_charsets = None;
            session.pins.put(PinReason::ResultsCharset, Holds::No);
            session.unsettled.results = false;
            beyond.environment = true;
        }
        // Even of a statement that failed, some assignments may have happened.
        Action::SetVariable { scope: Scope::Next, name, .. }
            if flavor == Flavor::MariaDb && !analysis.temporary_settings().contains(name) =>
        {
            set_silently(session, name);
        }
        Action::SetRole(text) if certain => {
            let environment = Arc::make_mut(&mut session.environment);
            environment.role = Role::Set(text.clone());
            beyond.environment = true;
        }
        // Which role it has is not known.
        Action::SetRole(_) if begun => pins.put(PinReason::Role, Holds::Yes),
        _ => {}
    }
}

/// `PREPARE` and `DEALLOCATE PREPARE`.
fn text_statement(session: &mut Session, analysis: &Analysis, action: &Action, ran: Ran) {
    let environment = session.environment.clone();
    match (action, ran) {
        // The former statement of this name is gone even if the new one could not be prepared.
        (Action::Prepare { name, .. }, Ran::Failed) => session.text_statements().deallocated(name),
        // Of several statements, those before may have changed what decides what it means.
        (Action::Prepare { name, sql, prepared, .. }, Ran::Certainly) if analysis.count == 1 => {
            session.text_statements().prepared(name, sql, &environment, prepared.clone());
        }
        (Action::Prepare { name, prepared, .. }, _) => {
            session.text_statements().prepared_there(name, prepared.clone());
        }
        (Action::Deallocate(name), Ran::Certainly) => session.text_statements().deallocated(name),
        (Action::Deallocate(name), Ran::Perhaps) => {
            session.text_statements().tied(name);
        }
        _ => {}
    }
    let tied = session.text_statements().are_tied();
    session.pins.put(PinReason::TextStatement, tied.into());
}

/// A variable that MariaDB does not report was set: it has to be asked for.
pub(super) fn set_silently(session: &mut Session, name: &[u8]) {
    // Other letters than these make the statement opaque, which pins.
    let Ok(text) = str::from_utf8(name) else { return };
    match text {
        _ if session.treatment.as_ref().is_some_and(|treatment| treatment.ignores(text)) => {}
        // For the next transaction only, which has its own tracker.
        "transaction_isolation" | "tx_isolation" | "transaction_read_only" | "tx_read_only" => {}
        _ if is_immovable(text) => session.pins.put(PinReason::ImmovableVariable, Holds::Yes),
        _ if is_report_only(text) => {}
        _ => session.unsettled.set_silently(name),
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
