//! One stored body: what its text may do, and what else it uses.

use super::{Effects, Reach};
use crate::session::lexer::{Dialect, Lexer, Token, TokenKind, unquoted, user_variable_name};
use crate::session::sequences::SequenceName;

/// Where a body runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    /// Inside a statement: a function, a trigger, a view. The server puts back what such a body
    /// does to the last insert id.
    Nested,
    /// As statements of its own.
    Procedure,
}

/// What a body was found to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scanned {
    pub(super) effects: Effects,
    /// Names that may be called as functions.
    pub(super) calls: Vec<Vec<u8>>,
    /// Names that may be called as procedures.
    pub(super) procedures: Vec<Vec<u8>>,
    /// Names that may be tables or views.
    pub(super) names: Vec<Vec<u8>>,
    /// Names of routines that are made inside: a package's.
    pub(super) defines: Vec<Vec<u8>>,
    /// Names of sequences that are asked for their last values, in lower case; empty for one that
    /// can't be told.
    pub(super) asks: Vec<Vec<u8>>,
}

/// Reads a body. Any word that could have an effect where it stands counts as having it.
/// Names without a database are of `database`.
pub(super) fn scan(text: &[u8], dialect: &Dialect, place: Where, database: &[u8]) -> Scanned {
    let mut reader = Reader {
        lexer: Lexer::new(text, dialect),
        text,
        dialect,
        place,
        database,
        recent: Recent::default(),
        setting: Setting::No,
        declared: Vec::new(),
        found: Scanned::default(),
    };
    reader.run();
    let found = &mut reader.found;
    for names in [&mut found.calls, &mut found.procedures, &mut found.names, &mut found.defines] {
        names.sort_unstable();
        names.dedup();
    }
    reader.found
}

struct Reader<'a> {
    lexer: Lexer<'a>,
    text: &'a [u8],
    dialect: &'a Dialect,
    place: Where,
    database: &'a [u8],
    recent: Recent,
    setting: Setting,
    /// Local variables. Where each is visible doesn't matter much: a session variable that has the
    /// name of a local one somewhere else in the body is still reported by a tracker.
    declared: Vec<Vec<u8>>,
    found: Scanned,
}

/// The tokens before the current one, words in lower case, newest first.
#[derive(Default)]
struct Recent([Vec<u8>; 3]);

impl Recent {
    fn push(&mut self, word: Vec<u8>) {
        self.0.rotate_right(1);
        self.0[0] = word;
    }

    /// Whether the newest token is this.
    fn is(&self, word: &[u8]) -> bool {
        self.0[0] == word
    }

    /// Whether a statement begins behind the newest token.
    fn is_boundary(&self) -> bool {
        matches!(
            &*self.0[0],
            b"" | b";" | b":" | b"begin" | b"then" | b"else" | b"do" | b"loop" | b"repeat"
        )
    }
}

/// Where in a `SET` statement the current token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    /// In none.
    No,
    /// Where a variable is named.
    Target,
    /// In a value, inside so many parentheses.
    Value(u32),
}

