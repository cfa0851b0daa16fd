//! What a session knows of its last statement, put in the place of the questions for it in a larger
//! statement: the connection that is to run that statement may have served others meanwhile.
//!
//! The question stays in the text, in a branch that is never taken: `IF(1,…,ROW_COUNT())`. So the
//! server warns and refuses as it would, and clears or keeps warnings as it would. The value is
//! written so that types, lengths and flags of anything made of it come out as those of the
//! question (measured on both servers, as column definitions and as columns of new tables).

mod diagnosis;

pub use diagnosis::{Diagnosed, diagnosed};

use super::model::Session;
use super::pin::{PinReason, TableName};
use super::residue::{Diagnostics, FoundRows};
use super::sequences::{self, Says, SequenceName, SequenceTraces, Taken, Value};
use super::server::Flavor;
use super::statement::{Analysis, Marks, Sole};

/// A statement with answers in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Its text.
    pub sql: Vec<u8>,
    /// What to call things by in the reply.
    pub renames: Vec<Rename>,
}

/// The server names a column after the text that computes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// What the server was told.
    pub from: Box<[u8]>,
    /// What the client said.
    pub to: Box<[u8]>,
}

/// Who ran a session's last statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastRun {
    /// The connection that the session has now.
    Here,
    /// Perhaps another.
    Elsewhere,
}

/// Where a statement is to run.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Who ran the last one.
    pub last: LastRun,
    /// What the connection says of sequences.
    pub sequences: &'a SequenceTraces,
}

/// Puts what the session knows in the place of the questions for it. `None` when it knows nothing
/// that the connection does not: then the text is right as it is.
pub fn answered(
    session: &Session,
    connection_id: u32,
    sql: &[u8],
    analysis: &Analysis,
    run: &Run<'_>,
) -> Option<Answered> {
    if analysis.marks.has(Marks::OPAQUE) {
        // The server reads it otherwise, and may tell its text in an error.
        return None;
    }
    let mut answered = Answered { sql: Vec::with_capacity(sql.len() + 96), renames: Vec::new() };
    let mut at = 0;
    for question in analysis.asked() {
        let text = sql.get(question.start..question.end)?;
        let conditions = matches!(question.asks, Sole::WarningCount | Sole::ErrorCount);
        let from = if let Some(name) = analysis.sequence_of(question) {
            last_value(session, analysis, name, text, run.sequences)
        } else if conditions && counts_conditions(session, analysis, run.last) {
            None
        } else {
            let value = value(session, connection_id, question.asks);
            value.map(|value| [b"IF(1,", value.as_bytes(), b",", text, b")"].concat())
        };
        let Some(from) = from else { continue };
        answered.sql.extend_from_slice(sql.get(at..question.start)?);
        answered.sql.extend_from_slice(&from);
        if question.whole && !text.contains(&b'`') {
            answered.sql.extend_from_slice(b" AS `");
            answered.sql.extend_from_slice(text);
            answered.sql.push(b'`');
        }
        answered.renames.push(Rename { from: from.into(), to: text.into() });
        at = question.end;
    }
    if answered.renames.is_empty() {
        return None;
    }
    answered.sql.extend_from_slice(sql.get(at..)?);
    Some(answered)
}

/// Whether the connection's own numbers of warnings and errors are right.
fn counts_conditions(session: &Session, analysis: &Analysis, last_run: LastRun) -> bool {
    let left = matches!(session.residue.diagnostics, Diagnostics::Captured(_));
    // MariaDB clears them for a statement that uses tables, before it counts.
    let cleared = session.dialect.flavor == Flavor::MariaDb
        && (analysis.reads_tables || analysis.kind.changes_rows() || analysis.opens_sequences());
    cleared || (last_run == LastRun::Here && !left)
}

