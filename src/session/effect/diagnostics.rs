//! What the next statement can ask of the last one: row counts, warnings, the last insert id.

use super::{Beyond, Result, found_rows};
use crate::session::model::Session;
use crate::session::residue::{Counts, Diagnostics, LastInsertId};
use crate::session::server::Flavor;
use crate::session::statement::{Action, Analysis, DropScope, Marks, Placed, StatementKind};

/// `ER_RESIGNAL_WITHOUT_ACTIVE_HANDLER`: it comes behind the conditions that there are.
pub const RESIGNAL_WITHOUT_ACTIVE_HANDLER: u16 = 1645;

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
        // GET DIAGNOSTICS leaves it, but where there is no such condition (measured).
        None if marks.has(Marks::GET_DIAGNOSTICS) && !failed && analysis.count == 1 => {
            if result.warnings > 0 { -1 } else { residue.row_count }
        }
        None if !failed => result.affected_rows.cast_signed(),
        _ => -1,
    };
    if let Some(error) = result.last_error {
        residue.failed(error, flavor);
    }
    residue.found_rows = found_rows::after(residue.found_rows, analysis, result, flavor);
    let diagnostics = failed || result.warnings > 0;
    // What the first of several statements left may still be there; and who knows whether a
    // statement that is run by another uses tables.
    let runs = matches!(analysis.kind, StatementKind::Call | StatementKind::Execute);
    let shows = marks.intersects(Marks::SHOW_DIAGNOSTICS | Marks::GET_DIAGNOSTICS);
    let several = analysis.count > 1 && (flavor == Flavor::MariaDb || shows);
    let unclear = (several || runs && flavor == Flavor::MariaDb)
        && (flavor == Flavor::MySql || !matches!(residue.diagnostics, Diagnostics::Captured(_)));
    // Asking does not clear them (measured), but where it is a part of another statement (`SET @n =
    // @@warning_count`), on MariaDB of one that uses tables.
    let only_asks = analysis.count == 1
        && (analysis.kind == StatementKind::Show || marks.has(Marks::GET_DIAGNOSTICS));
    let keeps = shows && (only_asks || flavor == Flavor::MariaDb && keeps_diagnostics(analysis));
    // What MySQL does for a ping and the like leaves them, too.
    let is_no_statement = analysis.count == 0 && flavor == Flavor::MySql;
    let adds = match result.error {
        None => marks.has(Marks::GET_DIAGNOSTICS) && result.warnings > 0,
        Some(code) => {
            analysis.kind == StatementKind::Resignal && code == RESIGNAL_WITHOUT_ACTIVE_HANDLER
        }
    };
    let counted = match result.error {
        _ if adds && analysis.count == 1 => session.counted.plus(Counts::ERROR),
        None => Counts::warnings(result.warnings),
        Some(_) => Counts::ERROR,
    };
    // MySQL counts those anew that it has shown.
    if diagnostics || unclear || flavor == Flavor::MySql {
        session.counted = counted;
    }
    if unclear {
        residue.diagnostics = Diagnostics::OnBackend;
        beyond.diagnostics = Some(true);
    } else if (keeps || is_no_statement) && !diagnostics {
        // They are what they were.
    } else if diagnostics {
        residue.diagnostics = Diagnostics::OnBackend;
        beyond.diagnostics = Some(true);
    } else if !(flavor == Flavor::MariaDb && keeps_diagnostics(analysis)) {
        residue.diagnostics = Diagnostics::None;
        session.counted = counted;
        beyond.diagnostics = Some(false);
    }
    let inserts = result.inserted_id
        || marks.has(Marks::LAST_INSERT_ID_SET)
        || marks.intersects(Marks::IMPURE | Marks::OPAQUE)
        || analysis.kind == StatementKind::Call
        || (analysis.kind.inserts() && (failed || result.rows.is_some()))
        || loads(analysis)
        || (analysis.count > 1 && failed);
    if inserts {
        residue.last_insert_id = LastInsertId::OnBackend;
        beyond.last_insert_id = true;
    }
}

/// Whether rows are inserted of which no answer tells the id (measured on both servers).
fn loads(analysis: &Analysis) -> bool {
    let kinds = analysis.details.as_ref().map_or(&[][..], |details| &details.statements);
    analysis.kind == StatementKind::LoadData || kinds.contains(&StatementKind::LoadData)
}

/// MariaDB clears warnings only with a statement that uses a table (measured).
fn keeps_diagnostics(analysis: &Analysis) -> bool {
    use StatementKind as Kind;
    if analysis.opens_sequences() {
        return false;
    }
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
        Kind::AlterDatabase
        | Kind::Begin
        | Kind::Commit
        | Kind::Deallocate
        | Kind::Empty
        | Kind::Help
        | Kind::ReleaseSavepoint
        | Kind::Rollback
        | Kind::Savepoint
        | Kind::ShowState
        | Kind::UnlockTables
        | Kind::Use
        | Kind::Xa => true,
        _ => false,
    }
}
