//! Reads SQL as MySQL and MariaDB do, token by token and without allocating.
//!
//! What separates code from text decides over leaks, so it is done as the servers do it: the
//! session's `sql_mode` and character set take part, and executable comments are code where the
//! server would execute them. What cannot be read is [`Token::Opaque`].
//!
//! <https://dev.mysql.com/doc/refman/9.4/en/language-structure.html>,
//! <https://mariadb.com/kb/en/comment-syntax/>

use super::server::{Flavor, ServerVersion};

/// How a session's statements are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// The family of the server.
    pub flavor: Flavor,
    /// Its version as one number.
    pub version: u32,
    /// `ANSI_QUOTES`: double quotes enclose identifiers.
    pub double_quotes: DoubleQuotes,
    /// `NO_BACKSLASH_ESCAPES`
    pub backslash: Backslash,
    /// `character_set_client`
    pub charset: Charset,
}

/// What double quotes enclose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoubleQuotes {
    /// Strings.
    String,
    /// Identifiers.
    Identifier,
}

/// What a backslash in a string is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backslash {
    /// It escapes the next character.
    Escape,
    /// A character.
    Plain,
}

/// Character sets, as far as they differ in where a character ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// No byte below `0x80` is part of a longer character.
    AsciiSafe,
    /// big5
    Big5,
    /// gb18030
    Gb18030,
    /// gbk
    Gbk,
    /// sjis, cp932
    Sjis,
}

impl Charset {
    fn of(name: &str) -> Self {
        match name {
            "big5" => Self::Big5,
            "gb18030" => Self::Gb18030,
            "gbk" => Self::Gbk,
            "sjis" | "cp932" => Self::Sjis,
            _ => Self::AsciiSafe,
        }
    }

    /// The length of the multi-byte character at the front, if one is there whose further bytes
    /// could be taken for ASCII.
    fn multi_byte(self, bytes: &[u8]) -> Option<usize> {
        let (&lead, &trail) = (bytes.first()?, bytes.get(1)?);
        let two = match self {
            Self::AsciiSafe => false,
            Self::Big5 => {
                (0xA1..=0xF9).contains(&lead) && matches!(trail, 0x40..=0x7E | 0xA1..=0xFE)
            }
            Self::Gbk => {
                (0x81..=0xFE).contains(&lead) && matches!(trail, 0x40..=0x7E | 0x80..=0xFE)
            }
            Self::Gb18030 => {
                let lead = (0x81..=0xFE).contains(&lead);
                let four = lead && trail.is_ascii_digit() && bytes.len() >= 4;
                if four && (0x81..=0xFE).contains(&bytes[2]) && bytes[3].is_ascii_digit() {
                    return Some(4);
                }
                lead && matches!(trail, 0x40..=0x7E | 0x80..=0xFE)
            }
            Self::Sjis => {
                matches!(lead, 0x81..=0x9F | 0xE0..=0xFC)
                    && matches!(trail, 0x40..=0x7E | 0x80..=0xFC)
            }
        };
        two.then_some(2)
    }
}

impl Dialect {
    /// The dialect of a session with this mode and client character set.
    pub fn new(version: &ServerVersion, sql_mode: &[u8], charset: &str) -> Self {
        let has = |flag: &[u8]| sql_mode.split(|b| *b == b',').any(|mode| mode == flag);
        Self {
            flavor: version.flavor,
            version: version.as_number(),
            double_quotes: if has(b"ANSI_QUOTES") {
                DoubleQuotes::Identifier
            } else {
                DoubleQuotes::String
            },
            backslash: if has(b"NO_BACKSLASH_ESCAPES") {
                Backslash::Plain
            } else {
                Backslash::Escape
            },
            charset: Charset::of(charset),
        }
    }
}

