//! What the session trackers of one command's replies reported.

use super::state::{Value, is_charset_variable, is_immovable, is_report_only};
use crate::wire::reply::{Tracker, Trackers};

/// The sum of all trackers in the replies to one command.
#[derive(Debug, Default)]
pub struct Changes {
    /// System variables with their new values, in the order of the reports.
    pub variables: Vec<(Box<str>, Value)>,
    /// The current database; empty when there is none any more.
    pub schema: Option<Box<[u8]>>,
    /// Variables that cannot be moved to another connection.
    pub immovable: Vec<Box<str>>,
    /// The transaction's characteristics: statements that would restore them, or empty.
    pub characteristics: Option<Box<[u8]>>,
    /// The eight letters of the transaction state.
    pub transaction_state: Option<[u8; 8]>,
    /// Whether one of the character set variables was reported.
    pub charsets: bool,
    /// Whether that of results was.
    pub results: bool,
    /// Whether the server said that some state of the session changed.
    pub state: bool,
    /// Whether a part of the report could not be read: anything may have changed.
    pub unreadable: bool,
}

impl Changes {
    /// Whether anything was reported that the session model has to take in.
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty()
            && self.schema.is_none()
            && self.immovable.is_empty()
            && self.characteristics.is_none()
            && self.transaction_state.is_none()
            && !self.charsets
            && !self.state
            && !self.unreadable
    }

    /// Takes in the trackers of one OK packet. What cannot be read there is noted, and is no reason
    /// to give the connection up: MariaDB writes long characteristics of transactions with a wrong
    /// length where the current database is in utf32 (measured).
    pub fn absorb(&mut self, state_changes: &[u8]) {
        for tracker in Trackers::new(state_changes) {
            match tracker {
                Ok(Tracker::SystemVariable { name, value }) => self.variable(name, value),
                Ok(Tracker::Schema(name)) => self.schema = Some(name.into()),
                Ok(Tracker::StateChange(_)) => self.state = true,
                Ok(Tracker::TransactionCharacteristics(text)) => {
                    // Written in the character set of the database, which may have several bytes
                    // for each letter (measured).
                    let narrow: Box<[u8]> =
                        text.iter().copied().filter(|byte| *byte != 0).collect();
                    if !is_statements(&narrow) && !matches!(text, b"" | b"\0") {
                        self.unreadable = true;
                        return;
                    }
                    self.characteristics = Some(narrow);
                }
                Ok(Tracker::TransactionState(letters)) => {
                    self.transaction_state = letters.first_chunk::<8>().copied();
                }
                Ok(Tracker::Gtids(_) | Tracker::Other { .. }) => {}
                Err(_) => {
                    self.unreadable = true;
                    return;
                }
            }
        }
    }

    fn variable(&mut self, name: &[u8], value: &[u8]) {
        // Every MySQL statement reports its number; that must cost nothing.
        if name == b"statement_id" {
            return;
        }
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if is_charset_variable(&name) {
            self.charsets = true;
            self.results |= name == "character_set_results";
        } else if is_immovable(&name) {
            self.immovable.push(name.into());
        } else if !is_report_only(&name) {
            self.variables.push((name.into(), value.into()));
        }
    }
}

/// Whether this is what restores the characteristics of a transaction.
fn is_statements(text: &[u8]) -> bool {
    text.starts_with(b"SET ") || text.starts_with(b"START ") || text.starts_with(b"XA ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characteristics_are_read_and_those_cut_short_are_not() {
        let mut changes = Changes::default();
        let wide: Vec<u8> = b"SET TRANSACTION READ ONLY;".iter().flat_map(|b| [0, *b]).collect();
        let entry = [&[4, 53, 52][..], &wide].concat();
        changes.absorb(&entry);
        assert_eq!(changes.characteristics.as_deref(), Some(&b"SET TRANSACTION READ ONLY;"[..]));
        assert!(!changes.unreadable);
        // 259 bytes, as MariaDB writes them: the length modulo 256.
        changes.absorb(b"\x04\x04\x03\0\0\0S\0\0\0E\0\0\0T");
        assert!(changes.unreadable && changes.variables.is_empty());
    }
}
