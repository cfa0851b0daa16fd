//! Limits that a server's settings put on the rows that any statement gives or looks at: Millpond's own
//! questions are to be answered whole.
//!
//! `SHOW VARIABLES` is cut off by `sql_select_limit`, and refused by `max_join_size` where
//! `sql_big_selects` is off (measured on both servers).

use super::dialogue::{Content, Reply};
use crate::session::server::Flavor;
use crate::wire::fault::Fault;

/// What a session's limits are. It gives its row whatever they are.
pub(super) const QUESTION: &[u8] = b"SELECT @@sql_select_limit, @@sql_big_selects LIMIT 1";

/// Takes them away.
pub(super) const LIFT: &[u8] = b"SET SESSION sql_select_limit=18446744073709551615,\
SESSION sql_big_selects=1";

/// A limit of rows that cuts nothing off which Millpond asks; the servers' own default is this or more.
const NO_LIMIT: u64 = u32::MAX as u64;

/// The limits of a session after its login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limits {
    /// `sql_select_limit`
    rows: u64,
    /// `sql_big_selects`
    big_selects: bool,
}

impl Limits {
    /// From the answer to [`QUESTION`]. A server that does not know them has none.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub(super) fn read(reply: &Reply) -> Result<Self, Fault> {
        let fault = Fault::Unexpected { expected: "two limits" };
        if matches!(reply.content, Content::Err(_)) {
            return Ok(Self { rows: u64::MAX, big_selects: true });
        }
        let Content::Rows(answer) = &reply.content else { return Err(fault) };
        let [Some(rows), Some(big_selects), ..] = &answer.first_row[..] else { return Err(fault) };
        let rows = str::from_utf8(rows).ok().and_then(|rows| rows.parse().ok()).ok_or(fault)?;
        Ok(Self { rows, big_selects: &big_selects[..] != b"0" })
    }

    /// Whether there is one that could be in the way.
    pub(super) fn are_felt(&self) -> bool {
        self.rows < NO_LIMIT || !self.big_selects
    }

    /// What puts them back.
    pub(super) fn put_back(&self) -> String {
        format!(
            "SET SESSION sql_select_limit={},SESSION sql_big_selects={}",
            self.rows,
            u8::from(self.big_selects)
        )
    }

    /// Session variables, by name and value, that were asked for while the limits were away.
    pub(super) fn correct(&self, variables: &mut [(String, Vec<u8>)]) {
        for (name, value) in variables {
            match name.as_str() {
                "sql_select_limit" => *value = self.rows.to_string().into(),
                "sql_big_selects" if self.big_selects => *value = b"ON".to_vec(),
                "sql_big_selects" => *value = b"OFF".to_vec(),
                _ => {}
            }
        }
    }
}

/// A `SELECT` (this is what follows that word) of which no row is left out and none looked at in vain.
pub fn unlimited_select(rest: &str, flavor: Flavor) -> String {
    match flavor {
        Flavor::MariaDb => {
            format!("SET STATEMENT sql_big_selects=1 FOR SELECT {rest} LIMIT 18446744073709551615")
        }
        // To servers before 8.0, this is a comment.
        Flavor::MySql => {
            format!("SELECT /*+ SET_VAR(sql_big_selects=1) */ {rest} LIMIT 18446744073709551615")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_felt_unless_they_are_the_servers_own() {
        let felt = |rows, big_selects| Limits { rows, big_selects }.are_felt();
        assert!(!felt(u64::MAX, true));
        assert!(!felt(u64::from(u32::MAX), true), "a server whose words have 32 bits");
        assert!(felt(0, true) && felt(1000, true) && felt(u64::MAX, false));
    }

    #[test]
    fn what_was_lifted_is_told_as_it_is() {
        let limits = Limits { rows: 10, big_selects: false };
        let variable = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let mut variables = [
            variable("sql_big_selects", "ON"),
            variable("sql_mode", "ANSI"),
            variable("sql_select_limit", "18446744073709551615"),
        ];
        limits.correct(&mut variables);
        let expected = [
            variable("sql_big_selects", "OFF"),
            variable("sql_mode", "ANSI"),
            variable("sql_select_limit", "10"),
        ];
        assert_eq!(variables, expected);
        assert_eq!(limits.put_back(), "SET SESSION sql_select_limit=10,SESSION sql_big_selects=0");
    }
}
