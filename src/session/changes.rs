//! What the session trackers of one command's replies reported.

use super::state::{Value, is_charset_variable, is_immovable, is_report_only};
use crate::wire::fault::Fault;
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
    }

    /// Takes in the trackers of one OK packet.
    ///
    /// # Errors
    ///
    /// When the server's bytes are no trackers.
    pub fn absorb(&mut self, state_changes: &[u8]) -> Result<(), Fault> {
        for tracker in Trackers::new(state_changes) {
            match tracker? {
                Tracker::SystemVariable { name, value } => self.variable(name, value),
                Tracker::Schema(name) => self.schema = Some(name.into()),
                Tracker::StateChange(_) => self.state = true,
                Tracker::TransactionCharacteristics(text) => {
                    self.characteristics = Some(text.into());
                }
                Tracker::TransactionState(letters) => {
                    self.transaction_state = letters.first_chunk::<8>().copied();
                }
                Tracker::Gtids(_) | Tracker::Other { .. } => {}
            }
        }
        Ok(())
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
