//! Statements prepared by SQL text (`PREPARE … FROM …`), without a connection of their own.
//!
//! They have names of the client's choosing, which live on the server's connection. The name stays
//! as it is: where a statement is executed, it is prepared first if the connection does not have
//! this session's statement of that name.

use super::catalogue::Catalogue;
use super::lexer::{Lexer, Token, TokenKind};
use super::prepared::StatementKey;
use super::state::Environment;
use super::statement::{Action, Analysis, Dialect, Marks, Placed, Source, analyze};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most statements of one session that go with it from connection to connection.
const MAX_STATEMENTS: usize = 64;
/// The longest `PREPARE` that is kept to be said again, in bytes.
const MAX_TEXT: usize = 64 * 1024;
/// The most statements of others that are left on a connection.
const MAX_FOREIGN: usize = 16;

/// What asks for the last statement, or for the connection.
const ASKS: Marks = Marks::CONNECTION_ID
    .union(Marks::FOUND_ROWS)
    .union(Marks::ROW_COUNT)
    .union(Marks::SHOW_DIAGNOSTICS);

/// A session's statements by name, in ASCII letters in lower case.
#[derive(Debug, Clone, Default)]
pub struct TextStatements(BTreeMap<Box<[u8]>, TextStatement>);

/// One of them.
#[derive(Debug, Clone)]
pub struct TextStatement {
    /// What its text does when it is executed.
    pub analysis: Arc<Analysis>,
    /// How it is prepared elsewhere; `None` for one that only its own connection has.
    pub preparation: Option<Preparation>,
}

/// How a statement is prepared once more.
#[derive(Debug, Clone)]
pub struct Preparation {
    /// The whole `PREPARE`, and what of its environment decides what it means.
    pub key: Arc<StatementKey>,
    /// That environment.
    pub environment: Arc<Environment>,
}

impl Preparation {
    /// What is prepared; `None` if that cannot be read.
    fn text(&self, dialect: &Dialect) -> Option<Box<[u8]>> {
        match analyze(self.key.sql(), dialect, &Catalogue::empty()).actions() {
            [Placed { action: Action::Prepare { source: Source::Text(text), .. }, .. }] => {
                Some(text[..].into())
            }
            _ => None,
        }
    }

    /// How many parameters the statement takes, by its text; `None` if that cannot be read.
    pub fn parameters(&self, dialect: &Dialect) -> Option<usize> {
        let text = self.text(dialect)?;
        let mut lexer = Lexer::new(&text, dialect);
        let mut parameters = 0;
        loop {
            match lexer.next_token() {
                token if token.is(b'?') => parameters += 1,
                Token { kind: TokenKind::Opaque, .. } => return None,
                Token { kind: TokenKind::End, .. } => return Some(parameters),
                _ => {}
            }
        }
    }
}

impl TextStatements {
    /// The statement of this name.
    pub fn get(&self, name: &[u8]) -> Option<&TextStatement> {
        self.0.get(name)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.keys().map(|name| &**name)
    }

    /// Whether the statement of this name has this text, in letters that are the same in any character
    /// set.
    pub fn has_text(&self, name: &[u8], text: &[u8], dialect: &Dialect) -> bool {
        let preparation = self.get(name).and_then(|statement| statement.preparation.as_ref());
        text.is_ascii()
            && preparation.and_then(|own| own.text(dialect)).is_some_and(|own| *own == *text)
    }

    /// A statement was prepared by `sql` in this environment.
    pub fn prepared(
        &mut self,
        name: &[u8],
        sql: &[u8],
        environment: &Arc<Environment>,
        analysis: Arc<Analysis>,
    ) {
        // The server keeps the types that user variables had at the preparation (measured). And
        // there is no room for answers in a text that the server has already.
        let ties = Marks::OPAQUE.union(Marks::USER_VARIABLES).union(ASKS);
        let reads_last_values = analysis.reads_last_values_of().next().is_some();
        let movable = !analysis.marks.intersects(ties)
            && !reads_last_values
            && sql.len() <= MAX_TEXT
            && (self.0.len() < MAX_STATEMENTS || self.0.contains_key(name));
        let preparation = movable.then(|| Preparation {
            key: Arc::new(StatementKey::new(sql, environment)),
            environment: environment.clone(),
        });
        self.0.insert(name.into(), TextStatement { analysis, preparation });
    }

    /// A statement was prepared, perhaps, or nobody can tell in which environment.
    pub fn prepared_there(&mut self, name: &[u8], analysis: Arc<Analysis>) {
        self.0.insert(name.into(), TextStatement { analysis, preparation: None });
    }

    /// Only its connection has it as it is: perhaps it is gone, or its parameters were given types.
    pub fn tied(&mut self, name: &[u8]) {
        if let Some(statement) = self.0.get_mut(name) {
            statement.preparation = None;
        }
    }

    /// A statement is gone.
    pub fn deallocated(&mut self, name: &[u8]) {
        self.0.remove(name);
    }

    /// Whether one of them can only be had on its own connection.
    pub fn are_tied(&self) -> bool {
        self.0.values().any(|statement| statement.preparation.is_none())
    }
}

/// What a connection has under the names of statements; `None` for what is not known.
#[derive(Debug, Clone, Default)]
pub struct TextTraces(BTreeMap<Box<[u8]>, Option<Arc<StatementKey>>>);

