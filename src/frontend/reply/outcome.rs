//! What a reply said, as far as it is remembered.

use crate::frontend::told::Told;
use crate::session::changes::Changes;
use crate::session::effect;
use crate::session::parameters::Type;
use crate::session::residue::LastError;
use crate::wire::capability::Status;

/// What one reply said.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The number of the error that ended it.
    pub error: Option<u16>,
    /// That error.
    pub last_error: Option<LastError>,
    /// The error that the client did not get.
    pub withheld: Option<Box<Told>>,
    /// The server said that it takes no writes, and the client has heard it.
    pub only_reads: bool,
    /// The status flags sent last.
    pub status: Option<Status>,
    /// Affected rows of the last OK.
    pub affected_rows: u64,
    /// A number that is told beside these.
    pub beside: Beside,
    /// Whether any OK carried an insert id.
    pub inserted_id: bool,
    /// Warnings of the last result.
    pub warnings: u16,
    /// Whether the last result was a result set.
    pub is_rows: bool,
    /// Rows of the last result set.
    pub rows: u64,
    /// The sum of the trackers.
    pub changes: Changes,
    /// A statement was prepared.
    pub prepared: Option<Prepared>,
    /// What its parameters are, as far as that was looked at.
    pub parameter_types: Vec<Type>,
}

/// A number that only replies to some statements tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Beside {
    /// None.
    #[default]
    Nothing,
    /// The value that a sequence gave, where that was looked at.
    Drawn(i64),
    /// Rows that the last UPDATE looked for.
    Matched(u64),
}

/// The head of the reply to `COM_STMT_PREPARE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared {
    /// The server's number.
    pub id: u32,
    /// Number of columns.
    pub columns: u16,
    /// Number of parameters.
    pub parameters: u16,
}

impl Outcome {
    /// The value that a sequence gave to a statement that succeeded.
    pub fn drawn(&self) -> Option<i64> {
        match self.beside {
            Beside::Drawn(value) if self.error.is_none() => Some(value),
            _ => None,
        }
    }

    /// What of it concerns the session.
    pub fn for_session(&self) -> effect::Result<'_> {
        effect::Result {
            error: self.error,
            last_error: self.last_error,
            status: self.status,
            affected_rows: self.affected_rows,
            matched_rows: match self.beside {
                Beside::Matched(rows) => Some(rows),
                Beside::Nothing | Beside::Drawn(_) => None,
            },
            found_before: None,
            inserted_id: self.inserted_id,
            warnings: self.warnings,
            rows: self.is_rows.then_some(self.rows),
            changes: &self.changes,
        }
    }
}
