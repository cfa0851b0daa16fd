//! What each token of the first reading says about the session.

use super::builtin;
use super::details::{Access, Action, CallPlace, LockFunction, Placed, Sole};
use super::keyword::Keyword as K;
use super::kind::StatementKind as Kind;
use super::marks::Marks;
use super::parse::Parser;
use super::scan::Scan;
use super::sequence::SequenceAccess;
use super::sole;
use crate::session::lexer::{Lexer, Token, TokenKind, text_value, unquoted, user_variable_name};
use crate::session::server::Flavor;

impl<'a> Scan<'a> {
    /// Notes one token of a statement.
    #[inline]
    pub(super) fn token(&mut self, token: Token) -> K {
        let keyword = match token.kind {
            TokenKind::Word => K::of(self.text(token)),
            _ => K::None,
        };
        if self.statement.previous.token.kind == TokenKind::End {
            self.head(token);
        }
        match token.kind {
            TokenKind::Word => self.word(token, keyword),
            TokenKind::Symbol(symbol) => self.symbol(symbol),
            TokenKind::Quoted => self.quoted(token),
            TokenKind::Text => self.string(token),
            TokenKind::UserVariable => self.user_variable(token),
            TokenKind::System => self.system_variable(token),
            TokenKind::Assign => self.statement.pure = false,
            TokenKind::Hint => self.hint(token),
            TokenKind::Number | TokenKind::Bits | TokenKind::Dollar => {}
            TokenKind::Opaque | TokenKind::End => {}
        }
        if self.statement.into
            && !matches!(token.kind, TokenKind::UserVariable | TokenKind::Symbol(b','))
        {
            self.statement.into = false;
        }
        if self.statement.names_object
            && !matches!(
                (token.kind, keyword),
                (TokenKind::Word, K::None) | (TokenKind::Quoted | TokenKind::Symbol(b'.'), _)
            )
        {
            self.statement.names_object = false;
        }
        match keyword {
            K::None => {}
            K::Select => self.statement.selects = true,
            K::Set | K::Where => self.statement.past_targets = true,
            K::Into => {
                self.statement.into = true;
                self.statement.names_object = true;
            }
            K::Table
            | K::Exists
            | K::Call
            | K::Insert
            | K::Ignore
            | K::Replace
            | K::With
            | K::LowPriority
            | K::HighPriority
            | K::Delayed => {
                self.statement.names_object = true;
            }
            _ => {}
        }
        keyword
    }

    #[inline]
    fn word(&mut self, token: Token, keyword: K) {
        let previous = self.statement.previous.keyword;
        match keyword {
            K::None => self.plain_word(token),
            K::Into => {
                self.statement.pure = false;
                self.statement.uses_tables = true;
            }
            K::From | K::Join => {
                self.statement.uses_tables = true;
                self.reads_tables = true;
            }
            // MySQL's `TABLE t` is a SELECT.
            K::Table if self.statement.kind == Kind::Select => {
                self.statement.uses_tables = true;
                self.reads_tables = true;
            }
            K::Default => self.statement.defaults = true,
            K::Null if previous == K::Is => self.mark(Marks::IS_NULL),
            K::Offset | K::Union => self.details().finds_more = true,
            K::Limit => {
                let mut behind = Parser::new(self.lexer.clone());
                behind.advance();
                if behind.token.is(b',') {
                    self.details().finds_more = true;
                }
            }
            K::SqlCalcFoundRows => self.mark(Marks::SQL_CALC_FOUND_ROWS),
            K::Update | K::Share if previous == K::For => self.mark(Marks::LOCKING_READ),
            K::Mode if previous == K::Share => self.mark(Marks::LOCKING_READ),
            K::Sequence if previous == K::Replace => self.sequence_replaced(),
            K::Like if self.statement.kind == Kind::CreateTable => self.copies_defaults(),
            K::Value if previous == K::Next => self.sequence_value(SequenceAccess::Draws),
            K::Value if previous == K::Previous => self.sequence_value(SequenceAccess::Reads),
            _ if lists_variables(keyword) => self.mark(Marks::SHOW_VARIABLES),
            K::Select | K::Insert | K::Update | K::Delete | K::Replace | K::Values | K::Table
                if self.statement.kind == Kind::With && self.statement.depth == 0 =>
            {
                // Whether it changes several tables is not looked at.
                self.details().joins |= matches!(keyword, K::Update | K::Delete);
                self.statement.kind = match keyword {
                    K::Insert => Kind::Insert,
                    K::Update => Kind::Update,
                    K::Delete => Kind::Delete,
                    K::Replace => Kind::Replace,
                    _ => Kind::Select,
                };
            }
            _ => {}
        }
        if self.dialect.oracle && self.statement.previous.token.is(b'.') {
            self.sequence_member(token);
        }
        if self.catalogue.has_tables() {
            self.look_up_table(token);
        }
        if self.catalogue.has_defaults() {
            self.look_up_defaults(token);
        }
    }

