//! MariaDB's sequences: `NEXTVAL(s)`, `NEXT VALUE FOR s`, `LASTVAL(s)`, `PREVIOUS VALUE FOR s`, and in
//! its Oracle mode `s.NEXTVAL` and `s.CURRVAL`.

use super::Analysis;
use super::details::{Action, Asked, Details, Sole};
use super::keyword::Keyword as K;
use super::kind::StatementKind as Kind;
use super::marks::Marks;
use super::parse::Parser;
use super::scan::Scan;
use crate::session::lexer::{Lexer, Token, TokenKind, unquoted};
use crate::session::sequences::SequenceName;
use crate::session::server::NameCase;
use std::sync::Arc;

/// A sequence that the text names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceUse {
    /// The sequence.
    pub name: SequenceName,
    /// What is done with it.
    pub access: SequenceAccess,
}

/// What is done with a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SequenceAccess {
    /// `NEXTVAL()`: the next value is taken, perhaps.
    Draws,
    /// `LASTVAL()`: it is asked for the value that was taken last.
    Reads,
    /// It is dropped, or another takes its place.
    Drops,
}

/// A sequence's name, where what is said of it ends, and what is behind that.
struct Named<'a> {
    name: SequenceName,
    end: usize,
    behind: Lexer<'a>,
}

