//! The first reading: every token of the text once.

use super::database::{DatabaseUse, database_use};
use super::details::{Details, Placed, Sole};
use super::found::Found;
use super::head;
use super::keyword::Keyword as K;
use super::kind::StatementKind as Kind;
use super::marks::Marks;
use super::parse::Parser;
use super::{Analysis, lock, prepare, session, set, sole, table};
use crate::session::catalogue::{Catalogue, Effects};
use crate::session::lexer::{Dialect, Directive, Lexer, Token, TokenKind};
use crate::session::server::Flavor;
use crate::session::treatment::may_ignore;

/// The reading of a text, and what it has found so far.
pub(super) struct Scan<'a> {
    pub(super) lexer: Lexer<'a>,
    pub(super) dialect: Dialect,
    pub(super) catalogue: &'a Catalogue,
    first: Kind,
    pub(super) count: u32,
    marks: Marks,
    pub(super) details: Option<Box<Details>>,
    sole: Option<Sole>,
    /// Every statement so far is a pure read.
    all_pure: bool,
    /// A `FROM` or a `JOIN` was seen.
    pub(super) reads_tables: bool,
    /// A routine's body may go on behind the next semicolon.
    in_body: bool,
    /// In Oracle mode, the two names in front of the last dot; [`TokenKind::End`] for none.
    pub(super) qualifiers: [Token; 2],
    pub(super) statement: Statement<'a>,
}

/// The statement that is being read.
pub(super) struct Statement<'a> {
    pub(super) kind: Kind,
    /// The lexer in front of its first token.
    pub(super) start: Lexer<'a>,
    pub(super) marks: Marks,
    /// Nothing was seen that a pure read can't have.
    pub(super) pure: bool,
    /// Variables that come now are written: the list behind `INTO`.
    pub(super) into: bool,
    /// Tables are named, which may have triggers or be views.
    pub(super) uses_tables: bool,
    /// A `SELECT` was seen.
    pub(super) selects: bool,
    /// What comes now is no table whose rows are changed: a `SET` or a `WHERE` was seen.
    pub(super) past_targets: bool,
    /// A table or procedure is being named: a parenthesis behind it doesn't make it a call.
    pub(super) names_object: bool,
    /// `DEFAULT` was seen: perhaps a column's default is computed.
    pub(super) defaults: bool,
    pub(super) depth: u32,
    pub(super) previous: Previous,
    pub(super) before: Previous,
    /// How many comments came before it.
    comments: u32,
}

/// A token that was read.
#[derive(Clone, Copy)]
pub(super) struct Previous {
    pub(super) token: Token,
    pub(super) keyword: K,
}

const NOTHING: Previous =
    Previous { token: Token { kind: TokenKind::End, start: 0, end: 0 }, keyword: K::None };

impl<'a> Statement<'a> {
    fn new(start: Lexer<'a>) -> Self {
        Self {
            kind: Kind::Empty,
            comments: start.comments(),
            start,
            marks: Marks::NONE,
            pure: true,
            into: false,
            uses_tables: false,
            selects: false,
            past_targets: false,
            names_object: false,
            defaults: false,
            depth: 0,
            previous: NOTHING,
            before: NOTHING,
        }
    }
}

impl Statement<'_> {
    /// Whether a single word has been read.
    fn is_lone_word(&self) -> bool {
        self.previous.token.kind == TokenKind::Word && self.before.token.kind == TokenKind::End
    }

    /// Whether a name in front of a parenthesis may be called here: in a definition it is a type,
    /// an index or a column.
    pub(super) fn may_call(&self) -> bool {
        match self.kind {
            Kind::CreateTable | Kind::CreateTemporaryTable => self.selects,
            Kind::Account
            | Kind::AlterTable
            | Kind::CreateRoutine
            | Kind::AlterDatabase
            | Kind::Ddl
            | Kind::DropTable
            | Kind::Maintenance => false,
            _ => true,
        }
    }
}

