//! What MariaDB tells a session of itself.
//!
//! User variables and counters are told to everybody. Locks are told by the plugin
//! `metadata_lock_info`, which has to be installed; without it, nothing is known. Variables that are
//! set as `@@name` are reported by no tracker, so all are compared with what they are taken to be.
//! (All of it measured on 10.11.)

use super::mysql::{PROFILE, TRACE};
use super::random::RandomState;
use super::settings::compare;
use super::{Found, Row, TextStatementsFound, Untold, count, has_login_role, name, text, value};
use crate::session::literal::put_identifier;
use crate::session::model::Session;
use crate::session::need::Traces;
use crate::session::pin::PinReason;
use crate::session::sequences::{MAX_SEQUENCES, SequenceName};
use crate::session::state::{Baseline, LoginRole, Role};

/// Two random numbers, which tell the state between them.
pub const RANDOM: &[u8] = b"SELECT RAND(), RAND() LIMIT 1";

/// What is asked on the session's own connection, each with a limit of its own: the session's
/// `sql_select_limit` may be 0.
#[derive(Debug)]
pub struct Questions {
    /// The texts.
    pub texts: Vec<Vec<u8>>,
}

impl Questions {
    /// Those for the connection of this number. `sequences` may exist.
    pub fn new(thread: u32, sequences: bool) -> Self {
        let mut texts = vec![
            b"SELECT VARIABLE_NAME FROM information_schema.USER_VARIABLES LIMIT 100000".to_vec(),
            format!(
                "SELECT LOCK_TYPE, LOCK_MODE, TABLE_SCHEMA \
                 FROM information_schema.METADATA_LOCK_INFO WHERE THREAD_ID = {thread} LIMIT 100000"
            )
            .into_bytes(),
            b"SELECT VARIABLE_NAME, VARIABLE_VALUE FROM information_schema.SESSION_STATUS \
              WHERE VARIABLE_NAME IN ('COM_CREATE_SEQUENCE','COM_CREATE_TEMPORARY_TABLE',\
              'COM_STMT_PREPARE','COM_STMT_CLOSE') LIMIT 10"
                .to_vec(),
            b"SELECT VARIABLE_NAME, VARIABLE_VALUE FROM information_schema.SESSION_VARIABLES \
              LIMIT 100000"
                .to_vec(),
            b"SELECT @@timestamp, CURRENT_ROLE() LIMIT 1".to_vec(),
            b"SELECT @@timestamp, 0 LIMIT 1".to_vec(),
            RANDOM.to_vec(),
            TRACE.to_vec(),
            PROFILE.to_vec(),
        ];
        if sequences {
            texts.push(
                format!(
                    "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES \
                     WHERE TABLE_TYPE = 'SEQUENCE' LIMIT {}",
                    MAX_SEQUENCES + 1
                )
                .into_bytes(),
            );
        }
        Self { texts }
    }
}

/// What of the connection the answers are compared with.
#[derive(Debug)]
pub struct Connection<'a> {
    /// Its number.
    pub thread: u32,
    /// What its variables were after its login.
    pub baseline: &'a Baseline,
    /// How many binary statements it has.
    pub statements: usize,
}

/// The state of random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// It is what comes of the one before.
    Follow(RandomState),
    /// It was set, or may have been: the two numbers that were taken are the session's.
    Seeded(RandomState),
}

