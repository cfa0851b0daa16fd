//! Questions for what the session knows, as parts of larger statements: `SELECT ROW_COUNT() + 1`.

use super::details::{Asked, Sole};
use super::keyword::Keyword as K;
use super::kind::StatementKind as Kind;
use super::scan::Scan;
use crate::session::lexer::{Lexer, TokenKind};

/// What names a place where the server lists its connections by their own numbers.
const LISTS: &[&[u8]] = &[
    b"information_schema",
    b"innodb_trx",
    b"is_used_lock",
    b"performance_schema",
    b"processlist",
    b"sys.",
    b"`sys`",
    b"threads",
];

/// Whether a text may compare a connection's number with those that the server knows.
fn looks_at_connections(sql: &[u8]) -> bool {
    LISTS.iter().any(|name| sql.windows(name.len()).any(|window| window.eq_ignore_ascii_case(name)))
}

impl Scan<'_> {
    /// A function without arguments, at whose opening parenthesis the reading is.
    pub(super) fn asks_function(&mut self, asks: Sole) {
        let name = self.statement.previous.token;
        if self.statement.before.token.is(b'.') {
            return;
        }
        let mut ahead = self.lexer.clone();
        let closing = ahead.next_token();
        if closing.is(b')') {
            let before = self.statement.before;
            self.asks(asks, name.start, closing.end, ahead, before.keyword == K::Select);
        }
    }

    /// A system variable from `start` to `end`, behind which `ahead` reads on.
    pub(super) fn asks_variable(&mut self, asks: Sole, start: usize, end: usize, ahead: Lexer<'_>) {
        let previous = self.statement.previous;
        let first = previous.keyword == K::Set || previous.token.is(b',');
        let mut next = ahead.clone();
        let next = next.next_token();
        if self.statement.kind == Kind::Set
            && self.statement.depth == 0
            && first
            && (next.is(b'=') || next.kind == TokenKind::Assign)
        {
            // It is to be set.
            return;
        }
        self.asks(asks, start, end, ahead, previous.keyword == K::Select);
    }

    fn asks(&mut self, asks: Sole, start: usize, end: usize, ahead: Lexer<'_>, first: bool) {
        // What the first statement of several leaves, the others ask the connection for.
        let later = self.count > 0 && asks != Sole::ConnectionId;
        if later || !self.statement.kind.evaluates() {
            return;
        }
        if asks == Sole::ConnectionId && looks_at_connections(self.lexer.sql()) {
            return;
        }
        let Some(whole) = self.place_of(ahead, first) else { return };
        let (statement, sequence) = (self.count, None);
        self.details().asked.push(Asked { asks, statement, start, end, whole, sequence });
    }

    /// Whether a question, which is the `first` thing behind `SELECT` or not, and behind which `ahead`
    /// reads on, is a column by itself; `None` where no answer may be put in its place.
    pub(super) fn place_of(&self, ahead: Lexer<'_>, first: bool) -> Option<bool> {
        let next = self.behind(ahead);
        let whole = first && next == Behind::Other;
        let stored = matches!(self.statement.kind, Kind::CreateTable | Kind::CreateTemporaryTable);
        // The column would get another name; or it is a column's default.
        let refused = stored && (!self.statement.selects || !whole && next != Behind::Name);
        (!refused).then_some(whole)
    }

    /// What follows a question that began behind `SELECT`.
    fn behind(&self, mut ahead: Lexer<'_>) -> Behind {
        let token = ahead.next_token();
        match token.kind {
            TokenKind::Quoted | TokenKind::Text => Behind::Name,
            TokenKind::Word => match K::of(self.text(token)) {
                K::From
                | K::Into
                | K::Limit
                | K::Where
                | K::Union
                | K::Having
                | K::Order
                | K::For
                | K::Lock
                | K::Group
                | K::Procedure => Behind::Other,
                K::As | K::None => Behind::Name,
                _ => Behind::Expression,
            },
            TokenKind::End | TokenKind::Symbol(b',' | b')' | b';') => Behind::Other,
            _ => Behind::Expression,
        }
    }
}

/// What stands behind a question.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// The column's name.
    Name,
    /// The next column, or the end of the list.
    Other,
    /// The rest of an expression.
    Expression,
}