/// The question `text` for the last value of a sequence, with what the session knows. Numbers of any
/// size leave its type and length as they are (measured).
fn last_value(
    session: &Session,
    analysis: &Analysis,
    name: &SequenceName,
    text: &[u8],
    traces: &SequenceTraces,
) -> Option<Vec<u8>> {
    let table = TableName { database: Some(name.database.clone()), name: name.name.clone() };
    if session.pins.has_temporary_table(&table) {
        // It is one of its own by this name.
        return None;
    }
    let hidden = session.pins.has(PinReason::Sequence)
        || analysis.draws_unknown()
        || analysis.marks.intersects(Marks::IMPURE | Marks::UNCERTAIN);
    let taken = hidden || analysis.draws().any(|drawn| drawn == name);
    let taken = if taken { Taken::Perhaps } else { Taken::No };
    let values = session.residue.last_values();
    let literal = |value: Value| value.map_or("NULL".to_owned(), |value| value.to_string());
    match sequences::says(values, name, traces, taken) {
        Says::Itself => None,
        Says::Value(value) => {
            Some([b"IF(1,", literal(value).as_bytes(), b",", text, b")"].concat())
        }
        Says::Unless { before, own } => {
            let (before, own) = (literal(before), literal(own));
            let (before, own) = (before.as_bytes(), own.as_bytes());
            Some([b"IF(", text, b"<=>", before, b",", own, b",", text, b")"].concat())
        }
    }
}

fn value(session: &Session, connection_id: u32, asks: Sole) -> Option<String> {
    let residue = &session.residue;
    match asks {
        Sole::ConnectionId => Some(format!("CAST({connection_id:010} AS UNSIGNED)")),
        Sole::RowCount => Some(signed(residue.row_count)),
        Sole::FoundRows => match residue.found_rows {
            FoundRows::Known(rows) => Some(signed(rows.cast_signed())),
            FoundRows::OnBackend | FoundRows::Left { .. } | FoundRows::Lost => None,
        },
        Sole::WarningCount => Some(unsigned(residue.condition_count(session.counted)?)),
        Sole::ErrorCount => Some(unsigned(residue.error_count(session.counted)?)),
        Sole::Errors | Sole::LastValue | Sole::Warnings => None,
    }
}

/// A `BIGINT` of the length that functions have.
fn signed(value: i64) -> String {
    format!("TRUNCATE(CAST('{value:021}' AS SIGNED),0)")
}

/// A `BIGINT UNSIGNED` of the length that system variables have.
fn unsigned(value: u64) -> String {
    format!("{value}|0")
}