/// A piece of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// A keyword, number or unquoted identifier.
    Word(&'a [u8]),
    /// An identifier in quotes; the quotes are not part of it, doubled ones inside are as written.
    Quoted(&'a [u8]),
    /// A string; the quotes are not part of it, escapes inside are as written.
    Text(&'a [u8]),
    /// `@name`; quotes around the name are not part of it.
    UserVariable(&'a [u8]),
    /// `@@name`, with its scope.
    SystemVariable(&'a [u8]),
    /// The inside of an optimizer hint.
    Hint(&'a [u8]),
    /// Any other character.
    Symbol(u8),
    /// Something that cannot be read.
    Opaque,
}

/// Goes through the tokens of a statement.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    sql: &'a [u8],
    at: usize,
    dialect: Dialect,
    /// Inside an executable comment, whose end is no token.
    executable: bool,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

impl<'a> Lexer<'a> {
    /// Starts at the front of `sql`.
    pub fn new(sql: &'a [u8], dialect: Dialect) -> Self {
        Self { sql, at: 0, dialect, executable: false }
    }

    /// Where the next token is looked for.
    pub fn position(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a [u8] {
        &self.sql[self.at.min(self.sql.len())..]
    }

    fn opaque(&mut self) -> Option<Token<'a>> {
        self.at = self.sql.len();
        Some(Token::Opaque)
    }

    fn word_end(&self, from: usize) -> usize {
        let mut at = from;
        while let Some(&byte) = self.sql.get(at) {
            if byte >= 0x80
                && let Some(length) = self.dialect.charset.multi_byte(&self.sql[at..])
            {
                at += length;
            } else if is_word(byte) {
                at += 1;
            } else {
                break;
            }
        }
        at.min(self.sql.len())
    }

    /// The inside of something in quotes that opens at `open`; the position is left behind it.
    fn quoted(&mut self, open: usize, escapes: bool) -> Option<&'a [u8]> {
        let quote = *self.sql.get(open)?;
        let mut at = open + 1;
        loop {
            let byte = *self.sql.get(at)?;
            if byte >= 0x80
                && let Some(length) = self.dialect.charset.multi_byte(&self.sql[at..])
            {
                at += length;
            } else if byte == b'\\' && escapes {
                at += 2;
            } else if byte == quote {
                if self.sql.get(at + 1) == Some(&quote) {
                    at += 2;
                } else {
                    self.at = at + 1;
                    return Some(&self.sql[open + 1..at]);
                }
            } else {
                at += 1;
            }
        }
    }

    fn escapes(&self) -> bool {
        self.dialect.backslash == Backslash::Escape
    }

    /// Passes over blanks and comments. A hint is a token.
    fn skip(&mut self) -> Result<Option<Token<'a>>, ()> {
        loop {
            let rest = self.rest();
            match rest {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C, ..] => self.at += 1,
                [b'#', ..] => self.skip_line(),
                [b'-', b'-'] => self.at += 2,
                [b'-', b'-', next, ..] if *next <= b' ' || *next == 0x7F => self.skip_line(),
                [b'*', b'/', ..] if self.executable => {
                    self.executable = false;
                    self.at += 2;
                }
                [b'/', b'*', b'+', ..] => {
                    let end = memchr::memmem::find(rest, b"*/").ok_or(())?;
                    self.at += end + 2;
                    return Ok(Some(Token::Hint(rest.get(3..end).unwrap_or_default())));
                }
                [b'/', b'*', ..] => self.comment()?,
                _ => return Ok(None),
            }
        }
    }

    fn skip_line(&mut self) {
        let end = memchr::memchr(b'\n', self.rest());
        self.at = end.map_or(self.sql.len(), |end| self.at + end + 1);
    }

    fn comment(&mut self) -> Result<(), ()> {
        let rest = self.rest();
        let maria = self.dialect.flavor == Flavor::MariaDb && rest.starts_with(b"/*M!");
        if !maria && !rest.starts_with(b"/*!") {
            // The first two characters may not be taken for an end: "/*/" is none.
            let end = memchr::memmem::find(&rest[2..], b"*/").ok_or(())?;
            self.at += end + 4;
            return Ok(());
        }
        let digits_at = if maria { 4 } else { 3 };
        let digits = rest[digits_at..].iter().take(6).take_while(|b| b.is_ascii_digit()).count();
        let digits = if digits >= 5 { digits } else { 0 };
        let version = rest[digits_at..digits_at + digits]
            .iter()
            .fold(0_u32, |n, digit| n * 10 + u32::from(digit - b'0'));
        let foreign = self.dialect.flavor == Flavor::MariaDb
            && !maria
            && (50_700..=99_999).contains(&version);
        if version <= self.dialect.version && !foreign {
            if self.executable {
                // The servers disagree on one inside another.
                return Err(());
            }
            self.executable = true;
            self.at += digits_at + digits;
            return Ok(());
        }
        // Not executed here: a comment, in which others may be nested.
        let mut at = self.at + 2;
        let mut depth = 1;
        while depth > 0 {
            let rest = self.sql.get(at..).ok_or(())?;
            match rest {
                [] | [_] => return Err(()),
                [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
                [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
                _ => at += 1,
            }
        }
        self.at = at;
        Ok(())
    }

    fn variable(&mut self) -> Option<Token<'a>> {
        let start = self.at + 1;
        match self.sql.get(start) {
            Some(b'@') => {
                let mut end = start + 1;
                loop {
                    end = match self.sql.get(end) {
                        Some(b'`') => {
                            self.quoted(end, false)?;
                            self.at
                        }
                        Some(&byte) if is_word(byte) => self.word_end(end),
                        Some(b'.') => end + 1,
                        _ => break,
                    };
                }
                self.at = end;
                Some(Token::SystemVariable(&self.sql[start + 1..end]))
            }
            Some(b'`') => self.quoted(start, false).map(Token::UserVariable),
            Some(b'\'' | b'"') => {
                let escapes = self.escapes();
                self.quoted(start, escapes).map(Token::UserVariable)
            }
            _ => {
                let mut end = start;
                while self.sql.get(end).is_some_and(|b| is_word(*b) || *b == b'.') {
                    end = if self.sql[end] == b'.' { end + 1 } else { self.word_end(end) };
                }
                self.at = end;
                Some(Token::UserVariable(&self.sql[start..end]))
            }
        }
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        match self.skip() {
            Err(()) => return self.opaque(),
            Ok(Some(hint)) => return Some(hint),
            Ok(None) => {}
        }
        let first = match self.sql.get(self.at) {
            Some(first) => *first,
            // A comment that is executed must be closed.
            None if self.executable => {
                self.executable = false;
                return Some(Token::Opaque);
            }
            None => return None,
        };
        let token = match first {
            b'\'' => {
                let escapes = self.escapes();
                self.quoted(self.at, escapes).map(Token::Text)
            }
            b'"' if self.dialect.double_quotes == DoubleQuotes::String => {
                let escapes = self.escapes();
                self.quoted(self.at, escapes).map(Token::Text)
            }
            b'"' | b'`' => self.quoted(self.at, false).map(Token::Quoted),
            b'@' => self.variable(),
            byte if is_word(byte) => {
                let start = self.at;
                self.at = self.word_end(start);
                Some(Token::Word(&self.sql[start..self.at]))
            }
            byte => {
                self.at += 1;
                Some(Token::Symbol(byte))
            }
        };
        token.or_else(|| self.opaque())
    }
}

/// The value of a string as it stands between its quotes: doubled quotes and escapes undone.
pub fn unescape(raw: &[u8], dialect: Dialect) -> Vec<u8> {
    let mut value = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' && dialect.backslash == Backslash::Escape {
            value.push(match bytes.next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'r') => b'\r',
                Some(b'0') => 0,
                Some(b'b') => 8,
                Some(b'Z') => 26,
                Some(other) => other,
                None => break,
            });
        } else {
            if (byte == b'\'' || byte == b'"') && bytes.peek() == Some(&byte) {
                bytes.next();
            }
            value.push(byte);
        }
    }
    value
}

#[cfg(test)]
mod tests;
