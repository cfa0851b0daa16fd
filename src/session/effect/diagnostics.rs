//! What the next statement can ask of the last one: row counts, warnings, the last insert id.

use super::{Beyond, Result};
use crate::session::model::Session;
use crate::session::residue::{Diagnostics, FoundRows, LastInsertId};
use crate::session::server::Flavor;
use crate::session::statement::{Action, Analysis, DropScope, Marks, Placed, Sole, StatementKind};

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
    let temporary = |placed: &Placed| {
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