/// What the answers to [`Questions`], in their order, say, and how random numbers went on.
///
/// # Errors
///
/// When it is not known what is there.
pub fn read(
    answers: &[Vec<Row<'_>>],
    session: &Session,
    traces: &Traces,
    on: &Connection<'_>,
) -> Result<(Found, Numbers), Untold> {
    let [variables, locks, counts, settings, first, second, random, trace, profile, sequences @ ..] =
        answers
    else {
        return Err(Untold::Unreadable);
    };
    let mut found = Found::default();
    for row in variables {
        found.variables.push(name(row.first().copied().flatten())?);
    }
    for row in locks {
        lock(row, &mut found)?;
    }
    if count(counts, "Com_create_temporary_table")? != traces.temporary_tables_made {
        found.pins.push(PinReason::TemporaryTable);
    }
    if sequences.is_empty() && count(counts, "Com_create_sequence")? != 0 {
        // There were none, as far as was known.
        found.pins.push(PinReason::Sequence);
    }
    found.statements = statements(counts, traces, on)?;
    found.settings = compare(settings, &session.environment, on.baseline, on.thread)?;
    // A clock that stands still was set.
    let (Some(before), Some(after)) = (value(first, 0), value(second, 0)) else {
        return Err(Untold::Unreadable);
    };
    let state = RandomState::between([value(random, 0), value(random, 1)]);
    let state = state.ok_or(Untold::Unreadable)?;
    let seeded = !traces.random.is_some_and(|known| known.leads_to(state));
    if found.settings.immovable || before == after || seeded {
        found.pins.push(PinReason::ImmovableVariable);
    }
    for (rows, reason) in [(trace, PinReason::OptimizerTrace), (profile, PinReason::Profiling)] {
        found.pins.extend((!rows.is_empty()).then_some(reason));
    }
    found.role = other_role(value(first, 1), session, on.baseline)?;
    for row in sequences.iter().flatten() {
        let part = |at: usize| row.get(at).copied().flatten().ok_or(Untold::Unreadable);
        let name = SequenceName { database: part(0)?.into(), name: part(1)?.into() };
        if !name.is_ascii() {
            return Err(Untold::Name);
        }
        found.sequences.push(name);
    }
    Ok((found, if seeded { Numbers::Seeded(state) } else { Numbers::Follow(state) }))
}

/// One row of `METADATA_LOCK_INFO`.
fn lock(row: &Row<'_>, found: &mut Found) -> Result<(), Untold> {
    let kind = text(row, 0).ok_or(Untold::Unreadable)?;
    let mode = text(row, 1).ok_or(Untold::Unreadable)?;
    let reason = match (kind, mode) {
        ("User lock", _) => {
            let name = row.get(2).copied().flatten().ok_or(Untold::Unreadable)?;
            found.user_locks.push(name.into());
            return Ok(());
        }
        // So does `LOCK TABLES … READ LOCAL`: what it is shows when it ends.
        ("Table metadata lock", "MDL_SHARED_READ") => {
            found.handlers = true;
            return Ok(());
        }
        ("Table metadata lock", "MDL_SHARED_HIGH_PRIO") => PinReason::Backup,
        ("Backup lock", "MDL_BACKUP_FTWRL1" | "MDL_BACKUP_FTWRL2") => PinReason::ReadLock,
        ("Backup lock", "MDL_BACKUP_START") => PinReason::Backup,
        ("Backup lock", mode) if mode.starts_with("MDL_BACKUP_WAIT") => PinReason::Backup,
        ("Table metadata lock" | "Schema metadata lock" | "Backup lock", _) => PinReason::TableLock,
        _ => return Err(Untold::Lock),
    };
    found.pins.push(reason);
    Ok(())
}

/// Whether there are more statements prepared than are known. The server counts those that were
/// prepared, and that were closed, of both kinds; one that could not be prepared looks like one that
/// was not closed.
fn statements(
    counts: &[Row<'_>],
    traces: &Traces,
    on: &Connection<'_>,
) -> Result<TextStatementsFound, Untold> {
    let prepared = count(counts, "Com_stmt_prepare")?;
    let closed = count(counts, "Com_stmt_close")?;
    // One that is known may have been closed, and another one prepared.
    let by_text = traces.text_statements.names().next().is_some();
    let none = prepared.checked_sub(closed) == Some(on.statements as u64);
    Ok(if none && !by_text { TextStatementsFound::Known } else { TextStatementsFound::Others })
}

/// The role, if it is another than the session is taken to have, or is not known to be that.
fn other_role(
    role: Option<&[u8]>,
    session: &Session,
    baseline: &Baseline,
) -> Result<Option<Role>, Untold> {
    let of_login = match (&baseline.role, role) {
        (LoginRole::Named(own), Some(role)) => **own == *role,
        (LoginRole::None, None) => true,
        _ => false,
    };
    if has_login_role(&session.environment) && of_login {
        return Ok(None);
    }
    let Some(role) = role else { return Ok(Some(Role::Set(b"NONE"[..].into()))) };
    if !role.is_ascii() {
        return Err(Untold::Name);
    }
    let mut text = Vec::new();
    put_identifier(&mut text, role);
    Ok(Some(Role::Set(text.into())))
}
