//! The warnings and errors of the last statement, as far as they are known here.

use super::{CapturedResult, Diagnostics, Residue};
use crate::session::server::Flavor;
use crate::session::sqlstate::sqlstate;
use crate::wire::cursor::Cursor;
use crate::wire::frame::put_lenenc_bytes;
use bytes::BytesMut;

/// What an error packet said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastError {
    /// The error number.
    pub code: u16,
    /// SQLSTATE
    pub sqlstate: [u8; 5],
}

/// How many warnings and errors of the last statement there are at least, by its own reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub conditions: u16,
    /// Those that are errors.
    pub errors: u16,
}

impl Counts {
    /// An error, and whatever came before it.
    pub const ERROR: Self = Self { conditions: 1, errors: 1 };

    /// Of a statement that succeeded with so many.
    pub fn warnings(conditions: u16) -> Self {
        Self { conditions, errors: 0 }
    }

    /// These and those.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            conditions: self.conditions.saturating_add(other.conditions),
            errors: self.errors.saturating_add(other.errors),
        }
    }
}

impl CapturedResult {
    /// The rows of `SHOW WARNINGS` that are errors: those of `SHOW ERRORS`.
    pub fn errors(&self) -> impl Iterator<Item = &[u8]> {
        let is_error = |row: &&[u8]| {
            matches!(Cursor::new(row).text_value(), Ok(Some(level))
                if level.eq_ignore_ascii_case(b"error"))
        };
        self.rows.iter().map(|row| &**row).filter(is_error)
    }
}

impl Residue {
    /// The last statement was refused without asking the server: what `SHOW WARNINGS` shows is
    /// this error, as one of the `most` that are kept.
    pub fn refused(&mut self, code: u16, message: &[u8], most: usize) {
        let mut row = BytesMut::new();
        for text in [b"Error", code.to_string().as_bytes(), message] {
            put_lenenc_bytes(&mut row, text);
        }
        let rows = std::iter::once(Box::from(&row[..])).take(most).collect();
        let result = CapturedResult { columns: Vec::new(), rows };
        self.diagnostics = Diagnostics::Captured(Box::new(result));
        self.row_count = -1;
    }

    /// `@@warning_count`, where it is known here. The server counts more than it keeps
    /// (`max_error_count`); `counted` is what it said.
    pub fn condition_count(&self, counted: Counts) -> Option<u64> {
        let counted = u64::from(counted.conditions);
        match &self.diagnostics {
            Diagnostics::None => Some(counted),
            Diagnostics::Captured(result) => Some((result.rows.len() as u64).max(counted)),
            Diagnostics::OnBackend | Diagnostics::Lost => None,
        }
    }

    /// `@@error_count`, where it is known here, and `counted` as with
    /// [`condition_count`](Self::condition_count).
    pub fn error_count(&self, counted: Counts) -> Option<u64> {
        let counted = u64::from(counted.errors);
        match &self.diagnostics {
            Diagnostics::None => Some(counted),
            Diagnostics::Captured(result) => Some((result.errors().count() as u64).max(counted)),
            Diagnostics::OnBackend | Diagnostics::Lost => None,
        }
    }

    /// Takes in the last statement's error.
    pub fn failed(&mut self, error: LastError, flavor: Flavor) {
        if error.sqlstate != *sqlstate(error.code, flavor) {
            self.variables.get_or_insert_default().signalled = Some(error);
        } else if let Some(variables) = &mut self.variables {
            variables.signalled = None;
        }
    }

    /// The SQLSTATE of one of the conditions of the last statement.
    pub fn sqlstate(&self, code: u16, flavor: Flavor) -> [u8; 5] {
        let signalled = self.variables.as_ref().and_then(|variables| variables.signalled);
        match signalled {
            Some(error) if error.code == code => error.sqlstate,
            _ => *sqlstate(code, flavor),
        }
    }
}
