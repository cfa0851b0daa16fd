//! What is known of a command before it is sent, for the case that its connection ends: whether it can
//! be run a second time, and whether what it did is undone.

use super::run::Request;
use crate::session::statement::{Action, AfterEnd, Analysis, Marks, Placed, StatementKind};
use crate::wire::exchange::ReplyShape;

/// What a repetition of the command that is under way would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Repetition {
    /// Nothing but what the first run did: it only reads.
    Harmless,
    /// Perhaps something a second time.
    #[default]
    Harmful,
}

impl Repetition {
    /// Of this command.
    pub(super) fn of(request: &Request<'_>) -> Self {
        let only_reads = |analysis: &Analysis| {
            analysis.count == 1
                && analysis.kind.is_read()
                && analysis.marks.has(Marks::PURE_READ)
                && !analysis.touches_session()
        };
        match request.shape {
            ReplyShape::Prepare | ReplyShape::FieldList | ReplyShape::Statistics => Self::Harmless,
            ReplyShape::Query | ReplyShape::Execute if only_reads(request.analysis) => {
                Self::Harmless
            }
            _ => Self::Harmful,
        }
    }
}

/// What becomes of the command that is under way when its connection ends in the middle of an open
/// transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Undone {
    /// It is rolled back with everything else: nobody can commit it any more.
    WithTransaction,
    /// It is the `ROLLBACK` itself: what it asked for has happened.
    AsWished,
    /// It may itself have ended the transaction.
    #[default]
    Unknown,
}

impl Undone {
    /// Of this command. Only what can neither commit nor reach beyond the transaction is sure to be
    /// undone; tables without transactions are left out of account, as they are by the server's own
    /// rollback.
    pub(super) fn of(analysis: &Analysis) -> Self {
        use StatementKind as Kind;
        const BEYOND: Marks = Marks::ENDS_TRANSACTION
            .union(Marks::BEGINS_TRANSACTION)
            .union(Marks::OPAQUE)
            .union(Marks::UNCERTAIN)
            .union(Marks::CALL)
            .union(Marks::XA)
            .union(Marks::TEXT_EXECUTE)
            .union(Marks::EXECUTE_IMMEDIATE)
            .union(Marks::SET_STATEMENT)
            .union(Marks::SET_GLOBAL)
            .union(Marks::BACKEND_LOCAL_WRITE);
        match rolls_back(analysis) {
            Some(AfterEnd::Default | AfterEnd::NoChain | AfterEnd::NoRelease) => {
                return Self::AsWished;
            }
            Some(AfterEnd::Chain | AfterEnd::ChainNoRelease) => return Self::WithTransaction,
            Some(AfterEnd::Release) | None => {}
        }
        let rows = analysis.kind.changes_rows() || matches!(analysis.kind, Kind::Select);
        if rows && analysis.count == 1 && !analysis.marks.intersects(BEYOND) {
            Self::WithTransaction
        } else {
            Self::Unknown
        }
    }
}

/// What is to follow a text that is a `ROLLBACK` of the whole transaction and no more.
fn rolls_back(analysis: &Analysis) -> Option<AfterEnd> {
    const MORE: Marks = Marks::OPAQUE.union(Marks::UNCERTAIN);
    let then = match analysis.actions() {
        // The word alone has no particulars.
        [] if analysis.marks.has(Marks::ENDS_TRANSACTION) => AfterEnd::Default,
        [Placed { action: Action::EndTransaction { then }, .. }] => *then,
        _ => return None,
    };
    let only = analysis.kind == StatementKind::Rollback
        && analysis.count == 1
        && !analysis.marks.intersects(MORE);
    only.then_some(then)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::catalogue::Catalogue;
    use crate::session::server::ServerVersion;
    use crate::session::statement::{Dialect, analyze};

    fn undone(sql: &str) -> Undone {
        let dialect = Dialect::new(&ServerVersion::parse(b"8.4.3"), b"", "utf8mb4");
        Undone::of(&analyze(sql.as_bytes(), &dialect, &Catalogue::default()))
    }

    #[test]
    fn a_rollback_has_what_it_wants_when_its_connection_ends() {
        for sql in
            ["ROLLBACK", "rollback work", "ROLLBACK AND NO CHAIN NO RELEASE", "/* a */ ROLLBACK"]
        {
            assert_eq!(undone(sql), Undone::AsWished, "{sql}");
        }
    }

    #[test]
    fn only_what_cannot_commit_is_sure_to_be_undone() {
        for sql in [
            "INSERT INTO t VALUES (1)",
            "update t set a = 1",
            "DELETE FROM t",
            "REPLACE INTO t VALUES (1)",
            "SELECT * FROM t FOR UPDATE",
            "ROLLBACK AND CHAIN",
        ] {
            assert_eq!(undone(sql), Undone::WithTransaction, "{sql}");
        }
        for sql in [
            "COMMIT",
            "commit and chain",
            "ROLLBACK RELEASE",
            "ROLLBACK TO SAVEPOINT a",
            "ROLLBACK; COMMIT",
            "BEGIN",
            "SET autocommit = 1",
            "CREATE TABLE t (a INT)",
            "TRUNCATE t",
            "CALL p()",
            "EXECUTE s",
            "XA END 'a'",
            "INSERT INTO t VALUES (1); COMMIT",
            "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)",
            "",
        ] {
            assert_eq!(undone(sql), Undone::Unknown, "{sql}");
        }
    }
}
