//! A tokenizer that reads a statement as the server will, byte for byte, without allocating.
//!
//! It follows `lex_one_token` in both servers' `sql/sql_lex.cc`. Three things decide how bytes
//! become tokens and are given by the [`Dialect`]: the server (which versioned comments are code),
//! `sql_mode` (what quotes and backslashes mean) and `character_set_client` (whether a backslash
//! may be half a character). Text that could be read in two ways ends in [`TokenKind::Opaque`]:
//! the caller then has to assume everything.

mod charset;
mod class;
mod comment;
mod dialect;
mod literal;
mod name;
mod token;

#[cfg(test)]
mod tests;

pub use charset::Charset;
pub use comment::Directive;
pub use dialect::Dialect;
pub use literal::{text_value, user_variable_name};
pub use name::unquoted;
pub use token::{Token, TokenKind};

use class::{CLASS, Class, is_blank, is_name_byte};

/// Reads tokens from a statement; a clone goes on from the same place.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    sql: &'a [u8],
    at: usize,
    dialect: Dialect,
    expect: Expect,
    /// Inside a comment whose content is code.
    in_code: bool,
    /// A token was yielded: comments are no longer leading ones.
    begun: bool,
    comments: u32,
    directive: Option<Directive>,
}

/// What the byte at the current place means because of the token before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// Anything.
    Token,
    /// A dot that joins two names.
    Dot,
    /// A name, even if it looks like a number or a keyword.
    Name,
    /// A system variable's name or scope.
    System,
    /// Bytes of a character set that is not known.
    Unreadable,
    /// Nothing any more.
    End,
}

impl<'a> Lexer<'a> {
    /// Starts at the first byte of `sql`.
    pub fn new(sql: &'a [u8], dialect: &Dialect) -> Self {
        let mut lexer = Self {
            sql,
            at: 0,
            dialect: *dialect,
            expect: Expect::Token,
            in_code: false,
            begun: false,
            comments: 0,
            directive: None,
        };
        lexer.set_dialect(*dialect);
        lexer
    }

    /// Goes on at `offset`, before the first token was read.
    #[must_use]
    pub fn starting_at(mut self, offset: usize) -> Self {
        self.at = offset.min(self.sql.len());
        self
    }

