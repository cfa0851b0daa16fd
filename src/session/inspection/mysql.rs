//! What MySQL tells, by its performance schema.
//!
//! Its trackers report every session variable, so that those are known already. The performance schema
//! tells user variables, statements prepared by text and locks of any session. Temporary tables and
//! roles are told by nobody: but the session's own counters tell whether any was made, or set,
//! where Millpond did not see it. They begin anew with a reset, and count what routines do, too
//! (measured on 9.7).

use super::settings::compare;
use super::{
    Found, Row, Settings, TextStatementsFound, Untold, Whose, count, has_login_role, name, text,
    value,
};
use crate::session::model::Session;
use crate::session::need::Traces;
use crate::session::pin::PinReason;
use crate::session::state::{Baseline, Role};

/// Asked on the session's own connection. `SHOW`, because everybody may.
pub const COUNTS: &[u8] =
    b"SHOW SESSION STATUS WHERE Variable_name IN ('Com_create_table','Com_set_role')";
/// Asked there, too.
pub const ROLE: &[u8] = b"SELECT CURRENT_ROLE() LIMIT 1";
/// Asked there, too: whether there is a trace of the optimizer's, which none but its connection has.
pub const TRACE: &[u8] = b"SELECT 1 FROM information_schema.OPTIMIZER_TRACE LIMIT 1";
/// The same of profiles.
pub const PROFILE: &[u8] = b"SELECT 1 FROM information_schema.PROFILING LIMIT 1";
/// Asked there, where not even the trackers could be read.
pub const VARIABLES: &[u8] = b"SHOW SESSION VARIABLES";

/// The resource group that sessions begin in.
const USUAL_GROUP: &str = "USR_default";

/// What is asked on another connection about the one of this number. Everything that is needed to
/// believe the answer is part of it.
pub fn watched(thread: u32) -> String {
    let of = |table: &str, owner: &str| {
        format!(
            "performance_schema.threads t JOIN performance_schema.{table} o \
             ON o.{owner} = t.THREAD_ID WHERE t.PROCESSLIST_ID = {thread}"
        )
    };
    format!(
        "SELECT 'thread', INSTRUMENTED, RESOURCE_GROUP FROM performance_schema.threads \
         WHERE PROCESSLIST_ID = {thread} \
         UNION ALL SELECT 'watched', ENABLED, NULL FROM performance_schema.setup_instruments \
         WHERE NAME = 'wait/lock/metadata/sql/mdl' \
         UNION ALL SELECT 'watched', ENABLED, NULL FROM performance_schema.setup_consumers \
         WHERE NAME = 'global_instrumentation' \
         UNION ALL SELECT 'lost', VARIABLE_VALUE, NULL FROM performance_schema.global_status \
         WHERE VARIABLE_NAME IN ('Performance_schema_metadata_lock_lost', \
         'Performance_schema_prepared_statements_lost') \
         UNION ALL SELECT 'variable', o.VARIABLE_NAME, NULL FROM {} \
         UNION ALL SELECT 'statement', o.STATEMENT_NAME, o.SQL_TEXT FROM {} \
         UNION ALL SELECT 'lock', o.OBJECT_NAME, CONCAT(o.OBJECT_TYPE, ' ', o.LOCK_DURATION) \
         FROM {} AND o.LOCK_STATUS = 'GRANTED' LIMIT 18446744073709551615",
        of("user_variables_by_thread", "THREAD_ID"),
        of("prepared_statements_instances", "OWNER_THREAD_ID"),
        of("metadata_locks", "OWNER_THREAD_ID"),
    )
}

/// The answers.
#[derive(Debug)]
pub struct Answers<'a> {
    /// To [`watched`].
    pub watched: &'a [Row<'a>],
    /// To [`COUNTS`].
    pub counts: &'a [Row<'a>],
    /// To [`ROLE`].
    pub role: &'a [Row<'a>],
    /// To [`TRACE`].
    pub trace: &'a [Row<'a>],
    /// To [`PROFILE`].
    pub profile: &'a [Row<'a>],
    /// To [`VARIABLES`], where that was asked.
    pub variables: Option<&'a [Row<'a>]>,
    /// The number of the session's connection.
    pub thread: u32,
}

