//! What a statement's text says about the session: what it needs, and what it does that the
//! server's trackers do not report.
//!
//! Conservative throughout: a word that could be code is code. A false alarm costs a pin or a
//! question; a miss would be a leak.

mod effects;
mod marks;

pub use self::effects::{Kill, TableRef, TextEffect};
pub use self::marks::Marks;
pub use super::lexer::Dialect;

use super::catalogue::Catalogue;
use super::lexer::{Lexer, Token};

/// The kind of a statement, by its first words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatementKind {
    /// `ALTER`
    Alter,
    /// `BEGIN`, `START TRANSACTION`
    Begin,
    /// `CALL`
    Call,
    /// `COMMIT`
    Commit,
    /// `CREATE`
    Create,
    /// `DELETE`
    Delete,
    /// `DO`
    Do,
    /// `DROP`
    Drop,
    /// No statement.
    #[default]
    Empty,
    /// `EXECUTE`
    Execute,
    /// `EXPLAIN`, `DESCRIBE`
    Explain,
    /// `GET DIAGNOSTICS`
    GetDiagnostics,
    /// `INSERT`, `REPLACE`, `LOAD`
    Insert,
    /// `KILL`
    Kill,
    /// Anything else.
    Other,
    /// `PREPARE`
    Prepare,
    /// `ROLLBACK`
    Rollback,
    /// `SELECT`, `WITH`, `VALUES`, `TABLE`, `(`
    Select,
    /// `SET`
    Set,
    /// `SHOW`
    Show,
    /// `UPDATE`
    Update,
    /// `USE`
    Use,
}

/// A statement that asks for one thing that belongs to the session, and for nothing else: it can
/// be answered although the backend connection is another than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sole {
    /// `SELECT CONNECTION_ID()`
    ConnectionId,
    /// `SELECT @@error_count`, `SHOW COUNT(*) ERRORS`
    ErrorCount,
    /// `SHOW ERRORS`
    Errors,
    /// `SELECT FOUND_ROWS()`
    FoundRows,
    /// `SELECT ROW_COUNT()`
    RowCount,
    /// `SELECT @@warning_count`, `SHOW COUNT(*) WARNINGS`
    WarningCount,
    /// `SHOW WARNINGS`
    Warnings,
}

/// What a command's text says.
#[derive(Debug, Clone, Default)]
pub struct Analysis {
    /// The kind of the first statement.
    pub kind: StatementKind,
    /// How many statements there are.
    pub count: u32,
    /// What is in them.
    pub marks: Marks,
    /// Whether it asks for just one thing.
    pub sole: Option<Sole>,
    details: Option<Box<Details>>,
}

/// What has names.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// User variables, in lower case.
    pub user_variables: Vec<Box<[u8]>>,
    /// Variables that are set for one statement only.
    pub temporary_settings: Vec<Box<[u8]>>,
    /// What the statements do, in their order.
    pub effects: Vec<TextEffect>,
    /// User locks that are taken, where their names are literals.
    pub locks: Vec<Box<[u8]>>,
}

impl Analysis {
    /// What has names, if anything has.
    pub fn details(&self) -> Option<&Details> {
        self.details.as_deref()
    }

    /// User variables that are named.
    pub fn user_variables(&self) -> &[Box<[u8]>] {
        self.details().map(|d| &d.user_variables[..]).unwrap_or_default()
    }

    /// What the statements do.
    pub fn effects(&self) -> &[TextEffect] {
        self.details().map(|d| &d.effects[..]).unwrap_or_default()
    }

    /// What the preparation of this statement does: nothing, but that variables which the text
    /// assigns to change their collation at once (measured).
    pub fn preparing(&self) -> Self {
        let keep = Marks::USER_VARIABLES | Marks::WRITES_VARIABLES | Marks::OPAQUE;
        let details =
            Details { user_variables: self.user_variables().to_vec(), ..Details::default() };
        Self {
            kind: StatementKind::Prepare,
            count: 1,
            marks: self.marks.only(keep),
            sole: None,
            details: (!details.user_variables.is_empty()).then(|| Box::new(details)),
        }
    }

