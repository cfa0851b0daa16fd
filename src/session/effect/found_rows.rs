//! `FOUND_ROWS()` after a statement: most that have no rows leave it as it was (measured).

use super::{PARSE_ERROR, Result};
use crate::session::residue::FoundRows;
use crate::session::server::Flavor;
use crate::session::statement::{Analysis, Marks, Sole, StatementKind};
use crate::wire::capability::Status;

/// Errors that come before anything of a text has run: it cannot be read, there is no such routine,
/// it has other arguments.
const NOTHING_RAN: [u16; 3] = [PARSE_ERROR, 1305, 1318];

/// Errors that come when rows are looked at: more were found than may be, by an `INTO` of variables or
/// a subquery; or a value is out of range.
const LOOKED: [u16; 3] = [1172, 1242, 1690];

/// The most rows that are found only to have been found.
const MOST_PUT: u64 = 1000;

/// What `FOUND_ROWS()` is after a statement, where it was `before`.
pub fn after(
    before: FoundRows,
    analysis: &Analysis,
    result: &Result<'_>,
    flavor: Flavor,
) -> FoundRows {
    use StatementKind as Kind;
    let kind = analysis.kind;
    if result.error.is_some_and(|code| NOTHING_RAN.contains(&code)) && result.status.is_none() {
        // In a text that a routine builds, such an error may come late.
        let late = analysis.marks.has(Marks::IMPURE) && !analysis.marks.has(Marks::OPAQUE);
        let in_place =
            may_leave(analysis) && matches!(before, FoundRows::Known(rows) if rows <= MOST_PUT);
        return if late && in_place { FoundRows::OnBackend } else { before };
    }
    if none_counts(analysis, result) {
        return before;
    }
    if analysis.count > 1 || analysis.marks.has(Marks::OPAQUE) {
        return match result.rows {
            Some(rows)
                if result.error.is_none() && counts_rows(analysis) && !analysis.finds_more() =>
            {
                FoundRows::Known(rows)
            }
            // None had rows before one failed.
            None if result.error.is_some() => before,
            _ => FoundRows::OnBackend,
        };
    }
    if result.status.is_some_and(|status| status.has(Status::CURSOR_EXISTS)) {
        return FoundRows::OnBackend;
    }
    if matches!(kind, Kind::Call | Kind::Compound | Kind::Execute) {
        // Which of its results counts is not seen.
        return FoundRows::OnBackend;
    }
    if let Some(rows) = result.rows {
        return match result.error {
            _ if kind == Kind::Explain || analysis.inserts_selected() => FoundRows::OnBackend,
            _ if !counts_rows(analysis) => before,
            _ if analysis.marks.has(Marks::SQL_CALC_FOUND_ROWS) => FoundRows::OnBackend,
            _ if analysis.finds_more() => FoundRows::OnBackend,
            None => FoundRows::Known(rows),
            Some(_) => FoundRows::OnBackend,
        };
    }
    match kind {
        _ if result.error.is_some_and(|code| looked(code, analysis, flavor)) => {
            FoundRows::OnBackend
        }
        _ if result.error.is_some() => before,
        Kind::Update | Kind::Delete if analysis.joins() => FoundRows::OnBackend,
        Kind::Select if flavor == Flavor::MySql => FoundRows::Known(result.affected_rows),
        Kind::Do if flavor == Flavor::MySql => FoundRows::Known(1),
        Kind::Update if flavor == Flavor::MySql => match result.matched_rows {
            Some(0) => found_none(before, result.found_before),
            Some(rows) => FoundRows::Known(rows),
            None => FoundRows::OnBackend,
        },
        Kind::Other | Kind::Select | Kind::With => FoundRows::OnBackend,
        Kind::CreateTable | Kind::CreateTemporaryTable
            if analysis.reads_tables || result.affected_rows > 0 =>
        {
            FoundRows::OnBackend
        }
        _ if analysis.inserts_selected() => FoundRows::OnBackend,
        Kind::Set if analysis.reads_tables && flavor == Flavor::MariaDb => FoundRows::OnBackend,
        _ => before,
    }
}

/// After an `UPDATE` that no row matched: MySQL's number is 0 then, or it was left, if that could be
/// told without a look at the rows (`WHERE id = NULL`, `LIMIT 0`; measured).
fn found_none(before: FoundRows, there: Option<u64>) -> FoundRows {
    let small = |rows| u32::try_from(rows).ok();
    match (before, there) {
        (FoundRows::Known(0) | FoundRows::Left { .. }, _) => before,
        (FoundRows::Known(own), Some(there)) if there > 0 => match (small(own), small(there)) {
            (Some(own), Some(there)) => FoundRows::Left { own, there },
            // There is no telling.
            _ => FoundRows::Lost,
        },
        _ => FoundRows::OnBackend,
    }
}

