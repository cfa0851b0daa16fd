//! What a statement leaves behind that only its own session may see: user variables, the last
//! insert id, warnings, row counts.
//!
//! Each piece is either *known* here, or still *on the backend* connection where the statement
//! ran. As long as something is on the backend, that connection may be used by nobody else;
//! [`Residue::capture`] says which questions bring everything here, and [`Residue::captured`]
//! takes in the answers.

mod capture;
mod conditions;
mod value;

#[cfg(test)]
mod tests;

pub use self::capture::{Answer, Capture, CaptureMismatch, Captured, ColumnType};
pub use self::conditions::{Counts, LastError};

use self::capture::{number, select_values};
use self::value::literal;
use super::literal::put_identifier;
use super::sequences::{self, LastValues, Within};
use std::collections::{BTreeMap, BTreeSet};

/// A user variable's name in lower case: the server compares them so.
pub type VariableName = Box<[u8]>;

/// The most user variables that are carried from connection to connection.
pub const MAX_VARIABLES: usize = 64;
/// The most bytes of literals of user variables that are carried.
pub const MAX_VARIABLE_BYTES: usize = 64 * 1024;

/// `LAST_INSERT_ID()` and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastInsertId {
    /// The value.
    Known(u64),
    /// Only the backend knows.
    OnBackend,
    /// The backend that knew is gone.
    Lost,
}

/// The warnings and errors of the last statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Diagnostics {
    /// There are none.
    #[default]
    None,
    /// The backend has some.
    OnBackend,
    /// The result of `SHOW WARNINGS`, as the server sent it.
    Captured(Box<CapturedResult>),
    /// The backend that had some is gone.
    Lost,
}

/// A small result set: the payloads of its packets as the server sent them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapturedResult {
    /// Column definitions.
    pub columns: Vec<Box<[u8]>>,
    /// Text rows.
    pub rows: Vec<Box<[u8]>>,
}

/// `FOUND_ROWS()` and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundRows {
    /// The value.
    Known(u64),
    /// Only the backend knows: after `SQL_CALC_FOUND_ROWS`, or a statement that counts rows and
    /// does not tell.
    OnBackend,
    /// What the backend had of another session's may have been left there, and is not the session's
    /// then.
    Left {
        /// The session's, if it was left.
        own: u32,
        /// What the backend says then.
        there: u32,
    },
    /// The backend that knew is gone.
    Lost,
}

impl FoundRows {
    /// Whether the backend has to be asked.
    pub fn is_on_backend(self) -> bool {
        matches!(self, Self::OnBackend | Self::Left { .. })
    }

    /// What it is when the backend says this.
    fn told(self, rows: u64) -> Self {
        match self {
            Self::Left { own, there } if rows == u64::from(there) => Self::Known(own.into()),
            _ => Self::Known(rows),
        }
    }
}

/// What `SET TRANSACTION` said of the transaction that begins next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextTransaction {
    /// The statements that say it again, as the server reports them: each is ended by `;`.
    pub statements: Box<[u8]>,
    /// Whether the session's connection has it.
    pub on_backend: bool,
}

impl NextTransaction {
    /// The statements, one by one.
    pub fn each(&self) -> impl Iterator<Item = &[u8]> {
        let statements = self.statements.split(|byte| *byte == b';');
        statements.map(|sql| sql.trim_ascii()).filter(|sql| !sql.is_empty())
    }
}

/// All of it, for one session.
#[derive(Debug, Clone)]
pub struct Residue {
    /// `LAST_INSERT_ID()`
    pub last_insert_id: LastInsertId,
    /// Warnings and errors.
    pub diagnostics: Diagnostics,
    /// `FOUND_ROWS()`
    pub found_rows: FoundRows,
    /// `ROW_COUNT()`: always known from the protocol.
    pub row_count: i64,
    /// What was said of the next transaction, until it begins.
    pub next_transaction: Option<Box<NextTransaction>>,
    variables: Option<Box<UserVariables>>,
}

/// User variables, and what still fewer sessions have.
#[derive(Debug, Clone, Default)]
struct UserVariables {
    /// The right sides of assignments that recreate value, type and collation.
    known: BTreeMap<VariableName, Box<[u8]>>,
    /// Variables whose value changed, or may have, since they were captured.
    on_backend: BTreeSet<VariableName>,
    /// Variables whose value went down with the backend that had it.
    lost: BTreeSet<VariableName>,
    /// The last error, if its SQLSTATE is not that of its number: `SHOW WARNINGS` does not tell it,
    /// `GET DIAGNOSTICS` does.
    signalled: Option<LastError>,
    /// Last values of sequences.
    last_values: LastValues,
    /// What is on the backend was too large to be brought here.
    too_large: bool,
    /// Trackers of a failed statement, which the client has not been told.
    owed: Option<Box<[u8]>>,
}