    /// A word that is not a keyword.
    #[inline]
    fn plain_word(&mut self, token: Token) {
        if token.end - token.start >= TRACK.len() && is_session_track(self.text(token)) {
            self.mark(Marks::SESSION_TRACK);
        }
    }

    fn quoted(&mut self, token: Token) {
        // The names that matter are long ones.
        if token.end - token.start >= TRACK.len() {
            let name = unquoted(self.text(token));
            if lists_variables(K::of(&name)) {
                self.mark(Marks::SHOW_VARIABLES);
            }
            if is_session_track(&name) {
                self.mark(Marks::SESSION_TRACK);
            }
        }
        if self.dialect.oracle && self.statement.previous.token.is(b'.') {
            self.sequence_member(token);
        }
        if self.catalogue.has_tables() {
            self.look_up_table(token);
        }
        if self.catalogue.has_defaults() {
            self.look_up_defaults(token);
        }
    }

    /// A string may be the text of a statement to come. Rows that are stored are not looked at.
    fn string(&mut self, token: Token) {
        let length = token.end - token.start;
        if (TRACK.len()..=4096).contains(&length) && !self.statement.kind.changes_rows() {
            let text = self.text(token);
            if text.windows(TRACK.len()).any(is_session_track) {
                self.mark(Marks::SESSION_TRACK);
            }
        }
    }

    #[inline]
    fn symbol(&mut self, symbol: u8) {
        match symbol {
            b'(' => {
                self.statement.depth += 1;
                let kind = self.statement.previous.token.kind;
                if matches!(kind, TokenKind::Word | TokenKind::Quoted) {
                    self.call();
                }
            }
            b')' => self.statement.depth = self.statement.depth.saturating_sub(1),
            b'.' => {
                if self.dialect.oracle {
                    self.qualify();
                }
                if !self.catalogue.triggers().is_all() {
                    self.qualifier();
                }
            }
            _ => {}
        }
    }

    /// An opening parenthesis behind a name: perhaps a call.
    fn call(&mut self) {
        let previous = self.statement.previous;
        let name = unquoted(self.text(previous.token));
        let is_quoted = previous.token.kind == TokenKind::Quoted;
        let keyword = if is_quoted { K::of(&name) } else { previous.keyword };
        let is_qualified = self.statement.before.token.is(b'.');
        // Elsewhere these are names of stored functions.
        let has_sequences = self.dialect.flavor == Flavor::MariaDb && !is_qualified && !is_quoted;
        match keyword {
            K::LastInsertId => {
                let mut ahead = self.lexer.clone();
                let empty = ahead.next_token().is(b')');
                self.mark(if empty {
                    Marks::LAST_INSERT_ID_READ
                } else {
                    Marks::LAST_INSERT_ID_SET
                });
                self.statement.pure &= empty;
            }
            K::RowCount => {
                self.mark(Marks::ROW_COUNT);
                self.asks_function(Sole::RowCount);
            }
            K::FoundRows => {
                self.mark(Marks::FOUND_ROWS);
                self.asks_function(Sole::FoundRows);
            }
            K::ConnectionId => {
                self.mark(Marks::CONNECTION_ID);
                self.asks_function(Sole::ConnectionId);
            }
            K::GetLock => self.lock(LockFunction::Get, Marks::GET_LOCK),
            K::ReleaseLock => self.lock(LockFunction::Release, Marks::RELEASE_LOCK),
            K::ReleaseAllLocks => self.lock(LockFunction::ReleaseAll, Marks::RELEASE_ALL_LOCKS),
            K::IsUsedLock => self.mark(Marks::IS_USED_LOCK),
            K::Nextval if has_sequences => self.sequence_function(SequenceAccess::Draws),
            K::Lastval if has_sequences => self.sequence_function(SequenceAccess::Reads),
            K::Setval if has_sequences => self.mark(Marks::BACKEND_LOCAL_WRITE),
            _ => {
                if is_quoted || is_qualified || !builtin::is_known(&name) {
                    self.foreign_call(&name);
                } else if self.catalogue.has_functions() {
                    self.stored_function(&name);
                }
            }
        }
    }

