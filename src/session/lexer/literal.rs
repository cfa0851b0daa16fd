//! Strings, numbers and bit strings.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::class::is_name_byte;
use super::{Dialect, Expect, Lexer, Token, TokenKind, unquoted};
use crate::session::server::Flavor;

impl Lexer<'_> {
    /// A string whose opening quote is at the current place.
    pub(super) fn quoted_text(&mut self, start: usize) -> Token {
        let Some(quote) = self.peek(0) else { return self.opaque(start) };
        self.at += 1;
        let closed = if self.dialect.charset.is_plain() {
            self.skip_plain_text(quote)
        } else {
            self.skip_wide_text(quote)
        };
        if closed { self.made(TokenKind::Text, start) } else { self.opaque(start) }
    }

    /// Finds the closing quote where no character hides one.
    fn skip_plain_text(&mut self, quote: u8) -> bool {
        loop {
            let rest = self.sql.get(self.at..).unwrap_or_default();
            let found = if self.dialect.no_backslash_escapes {
                memchr(quote, rest)
            } else {
                memchr2(quote, b'\\', rest)
            };
            let Some(found) = found else { return false };
            if rest[found] == b'\\' || rest.get(found + 1) == Some(&quote) {
                if found + 1 == rest.len() {
                    return false;
                }
                self.at += found + 2;
            } else {
                self.at += found + 1;
                return true;
            }
        }
    }

    /// Finds the closing quote where the second byte of a character may look like one.
    fn skip_wide_text(&mut self, quote: u8) -> bool {
        while let Some(byte) = self.peek(0) {
            if byte == b'\\' && !self.dialect.no_backslash_escapes {
                // The server passes over one byte, not one character.
                if self.peek(1).is_none() {
                    return false;
                }
                self.at += 2;
            } else if byte == quote {
                self.at += 1;
                if self.peek(0) != Some(quote) {
                    return true;
                }
                self.at += 1;
            } else {
                self.at += self.character_length(byte);
            }
        }
        false
    }

    /// `x'…'` or `b'…'`.
    pub(super) fn bits(&mut self, start: usize, digit: fn(u8) -> bool) -> Token {
        self.at += 2;
        while self.peek(0).is_some_and(digit) {
            self.at += 1;
        }
        if self.peek(0) == Some(b'\'') { self.take_from(start, 1) } else { self.opaque(start) }
    }

    fn take_from(&mut self, start: usize, length: usize) -> Token {
        self.at += length;
        self.made(TokenKind::Bits, start)
    }

    /// A token that begins with a digit: a number, or a name.
    pub(super) fn number(&mut self, start: usize) -> Token {
        if self.peek(0) == Some(b'0') {
            let digit: Option<fn(u8) -> bool> = match self.peek(1) {
                Some(b'x') => Some(|byte| byte.is_ascii_hexdigit()),
                Some(b'b') => Some(|byte| matches!(byte, b'0' | b'1')),
                _ => None,
            };
            if let Some(digit) = digit {
                return self.prefixed_bits(start, digit);
            }
        }
        self.skip_digits();
        match self.peek(0) {
            Some(b'.') if self.flavor() == Flavor::MariaDb && self.peek(1) == Some(b'.') => {
                self.made(TokenKind::Number, start)
            }
            Some(b'.') => self.fraction(start, 1),
            Some(b'e' | b'E') => self.exponent_or_name(start),
            Some(byte) if is_name_byte(byte) => self.name(start),
            _ => self.made(TokenKind::Number, start),
        }
    }

    fn flavor(&self) -> Flavor {
        self.dialect.flavor
    }

    /// `0x…` or `0b…`: a name if anything but digits follows.
    fn prefixed_bits(&mut self, start: usize, digit: fn(u8) -> bool) -> Token {
        self.at += 2;
        let first = self.at;
        while self.peek(0).is_some_and(digit) {
            self.at += 1;
        }
        let is_bits = self.at > first && !self.peek(0).is_some_and(is_name_byte);
        if is_bits { self.made(TokenKind::Bits, start) } else { self.name(start) }
    }

    /// Digits and `e`: `1e5` and `1e+5` are numbers, `1e`, `1ea` are names.
    fn exponent_or_name(&mut self, start: usize) -> Token {
        let sign = usize::from(matches!(self.peek(1), Some(b'+' | b'-')));
        if self.peek(1 + sign).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1 + sign;
            self.skip_digits();
            return self.made(TokenKind::Number, start);
        }
        self.name(start)
    }

    /// The part of a number from its point on, which is `skip` bytes long.
    pub(super) fn fraction(&mut self, start: usize, skip: usize) -> Token {
        self.at += skip;
        self.skip_digits();
        if matches!(self.peek(0), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(0), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if !self.peek(0).is_some_and(|byte| byte.is_ascii_digit()) {
                // The server falls into its state for single characters here: an error.
                return self.opaque(start);
            }
            self.skip_digits();
        }
        self.expect = Expect::Token;
        self.made(TokenKind::Number, start)
    }

    fn skip_digits(&mut self) {
        while self.peek(0).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }
}

/// The value of a string token, with escapes and doubled quotes resolved.
pub fn text_value<'a>(token: &'a [u8], dialect: &Dialect) -> Cow<'a, [u8]> {
    let token = match token {
        [b'n' | b'N', rest @ ..] => rest,
        _ => token,
    };
    let [quote, inner @ .., _] = token else { return Cow::Borrowed(&[]) };
    let escapes = !dialect.no_backslash_escapes;
    let plain = |byte: &u8| byte != quote && (*byte != b'\\' || !escapes);
    if inner.iter().all(plain) {
        return Cow::Borrowed(inner);
    }
    let mut value = Vec::with_capacity(inner.len());
    let mut at = 0;
    while let Some(&byte) = inner.get(at) {
        let wide = if byte < 0x80 { 0 } else { dialect.charset.wide_length(&inner[at..]) };
        if wide > 0 {
            value.extend_from_slice(&inner[at..at + wide]);
            at += wide;
            continue;
        }
        match inner.get(at + 1) {
            Some(&escaped) if byte == b'\\' && escapes => {
                push_escaped(&mut value, escaped);
                at += 2;
                continue;
            }
            Some(_) if byte == *quote => at += 1,
            _ => {}
        }
        value.push(byte);
        at += 1;
    }
    Cow::Owned(value)
}

fn push_escaped(value: &mut Vec<u8>, escaped: u8) {
    let byte = match escaped {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 0x08,
        b'0' => 0,
        b'Z' => 0x1a,
        b'_' | b'%' => {
            value.push(b'\\');
            escaped
        }
        other => other,
    };
    value.push(byte);
}

/// The name of a user variable's token as the server compares names: unquoted, ASCII letters in
/// lower case, without trailing blanks. Bytes from 0x80 up are left as they are: the server folds
/// them by a collation that is not known here.
pub fn user_variable_name(token: &[u8], dialect: &Dialect) -> Vec<u8> {
    let name = match token {
        [b'@', rest @ ..] => rest,
        _ => token,
    };
    let mut name = match name.first() {
        Some(b'`') => unquoted(name),
        Some(b'"') if dialect.ansi_quotes => unquoted(name),
        Some(b'\'' | b'"') => text_value(name, dialect),
        _ => Cow::Borrowed(name),
    }
    .to_ascii_lowercase();
    let length = name.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1);
    name.truncate(length);
    name
}
