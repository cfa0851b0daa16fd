//! Names: without quotes, in backticks or double quotes, and `$tag$` texts.

use std::borrow::Cow;

use super::class::{is_ascii_name_byte, is_name_byte};
use super::{Charset, Expect, Lexer, Token, TokenKind};
use crate::session::server::Flavor;

/// The first MySQL version of which it is certain that `$tag$` begins a text.
const DOLLAR_TEXT: u32 = 90_000;
/// The first MySQL version that may read it so.
const DOLLAR_TEXT_PERHAPS: u32 = 80_030;

impl Lexer<'_> {
    /// A name or keyword, unless it is the prefix of a literal: `N'…'`, `x'…'`, `b'…'`.
    #[inline]
    pub(super) fn word_or_prefixed(&mut self, start: usize, first: u8) -> Token {
        if self.peek(1) == Some(b'\'') {
            match first {
                b'n' | b'N' => {
                    self.at += 1;
                    return self.quoted_text(start);
                }
                b'x' | b'X' => return self.bits(start, |byte| byte.is_ascii_hexdigit()),
                b'b' | b'B' => return self.bits(start, |byte| matches!(byte, b'0' | b'1')),
                _ => {}
            }
        }
        self.name(start)
    }

    /// A name from the current place on; `start` may lie before it.
    #[inline]
    pub(super) fn name(&mut self, start: usize) -> Token {
        loop {
            let rest = self.sql.get(self.at..).unwrap_or_default();
            self.at += rest.iter().take_while(|byte| is_ascii_name_byte(**byte)).count();
            if self.peek(0).is_none_or(|byte| byte < 0x80) {
                break;
            }
            match self.high_length() {
                0 => return self.opaque(start),
                length => self.at += length,
            }
        }
        if self.peek(0) == Some(b'.') && self.peek(1).is_some_and(is_name_byte) {
            self.expect = Expect::Dot;
        }
        self.made(TokenKind::Word, start)
    }

    /// How many bytes of a name the byte from 0x80 up at the current place is; 0: unknown.
    fn high_length(&self) -> usize {
        let rest = self.sql.get(self.at..).unwrap_or_default();
        match self.dialect.charset {
            Charset::Utf8 | Charset::Euc => 1,
            Charset::Latin1 => {
                usize::from(matches!(rest.first(), Some(0xc0..=0xd6 | 0xd8..=0xf6 | 0xf8..=0xff)))
            }
            Charset::Big5 | Charset::Gbk | Charset::Gb18030 | Charset::Sjis => {
                self.dialect.charset.wide_length(rest)
            }
            Charset::SingleByte | Charset::Unknown => 0,
        }
    }

    /// A name in quotes, which are doubled inside it; never escaped. A NUL inside is an error.
    pub(super) fn quoted_name(&mut self, start: usize) -> Token {
        let Some(quote) = self.peek(0) else { return self.opaque(start) };
        self.at += 1;
        loop {
            let Some(byte) = self.peek(0) else { return self.opaque(start) };
            if byte == quote {
                self.at += 1;
                if self.peek(0) != Some(quote) {
                    return self.made(TokenKind::Quoted, start);
                }
                self.at += 1;
            } else if byte == 0 {
                return self.opaque(start);
            } else {
                self.at += self.character_length(byte);
            }
        }
    }

    /// The length of the character at the current place inside quotes.
    #[inline]
    pub(super) fn character_length(&self, byte: u8) -> usize {
        if byte < 0x80 || self.dialect.charset.is_plain() {
            return 1;
        }
        self.dialect.charset.wide_length(self.sql.get(self.at..).unwrap_or_default()).max(1)
    }

    /// `$` begins a name, and in newer MySQL versions a text between two equal `$tag$`.
    pub(super) fn dollar(&mut self, start: usize) -> Token {
        if self.dialect.flavor != Flavor::MySql || self.dialect.version < DOLLAR_TEXT_PERHAPS {
            return self.name(start);
        }
        let tag = self.sql.get(start + 1..).unwrap_or_default();
        let length = tag.iter().position(|&byte| byte == b'$' || !is_name_byte(byte));
        match length {
            Some(length) if tag.get(length) == Some(&b'$') => {
                // A tag of bytes from 0x80 up can hold a `$` as half a character.
                let plain = self.dialect.charset.is_plain() || tag[..length].is_ascii();
                if self.dialect.version < DOLLAR_TEXT || !plain {
                    return self.opaque(start);
                }
                self.dollar_text(start, length)
            }
            _ => self.name(start),
        }
    }

    /// Passes over a `$tag$` text. Like the server's, the search for the closing tag doesn't look
    /// twice at a byte on which it had failed.
    fn dollar_text(&mut self, start: usize, tag: usize) -> Token {
        self.at += tag + 2;
        let mut matched = 0;
        while let Some(byte) = self.peek(0) {
            let in_tag = matched > 0;
            self.at += if in_tag { 1 } else { self.character_length(byte) };
            if !in_tag {
                matched = usize::from(byte == b'$');
            } else if self.sql.get(start + matched) == Some(&byte) {
                if matched == tag + 1 {
                    return self.made(TokenKind::Dollar, start);
                }
                matched += 1;
            } else {
                matched = 0;
            }
        }
        self.opaque(start)
    }
}

/// A name without its quotes: borrowed unless a quote is doubled inside.
pub fn unquoted(name: &[u8]) -> Cow<'_, [u8]> {
    let [quote @ (b'`' | b'"'), inner @ .., last] = name else { return Cow::Borrowed(name) };
    if quote != last {
        return Cow::Borrowed(name);
    }
    if !inner.contains(quote) {
        return Cow::Borrowed(inner);
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        plain.push(*byte);
        if byte == quote {
            bytes.next();
        }
    }
    Cow::Owned(plain)
}