    /// A call of one of the lock functions.
    fn lock(&mut self, function: LockFunction, mark: Marks) {
        self.mark(mark);
        self.statement.pure = false;
        let mut ahead = self.lexer.clone();
        let argument = ahead.next_token();
        let closed = matches!(ahead.next_token().kind, TokenKind::Symbol(b',' | b')'));
        let name = (argument.kind == TokenKind::Text && closed)
            .then(|| text_value(self.text(argument), &self.dialect).into_owned().into());
        let previous = self.statement.previous.token;
        let place = match (self.statement.kind, self.statement.before.keyword) {
            (Kind::Select, K::Select) => CallPlace::Sole,
            (Kind::Do, K::Do) => CallPlace::Done,
            _ => CallPlace::Within,
        };
        let place =
            if place == CallPlace::Within || !sole::is_whole_call(self.start_parser(), previous) {
                CallPlace::Within
            } else {
                place
            };
        let placed =
            Placed { statement: self.count, action: Action::Lock { function, name, place } };
        self.details().actions.push(placed);
    }

    fn start_parser(&self) -> Parser<'a> {
        Parser::new(self.statement.start.clone())
    }

    fn user_variable(&mut self, token: Token) {
        let (previous, before) = (self.statement.previous.token, self.statement.before.token);
        if self.statement.kind == Kind::Account && previous.end == token.start {
            // `'user'@'host'`
            return;
        }
        if matches!(self.statement.kind, Kind::Ddl | Kind::AlterDatabase | Kind::AlterTable)
            && before.is(b'=')
        {
            // `DEFINER = 'user'@'host'`
            return;
        }
        let name: Box<[u8]> = user_variable_name(self.text(token), &self.dialect).into();
        if !name.is_ascii() {
            // Which names are the same variable is up to a collation.
            self.mark(Marks::OPAQUE);
        }
        self.statement.pure = false;
        let next = self.lexer.clone().next_token();
        let written = self.statement.into
            || next.kind == TokenKind::Assign
            || (self.statement.kind == Kind::Set && next.is(b'='))
            || matches!(
                self.statement.kind,
                Kind::Call
                    | Kind::Compound
                    | Kind::Diagnostics
                    | Kind::Execute
                    | Kind::LoadData
                    | Kind::Other
            );
        self.mark(Marks::USER_VARIABLES);
        let access = if written {
            self.mark(Marks::WRITES_VARIABLES);
            Access::Write
        } else {
            Access::Read
        };
        self.details().note_user_variable(name, access);
    }

    /// `@@`: what follows is a variable's name, perhaps behind a scope.
    fn system_variable(&mut self, token: Token) {
        let mut ahead = Parser::new(self.lexer.clone());
        let scopes = [K::Global, K::Session, K::Local, K::Persist];
        let global = matches!(ahead.keyword, K::Global | K::Persist);
        if scopes.contains(&ahead.keyword) {
            ahead.advance();
            ahead.symbol(b'.');
        }
        let (end, behind) = (ahead.token.end, ahead.lexer());
        let Some(name) = ahead.name() else { return };
        if is_session_track(&name) {
            self.mark(Marks::SESSION_TRACK);
        }
        if !name.is_ascii() {
            self.mark(Marks::OPAQUE);
        }
        let asks = match K::of(&name) {
            K::LastInsertId | K::Identity => return self.mark(Marks::LAST_INSERT_ID_READ),
            K::LastGtid => return self.mark(Marks::BACKEND_LOCAL_READ),
            K::WarningCount => Sole::WarningCount,
            K::ErrorCount => Sole::ErrorCount,
            K::PseudoThreadId => Sole::ConnectionId,
            _ => return,
        };
        let connection = asks == Sole::ConnectionId;
        self.mark(if connection { Marks::CONNECTION_ID } else { Marks::SHOW_DIAGNOSTICS });
        if !(global || connection) {
            self.asks_variable(asks, token.start, end, behind);
        }
    }

    /// Looks for `SET_VAR(name = value)` in an optimizer hint.
    fn hint(&mut self, token: Token) {
        let text = self.text(token);
        let inner = text.get(3..text.len().saturating_sub(2)).unwrap_or_default();
        let mut parser = Parser::new(Lexer::new(inner, &self.dialect));
        while !matches!(parser.token.kind, TokenKind::End | TokenKind::Opaque) {
            if parser.word(K::SetVar) {
                self.mark(Marks::SET_VAR_HINT);
                self.statement.pure = false;
                parser.symbol(b'(');
                if let Some(name) = parser.name() {
                    self.details().temporary_settings.push(name.to_ascii_lowercase().into());
                }
                continue;
            }
            parser.advance();
        }
    }
}

const TRACK: &[u8] = b"session_track_";

/// Whether a name begins as those of the variables for session tracking do.
fn is_session_track(name: &[u8]) -> bool {
    name.get(..TRACK.len()).is_some_and(|start| start.eq_ignore_ascii_case(TRACK))
}

/// Whether a table of this name shows the session's variables.
fn lists_variables(name: K) -> bool {
    matches!(
        name,
        K::SessionVariables
            | K::VariablesByThread
            | K::SessionStatus
            | K::UserVariablesByThread
            | K::SystemVariables
            | K::UserVariables
    )
}