    /// This statement, which executes another that was prepared by text.
    pub fn executing(&self, prepared: &Self) -> Self {
        let mut details = prepared.details.as_deref().cloned().unwrap_or_default();
        details.user_variables.extend(self.user_variables().iter().cloned());
        Self {
            kind: prepared.kind,
            count: self.count,
            marks: self.marks | prepared.marks,
            sole: None,
            details: Some(Box::new(details)),
        }
    }

    /// A statement of which nothing is known.
    pub fn opaque() -> Self {
        Self { kind: StatementKind::Other, count: 1, marks: Marks::OPAQUE, ..Self::default() }
    }

    fn details_mut(&mut self) -> &mut Details {
        self.details.get_or_insert_default()
    }
}

/// How many tokens at a statement's front are kept to tell its kind and names.
const HEAD: usize = 12;

/// Reads a command's text.
pub fn analyze(sql: &[u8], dialect: &Dialect, catalogue: &Catalogue) -> Analysis {
    let mut analysis = Analysis::default();
    let mut lexer = Lexer::new(sql, *dialect);
    let mut scan = Scan::new();
    loop {
        let start = lexer.position();
        let token = lexer.next();
        match token {
            Some(Token::Symbol(b';')) => {}
            Some(token) => {
                if scan.tokens == 0 {
                    scan.start = start;
                }
                scan.token(token, &mut analysis, catalogue);
                continue;
            }
            None => {}
        }
        if scan.tokens > 0 {
            let text = &sql[scan.start..lexer.position().min(sql.len())];
            scan.finish(text, dialect, &mut analysis, catalogue);
            scan = Scan::new();
        }
        if token.is_none() {
            break;
        }
    }
    if hinted(sql, b"millpond:pin") {
        analysis.marks |= Marks::HINT_PIN;
    }
    if analysis.count > 1 {
        analysis.sole = None;
        analysis.marks = analysis.marks.without(Marks::PURE_READ);
    }
    analysis
}

/// Whether the text begins with a comment that says so.
fn hinted(sql: &[u8], hint: &[u8]) -> bool {
    sql.starts_with(b"/*") && {
        let end = memchr::memmem::find(sql, b"*/").unwrap_or(0);
        let comment = sql.get(2..end).unwrap_or_default();
        comment.iter().filter(|b| !b.is_ascii_whitespace()).eq(hint.iter())
    }
}

/// One statement being read.
struct Scan<'a> {
    head: [Token<'a>; HEAD],
    tokens: usize,
    start: usize,
    marks: Marks,
    /// What the token before said, for what takes two tokens.
    before: Before,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Colon,
    GetLock,
    GetLockOpen,
    Into,
    LastInsertId,
    LastInsertIdOpen,
    Other,
}

impl<'a> Scan<'a> {
    fn new() -> Self {
        Self {
            head: [Token::Symbol(b' '); HEAD],
            tokens: 0,
            start: 0,
            marks: Marks::default(),
            before: Before::Other,
        }
    }

    fn token(&mut self, token: Token<'a>, analysis: &mut Analysis, catalogue: &Catalogue) {
        if let Token::Hint(hint) = token {
            self.hint(hint, analysis);
            return;
        }
        if let Some(place) = self.head.get_mut(self.tokens) {
            *place = token;
        }
        self.tokens += 1;
        let before = std::mem::replace(&mut self.before, Before::Other);
        match token {
            Token::Word(word) => {
                self.word(word, before);
                if catalogue.has_impure_names() && catalogue.is_impure(word) {
                    self.marks |= Marks::IMPURE;
                }
            }
            Token::Quoted(name) => {
                if catalogue.has_impure_names() && catalogue.is_impure(name) {
                    self.marks |= Marks::IMPURE;
                }
                self.marks |= marks::of_word(name).only(Marks::QUOTABLE);
            }
            Token::UserVariable(name) => {
                self.marks |= Marks::USER_VARIABLES;
                if before == Before::Into {
                    self.marks |= Marks::WRITES_VARIABLES;
                }
                let name = name.to_ascii_lowercase().into();
                let details = analysis.details_mut();
                if !details.user_variables.contains(&name) {
                    details.user_variables.push(name);
                }
                // INTO @a, @b
                self.before = before;
            }
            Token::SystemVariable(name) => self.marks |= marks::of_system_variable(name),
            Token::Text(text) => {
                if before == Before::GetLockOpen {
                    analysis.details_mut().locks.push(text.into());
                }
                if memchr::memmem::find(text, b"session").is_some() {
                    self.marks |= Marks::MENTIONS_SESSION;
                }
            }
            Token::Symbol(symbol) => self.symbol(symbol, before),
            Token::Opaque => self.marks |= Marks::OPAQUE,
            Token::Hint(_) => {}
        }
        if before == Before::GetLockOpen && !matches!(token, Token::Text(_)) {
            self.marks |= Marks::LOCK_NAME_UNKNOWN;
        }
        if before == Before::LastInsertIdOpen && token != Token::Symbol(b')') {
            self.marks |= Marks::LAST_INSERT_ID_SET;
        }
    }

