//! What a backend connection holds, by its server's own account.
//!
//! Behind a statement that may have done anything (a routine that is hidden or builds its text, a
//! trigger that nobody shows, a text that cannot be read) a session keeps its connection until the
//! server has been asked what is there. What goes with a session from connection to connection is
//! then noted as existing, and fetched like everything else of its kind; what does not becomes the
//! pin of its own kind; and without any, the connection is free.
//!
//! The servers tell in different ways ([`mysql`], [`mariadb`]). What one does not tell is not
//! guessed: the pin stays.

pub mod mariadb;
pub mod mysql;
pub mod random;
mod settings;

#[cfg(test)]
mod tests;

pub use settings::Settings;

use super::model::Session;
use super::need::{Leftover, Traces};
use super::pin::{Holds, PinReason};
use super::residue::{LastInsertId, VariableName};
use super::sequences::SequenceName;
use super::state::{Environment, Role};
use super::statement::{Analysis, StatementKind};
use super::text::Has;
use crate::wire::capability::Status;
use std::sync::Arc;

/// A decoded row; `None` is NULL.
pub type Row<'a> = Vec<Option<&'a [u8]>>;

/// Everything that was found on a connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// User variables.
    pub variables: Vec<VariableName>,
    /// Statements prepared by text.
    pub statements: TextStatementsFound,
    /// Locks by name, as `GET_LOCK` takes them.
    pub user_locks: Vec<Box<[u8]>>,
    /// Whether a handler is open.
    pub handlers: bool,
    /// What holds the connection until something ends it that the session's statements show.
    pub pins: Vec<PinReason>,
    /// Session variables that are not what they are taken to be.
    pub settings: Settings,
    /// The role, where it may be another than it is taken to be.
    pub role: Option<Role>,
    /// Sequences of which the session may have taken values.
    pub sequences: Vec<SequenceName>,
}

/// Statements prepared by text that were found.
#[derive(Debug, PartialEq, Eq)]
pub enum TextStatementsFound {
    /// Those of these names, in lower case, and no others. A session's own that is still there is told
    /// apart from any other of its name.
    Named(Vec<(Box<[u8]>, Whose)>),
    /// Those that are known, and no others.
    Known,
    /// Perhaps others than are known.
    Others,
}

/// Whether a statement that was found is the one that the session has prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// It is.
    Own,
    /// It may be another of that name.
    Unknown,
}

impl Default for TextStatementsFound {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

/// Why it is not known what a connection holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untold {
    /// The server does not watch what would have to be known, or lost sight of it.
    #[error("the server does not watch what its sessions hold")]
    Blind,
    /// The answer is not what was asked for.
    #[error("the server's account of a session cannot be read")]
    Unreadable,
    /// A name that is not ASCII, which may be another one in the session's character set.
    #[error("a name is not in ASCII")]
    Name,
    /// Another session's statement is there that was prepared by text, or one in its place.
    #[error("a statement of the name of another session's is there")]
    Foreign,
    /// Packages of MariaDB's have variables that nobody shows.
    #[error("there are packages, which have variables that are not told")]
    Package,
    /// Last values of sequences cannot be asked for without a transaction.
    #[error("there are sequences, which cannot be asked without autocommit")]
    Sequence,
    /// A lock of a kind that is not known.
    #[error("a lock is of an unknown kind")]
    Lock,
}

/// What comes of what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is known what is there. A reason to keep the connection may be among that.
    Known,
    /// Something is there whose end no statement shows: it is asked again after one that may be it.
    Kept,
}

/// What holds a session until it is known what its statements did.
const UNKNOWN: [PinReason; 2] = [PinReason::Impure, PinReason::Opaque];

/// Whether the server is to be asked now what the session's connection holds: nothing else holds it
/// that would do so whatever the answer is, and nothing is open that the answer could not show.
pub fn is_due(session: &Session) -> bool {
    let decided = [
        PinReason::Handler,
        PinReason::Impure,
        PinReason::Opaque,
        PinReason::TextStatement,
        PinReason::UserLock,
    ];
    // A text that asks for the last statement's rows, prepared by name, would find the questions' own.
    let tied = session.text_statements.as_ref().is_some_and(|own| own.are_tied());
    session.unseen.open
        && !tied
        && (session.status.has(Status::AUTOCOMMIT) || session.unseen.outside)
        && session.residue.next_transaction.is_none()
        && UNKNOWN.into_iter().any(|reason| session.pins.has(reason))
        && session.pins.iter().all(|reason| decided.contains(&reason))
}

/// Whether the session's only connection may hold variables that no tracker reported.
pub fn minds_settings(session: &Session) -> bool {
    session.pins.has(PinReason::Opaque)
}