/// Whether a statement has counted rows before it failed, which changes MariaDB's number (measured).
fn looked(code: u16, analysis: &Analysis, flavor: Flavor) -> bool {
    flavor == Flavor::MariaDb
        && (LOOKED.contains(&code) || analysis.inserts_selected() || analysis.joins())
}

/// Whether the rows that a statement shows are counted, if it is the last of its text.
fn counts_rows(analysis: &Analysis) -> bool {
    use StatementKind as Kind;
    let kinds = analysis.details.as_ref().map_or(&[][..], |details| &details.statements);
    match kinds.last().copied().unwrap_or(analysis.kind) {
        // `SHOW WARNINGS` and `SHOW ERRORS` are not counted; the numbers of them are.
        Kind::Show if analysis.marks.has(Marks::SHOW_DIAGNOSTICS) => {
            matches!(analysis.sole, Some(Sole::WarningCount | Sole::ErrorCount))
        }
        Kind::Describe | Kind::Select | Kind::Show | Kind::With => true,
        _ => false,
    }
}

/// Whether no statement of several, none of which reads a table, can change `FOUND_ROWS()`.
fn none_counts(analysis: &Analysis, result: &Result<'_>) -> bool {
    leaves_found_rows(analysis, result.error == Some(1064))
}

fn leaves_found_rows(analysis: &Analysis, unreadable: bool) -> bool {
    use StatementKind as Kind;
    let kinds = analysis.details.as_ref().map_or(&[][..], |details| &details.statements);
    analysis.count > 1
        && !analysis.reads_tables
        && !analysis.inserts_selected()
        && !kinds.is_empty()
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

/// Whether a statement may or may not change `FOUND_ROWS()`, so that the connection has to have
/// the session's in order to know it afterwards.
pub fn may_leave(analysis: &Analysis) -> bool {
    use StatementKind as Kind;
    if analysis.count > 1 {
        return !leaves_found_rows(analysis, false);
    }
    analysis.marks.has(Marks::OPAQUE)
        || analysis.joins()
        || analysis.inserts_selected()
        || match analysis.kind {
            Kind::Call | Kind::Compound | Kind::Execute | Kind::Explain | Kind::Other => true,
            // One whose table is there already does not look at the rows that it would have put in.
            Kind::CreateTable | Kind::CreateTemporaryTable => true,
            Kind::Set => analysis.reads_tables,
            _ => false,
        }
}

/// The number to put in place before a statement, if the session's is this and the connection's that.
pub fn to_put(own: u64, there: Option<u64>, analysis: &Analysis, flavor: Flavor) -> Option<u64> {
    // One that another text executes asks the connection.
    let asks = analysis.marks.has(Marks::FOUND_ROWS) && analysis.asked().is_empty();
    if asks || may_leave(analysis) {
        return Some(own).filter(|_| there != Some(own));
    }
    // What shows whether the number was left is any but 0.
    let update = analysis.kind == StatementKind::Update && flavor == Flavor::MySql;
    (update && own > 0 && there.unwrap_or(0) == 0).then_some(1)
}

/// The question after which `FOUND_ROWS()` is `rows`; `None` for too many.
pub fn put(rows: u64) -> Option<Vec<u8>> {
    if rows > MOST_PUT {
        return None;
    }
    let mut sql = b"SELECT 1".to_vec();
    for _ in 1..rows {
        sql.extend_from_slice(b" UNION ALL SELECT 1");
    }
    // As many as are allowed whatever the session's sql_select_limit.
    sql.extend_from_slice(format!(" LIMIT {rows}").as_bytes());
    Some(sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_rows_are_found_as_are_wanted() {
        let text = |rows| put(rows).map(|sql| String::from_utf8(sql).unwrap());
        assert_eq!(text(0).as_deref(), Some("SELECT 1 LIMIT 0"));
        assert_eq!(text(1).as_deref(), Some("SELECT 1 LIMIT 1"));
        assert_eq!(text(2).as_deref(), Some("SELECT 1 UNION ALL SELECT 1 LIMIT 2"));
        assert_eq!(text(1001), None);
    }
}
