//! What is known of a reply before it comes.

use crate::frontend::told::Told;
use crate::session::statement::{Analysis, StatementKind};
use crate::wire::reply::{ErrPacket, OkKind};
use tokio::time::Instant;

/// The statements of a text that have not had their answer yet. A server says in front of a
/// result's rows whether more results will follow, and PHP's driver believes that.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ahead<'a> {
    /// The kinds of the statements, if there are several.
    kinds: &'a [StatementKind],
    /// The first one's kind.
    first: StatementKind,
    count: usize,
    at: usize,
}

impl<'a> Ahead<'a> {
    /// Those of this text.
    pub fn of(analysis: &'a Analysis) -> Self {
        let kinds = analysis.details.as_ref().map_or(&[][..], |details| &details.statements);
        Self { kinds, first: analysis.kind, count: analysis.count as usize, at: 0 }
    }

    pub(super) fn is_call(&self) -> bool {
        let kind = if self.count > 1 { self.kinds.get(self.at) } else { Some(&self.first) };
        kind == Some(&StatementKind::Call)
    }

    /// Whether more follows the result that is under way. A procedure's are followed by its OK.
    pub(super) fn has_more(&self) -> bool {
        self.is_call() || self.at + 1 < self.count
    }

    pub(super) fn ended(&mut self, result: OkKind) {
        if result == OkKind::Ok || !self.is_call() {
            self.at += 1;
        }
    }
}

/// Which errors are kept from a client, because its command is then run elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withhold {
    /// None.
    Nothing,
    /// That the statement was interrupted, from this moment on: its transaction has taken too long.
    InterruptedAfter(Instant),
    /// That the server only reads: as the whole answer to a command, it says that nothing ran.
    ReadOnly,
    /// That the server has as many prepared statements as it may, some of which no client needs.
    Statements {
        /// And that it only reads.
        or_read_only: bool,
    },
}

impl Withhold {
    pub(super) fn withholds(self, error: &ErrPacket<'_>) -> bool {
        match self {
            Self::Nothing => false,
            Self::InterruptedAfter(moment) => {
                error.code == Told::INTERRUPTED.code && Instant::now() >= moment
            }
            Self::ReadOnly => only_reads(error),
            Self::Statements { or_read_only } => {
                error.code == Told::TOO_MANY_STATEMENTS || or_read_only && only_reads(error)
            }
        }
    }
}

/// What follows the definitions of a result's columns, unless an error does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BehindColumns {
    /// Rows.
    Rows,
    /// The one EOF that says that a cursor is open, or rows where there is none.
    Cursor,
}

/// Whether the trackers in a reply are the client's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassTrackers {
    /// They are Millpond's: only what the client would see anyway passes.
    Filtered,
    /// They are the client's.
    All,
}

/// Whether a server says that it takes no writes: `ER_OPTION_PREVENTS_STATEMENT` for one of the
/// options that do that, or `ER_READ_ONLY_MODE`.
pub(super) fn only_reads(error: &ErrPacket<'_>) -> bool {
    let named = |option: &[u8]| error.message.windows(option.len()).any(|at| at == option);
    error.code == 1836 || (error.code == 1290 && (named(b"read-only") || named(b"read_only")))
}
