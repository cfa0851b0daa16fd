//! The questions that bring here what is on a backend connection, and the answers to them.

use super::value::can_be_written;
use super::{CapturedResult, MAX_VARIABLE_BYTES, VariableName, put_variable_name};
use crate::session::sequences::{SequenceName, SequenceTraces, Told};
use std::ops::Range;

/// Which questions [`Residue::capture`](super::Residue::capture) asks, to take in the answers in the same order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capture {
    /// The texts of the questions.
    pub queries: Vec<Vec<u8>>,
    pub(super) diagnostics: bool,
    pub(super) found_rows: bool,
    pub(super) last_insert_id: bool,
    pub(super) sequences: Vec<SequenceName>,
    /// The questions for their last values, and what is said behind these.
    pub(super) about_sequences: Range<usize>,
    pub(super) variables: Vec<VariableName>,
}

impl Capture {
    /// Whether the question of this index may be answered by an error, or by no rows.
    pub fn may_fail(&self, index: usize) -> bool {
        self.about_sequences.contains(&index)
    }

    /// Whether it asks for last values of sequences.
    pub fn asks_sequences(&self) -> bool {
        !self.sequences.is_empty()
    }

    /// What these answers tell of sequences.
    pub(super) fn told_of_sequences<'a>(
        &'a self,
        answers: &'a [Answer],
    ) -> impl Iterator<Item = (&'a SequenceName, Told)> {
        let answers = answers.get(self.about_sequences.clone()).unwrap_or_default();
        self.sequences.iter().zip(answers.iter().map(Answer::last_value))
    }

    /// Notes what these answers tell of sequences for the connection that gave them.
    pub fn tell(&self, answers: &[Answer], traces: &mut SequenceTraces) {
        for (name, told) in self.told_of_sequences(answers) {
            traces.told(name, told);
        }
    }

    /// What these answers would tell.
    pub fn told_by(&self, answers: &[Answer]) -> Captured {
        let values = answers.last().filter(|answer| !answer.types.is_empty());
        match values {
            Some(values) if !self.variables.is_empty() && !self.can_be_written(values) => {
                Captured::NotVariables
            }
            _ if self.told_of_sequences(answers).any(|(_, told)| told == Told::Nothing) => {
                Captured::NotSequences
            }
            _ => Captured::All,
        }
    }

    /// Whether literals give the variables in this answer back.
    fn can_be_written(&self, values: &Answer) -> bool {
        let skipped = usize::from(self.last_insert_id);
        let types = values.types.iter().skip(skipped).step_by(4);
        let row = values.first_row.get(skipped..).unwrap_or_default().chunks_exact(4);
        !values.first_row.is_empty()
            && types.zip(row).all(|(column, variable)| can_be_written(*column, variable))
    }

    /// Whether it asks for the last insert id.
    pub fn asks_last_insert_id(&self) -> bool {
        self.last_insert_id
    }

    /// The names of the variables that it asks for.
    pub fn variables(&self) -> impl Iterator<Item = &[u8]> {
        self.variables.iter().map(|name| &**name)
    }
}

/// The answer to one question of a [`Capture`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The result as it was sent.
    pub result: CapturedResult,
    /// The column types and flags, decoded.
    pub types: Vec<ColumnType>,
    /// The decoded values of the first row; `None` is NULL.
    pub first_row: Vec<Option<Vec<u8>>>,
    /// The number of the error that came instead.
    pub error: Option<u16>,
}

impl Answer {
    /// What it says of a sequence that was asked for its last value.
    pub fn last_value(&self) -> Told {
        match (self.error, self.first_row.first()) {
            (Some(code), _) => Told::error(code),
            (None, Some(None)) => Told::Value(None),
            (None, Some(value)) => match integer(value.as_ref()) {
                Ok(value) => Told::Value(Some(value)),
                Err(CaptureMismatch) => Told::Nothing,
            },
            (None, None) => Told::Nothing,
        }
    }
}

/// What of a column's definition decides how its value is written as a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnType {
    /// `enum_field_types`
    pub code: u8,
    /// Column flags; 32 is UNSIGNED.
    pub flags: u16,
    /// The greatest length in bytes.
    pub length: u32,
    /// The collation's number.
    pub collation: u16,
}

/// What is known after a [`Capture`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Captured {
    /// Everything.
    All,
    /// All but the user variables, which are too large to be carried about or cannot be written as
    /// literals, and the last insert id.
    NotVariables,
    /// All but last values of sequences that are locked, by the session itself or another.
    NotSequences,
}

/// The answers do not fit the questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answers to a capture do not fit its questions")]
pub struct CaptureMismatch;

/// The question for the last insert id and these variables.
pub(super) fn select_values(last_insert_id: bool, variables: &[VariableName]) -> Vec<u8> {
    let mut sql = b"SELECT ".to_vec();
    if last_insert_id {
        sql.extend_from_slice(b"@@last_insert_id");
    }
    for name in variables {
        if sql.len() > b"SELECT ".len() {
            sql.push(b',');
        }
        put_variable_name(&mut sql, name);
        for function in ["HEX", "CHARSET", "COLLATION"] {
            sql.push(b',');
            sql.extend_from_slice(function.as_bytes());
            sql.push(b'(');
            put_variable_name(&mut sql, name);
            sql.push(b')');
        }
    }
    if !variables.is_empty() {
        // Without a row the types are told all the same, and nothing large comes this way.
        sql.extend_from_slice(b" FROM DUAL WHERE 0");
        for name in variables {
            sql.extend_from_slice(b"+COALESCE(LENGTH(");
            put_variable_name(&mut sql, name);
            sql.extend_from_slice(b"),0)");
        }
        sql.extend_from_slice(format!("<={MAX_VARIABLE_BYTES}").as_bytes());
    }
    // The session's own sql_select_limit may be 0.
    sql.extend_from_slice(b" LIMIT 1");
    sql
}

/// A whole number in an answer.
pub(super) fn number(value: Option<&Option<Vec<u8>>>) -> Result<u64, CaptureMismatch> {
    integer(value.and_then(Option::as_ref))
}

fn integer<N: std::str::FromStr>(text: Option<&Vec<u8>>) -> Result<N, CaptureMismatch> {
    let text = text.ok_or(CaptureMismatch)?;
    // Results may have been in UTF-16 for a moment without its being known.
    let text: Vec<u8> = text.iter().copied().filter(|byte| *byte != 0).collect();
    std::str::from_utf8(&text).ok().and_then(|t| t.parse().ok()).ok_or(CaptureMismatch)
}
