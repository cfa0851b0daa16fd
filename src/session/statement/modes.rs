//! Modes that one statement of a text sets, and that the next is read under.

use std::borrow::Cow;

use super::details::{Action, Scope, Value};
use super::kind::StatementKind as Kind;
use super::marks::Marks;
use super::scan::Scan;
use crate::session::lexer::{Charset, Dialect, text_value};

impl Scan<'_> {
    /// The server reads each statement only when those before it have run: under the modes that
    /// they have set.
    pub(super) fn follow_modes(&mut self) {
        let statement = &self.statement;
        let may_set = Marks::SET_NAMES
            | Marks::SET_CHARACTER_SET
            | Marks::SET_VARIABLE
            | Marks::EXECUTE_IMMEDIATE
            | Marks::TEXT_EXECUTE;
        if !statement.marks.intersects(may_set) {
            return;
        }
        let mut dialect = self.dialect;
        let mut known = statement.kind == Kind::Set;
        let last = self.count.saturating_sub(1);
        let actions = self.details.iter().flat_map(|details| &details.actions);
        for action in actions.filter(|placed| placed.statement == last) {
            known &= action.action.follow(&mut dialect);
        }
        if !known {
            // The rest can't be read with certainty.
            dialect.charset = Charset::Unknown;
        }
        self.dialect = dialect;
        self.lexer.set_dialect(dialect);
    }
}

impl Action {
    /// Changes how statements are read, if this does. `false` if it may do so in an unknown way.
    fn follow(&self, dialect: &mut Dialect) -> bool {
        match self {
            Self::SetNames { charset, .. } | Self::SetCharacterSet(charset) => match charset {
                Some(name) => *dialect = dialect.with_charset(name),
                None => return false,
            },
            Self::SetVariable { scope: Scope::Next | Scope::Session, name, value } => {
                let text = match value {
                    Value::Literal(literal) => literal_text(literal, dialect),
                    Value::Default | Value::Expression => None,
                };
                match (&**name, text) {
                    (b"sql_mode", Some(mode)) => *dialect = dialect.with_sql_mode(&mode),
                    (b"character_set_client", Some(name)) => *dialect = dialect.with_charset(&name),
                    (b"sql_mode" | b"character_set_client", None) => return false,
                    _ => {}
                }
            }
            _ => {}
        }
        true
    }
}

/// The text of a word or of a string; `None` for a number, which stands for modes by their bits.
fn literal_text<'a>(literal: &'a [u8], dialect: &Dialect) -> Option<Cow<'a, [u8]>> {
    match literal {
        [b'\'' | b'"', ..] | [b'n' | b'N', b'\'', ..] => Some(text_value(literal, dialect)),
        [b'a'..=b'z' | b'A'..=b'Z', ..]
            if literal.iter().all(|b| *b == b'_' || b.is_ascii_alphanumeric()) =>
        {
            Some(Cow::Borrowed(literal))
        }
        _ => None,
    }
}