/// What a connection has under one name.
#[derive(Debug, Clone)]
pub enum Has {
    /// Nothing.
    Nothing,
    /// Some statement.
    Unknown,
    /// This one.
    Statement(Arc<StatementKey>),
}

/// What a connection has under a name, compared with what a session wants there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// What is wanted.
    Same,
    /// Something else.
    Other,
}

impl TextTraces {
    /// Looks for what this session wants under a name.
    pub fn find(&self, name: &[u8], wanted: Option<&TextStatement>) -> Found {
        let Some(has) = self.0.get(name) else { return Found::Nothing };
        let wanted = wanted.and_then(|statement| statement.preparation.as_ref());
        match (has, wanted) {
            (Some(key), Some(wanted)) if *key == wanted.key => Found::Same,
            _ => Found::Other,
        }
    }

    /// The names under which there is something.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.keys().map(|name| &**name)
    }

    /// The connection has this under the name.
    pub fn put(&mut self, name: &[u8], has: Has) {
        match has {
            Has::Nothing => drop(self.0.remove(name)),
            Has::Unknown => drop(self.0.insert(name.into(), None)),
            Has::Statement(key) => drop(self.0.insert(name.into(), Some(key))),
        }
    }

    /// Whether there is anything that is not this session's.
    pub fn has_foreign(&self, own: Option<&TextStatements>) -> bool {
        self.foreign(own).next().is_some()
    }

    /// The names under which there is something that is not this session's.
    pub fn foreign_names(&self, own: Option<&TextStatements>) -> Vec<&[u8]> {
        self.foreign(own).collect()
    }

    /// The names to give up because there are too many that are not this session's.
    pub fn surplus(&self, own: Option<&TextStatements>) -> Vec<Box<[u8]>> {
        if self.0.len() <= MAX_FOREIGN {
            return Vec::new();
        }
        let foreign: Vec<_> = self.foreign(own).map(Into::into).collect();
        if foreign.len() > MAX_FOREIGN { foreign } else { Vec::new() }
    }

    fn foreign(&self, own: Option<&TextStatements>) -> impl Iterator<Item = &[u8]> {
        let names = self.0.keys();
        names.map(|name| &**name).filter(move |name| {
            let wanted = own.and_then(|own| own.get(name));
            let tied = wanted.is_some_and(|statement| statement.preparation.is_none());
            !tied && self.find(name, wanted) != Found::Same
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(mode: &[u8]) -> Arc<Environment> {
        let mut environment = Environment::at_login("utf8mb4", "utf8mb4_general_ci");
        environment.variables.set("sql_mode", mode);
        Arc::new(environment)
    }

    fn with(sql: &str, mode: &[u8]) -> TextStatements {
        let mut statements = TextStatements::default();
        statements.prepared(b"p", sql.as_bytes(), &environment(mode), Arc::default());
        statements
    }

    fn statement(of: &TextStatements) -> Has {
        let statement = of.get(b"p").expect("it");
        Has::Statement(statement.preparation.as_ref().expect("movable").key.clone())
    }

    #[test]
    fn a_name_is_the_sessions_only_with_its_text_and_environment() {
        let own = with("PREPARE p FROM 'SELECT 1'", b"");
        let mut traces = TextTraces::default();
        assert_eq!(traces.find(b"p", own.get(b"p")), Found::Nothing);
        traces.put(b"p", statement(&own));
        assert_eq!(traces.find(b"p", own.get(b"p")), Found::Same);
        assert!(!traces.has_foreign(Some(&own)));
        for other in
            [with("PREPARE p FROM 'SELECT 2'", b""), with("PREPARE p FROM 'SELECT 1'", b"ANSI")]
        {
            assert_eq!(traces.find(b"p", other.get(b"p")), Found::Other);
            assert!(traces.has_foreign(Some(&other)));
        }
        assert_eq!(traces.find(b"p", None), Found::Other);
        assert!(traces.has_foreign(None));
    }

    #[test]
    fn what_cannot_be_read_or_keeps_types_is_tied() {
        let mut statements = with("PREPARE p FROM 'SELECT 1'", b"");
        assert!(!statements.are_tied());
        let opaque = Arc::new(Analysis::opaque());
        statements.prepared(b"q", b"PREPARE q FROM @v", &environment(b""), opaque);
        assert!(statements.are_tied());
        statements.deallocated(b"q");
        assert!(!statements.are_tied());
        let asks = Arc::new(Analysis { marks: Marks::ROW_COUNT, ..Analysis::default() });
        statements.prepared(b"q", b"PREPARE q FROM 'DO ROW_COUNT()'", &environment(b""), asks);
        assert!(statements.are_tied());
        statements.deallocated(b"q");
        statements.prepared_there(b"p", Arc::default());
        assert!(statements.are_tied());
    }

    #[test]
    fn strangers_statements_do_not_pile_up() {
        let mut traces = TextTraces::default();
        for number in 0..=MAX_FOREIGN {
            assert!(traces.surplus(None).is_empty());
            let statement = statement(&with("PREPARE p FROM 'DO 1'", b""));
            traces.put(number.to_string().as_bytes(), statement);
        }
        assert_eq!(traces.surplus(None).len(), MAX_FOREIGN + 1);
    }
}
