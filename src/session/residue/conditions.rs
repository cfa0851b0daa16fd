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
    /// this error.
    pub fn refused(&mut self, code: u16, message: &[u8]) {
        let mut row = BytesMut::new();
        for text in [b"Error", code.to_string().as_bytes(), message] {
            put_lenenc_bytes(&mut row, text);
        }
        let result = CapturedResult { columns: Vec::new(), rows: vec![Box::from(&row[..])] };
        self.diagnostics = Diagnostics::Captured(Box::new(result));
        self.row_count = -1;
    }

    /// `@@warning_count`, where it is known here. The server counts more than it keeps; `counted` is
    /// what it said.
    pub fn condition_count(&self, counted: u16) -> Option<u64> {
        match &self.diagnostics {
            Diagnostics::None => Some(0),
            Diagnostics::Captured(result) => Some((result.rows.len() as u64).max(counted.into())),
            Diagnostics::OnBackend | Diagnostics::Lost => None,
        }
    }

    /// `@@error_count`, where it is known here.
    pub fn error_count(&self) -> Option<u64> {
        match &self.diagnostics {
            Diagnostics::None => Some(0),
            Diagnostics::Captured(result) => Some(result.errors().count() as u64),
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