/// Calls things in `text` what the client called them.
pub fn rename(text: &[u8], renames: &[Rename]) -> Vec<u8> {
    let mut renamed = text.to_vec();
    for Rename { from, to } in renames {
        while let Some(at) = memchr::memmem::find(&renamed, from) {
            // What the client said never contains what the server was told.
            renamed.splice(at..at + from.len(), to.iter().copied());
        }
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::catalogue::Catalogue;
    use crate::session::residue::CapturedResult;
    use crate::session::sequences::Trace;
    use crate::session::server::ServerVersion;
    use crate::session::state::{Baseline, Environment};
    use crate::session::statement::analyze;
    use std::sync::Arc;

    fn session() -> Session {
        let environment = Arc::new(Environment::at_login("utf8mb4", "utf8mb4_general_ci"));
        let version = ServerVersion::parse(b"9.7.0");
        let mut session = Session::new(environment, &version, &Baseline::default());
        session.residue.row_count = -1;
        session.residue.found_rows = FoundRows::Known(37);
        session
    }

    fn told(session: &Session, sql: &str) -> Option<Answered> {
        let analysis = analyze(sql.as_bytes(), &session.dialect, &Catalogue::default());
        let sequences = SequenceTraces::default();
        let run = Run { last: LastRun::Elsewhere, sequences: &sequences };
        answered(session, 12, sql.as_bytes(), &analysis, &run)
    }

    fn text(session: &Session, sql: &str) -> Option<String> {
        told(session, sql).map(|told| String::from_utf8(told.sql).unwrap())
    }

    #[test]
    fn the_question_stays_beside_its_answer() {
        let session = session();
        let minus_one = "IF(1,TRUNCATE(CAST('-00000000000000000001' AS SIGNED),0),ROW_COUNT())";
        assert_eq!(
            text(&session, "SELECT ROW_COUNT() + 1").unwrap(),
            format!("SELECT {minus_one} + 1")
        );
        assert_eq!(
            text(&session, "INSERT INTO t VALUES (1, ROW_COUNT())").unwrap(),
            format!("INSERT INTO t VALUES (1, {minus_one})")
        );
        assert_eq!(
            text(&session, "SELECT Found_Rows ( ), 1").unwrap(),
            "SELECT IF(1,TRUNCATE(CAST('000000000000000000037' AS SIGNED),0),Found_Rows ( )) AS \
             `Found_Rows ( )`, 1"
        );
        assert_eq!(
            text(&session, "SET @a = @@session.warning_count").unwrap(),
            "SET @a = IF(1,0|0,@@session.warning_count)"
        );
        assert_eq!(
            text(&session, "UPDATE t SET a = CONNECTION_ID()").unwrap(),
            "UPDATE t SET a = IF(1,CAST(0000000012 AS UNSIGNED),CONNECTION_ID())"
        );
    }

    #[test]
    fn last_values_are_the_sessions_own() {
        let environment = Arc::new(Environment::at_login("utf8mb4", "utf8mb4_general_ci"));
        let version = ServerVersion::parse(b"10.11.19-MariaDB");
        let mut session = Session::new(environment, &version, &Baseline::default());
        let name = SequenceName { database: b"d"[..].into(), name: b"s"[..].into() };
        let mut there = SequenceTraces::default();
        session.residue.last_values_mut().drawn(&name, Some(7), &mut SequenceTraces::default());
        let told = |session: &Session, sql: &str, there: &SequenceTraces| {
            let analysis = analyze(sql.as_bytes(), &session.dialect, &Catalogue::empty());
            let run = Run { last: LastRun::Elsewhere, sequences: there };
            let told = answered(session, 12, sql.as_bytes(), &analysis, &run);
            told.map(|told| String::from_utf8(told.sql).unwrap())
        };
        let sql = "SELECT 1 + LASTVAL(d.s), PREVIOUS VALUE FOR d.u";
        let expected = "SELECT 1 + IF(1,7,LASTVAL(d.s)), PREVIOUS VALUE FOR d.u";
        assert_eq!(told(&session, sql, &there).unwrap(), expected);
        // What another session took there.
        there.put(&name, Trace::Says(Some(9)));
        assert_eq!(told(&session, sql, &there).unwrap(), expected);
        assert_eq!(
            told(&session, "SELECT NEXTVAL(d.s), LASTVAL(d.s)", &there).unwrap(),
            "SELECT NEXTVAL(d.s), IF(LASTVAL(d.s)<=>9,7,LASTVAL(d.s))"
        );
        there.put(&name, Trace::Says(Some(7)));
        assert_eq!(told(&session, sql, &there), None);
    }

    #[test]
    fn what_is_no_question_stays() {
        let mut session = session();
        for sql in [
            "SET @@warning_count = 1",
            "SELECT @@global.error_count",
            "SELECT x.row_count()",
            "SELECT 'ROW_COUNT()'",
            "CREATE VIEW v AS SELECT ROW_COUNT()",
            "CREATE PROCEDURE p() SELECT ROW_COUNT()",
            "EXPLAIN SELECT ROW_COUNT()",
            "CREATE TABLE c AS SELECT 1, ROW_COUNT() + 1",
            "SELECT * FROM information_schema.processlist WHERE id = CONNECTION_ID()",
        ] {
            assert_eq!(text(&session, sql), None, "{sql}");
        }
        // The connection knows.
        session.residue.found_rows = FoundRows::OnBackend;
        assert_eq!(text(&session, "SELECT FOUND_ROWS() + 1"), None);
    }

    #[test]
    fn names_come_back_as_they_were_said() {
        let mut session = session();
        let row = b"\x05Error\x041146\x01x"[..].into();
        let captured = CapturedResult { columns: Vec::new(), rows: vec![row] };
        session.residue.diagnostics = Diagnostics::Captured(Box::new(captured));
        let told = told(&session, "SELECT 1 + ROW_COUNT() + @@error_count").unwrap();
        let name = String::from_utf8(told.sql.clone()).unwrap();
        assert!(name.contains("IF(1,1|0,@@error_count)"), "{name}");
        assert_eq!(rename(&told.sql, &told.renames), b"SELECT 1 + ROW_COUNT() + @@error_count");
    }
}