/// Takes in what was found on the session's connection. The environment is another afterwards where a
/// role was found.
pub fn take_in(session: &mut Session, found: Found, traces: &mut Traces) -> Verdict {
    let treatment = session.treatment.clone();
    let treatment = treatment.as_deref();
    for name in found.variables {
        // Any of them may have another value.
        if !treatment.is_some_and(|treatment| treatment.ignores_user_variable(&name)) {
            session.residue.variable_touched(&name);
        }
        traces.variables.insert(name, None);
    }
    session.residue.last_insert_id = LastInsertId::OnBackend;
    traces.last_insert_id = None;
    let others = text_statements(session, &found.statements, traces);
    session.pins.user_locks_are(&found.user_locks);
    match found.handlers {
        true => session.pins.put(PinReason::Handler, Holds::Yes),
        false => session.pins.handlers_closed(),
    }
    for reason in found.pins {
        match reason {
            PinReason::TemporaryTable => session.pins.temporary_tables_unknown(),
            PinReason::OptimizerTrace => traces.optimizer_traces = Leftover::Present,
            PinReason::Profiling => session.dedicated = true,
            _ => {}
        }
        session.pins.put(reason, Holds::Yes);
    }
    let ignored = |name: &[u8]| {
        let name = std::str::from_utf8(name).unwrap_or_default();
        treatment.is_some_and(|treatment| treatment.ignores(name))
    };
    for name in found.settings.silent.iter().filter(|name| !ignored(name)) {
        session.unsettled.set_silently(name);
    }
    session.unsettled.charsets |= found.settings.charsets;
    session.unsettled.results |= found.settings.results;
    if let Some(role) = found.role.filter(|role| *role != session.environment.role) {
        Arc::make_mut(&mut session.environment).role = role;
        traces.role = Leftover::Present;
    }
    for name in &found.sequences {
        session.residue.last_values_mut().drawn(name, None, &mut traces.sequences);
    }
    if session.residue.has_too_many_variables() {
        session.pins.put(PinReason::UserVariable, Holds::Yes);
    }
    if session.residue.last_values().is_some_and(|values| values.are_too_many()) {
        session.pins.put(PinReason::Sequence, Holds::Yes);
    }
    session.unseen.open = false;
    if others || found.handlers {
        return Verdict::Kept;
    }
    for reason in UNKNOWN {
        session.pins.put(reason, Holds::No);
    }
    Verdict::Known
}

/// Whether there are statements prepared by text whose names are not known.
fn text_statements(
    session: &mut Session,
    found: &TextStatementsFound,
    traces: &mut Traces,
) -> bool {
    let names = match found {
        TextStatementsFound::Known => return false,
        TextStatementsFound::Others => {
            session.pins.put(PinReason::TextStatement, Holds::Yes);
            return true;
        }
        TextStatementsFound::Named(names) => names,
    };
    let known: Vec<Box<[u8]>> = traces.text_statements.names().map(Into::into).collect();
    for name in known.iter().filter(|name| !names.iter().any(|(found, _)| found == *name)) {
        traces.text_statements.put(name, Has::Nothing);
        if let Some(own) = &mut session.text_statements {
            own.deallocated(name);
        }
    }
    for (name, whose) in names {
        if *whose == Whose::Own {
            let own = session.text_statements.as_ref().and_then(|own| own.get(name));
            if let Some(preparation) = own.and_then(|own| own.preparation.as_ref()) {
                traces.text_statements.put(name, Has::Statement(preparation.key.clone()));
                continue;
            }
        }
        traces.text_statements.put(name, Has::Unknown);
        let analysis = Arc::new(Analysis::opaque());
        session.text_statements().prepared_there(name, analysis);
    }
    let tied = session.text_statements.as_ref().is_some_and(|own| own.are_tied());
    session.pins.put(PinReason::TextStatement, tied.into());
    false
}

/// A statement has run that makes a table, as the server counts such statements: what it counts beyond
/// those were made where nobody saw it.
pub fn made_table(analysis: &Analysis, succeeded: bool, traces: &mut Traces) {
    let makes =
        matches!(analysis.kind, StatementKind::CreateTable | StatementKind::CreateTemporaryTable);
    if makes && succeeded && analysis.count == 1 {
        let made = if analysis.kind == StatementKind::CreateTable {
            &mut traces.tables_made
        } else {
            &mut traces.temporary_tables_made
        };
        *made += 1;
    }
}

/// The number of this name among a status's rows.
fn count(rows: &[Row<'_>], name: &str) -> Result<u64, Untold> {
    let row = rows.iter().find(|row| {
        row.first().copied().flatten().is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()))
    });
    let value = row.and_then(|row| text(row, 1));
    value.and_then(|value| value.parse().ok()).ok_or(Untold::Unreadable)
}

/// A value of the first row.
fn value<'a>(rows: &[Row<'a>], at: usize) -> Option<&'a [u8]> {
    rows.first()?.get(at).copied().flatten()
}

/// A value that is a text.
fn text<'a>(row: &Row<'a>, at: usize) -> Option<&'a str> {
    std::str::from_utf8(row.get(at).copied().flatten()?).ok()
}

/// A name in lower case.
fn name(value: Option<&[u8]>) -> Result<Box<[u8]>, Untold> {
    let name = value.ok_or(Untold::Unreadable)?;
    if name.is_ascii() { Ok(name.to_ascii_lowercase().into()) } else { Err(Untold::Name) }
}

/// Whether the role that the session is taken to have is that of its login.
fn has_login_role(environment: &Environment) -> bool {
    environment.role == Role::Login
}