impl<'a> Scan<'a> {
    pub(super) fn new(sql: &'a [u8], dialect: &'a Dialect, catalogue: &'a Catalogue) -> Self {
        // The server drops NULs and blanks in front of a statement, and nothing else.
        let blank = |byte: &u8| matches!(byte, 0 | b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
        let skip = sql.iter().take_while(|byte| blank(byte)).count();
        let lexer = Lexer::new(sql, dialect).starting_at(skip);
        Self {
            statement: Statement::new(lexer.clone()),
            lexer,
            dialect: *dialect,
            catalogue,
            first: Kind::Empty,
            count: 0,
            marks: Marks::NONE,
            details: None,
            sole: None,
            all_pure: true,
            reads_tables: false,
            in_body: false,
            qualifiers: [NOTHING.token; 2],
        }
    }

    pub(super) fn run(mut self) -> Analysis {
        loop {
            // The clone is a few words, and needed only where a statement begins.
            if self.statement.previous.token.kind == TokenKind::End {
                self.statement.start = self.lexer.clone();
            }
            let token = self.lexer.next_token();
            match token.kind {
                TokenKind::End => break,
                TokenKind::Opaque => {
                    self.mark(Marks::OPAQUE);
                    break;
                }
                TokenKind::Symbol(b';') if !self.dialect.multi_statements => {
                    self.lone_semicolon();
                }
                TokenKind::Symbol(b';') => {
                    if self.lexer.in_code_comment() {
                        // Servers differ on whether the comment goes on behind it.
                        self.mark(Marks::OPAQUE);
                        break;
                    }
                    self.end_statement(token.start);
                    self.follow_modes();
                    self.statement = Statement::new(self.lexer.clone());
                    continue;
                }
                _ => {}
            }
            if self.is_ignored_body() {
                self.skip_body(token);
                continue;
            }
            let keyword = self.token(token);
            self.statement.before = self.statement.previous;
            self.statement.previous = Previous { token, keyword };
        }
        self.finish()
    }

    /// A semicolon where only one statement is allowed, or which belongs to a body. If anything
    /// but a definition goes on behind it, it is an error, or the server allows more than is known
    /// here.
    fn lone_semicolon(&mut self) {
        let ends = self.lexer.clone().next_token().kind == TokenKind::End;
        if !ends && !self.is_ignored_body() {
            self.mark(Marks::OPAQUE);
        }
    }

    /// Whether the current statement defines code that doesn't run now.
    fn is_ignored_body(&self) -> bool {
        self.statement.kind == Kind::CreateRoutine
    }

    fn skip_body(&mut self, token: Token) {
        self.statement.previous.token = token;
    }

    #[inline]
    pub(super) fn mark(&mut self, marks: Marks) {
        self.statement.marks.insert(marks);
    }

    pub(super) fn text(&self, token: Token) -> &'a [u8] {
        token.text(self.lexer.sql())
    }

    pub(super) fn details(&mut self) -> &mut Details {
        self.details.get_or_insert_default()
    }

    /// Begins a statement.
    #[inline]
    pub(super) fn head(&mut self, token: Token) {
        let select = token.kind == TokenKind::Word && K::of(self.text(token)) == K::Select;
        let (kind, marks) = if select {
            (Kind::Select, Marks::NONE)
        } else {
            head::classify(Parser::new(self.statement.start.clone()))
        };
        self.statement.kind = kind;
        self.mark(marks);
        match kind {
            Kind::Set if self.dialect.flavor == Flavor::MariaDb => self.set_statement(),
            Kind::Delete | Kind::Update
                if table::is_joined(Parser::new(self.statement.start.clone())) =>
            {
                self.details().joins = true;
            }
            Kind::Explain if head::explains_write(Parser::new(self.statement.start.clone())) => {
                self.reads_tables = true;
            }
            _ => {}
        }
        if self.count == 0 {
            match self.lexer.directive() {
                Some(Directive::Pin) => self.mark(Marks::HINT_PIN),
                Some(Directive::Dedicated) => {
                    self.mark(Marks::HINT_PIN);
                    self.details().dedicated = true;
                }
                Some(Directive::Share) => self.mark(Marks::HINT_SHARE),
                Some(Directive::Ignore(from, to)) => {
                    let names = self.lexer.sql().get(from..to).unwrap_or_default();
                    let names = names.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                    let names = names.filter(|name| str::from_utf8(name).is_ok_and(may_ignore));
                    let names: Vec<_> = names.map(|n| n.to_ascii_lowercase().into()).collect();
                    self.details().temporary_settings.extend(names);
                }
                None => {}
            }
        }
    }

