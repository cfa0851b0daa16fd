//! The locks on names that MySQL keeps to the end of a transaction of which its status says nothing.

use super::{PARSE_ERROR, Result};
use crate::session::model::Session;
use crate::session::pin::{Holds, PinReason};
use crate::session::server::Flavor;
use crate::session::statement::{Analysis, Marks, StatementKind};
use crate::wire::capability::Status;

/// Whether the connection holds such locks after a statement.
///
/// Measured on MySQL 9.7, without `autocommit` and outside what the status calls a transaction: a
/// statement that fails after its tables were looked up keeps their locks, also on a table that does
/// not exist, as a routine that ran keeps its own. So does one that read tables without transactions
/// (MyISAM, MEMORY), which the status takes for none, and a view of no tables at all. Nobody else can
/// then make, alter or drop what is locked, not even the session itself on another connection. MariaDB
/// keeps nothing.
#[cold]
pub(super) fn locks(
    session: &mut Session,
    analysis: &Analysis,
    result: &Result<'_>,
    flavor: Flavor,
) {
    if flavor != Flavor::MySql {
        return;
    }
    let ended = analysis.marks.has(Marks::ENDS_TRANSACTION);
    let certain = analysis.count == 1 && !analysis.marks.has(Marks::UNCERTAIN);
    if session.status.has(Status::AUTOCOMMIT) || ended && certain && result.error.is_none() {
        session.pins.put(PinReason::MetadataLock, Holds::No);
    } else if !(session.status.has(Status::IN_TRANS) || ended && certain) {
        let keeps = match result.error {
            Some(error) => error != PARSE_ERROR && fails_with_locks(analysis),
            None => {
                analysis.reads_tables
                    || is_implicit(result.changes.transaction_state)
                    || runs_routines(analysis)
            }
        };
        if keeps {
            session.pins.put(PinReason::MetadataLock, Holds::Yes);
        }
    }
}

/// Whether this, when it fails, may have looked something up: what is no statement has not, and what
/// is only prepared gives its locks back (measured).
fn fails_with_locks(analysis: &Analysis) -> bool {
    analysis.count > 1 || !matches!(analysis.kind, StatementKind::Empty | StatementKind::Prepare)
}

/// Whether the trackers tell of a transaction that began by itself, which they do of tables without
/// transactions, too.
fn is_implicit(transaction_state: Option<[u8; 8]>) -> bool {
    transaction_state.is_some_and(|letters| letters[0] == b'I')
}

/// Whether a statement that succeeds may have run a routine, or shown how one was made.
fn runs_routines(analysis: &Analysis) -> bool {
    use StatementKind as Kind;
    analysis.marks.intersects(Marks::CALL | Marks::FOREIGN_FUNCTION | Marks::TEXT_EXECUTE)
        || matches!(analysis.kind, Kind::Call | Kind::ShowState)
}