    /// The text that is read.
    pub fn sql(&self) -> &'a [u8] {
        self.sql
    }

    /// How the text is read.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Reads on in another way, behind the end of a statement.
    pub fn set_dialect(&mut self, dialect: Dialect) {
        self.dialect = dialect;
        if dialect.charset == Charset::Unknown {
            self.expect = Expect::Unreadable;
        }
    }

    /// Ends the text at `end`, for a second reading of one statement of several.
    #[must_use]
    pub fn until(mut self, end: usize) -> Self {
        self.sql = self.sql.get(..end).unwrap_or(self.sql);
        self
    }

    /// Whether the current place is inside a comment whose content is code.
    pub fn in_code_comment(&self) -> bool {
        self.in_code
    }

    /// How many comments were passed over.
    pub fn comments(&self) -> u32 {
        self.comments
    }

    /// The order for Millpond found in a comment in front of the first token.
    pub fn directive(&self) -> Option<Directive> {
        self.directive
    }

    /// The next token; after [`TokenKind::Opaque`] or the end only [`TokenKind::End`].
    #[inline]
    pub fn next_token(&mut self) -> Token {
        if self.expect == Expect::Token { self.token() } else { self.expected() }
    }

    /// Reads what the previous token announced.
    fn expected(&mut self) -> Token {
        let start = self.at;
        match self.expect {
            Expect::Dot => {
                self.at += 1;
                self.expect = Expect::Name;
                self.made(TokenKind::Symbol(b'.'), start)
            }
            Expect::Name => {
                self.expect = Expect::Token;
                self.name(start)
            }
            Expect::System => {
                self.expect = Expect::Token;
                match self.peek(0) {
                    Some(b'`') => self.token(),
                    Some(byte) if is_name_byte(byte) => self.name(start),
                    _ => self.opaque(start),
                }
            }
            Expect::Unreadable if self.sql[start..].iter().all(|byte| is_blank(*byte)) => {
                self.at = self.sql.len();
                self.finish()
            }
            Expect::Unreadable => self.opaque(start),
            Expect::End | Expect::Token => self.made(TokenKind::End, start),
        }
    }

    fn token(&mut self) -> Token {
        loop {
            let start = self.at;
            let Some(&byte) = self.sql.get(start) else { return self.finish() };
            match CLASS[usize::from(byte)] {
                Class::Blank => {
                    self.at += 1;
                    continue;
                }
                Class::Letter => return self.word_or_prefixed(start, byte),
                Class::Digit => return self.number(start),
                Class::High => return self.name(start),
                Class::Quote => return self.quoted_text(start),
                Class::Double if self.dialect.ansi_quotes => return self.quoted_name(start),
                Class::Double => return self.quoted_text(start),
                Class::Backtick => return self.quoted_name(start),
                Class::At => return self.variable(start),
                Class::Dot => return self.dot(start),
                Class::Colon if self.peek(1) == Some(b'=') => {
                    return self.take(2, TokenKind::Assign);
                }
                Class::Dollar => return self.dollar(start),
                Class::Nul if self.is_last(start) => return self.finish(),
                Class::Nul => return self.opaque(start),
                Class::Hash => {
                    if !self.line_comment(1) {
                        return self.opaque(start);
                    }
                    continue;
                }
                Class::Minus if self.starts_dash_comment() => {
                    if !self.line_comment(2) {
                        return self.opaque(start);
                    }
                    continue;
                }
                Class::Slash if self.peek(1) == Some(b'*') => {
                    if let Some(token) = self.block_comment(start) {
                        return token;
                    }
                    continue;
                }
                Class::Star if self.in_code && self.peek(1) == Some(b'/') => {
                    self.in_code = false;
                    self.at += 2;
                    continue;
                }
                Class::Colon | Class::Minus | Class::Slash | Class::Star | Class::Symbol => {}
            }
            return self.take(1, TokenKind::Symbol(byte));
        }
    }

    /// The byte `ahead` bytes further on.
    #[inline]
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.sql.get(self.at + ahead).copied()
    }

    /// A token from `start` to the current place.
    #[inline]
    fn made(&mut self, kind: TokenKind, start: usize) -> Token {
        self.begun = true;
        Token { kind, start, end: self.at }
    }

    /// A token of the next `length` bytes.
    #[inline]
    fn take(&mut self, length: usize, kind: TokenKind) -> Token {
        let start = self.at;
        self.at = (start + length).min(self.sql.len());
        self.made(kind, start)
    }

    /// Whether the NUL at `start` ends the text, as a C string's does that was sent with it. Servers
    /// cut blanks and semicolons off the end first; with nothing in front, the NUL is an error.
    fn is_last(&self, start: usize) -> bool {
        let before = self.sql[..start].iter().rev().find(|byte| !is_blank(**byte));
        let rest = self.sql.get(start + 1..).unwrap_or_default();
        self.begun
            && before.is_some_and(|byte| *byte != b';')
            && rest.iter().all(|byte| is_blank(*byte) || *byte == b';')
    }

    /// Gives up: the rest is one token that can't be read.
    fn opaque(&mut self, start: usize) -> Token {
        self.at = self.sql.len();
        self.expect = Expect::End;
        self.in_code = false;
        self.made(TokenKind::Opaque, start)
    }

    /// The end of the text, which is an error inside a comment of code.
    fn finish(&mut self) -> Token {
        let start = self.at;
        if self.in_code {
            return self.opaque(start);
        }
        self.expect = Expect::End;
        self.made(TokenKind::End, start)
    }

    fn dot(&mut self, start: usize) -> Token {
        match self.peek(1) {
            Some(b'0'..=b'9') => self.fraction(start, 1),
            Some(byte) if is_name_byte(byte) => {
                self.expect = Expect::Name;
                self.take(1, TokenKind::Symbol(b'.'))
            }
            _ => self.take(1, TokenKind::Symbol(b'.')),
        }
    }

    /// `@name`, `@'name'` or the `@@` of a system variable.
    fn variable(&mut self, start: usize) -> Token {
        match self.peek(1) {
            Some(b'@') => {
                self.expect = Expect::System;
                return self.take(2, TokenKind::System);
            }
            Some(quote @ (b'\'' | b'"' | b'`')) => {
                self.at += 1;
                let name = quote == b'`' || (quote == b'"' && self.dialect.ansi_quotes);
                let token = if name { self.quoted_name(start) } else { self.quoted_text(start) };
                if token.kind == TokenKind::Opaque {
                    return token;
                }
                return self.made(TokenKind::UserVariable, start);
            }
            _ => {}
        }
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            if byte >= 0x80 {
                // Whether it is part of the name is the character set's affair.
                return self.opaque(start);
            }
            if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$')) {
                break;
            }
            self.at += 1;
        }
        self.made(TokenKind::UserVariable, start)
    }
}