impl Default for Residue {
    fn default() -> Self {
        Self {
            last_insert_id: LastInsertId::Known(0),
            diagnostics: Diagnostics::None,
            found_rows: FoundRows::Known(0),
            row_count: 0,
            next_transaction: None,
            variables: None,
        }
    }
}

impl Residue {
    /// Whether everything is known here, so that another session may use the connection.
    pub fn is_portable(&self) -> bool {
        self.last_insert_id != LastInsertId::OnBackend
            && self.diagnostics != Diagnostics::OnBackend
            && !self.found_rows.is_on_backend()
            && self.next_transaction.as_ref().is_none_or(|next| !next.on_backend)
            && self
                .variables
                .as_ref()
                .is_none_or(|v| v.on_backend.is_empty() && v.last_values.is_portable())
    }

    /// Whether the backend has what the next question that it is asked takes away.
    pub fn has_answers_on_backend(&self) -> bool {
        self.diagnostics == Diagnostics::OnBackend || self.found_rows.is_on_backend()
    }

    /// Whether there are more or larger user variables than are carried about.
    pub fn has_too_many_variables(&self) -> bool {
        self.variables.as_ref().is_some_and(|v| {
            v.too_large
                || v.known.len() + v.on_backend.len() > MAX_VARIABLES
                || v.known.values().map(|l| l.len()).sum::<usize>() > MAX_VARIABLE_BYTES
        })
    }

    /// Last values of sequences; most sessions have none.
    pub fn last_values(&self) -> Option<&LastValues> {
        self.variables.as_ref().map(|v| &v.last_values)
    }

    /// Those, to be changed.
    pub fn last_values_mut(&mut self) -> &mut LastValues {
        &mut self.variables.get_or_insert_default().last_values
    }

    /// Those, to be changed, if the session may have some.
    pub fn last_values_if_any(&mut self) -> Option<&mut LastValues> {
        self.variables.as_mut().map(|v| &mut v.last_values)
    }

    /// Keeps trackers that the client's next OK is to tell.
    pub fn owe(&mut self, trackers: Option<Box<[u8]>>) {
        if trackers.is_some() {
            self.variables.get_or_insert_default().owed = trackers;
        }
    }

    /// Those, which are then told.
    pub fn take_owed(&mut self) -> Option<Box<[u8]>> {
        self.variables.as_mut()?.owed.take()
    }

    /// A statement may have assigned to this variable, or changed its type.
    pub fn variable_touched(&mut self, name: &[u8]) {
        let variables = self.variables.get_or_insert_default();
        variables.lost.remove(name);
        variables.on_backend.insert(name.into());
    }

    /// The backend connection is gone, and with it what only it knew. A statement that reads none
    /// of that need not care.
    pub fn lost(&mut self) {
        self.next_transaction_left();
        if self.last_insert_id == LastInsertId::OnBackend {
            self.last_insert_id = LastInsertId::Lost;
        }
        if self.diagnostics == Diagnostics::OnBackend {
            self.diagnostics = Diagnostics::Lost;
        }
        if self.found_rows.is_on_backend() {
            self.found_rows = FoundRows::Lost;
        }
        if let Some(variables) = &mut self.variables {
            variables.last_values.lost();
            variables.too_large = false;
            for name in std::mem::take(&mut variables.on_backend) {
                variables.known.remove(&name);
                variables.lost.insert(name);
            }
        }
    }

    /// The session goes on elsewhere, or its connection has begun another transaction meanwhile: what
    /// it said of its next one has to be said again.
    pub fn next_transaction_left(&mut self) {
        if let Some(next) = &mut self.next_transaction {
            next.on_backend = false;
        }
    }

    /// Whether the value of this variable is lost.
    pub fn is_variable_lost(&self, name: &[u8]) -> bool {
        self.variables.as_ref().is_some_and(|v| v.lost.contains(name))
    }

    /// Whether the value of any variable is lost.
    pub fn has_lost_variables(&self) -> bool {
        self.variables.as_ref().is_some_and(|v| !v.lost.is_empty())
    }

    /// Whether the backend has a newer value of this variable.
    pub fn is_on_backend(&self, name: &[u8]) -> bool {
        self.variables.as_ref().is_some_and(|v| v.on_backend.contains(name))
    }

    /// The assignment that recreates a variable; `None` when it was never set.
    pub fn variable(&self, name: &[u8]) -> Option<&[u8]> {
        self.variables.as_ref()?.known.get(name).map(|literal| &**literal)
    }