/// The name that comes next.
fn named(mut lexer: Lexer<'_>) -> Option<Named<'_>> {
    let (name, end) = SequenceName::read(&mut lexer)?;
    Some(Named { name, end, behind: lexer })
}

impl<'a> Scan<'a> {
    /// `NEXTVAL(` or `LASTVAL(`, at the opening parenthesis.
    pub(super) fn sequence_function(&mut self, access: SequenceAccess) {
        let start = self.statement.previous.token.start;
        let first = self.statement.before.keyword == K::Select;
        let found = named(self.lexer.clone()).and_then(|mut named| {
            let closing = named.behind.next_token();
            named.end = closing.end;
            closing.is(b')').then_some(named)
        });
        self.sequence(found, access, start, first);
    }

    /// The `VALUE` of `NEXT VALUE FOR` or `PREVIOUS VALUE FOR`.
    pub(super) fn sequence_value(&mut self, access: SequenceAccess) {
        let start = self.statement.previous.token.start;
        let first = self.statement.before.keyword == K::Select;
        let mut ahead = self.lexer.clone();
        let token = ahead.next_token();
        if K::of(self.text(token)) == K::For {
            let found = named(ahead);
            self.sequence(found, access, start, first);
        }
    }

    /// In Oracle mode, a word behind a dot.
    pub(super) fn sequence_member(&mut self, token: Token) {
        let access = match K::of(&unquoted(self.text(token))) {
            K::Nextval => SequenceAccess::Draws,
            K::Currval => SequenceAccess::Reads,
            _ => return,
        };
        let [database, name] = self.qualifiers;
        let part = |token: Token| -> Box<[u8]> { unquoted(self.text(token)).into_owned().into() };
        let is_qualified = database.kind != TokenKind::End;
        let start = if is_qualified { database.start } else { name.start };
        let database = if is_qualified { part(database) } else { Box::default() };
        let name = SequenceName { database, name: part(name) };
        let found = Named { name, end: token.end, behind: self.lexer.clone() };
        // Whether it is a column by itself does not matter: columns are named by the last part.
        self.sequence(Some(found), access, start, false);
    }

    /// Remembers what stands in front of a dot: the names of a database and of a sequence.
    pub(super) fn qualify(&mut self) {
        let nothing = Token { kind: TokenKind::End, start: 0, end: 0 };
        let former =
            if self.statement.before.token.is(b'.') { self.qualifiers[1] } else { nothing };
        self.qualifiers = [former, self.statement.previous.token];
    }

    /// `CREATE OR REPLACE SEQUENCE`, at its last word.
    pub(super) fn sequence_replaced(&mut self) {
        let Some(Named { name, .. }) = named(self.lexer.clone()) else { return };
        let access = SequenceAccess::Drops;
        self.details().sequences.push(SequenceUse { name, access });
    }

    /// `CREATE TABLE … LIKE`: the new table's columns have the defaults of the other's.
    pub(super) fn copies_defaults(&mut self) {
        if self.catalogue.has_defaults() {
            self.mark(Marks::DDL_ROUTINE);
        }
    }

    fn sequence(
        &mut self,
        found: Option<Named<'a>>,
        access: SequenceAccess,
        start: usize,
        first: bool,
    ) {
        let draws = access == SequenceAccess::Draws;
        self.mark(if draws { Marks::BACKEND_LOCAL_WRITE } else { Marks::BACKEND_LOCAL_READ });
        // Beyond ASCII, the same bytes are another name in another character set.
        let found = found.filter(|found| found.name.is_ascii());
        let Some(Named { name, end, behind }) = found else {
            let details = self.details();
            details.draws_unknown |= draws;
            details.reads_last_values |= !draws;
            return;
        };
        let statement = self.count;
        let kind = self.statement.kind;
        let selects = self.statement.selects;
        let details = self.details();
        let index = details.sequences.len();
        details.sequences.push(SequenceUse { name, access });
        let is_definition = matches!(kind, Kind::CreateTable | Kind::CreateTemporaryTable);
        if is_definition || kind == Kind::AlterTable {
            // Perhaps as a column's default.
            self.mark(Marks::DDL_ROUTINE);
        }
        if draws || matches!(kind, Kind::Explain | Kind::CreateRoutine | Kind::Ddl) {
            return;
        }
        if is_definition && !selects {
            // A column's default.
            return;
        }
        match self.place_of(behind, first) {
            Some(whole) if kind.evaluates() => {
                let sequence = Some(index);
                let asked = Asked { asks: Sole::LastValue, statement, start, end, whole, sequence };
                self.details().asked.push(asked);
            }
            _ => self.details().reads_last_values = true,
        }
    }

    /// What of sequences is known only at the end of a statement.
    pub(super) fn sequences_end(&mut self) {
        if self.statement.kind == Kind::Select && self.count == 0 {
            let alone = is_drawn_alone(Parser::new(self.statement.start.clone()));
            self.details().draws_alone = alone;
        }
        // What it gives the rows of a table by default, only that table knows.
        let keeps = matches!(self.statement.kind, Kind::CreateTemporaryTable);
        let catalogue = self.catalogue;
        let details = self.details();
        let named = details.sequences.iter().map(|used| &used.name);
        let mut drawn = named.chain(&details.impure.sequences);
        let asked_for = drawn.any(|sequence| catalogue.asks_for(&sequence.name));
        details.draws_unknown |= keeps || asked_for;
    }

    /// What a text that runs inside this one does with sequences.
    pub(super) fn nested_sequences(&mut self, inner: &Details) {
        let details = self.details();
        details.draws_unknown |= inner.draws_unknown;
        details.reads_last_values |= inner.reads_last_values;
        for used in &inner.sequences {
            details.reads_last_values |= used.access == SequenceAccess::Reads;
            details.sequences.push(used.clone());
        }
    }
}

/// `SELECT NEXTVAL(s) [FROM DUAL] [[AS] alias]`
fn is_drawn_alone(mut parser: Parser<'_>) -> bool {
    if !parser.word(K::Select) {
        return false;
    }
    let called = if parser.word(K::Nextval) {
        parser.symbol(b'(') && parser.object_name().is_some() && parser.symbol(b')')
    } else if parser.words(&[K::Next, K::Value, K::For]) {
        parser.object_name().is_some()
    } else {
        parser.dialect.oracle && is_member(&mut parser)
    };
    if !called {
        return false;
    }
    if !parser.at(K::From) {
        let named = parser.word(K::As);
        let alias = !parser.at(K::From) && parser.name_or_text().is_some();
        if named && !alias {
            return false;
        }
    }
    if parser.word(K::From) && !parser.word(K::Dual) {
        return false;
    }
    parser.at_end()
}

/// `[database.]sequence.NEXTVAL`
fn is_member(parser: &mut Parser<'_>) -> bool {
    let mut last = parser.name();
    let mut parts = 1;
    while parser.symbol(b'.') {
        last = parser.name();
        parts += 1;
    }
    (2..=3).contains(&parts) && last.is_some_and(|name| K::of(&name) == K::Nextval)
}

impl Analysis {
    /// The sequences that the text itself names.
    fn named_sequences(&self) -> &[SequenceUse] {
        self.details.as_ref().map_or(&[], |details| &details.sequences)
    }

    /// The sequences of which it takes the next value, or may.
    pub fn draws(&self) -> impl Iterator<Item = &SequenceName> {
        let details = self.details.as_ref().filter(|_| self.marks.has(Marks::BACKEND_LOCAL_WRITE));
        let named = details.map_or(&[][..], |details| &details.sequences);
        let named = named.iter().filter(|used| used.access == SequenceAccess::Draws);
        let stored = details.into_iter().flat_map(|details| &details.impure.sequences);
        named.map(|used| &used.name).chain(stored).filter(|name| !name.database.is_empty())
    }

    /// Whether it may take a sequence's value without telling of which.
    pub fn draws_unknown(&self) -> bool {
        self.details.as_ref().is_some_and(|details| details.draws_unknown)
    }

    /// Whether it is a `SELECT` of one sequence's next value, and of nothing else.
    pub fn draws_alone(&self) -> bool {
        self.details.as_ref().is_some_and(|details| details.draws_alone)
    }

    /// The sequence that a question names.
    pub fn sequence_of(&self, asked: &Asked) -> Option<&SequenceName> {
        Some(&self.named_sequences().get(asked.sequence?)?.name)
    }

    /// The sequences for whose last value it asks by name.
    pub fn reads_last_values_of(&self) -> impl Iterator<Item = &SequenceName> {
        let named = self.named_sequences().iter();
        named.filter(|used| used.access == SequenceAccess::Reads).map(|used| &used.name)
    }

    /// Whether it asks for last values where only the connection can answer.
    pub fn reads_last_values(&self) -> bool {
        self.details.as_ref().is_some_and(|details| details.reads_last_values)
    }

    /// The sequences that it drops.
    pub fn drops_sequences(&self) -> impl Iterator<Item = &SequenceName> {
        let named = self.named_sequences().iter();
        named.filter(|used| used.access == SequenceAccess::Drops).map(|used| &used.name)
    }

    /// Whether it names sequences: each of them is opened as a table is.
    pub fn opens_sequences(&self) -> bool {
        !self.named_sequences().is_empty()
    }

    /// Whether it names sequences, or prepares a text that may.
    pub fn names_sequences(&self) -> bool {
        self.opens_sequences() || self.marks.has(Marks::TEXT_PREPARE)
    }

    /// Takes names of sequences without a database for those of `database`.
    pub fn place_sequences(&mut self, database: Option<&[u8]>, case: NameCase) {
        let Some(details) = &mut self.details else { return };
        let moves = details.statements.contains(&Kind::Use);
        for used in &mut details.sequences {
            if used.name.database.is_empty() {
                if moves {
                    details.draws_unknown |= used.access == SequenceAccess::Draws;
                    details.reads_last_values |= used.access == SequenceAccess::Reads;
                }
                used.name.database = database.unwrap_or_default().into();
            }
            if case == NameCase::Ignored {
                used.name.database.make_ascii_lowercase();
                used.name.name.make_ascii_lowercase();
            }
        }
        for placed in &mut details.actions {
            if let Action::Prepare { prepared, .. } = &mut placed.action
                && prepared.opens_sequences()
            {
                Arc::make_mut(prepared).place_sequences(database, case);
            }
        }
    }

    /// This one executes a text that was prepared before: its questions stand there.
    pub(super) fn asks_elsewhere(details: &mut Details) {
        details.asked.clear();
        details.draws_alone = false;
        details.reads_last_values |=
            details.sequences.iter().any(|used| used.access == SequenceAccess::Reads);
    }
}