impl Reader<'_> {
    fn run(&mut self) {
        loop {
            let token = self.lexer.next_token();
            let text = token.text(self.text);
            let word = match token.kind {
                TokenKind::End => return,
                TokenKind::Opaque => {
                    self.found.effects.merge(&Effects::EVERYTHING);
                    return;
                }
                TokenKind::Word => {
                    let word = text.to_ascii_lowercase();
                    self.word(&word);
                    self.found.names.push(word.clone());
                    word
                }
                TokenKind::Quoted => {
                    let name = unquoted(text).to_ascii_lowercase();
                    self.found.names.push(name.clone());
                    name
                }
                TokenKind::UserVariable => {
                    let name = user_variable_name(text, self.dialect);
                    self.found.effects.user_variables.insert(name.into());
                    text.to_vec()
                }
                _ => text.to_vec(),
            };
            if matches!(token.kind, TokenKind::Word | TokenKind::Quoted) {
                self.definition(&word);
                self.silent_setting(&word);
            }
            self.follow_set(token, &word);
            self.recent.push(word);
        }
    }

    fn reach(&mut self, reach: Reach) {
        self.found.effects.reach.insert(reach);
    }

    /// The token behind the current one.
    fn next(&self) -> (Token, Vec<u8>) {
        let token = self.lexer.clone().next_token();
        (token, token.text(self.text).to_ascii_lowercase())
    }

    /// Keeps track of where in a `SET` the next token will stand.
    fn follow_set(&mut self, token: Token, word: &[u8]) {
        if word == b"set" && self.recent.is_boundary() {
            self.setting = Setting::Target;
            return;
        }
        self.setting = match (self.setting, token.kind) {
            (_, TokenKind::Symbol(b';')) | (Setting::No, _) => Setting::No,
            (Setting::Target, TokenKind::Symbol(b'=') | TokenKind::Assign) => Setting::Value(0),
            (Setting::Target, _) => Setting::Target,
            (Setting::Value(0), TokenKind::Symbol(b',')) => Setting::Target,
            (Setting::Value(depth), TokenKind::Symbol(b'(')) => Setting::Value(depth + 1),
            (Setting::Value(depth), TokenKind::Symbol(b')')) => {
                Setting::Value(depth.saturating_sub(1))
            }
            (value, _) => value,
        };
    }

    /// A name that may be called, or one that is made here.
    fn definition(&mut self, name: &[u8]) {
        let [newest, second, third] = &self.recent.0;
        if newest == b"call" || (newest == b"." && third == b"call") {
            self.found.procedures.push(name.to_vec());
            return;
        }
        if newest == b"procedure" || newest == b"function" {
            self.found.defines.push(name.to_vec());
        }
        if newest == b"declare" || (newest == b"," && self.declared.last() == Some(second)) {
            self.declared.push(name.to_vec());
        }
        if self.next().0.is(b'(') {
            self.call(name);
        }
    }

    /// A name in front of a parenthesis.
    fn call(&mut self, name: &[u8]) {
        match name {
            b"get_lock" | b"release_lock" | b"release_all_locks" => self.reach(Reach::USER_LOCKS),
            b"nextval" => {
                let name = self.sequence_behind();
                self.draws(name);
            }
            b"setval" => self.reach(Reach::BACKEND_LOCAL),
            b"lastval" => {
                let name = self.sequence_behind();
                self.asks(name);
            }
            b"last_insert_id" if self.place == Where::Procedure => {
                let mut ahead = self.lexer.clone();
                ahead.next_token();
                if !ahead.next_token().is(b')') {
                    self.reach(Reach::LAST_INSERT_ID);
                }
            }
            _ => {}
        }
        self.found.calls.push(name.to_vec());
    }

    /// The sequence that is named behind the next token: a parenthesis, or `FOR`.
    fn sequence_behind(&self) -> Option<SequenceName> {
        let mut ahead = self.lexer.clone();
        ahead.next_token();
        SequenceName::read(&mut ahead).map(|(name, _)| name)
    }

    /// The sequence of `sequence.NEXTVAL`, at its last word.
    fn sequence_before(&self) -> Option<SequenceName> {
        let [_, name, dot] = &self.recent.0;
        // Words have lost their case here, and a database's name is not at hand.
        let is_plain = dot != b"." && self.dialect.oracle;
        is_plain.then(|| SequenceName { database: Box::default(), name: name.clone().into() })
    }

    /// A sequence's next value is taken.
    fn draws(&mut self, name: Option<SequenceName>) {
        self.reach(Reach::BACKEND_LOCAL);
        match name.filter(SequenceName::is_ascii) {
            Some(mut name) => {
                if name.database.is_empty() {
                    name.database = self.database.into();
                }
                self.found.effects.sequences.insert(name);
            }
            None => self.reach(Reach::UNKNOWN_SEQUENCE),
        }
    }

    /// A sequence is asked for its last value.
    fn asks(&mut self, name: Option<SequenceName>) {
        self.reach(Reach::LAST_VALUES);
        let name = name.filter(SequenceName::is_ascii).map(|name| name.name.into_vec());
        self.found.asks.push(name.unwrap_or_default().to_ascii_lowercase());
    }

    /// A word without quotes.
    fn word(&mut self, word: &[u8]) {
        let (next, next_word) = self.next();
        let assigned = next.is(b'=') || next.kind == TokenKind::Assign;
        if assigned {
            self.assignment(word);
        }
        let target = self.setting == Setting::Target;
        match word {
            b"prepare" | b"execute" | b"deallocate" => {
                self.reach(Reach::PREPARED_STATEMENTS);
                if word != b"deallocate" {
                    // Text that is built at run time may be anything.
                    self.found.effects.merge(&Effects::EVERYTHING);
                }
            }
            b"temporary" | b"rename" => self.reach(Reach::TEMPORARY_TABLES),
            b"drop" if matches!(&*next_word, b"table" | b"tables" | b"sequence") => {
                self.reach(Reach::TEMPORARY_TABLES);
            }
            b"commit" | b"rollback" | b"savepoint" | b"release" | b"xa" => {
                self.reach(Reach::TRANSACTION);
            }
            b"start" if next_word == b"transaction" => self.reach(Reach::TRANSACTION),
            b"transaction" if self.recent.is(b"set") => self.reach(Reach::NEXT_TRANSACTION),
            b"transaction" if target => self.reach(Reach::SESSION_VARIABLES),
            b"role" if self.recent.is(b"set") => self.reach(Reach::ROLE),
            b"resource" if self.recent.is(b"set") => self.reach(Reach::RESOURCE_GROUP),
            b"names" | b"charset" if target && !assigned => self.reach(Reach::CHARACTER_SET),
            b"character" if target && next_word == b"set" => self.reach(Reach::CHARACTER_SET),
            b"lock" | b"unlock" if matches!(&*next_word, b"table" | b"tables" | b"instance") => {
                self.reach(Reach::LOCKS);
            }
            b"handler" if self.recent.is_boundary() => self.reach(Reach::LOCKS),
            b"flush" | b"backup" if self.recent.is_boundary() => self.reach(Reach::LOCKS),
            b"value" if self.recent.is(b"next") => {
                let name = self.sequence_behind();
                self.draws(name);
            }
            b"value" if self.recent.is(b"previous") => {
                let name = self.sequence_behind();
                self.asks(name);
            }
            b"nextval" if self.recent.is(b".") => {
                let name = self.sequence_before();
                self.draws(name);
            }
            b"currval" if self.recent.is(b".") => {
                let name = self.sequence_before();
                self.asks(name);
            }
            b"insert" | b"replace" if self.place == Where::Procedure => {
                self.reach(Reach::LAST_INSERT_ID);
            }
            _ => {}
        }
    }

    /// A word in front of `=` or `:=`: perhaps the setting of a variable.
    fn assignment(&mut self, word: &[u8]) {
        if is_special(word) {
            self.reach(Reach::SPECIAL_VARIABLES);
        }
        match word {
            b"last_insert_id" | b"identity" => self.reach(Reach::LAST_INSERT_ID),
            b"transaction_isolation"
            | b"tx_isolation"
            | b"transaction_read_only"
            | b"tx_read_only" => self.reach(Reach::NEXT_TRANSACTION),
            _ => {}
        }
        let is_field = self.recent.is(b".") && !self.is_scoped();
        let is_local = self.declared.iter().any(|name| name == word) && !self.is_scoped();
        if self.setting == Setting::Target && !is_field && !is_local {
            self.reach(Reach::SESSION_VARIABLES);
        }
    }

    /// Perhaps a name in `SET @@name =`.
    fn silent_setting(&mut self, name: &[u8]) {
        if self.setting != Setting::Target || !self.recent.is(b"@@") {
            return;
        }
        let next = self.next().0;
        if next.is(b'=') || next.kind == TokenKind::Assign {
            self.reach(Reach::SESSION_VARIABLES);
            self.found.effects.silent_settings.insert(name.into());
        }
    }

    /// Whether the current word stands behind `@@`, `SESSION`, `@@session.` or the like.
    fn is_scoped(&self) -> bool {
        let [newest, second, third] = &self.recent.0;
        let scope = |word: &[u8]| matches!(word, b"session" | b"local" | b"@@");
        scope(newest) || (newest == b"." && scope(second) && scope(third))
    }
}

/// Variables that can't be moved to another connection.
fn is_special(name: &[u8]) -> bool {
    matches!(
        name,
        b"insert_id"
            | b"timestamp"
            | b"rand_seed1"
            | b"rand_seed2"
            | b"gtid_next"
            | b"gtid_seq_no"
            | b"pseudo_thread_id"
            | b"pseudo_slave_mode"
            | b"pseudo_replica_mode"
            | b"sql_log_bin"
            | b"debug"
            | b"debug_dbug"
            | b"debug_sync"
            | b"skip_replication"
    )
}
