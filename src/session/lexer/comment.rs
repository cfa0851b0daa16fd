//! Comments, comments that are code, and optimizer hints.

use memchr::{memchr2, memmem};

use super::class::is_blank;
use super::{Lexer, Token, TokenKind};
use crate::session::server::Flavor;

/// An order for Millpond in a comment in front of a statement: `/* millpond: pin */`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Directive {
    /// Keep the backend connection for this client from now on.
    Pin,
    /// The same, and nobody else gets it afterwards.
    Dedicated,
    /// The statement leaves nothing, although it cannot be read or calls what may do anything.
    Share,
    /// What it sets of the variables named there, from here to there in the text, is not followed.
    Ignore(usize, usize),
}

impl Directive {
    /// Reads a comment whose text goes from here to there.
    fn parse(sql: &[u8], from: usize, to: usize) -> Option<Self> {
        let comment = sql.get(from..to)?;
        let order = comment.trim_ascii().strip_prefix(b"millpond:")?.trim_ascii();
        match order {
            b"pin" => Some(Self::Pin),
            b"dedicated" => Some(Self::Dedicated),
            b"share" => Some(Self::Share),
            _ => {
                let names = order.strip_prefix(b"ignore")?;
                let after = comment.trim_ascii_end().len();
                names
                    .first()?
                    .is_ascii_whitespace()
                    .then_some(Self::Ignore(from + after - names.len(), from + after))
            }
        }
    }
}

/// What the text behind `/*!` or `/*M!` says.
enum Versioned {
    /// Code, after so many bytes.
    Code(usize),
    /// A comment for this server.
    Comment,
    /// Servers of this kind differ.
    Unclear,
}

impl Lexer<'_> {
    /// Whether the `-` at the current place begins a comment: another one, then a blank, a control
    /// character or the end.
    pub(super) fn starts_dash_comment(&self) -> bool {
        self.peek(1) == Some(b'-')
            && self.peek(2).is_none_or(|byte| is_blank(byte) || byte.is_ascii_control())
    }

    /// Passes over a comment up to the end of its line. `false` if it holds a NUL, which ends the
    /// comment for the server and then, but at the text's end, is an error.
    pub(super) fn line_comment(&mut self, prefix: usize) -> bool {
        self.comments += 1;
        let from = (self.at + prefix).min(self.sql.len());
        match memchr2(b'\n', 0, &self.sql[from..]) {
            None => {
                self.at = self.sql.len();
                true
            }
            Some(found) => {
                self.at = from + found;
                self.sql[self.at] != 0 || self.is_last(self.at)
            }
        }
    }

    /// Passes over a comment, or enters it if its content is code. A token comes back for a hint
    /// and for a comment that can't be read.
    pub(super) fn block_comment(&mut self, start: usize) -> Option<Token> {
        self.comments += 1;
        let prefix = match (self.peek(2), self.peek(3)) {
            (Some(b'!'), _) => 3,
            (Some(b'M'), Some(b'!')) if self.dialect.flavor == Flavor::MariaDb => 4,
            (Some(b'+'), _) => return Some(self.hint(start)),
            _ => return self.plain_comment(start),
        };
        let digits = self.sql.get(self.at + prefix..).unwrap_or_default();
        let versioned = match self.dialect.flavor {
            Flavor::MySql => mysql_version(digits, self.dialect.version),
            Flavor::MariaDb => mariadb_version(digits, self.dialect.version, prefix == 4),
        };
        match versioned {
            Versioned::Code(length) => {
                self.at += prefix + length;
                self.in_code = true;
                None
            }
            Versioned::Comment => self.nested_comment(start),
            Versioned::Unclear => Some(self.opaque(start)),
        }
    }

    fn plain_comment(&mut self, start: usize) -> Option<Token> {
        let from = self.at + 2;
        let rest = self.sql.get(from..).unwrap_or_default();
        let Some(length) = memmem::find(rest, b"*/") else { return Some(self.opaque(start)) };
        if !self.begun && !self.in_code && self.directive.is_none() {
            self.directive = Directive::parse(self.sql, from, from + length);
        }
        self.at = from + length + 2;
        None
    }

    /// A versioned comment that this server passes over may hold one level of plain comments.
    fn nested_comment(&mut self, start: usize) -> Option<Token> {
        self.at += 2;
        loop {
            let rest = self.sql.get(self.at..).unwrap_or_default();
            let Some(found) = memchr2(b'*', b'/', rest) else { return Some(self.opaque(start)) };
            match (rest[found], rest.get(found + 1)) {
                (b'*', Some(b'/')) => {
                    self.at += found + 2;
                    return None;
                }
                (b'/', Some(b'*')) => match memmem::find(&rest[found + 2..], b"*/") {
                    Some(length) => self.at += found + 2 + length + 2,
                    None => return Some(self.opaque(start)),
                },
                _ => self.at += found + 1,
            }
        }
    }

    /// An optimizer hint. The server reads quotes in it where hints are allowed and sees a plain
    /// comment elsewhere: it must end at the same place both ways.
    fn hint(&mut self, start: usize) -> Token {
        let rest = self.sql.get(self.at + 3..).unwrap_or_default();
        let Some(length) = memmem::find(rest, b"*/") else { return self.opaque(start) };
        let mut open: Option<u8> = None;
        for &byte in &rest[..length] {
            match open {
                Some(quote) if quote == byte => open = None,
                Some(_) => {}
                None if matches!(byte, b'\'' | b'"' | b'`') => open = Some(byte),
                None => {}
            }
        }
        if open.is_some() {
            return self.opaque(start);
        }
        self.take(3 + length + 2, TokenKind::Hint)
    }
}

/// The first MySQL version of which it is certain that six digits are read.
const SIX_DIGITS: u32 = 90_000;

fn mysql_version(text: &[u8], server: u32) -> Versioned {
    let Some(five) = number(text, 5) else { return Versioned::Code(0) };
    let six = match text.get(6) {
        Some(&byte) if is_blank(byte) => number(text, 6),
        _ => None,
    };
    let runs = |version: u32, length| {
        if version <= server { Versioned::Code(length) } else { Versioned::Comment }
    };
    match six {
        None => runs(five, 5),
        Some(six) if server >= SIX_DIGITS => runs(six, 6),
        Some(_) if five > server => Versioned::Comment,
        Some(_) => Versioned::Unclear,
    }
}

fn mariadb_version(text: &[u8], server: u32, own: bool) -> Versioned {
    let Some(five) = number(text, 5) else { return Versioned::Code(0) };
    let (version, length) = number(text, 6).map_or((five, 5), |six| (six, 6));
    // MySQL's versions from 5.7 on say nothing about MariaDB's grammar.
    if version <= server && (own || !(50_700..=99_999).contains(&version)) {
        return Versioned::Code(length);
    }
    // Galera runs this one in some states.
    if version == 99_997 { Versioned::Unclear } else { Versioned::Comment }
}

/// The number that the first `digits` bytes write, if all of them are digits.
fn number(text: &[u8], digits: usize) -> Option<u32> {
    text.get(..digits)?.iter().try_fold(0, |value: u32, byte| {
        byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0'))
    })
}
