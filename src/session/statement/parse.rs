//! A second reading of one statement, token by token, for what the first reading doesn't need.

use super::details::ObjectName;
use super::keyword::Keyword;
use crate::session::lexer::{
    Dialect, Lexer, Token, TokenKind, text_value, unquoted, user_variable_name,
};

/// A statement's tokens with one token of lookahead.
#[derive(Clone)]
pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    pub(super) dialect: Dialect,
    pub(super) token: Token,
    pub(super) keyword: Keyword,
}

impl<'a> Parser<'a> {
    /// Reads on from where `lexer` is.
    pub(super) fn new(lexer: Lexer<'a>) -> Self {
        let token = Token { kind: TokenKind::End, start: 0, end: 0 };
        let dialect = lexer.dialect();
        let mut parser = Self { lexer, dialect, token, keyword: Keyword::None };
        parser.advance();
        parser
    }

    /// Goes on to the next token. Hints say nothing here.
    pub(super) fn advance(&mut self) {
        loop {
            self.token = self.lexer.next_token();
            if self.token.kind != TokenKind::Hint {
                break;
            }
        }
        self.keyword = match self.token.kind {
            TokenKind::Word => Keyword::of(self.text()),
            _ => Keyword::None,
        };
    }

    /// The tokenizer behind the current token.
    pub(super) fn lexer(&self) -> Lexer<'a> {
        self.lexer.clone()
    }

    /// The current token's bytes.
    pub(super) fn text(&self) -> &'a [u8] {
        self.token.text(self.lexer.sql())
    }

    /// Bytes of the statement's text.
    pub(super) fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        self.lexer.sql().get(start..end).unwrap_or_default()
    }

    /// Whether the statement ends here: at the end of the text or at a semicolon.
    pub(super) fn at_end(&self) -> bool {
        matches!(self.token.kind, TokenKind::End | TokenKind::Opaque | TokenKind::Symbol(b';'))
    }

    /// Whether the current token is this keyword.
    pub(super) fn at(&self, keyword: Keyword) -> bool {
        self.keyword == keyword
    }

    /// Passes over this keyword, if it is the current token.
    pub(super) fn word(&mut self, keyword: Keyword) -> bool {
        let found = self.keyword == keyword;
        if found {
            self.advance();
        }
        found
    }

    /// Passes over these keywords, if they come next; over none of them otherwise.
    pub(super) fn words(&mut self, keywords: &[Keyword]) -> bool {
        let before = self.clone();
        let found = keywords.iter().all(|keyword| self.word(*keyword));
        if !found {
            *self = before;
        }
        found
    }

    /// Passes over one of these keywords.
    pub(super) fn any(&mut self, keywords: &[Keyword]) -> bool {
        let found = keywords.contains(&self.keyword);
        if found {
            self.advance();
        }
        found
    }

    /// Passes over this byte, if it is the current token.
    pub(super) fn symbol(&mut self, symbol: u8) -> bool {
        let found = self.token.is(symbol);
        if found {
            self.advance();
        }
        found
    }

    /// A name, without quotes.
    pub(super) fn name(&mut self) -> Option<Box<[u8]>> {
        match self.token.kind {
            TokenKind::Word | TokenKind::Quoted => {
                let name = unquoted(self.text()).into_owned().into();
                self.advance();
                Some(name)
            }
            _ => None,
        }
    }

    /// A name, or a string that stands for one.
    pub(super) fn name_or_text(&mut self) -> Option<Box<[u8]>> {
        if self.token.kind != TokenKind::Text {
            return self.name();
        }
        let text = text_value(self.text(), &self.dialect).into_owned().into();
        self.advance();
        Some(text)
    }

    /// `name` or `database.name`; `.name` has no database.
    pub(super) fn object_name(&mut self) -> Option<ObjectName> {
        if self.symbol(b'.') {
            return Some(ObjectName { database: None, name: self.name()? });
        }
        let first = self.name()?;
        if self.symbol(b'.') {
            return Some(ObjectName { database: Some(first), name: self.name()? });
        }
        Some(ObjectName { database: None, name: first })
    }

    /// `@variable`, as the server compares its name.
    pub(super) fn user_variable(&mut self) -> Option<Box<[u8]>> {
        if self.token.kind != TokenKind::UserVariable {
            return None;
        }
        let name = user_variable_name(self.text(), &self.dialect).into();
        self.advance();
        Some(name)
    }

    /// Passes over tokens up to the next comma outside parentheses, or the end.
    pub(super) fn skip_item(&mut self) {
        let mut depth = 0_u32;
        while !self.at_end() {
            match self.token.kind {
                TokenKind::Symbol(b'(') => depth += 1,
                TokenKind::Symbol(b')') => depth = depth.saturating_sub(1),
                TokenKind::Symbol(b',') if depth == 0 => return,
                _ => {}
            }
            self.advance();
        }
    }

    /// The text from the current token to the end of the statement.
    pub(super) fn rest(&mut self) -> Box<[u8]> {
        let start = self.token.start;
        let mut end = start;
        while !self.at_end() {
            end = self.token.end;
            self.advance();
        }
        self.slice(start, end).into()
    }
}