    /// The names of all variables that are known here.
    pub fn variable_names(&self) -> impl Iterator<Item = &[u8]> {
        self.variables.iter().flat_map(|v| v.known.keys().map(|name| &**name))
    }

    /// Whether the session has user variables at all.
    pub fn has_variables(&self) -> bool {
        self.variables.as_ref().is_some_and(|v| !v.known.is_empty() || !v.on_backend.is_empty())
    }

    /// The questions that bring here what is on the backend. `SHOW WARNINGS` comes first, because
    /// any other question clears the warnings. `None` leaves out those for sequences.
    pub fn capture(&self, sequences: Option<Within>) -> Capture {
        let mut capture = Capture::default();
        if self.diagnostics == Diagnostics::OnBackend {
            capture.diagnostics = true;
            capture.queries.push(b"SHOW WARNINGS".to_vec());
        }
        if self.found_rows.is_on_backend() {
            capture.found_rows = true;
            capture.queries.push(b"SELECT FOUND_ROWS() LIMIT 1".to_vec());
        }
        if let (Some(values), Some(within)) = (self.last_values(), sequences) {
            capture.sequences = values.on_backend().cloned().collect();
            let before = capture.queries.len();
            sequences::put_questions(&capture.sequences, within, &mut capture.queries);
            capture.about_sequences = before..capture.queries.len();
        }
        capture.last_insert_id = self.last_insert_id == LastInsertId::OnBackend;
        if let Some(variables) = &self.variables {
            capture.variables = variables.on_backend.iter().cloned().collect();
        }
        if capture.last_insert_id || !capture.variables.is_empty() {
            capture.queries.push(select_values(capture.last_insert_id, &capture.variables));
        }
        capture
    }

    /// Takes in the answers to [`Self::capture`].
    ///
    /// # Errors
    ///
    /// When there is not one answer for each question, or one has not the columns asked for; what
    /// was on the backend is then lost.
    pub fn captured(
        &mut self,
        capture: &Capture,
        answers: Vec<Answer>,
    ) -> Result<Captured, CaptureMismatch> {
        let told = capture.told_by(&answers);
        if told == Captured::All || capture.asks_sequences() {
            self.next_transaction_left();
        }
        if let Some(values) = self.last_values_if_any() {
            for (name, told) in capture.told_of_sequences(&answers) {
                values.told(name, told);
            }
        }
        let answers = answers.into_iter().enumerate();
        let mut answers =
            answers.filter(|(at, _)| !capture.may_fail(*at)).map(|(_, answer)| answer);
        if capture.diagnostics {
            let answer = answers.next().ok_or(CaptureMismatch)?;
            // An error of Millpond's own may have come since.
            if self.diagnostics == Diagnostics::OnBackend {
                self.diagnostics = if answer.result.rows.is_empty() {
                    Diagnostics::None
                } else {
                    Diagnostics::Captured(Box::new(answer.result))
                };
            }
        }
        if capture.found_rows {
            let answer = answers.next().ok_or(CaptureMismatch)?;
            self.found_rows = self.found_rows.told(number(answer.first_row.first())?);
        }
        if capture.last_insert_id || !capture.variables.is_empty() {
            let answer = answers.next().ok_or(CaptureMismatch)?;
            match told {
                Captured::All | Captured::NotSequences => self.values_captured(capture, &answer)?,
                Captured::NotVariables => self.variables.get_or_insert_default().too_large = true,
            }
        }
        Ok(told)
    }

    /// The answer to `SELECT FOUND_ROWS()`.
    pub fn found_rows_are(&mut self, answer: &Answer) {
        if let Ok(rows) = number(answer.first_row.first()) {
            self.found_rows = self.found_rows.told(rows);
        }
    }

    fn values_captured(
        &mut self,
        capture: &Capture,
        answer: &Answer,
    ) -> Result<(), CaptureMismatch> {
        let mut at = 0;
        if capture.last_insert_id {
            self.last_insert_id = LastInsertId::Known(number(answer.first_row.first())?);
            at = 1;
        }
        let variables = self.variables.get_or_insert_default();
        for name in &capture.variables {
            let values = answer.first_row.get(at..at + 4).ok_or(CaptureMismatch)?;
            let column = *answer.types.get(at).ok_or(CaptureMismatch)?;
            variables.on_backend.remove(name);
            match literal(name, column, values) {
                Some(literal) => variables.known.insert(name.clone(), literal),
                None => variables.known.remove(name),
            };
            at += 4;
        }
        Ok(())
    }
}

/// Appends `@name`.
pub fn put_variable_name(out: &mut Vec<u8>, name: &[u8]) {
    out.push(b'@');
    put_identifier(out, name);
}