/// What the answers say.
///
/// # Errors
///
/// When it is not known what is there.
pub fn read(
    answers: &Answers<'_>,
    session: &Session,
    traces: &Traces,
    baseline: &Baseline,
) -> Result<Found, Untold> {
    let mut found = Found::default();
    let mut statements = Vec::new();
    let (mut threads, mut watched, mut sure) = (0, false, 0);
    for row in answers.watched {
        let value = row.get(1).copied().flatten();
        match text(row, 0).ok_or(Untold::Unreadable)? {
            "thread" => {
                threads += 1;
                watched |= value == Some(b"YES");
                if text(row, 2).is_some_and(|group| group != USUAL_GROUP) {
                    found.pins.push(PinReason::ResourceGroup);
                }
            }
            "watched" if value == Some(b"YES") => sure += 1,
            "lost" if value == Some(b"0") => sure += 1,
            "watched" | "lost" => return Err(Untold::Blind),
            "variable" => found.variables.push(name(value)?),
            // Those without a name are binary ones.
            "statement" if value.is_none() => {}
            "statement" => {
                let name = name(value)?;
                let text = row.get(2).copied().flatten().unwrap_or_default();
                let own = session.text_statements.as_ref();
                let is_own = own.is_some_and(|own| own.has_text(&name, text, &session.dialect));
                statements.push((name, if is_own { Whose::Own } else { Whose::Unknown }));
            }
            "lock" => lock(text(row, 2).ok_or(Untold::Unreadable)?, value, &mut found)?,
            _ => return Err(Untold::Unreadable),
        }
    }
    // One thread, two switches, and two counters.
    if threads != 1 || !watched || sure != 4 {
        return Err(Untold::Blind);
    }
    let foreign = traces.text_statements.foreign_names(session.text_statements.as_deref());
    if foreign.into_iter().any(|foreign| statements.iter().any(|(name, _)| **name == *foreign)) {
        return Err(Untold::Foreign);
    }
    found.statements = TextStatementsFound::Named(statements);
    for (rows, reason) in
        [(answers.trace, PinReason::OptimizerTrace), (answers.profile, PinReason::Profiling)]
    {
        found.pins.extend((!rows.is_empty()).then_some(reason));
    }
    if count(answers.counts, "Com_create_table")?
        != traces.tables_made + traces.temporary_tables_made
    {
        found.pins.push(PinReason::TemporaryTable);
    }
    if count(answers.counts, "Com_set_role")? != 0 || !has_login_role(&session.environment) {
        let role = value(answers.role, 0).filter(|role| role.is_ascii()).ok_or(Untold::Name)?;
        found.role = Some(Role::Set(role.into()));
    }
    if let Some(rows) = answers.variables {
        // The session's own limit of rows cuts them off.
        if rows.len() < baseline.len() {
            return Err(Untold::Unreadable);
        }
        found.settings = compare(rows, &session.environment, baseline, answers.thread)?;
        let Settings { immovable, .. } = found.settings;
        found.pins.extend(immovable.then_some(PinReason::ImmovableVariable));
    }
    Ok(found)
}

/// One metadata lock, of this kind and duration.
fn lock(kind: &str, object: Option<&[u8]>, found: &mut Found) -> Result<(), Untold> {
    let reason = match kind {
        "USER LEVEL LOCK EXPLICIT" => {
            found.user_locks.push(object.ok_or(Untold::Unreadable)?.into());
            return Ok(());
        }
        "TABLE EXPLICIT" => {
            found.handlers = true;
            return Ok(());
        }
        "GLOBAL EXPLICIT" | "COMMIT EXPLICIT" => PinReason::ReadLock,
        "BACKUP LOCK EXPLICIT" => PinReason::InstanceLock,
        // There is no transaction.
        _ if kind.ends_with(" TRANSACTION") => PinReason::TableLock,
        _ => return Err(Untold::Lock),
    };
    found.pins.push(reason);
    Ok(())
}