    /// Ends the statement in front of `end`.
    fn end_statement(&mut self, end: usize) {
        let kind = self.statement.kind;
        if self.catalogue.is_blind() && self.may_be_impure() {
            self.take_effects(&Effects::EVERYTHING);
        }
        if self.in_body && kind != Kind::Empty {
            self.mark(Marks::UNCERTAIN);
        }
        if self.statement.marks.has(Marks::BACKEND_LOCAL_WRITE) {
            self.sequences_end();
        }
        self.particulars(end);
        if kind == Kind::CreateRoutine || kind == Kind::Compound {
            self.in_body = self.dialect.multi_statements;
        }
        let harmless = Marks::IS_NULL
            | Marks::SHOW_DIAGNOSTICS
            | Marks::ROW_COUNT
            | Marks::FOUND_ROWS
            | Marks::LAST_INSERT_ID_READ
            | Marks::CONNECTION_ID
            | Marks::IS_USED_LOCK
            | Marks::SHOW_VARIABLES
            | Marks::SESSION_TRACK
            | Marks::LOCKING_READ
            | Marks::BACKEND_LOCAL_READ;
        self.all_pure &= self.statement.kind.is_read()
            && self.statement.pure
            && self.statement.marks.without(harmless).is_empty();
        if self.count == 0 {
            self.first = self.statement.kind;
        }
        if self.count > 0 {
            let (first, kind) = (self.first, self.statement.kind);
            let statements = &mut self.details().statements;
            if statements.is_empty() {
                statements.push(first);
            }
            statements.push(kind);
        }
        self.count += 1;
        self.marks |= self.statement.marks;
    }

    /// Reads a statement again whose sort says more than its marks.
    fn particulars(&mut self, end: usize) {
        let kind = self.statement.kind;
        if self.count == 0 && self.statement.is_lone_word() {
            // `COMMIT` and the like, alone: the marks say it all.
            return;
        }
        let asks =
            Marks::CONNECTION_ID | Marks::ROW_COUNT | Marks::FOUND_ROWS | Marks::SHOW_DIAGNOSTICS;
        let read: fn(&mut Parser<'_>, &mut Found) = match kind {
            Kind::Set => set::read,
            Kind::CreateTemporaryTable => table::create,
            Kind::DropTable => table::drop,
            Kind::AlterTable => table::alter,
            Kind::RenameTable => table::rename,
            Kind::Handler => lock::handler,
            Kind::Flush => lock::flush,
            Kind::Backup => lock::backup,
            Kind::LockTables | Kind::LockInstance | Kind::UnlockTables | Kind::UnlockInstance => {
                lock::simple
            }
            Kind::Prepare => prepare::prepare,
            Kind::Execute => prepare::execute,
            Kind::Deallocate => prepare::deallocate,
            Kind::Call
            | Kind::Commit
            | Kind::DropDatabase
            | Kind::Kill
            | Kind::ReleaseSavepoint
            | Kind::Rollback
            | Kind::Savepoint
            | Kind::Begin
            | Kind::Use => session::read,
            Kind::Show | Kind::ShowState => sole::show,
            Kind::Select if self.statement.marks.intersects(asks) => sole::select,
            _ => return,
        };
        let start = self.statement.start.clone().until(end);
        let mut parser = Parser::new(start);
        let mut found = Found::default();
        read(&mut parser, &mut found);
        self.mark(found.marks);
        if kind == Kind::Call {
            self.called(&found.actions);
        }
        if let Some(text) = found.nested {
            self.nested(&text, &mut found.actions);
        }
        let statement = self.count;
        if statement == 0 {
            self.sole = found.sole;
            if found.limit.is_some() {
                self.details().limit = found.limit;
            }
        }
        if found.actions.is_empty() && found.temporary_settings.is_empty() {
            return;
        }
        let details = self.details();
        details
            .actions
            .extend(found.actions.into_iter().map(|action| Placed { statement, action }));
        details.temporary_settings.extend(found.temporary_settings);
    }

    fn finish(mut self) -> Analysis {
        let statement = &self.statement;
        let is_blank = statement.previous.token.kind == TokenKind::End
            && statement.marks.is_empty()
            && statement.comments == self.lexer.comments();
        if !is_blank {
            self.end_statement(self.lexer.sql().len());
        }
        if self.all_pure && self.count > 0 {
            self.marks |= Marks::PURE_READ;
        }
        if self.count > 1
            && let Some(details) = &mut self.details
        {
            details.draws_alone = false;
        }
        let mut analysis = Analysis {
            kind: self.first,
            count: self.count,
            marks: self.marks,
            reads_tables: self.reads_tables,
            database: DatabaseUse::Minded,
            sole: self.sole.filter(|_| self.count == 1),
            details: self.details,
        };
        analysis.database = database_use(self.lexer.sql(), &analysis);
        analysis
    }
}