    fn word(&mut self, word: &[u8], before: Before) {
        let marks = marks::of_word(word);
        self.marks |= marks;
        if marks.has(Marks::LAST_INSERT_ID_READ) {
            self.before = Before::LastInsertId;
        } else if marks.has(Marks::GET_LOCK) {
            self.before = Before::GetLock;
        } else if word.eq_ignore_ascii_case(b"into") {
            self.before = Before::Into;
        } else if before == Before::Into && word.eq_ignore_ascii_case(b"outfile") {
            self.before = Before::Other;
        }
    }

    fn symbol(&mut self, symbol: u8, before: Before) {
        match (symbol, before) {
            (b':', _) => self.before = Before::Colon,
            (b'=', Before::Colon) => self.marks |= Marks::WRITES_VARIABLES,
            (b'(', Before::LastInsertId) => self.before = Before::LastInsertIdOpen,
            (b'(', Before::GetLock) => self.before = Before::GetLockOpen,
            (b',', Before::Into) => self.before = Before::Into,
            _ => {}
        }
    }

    /// `SET_VAR(name=value)`: trackers report the value although it lasts for one statement.
    fn hint(&mut self, hint: &[u8], analysis: &mut Analysis) {
        let lower = hint.to_ascii_lowercase();
        let mut rest = &lower[..];
        while let Some(at) = memchr::memmem::find(rest, b"set_var") {
            rest = &rest[at + 7..];
            let open = rest.iter().position(|b| *b == b'(').map_or(0, |at| at + 1);
            let name = rest[open..].split(|b| *b == b'=').next().unwrap_or_default();
            analysis.details_mut().temporary_settings.push(name.trim_ascii().into());
        }
        if memchr::memmem::find(&lower, b"resource_group").is_some() {
            self.marks |= Marks::MENTIONS_SESSION;
        }
    }

    fn finish(
        self,
        text: &[u8],
        dialect: &Dialect,
        analysis: &mut Analysis,
        catalogue: &Catalogue,
    ) {
        let head = &self.head[..self.tokens.min(HEAD)];
        let read = effects::read(head, self.tokens, text, dialect);
        let mut marks = self.marks | read.marks;
        if read.defines_code {
            // The body is stored, not run.
            marks = Marks::DDL_ROUTINE;
            if let Some(details) = &mut analysis.details
                && analysis.count == 0
            {
                details.user_variables.clear();
            }
        }
        if marks.has(Marks::USER_VARIABLES) && read.writes_variables() {
            marks |= Marks::WRITES_VARIABLES;
        }
        if read.kind == StatementKind::Set && marks.has(Marks::LAST_INSERT_ID_READ) {
            marks |= Marks::LAST_INSERT_ID_SET;
        }
        if read.kind == StatementKind::Show && marks.has(Marks::WORD_VARIABLES) {
            marks |= Marks::SHOW_VARIABLES;
        }
        if read.kind == StatementKind::Call && !catalogue.is_harmless_procedure(&read.called) {
            marks |= Marks::IMPURE;
        }
        let reads = matches!(
            read.kind,
            StatementKind::Select | StatementKind::Show | StatementKind::Explain
        );
        if reads && !marks.intersects(Marks::NOT_PURE) && catalogue.is_empty() {
            marks |= Marks::PURE_READ;
        }
        if analysis.count == 0 {
            analysis.kind = read.kind;
            analysis.sole = read.sole;
        }
        analysis.count += 1;
        analysis.marks |= marks;
        if !read.effects.is_empty() {
            analysis.details_mut().effects.extend(read.effects);
        }
        if !read.temporary_settings.is_empty() {
            analysis.details_mut().temporary_settings.extend(read.temporary_settings);
        }
    }
}

#[cfg(test)]
mod tests;
