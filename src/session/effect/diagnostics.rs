//! What the next statement can ask of the last one: row counts, warnings, the last insert id.

use super::{Beyond, Result};
use crate::session::model::Session;
use crate::session::residue::{Diagnostics, FoundRows, LastInsertId};
use crate::session::server::Flavor;
use crate::session::statement::{Action, Analysis, DropScope, Marks, Placed, Sole, StatementKind};
use crate::wire::capability::Status;

/// Row counts, warnings and the last insert id.
pub(super) fn residue(
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
    // What the first of several statements left may still be there; and who knows whether a
    // statement that is run by another uses tables.
    let runs = matches!(analysis.kind, StatementKind::Call | StatementKind::Execute);
    let shows = marks.intersects(Marks::SHOW_DIAGNOSTICS | Marks::GET_DIAGNOSTICS);
    let several = analysis.count > 1 && (flavor == Flavor::MariaDb || shows);
    let unclear = (several || runs && flavor == Flavor::MariaDb)
        && !matches!(residue.diagnostics, Diagnostics::Captured(_));
    // Asking does not clear them, but on MySQL where it is a SELECT.
    let keeps = shows && (flavor == Flavor::MariaDb || analysis.kind != StatementKind::Select);
    session.warnings = if failed { 1 } else { result.warnings };
    if unclear {
        residue.diagnostics = Diagnostics::OnBackend;
        beyond.diagnostics = Some(true);
    } else if keeps && !diagnostics {
        // They are what they were.
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

/// Errors that come before anything of a text has run: it cannot be read, there is no such routine,
/// it has other arguments.
const NOTHING_RAN: [u16; 3] = [1064, 1305, 1318];

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
    if result.error.is_some_and(|code| NOTHING_RAN.contains(&code)) && result.status.is_none() {
        return before;
    }
    if analysis.count > 1 && !analysis.reads_tables && none_counts(analysis, result) {
        return before;
    }
    if analysis.count > 1 || analysis.marks.has(Marks::OPAQUE) {
        return match result.rows {
            Some(rows) if result.error.is_none() => FoundRows::Known(rows),
            // None had rows before one failed.
            None if result.error.is_some() => before,
            _ => FoundRows::OnBackend,
        };
    }
    if result.status.is_some_and(|status| status.has(Status::CURSOR_EXISTS)) {
        return FoundRows::OnBackend;
    }
    if let Some(rows) = result.rows {
        return match result.error {
            // DESCRIBE counts its rows, EXPLAIN does not.
            None if kind == Kind::Explain && !analysis.reads_tables => FoundRows::OnBackend,
            _ if !counted => before,
            _ if analysis.marks.has(Marks::SQL_CALC_FOUND_ROWS) => FoundRows::OnBackend,
            None => FoundRows::Known(rows),
            Some(_) => FoundRows::OnBackend,
        };
    }
    match kind {
        Kind::Call => FoundRows::OnBackend,
        _ if result.error.is_some() => before,
        Kind::Select if flavor == Flavor::MySql => FoundRows::Known(result.affected_rows),
        Kind::Do if flavor == Flavor::MySql => FoundRows::Known(1),
        Kind::Update if flavor == Flavor::MySql => match result.matched_rows {
            Some(rows) => FoundRows::Known(rows),
            None => FoundRows::OnBackend,
        },
        Kind::Compound | Kind::Execute | Kind::Other | Kind::Select | Kind::With => {
            FoundRows::OnBackend
        }
        Kind::CreateTable | Kind::CreateTemporaryTable
            if analysis.reads_tables || result.affected_rows > 0 =>
        {
            FoundRows::OnBackend
        }
        Kind::Insert | Kind::Replace if analysis.reads_tables => FoundRows::OnBackend,
        Kind::Set if analysis.reads_tables && flavor == Flavor::MariaDb => FoundRows::OnBackend,
        _ => before,
    }
}

/// Whether no statement of several, none of which reads a table, can change `FOUND_ROWS()`.
fn none_counts(analysis: &Analysis, result: &Result<'_>) -> bool {
    use StatementKind as Kind;
    let unreadable = result.error == Some(1064);
    let kinds = analysis.details.as_ref().map_or(&[][..], |details| &details.statements);
    !kinds.is_empty()
        && kinds.iter().all(|kind| match kind {
            Kind::Begin
            | Kind::Commit
            | Kind::Delete
            | Kind::Empty
            | Kind::Insert
            | Kind::Replace
            | Kind::Rollback
            | Kind::Savepoint
            | Kind::Set
            | Kind::Use => true,
            Kind::Other => unreadable,
            _ => false,
        })
}

/// MariaDB clears warnings only with a statement that uses a table (measured).
fn keeps_diagnostics(analysis: &Analysis) -> bool {
    use StatementKind as Kind;
    let temporary = |placed: &Placed| {
        matches!(placed.action, Action::DropTables { scope: DropScope::Temporary, .. })
    };
    let kinds = analysis.details.as_ref().map_or(&[][..], |details| &details.statements);
    if analysis.count > 1 {
        let changes_rows = kinds.iter().any(|kind| kind.changes_rows());
        return !analysis.reads_tables && !changes_rows;
    }
    match analysis.kind {
        Kind::DropTable => analysis.actions().iter().all(temporary),
        Kind::Do | Kind::Execute | Kind::Explain | Kind::Select | Kind::Set => {
            !analysis.reads_tables
        }
        Kind::Prepare => !analysis.prepares_with_tables(),
        Kind::Begin
        | Kind::Commit
        | Kind::Deallocate
        | Kind::Empty
        | Kind::ReleaseSavepoint
        | Kind::Rollback
        | Kind::Savepoint
        | Kind::UnlockTables
        | Kind::Use
        | Kind::Xa => true,
        _ => false,
    }
}
