//! Reads a statement's first words: its kind, and what it does by name.

use super::super::lexer::{Dialect, Lexer, Token, unescape};
use super::marks::Marks;
use super::{Sole, StatementKind};

/// Something that a statement does and that trackers do not report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextEffect {
    /// `CREATE TEMPORARY TABLE`; `None` where the name could not be read.
    TemporaryCreated(Option<TableRef>),
    /// `DROP TABLE`
    TablesDropped(Vec<TableRef>),
    /// A table got another name.
    TablesRenamed,
    /// `HANDLER … OPEN`
    HandlerOpened(Box<[u8]>),
    /// `HANDLER … CLOSE`
    HandlerClosed(Box<[u8]>),
    /// `PREPARE … FROM`: the name, and the text where it is a literal.
    Prepared {
        /// The statement's name.
        name: Box<[u8]>,
        /// Its text.
        text: Option<Vec<u8>>,
    },
    /// `EXECUTE`
    Executed(Box<[u8]>),
    /// `DEALLOCATE PREPARE`
    Deallocated(Box<[u8]>),
    /// `SET NAMES`
    Names {
        /// The character set; `None` for `DEFAULT`.
        charset: Option<Box<str>>,
        /// The collation.
        collation: Option<Box<str>>,
    },
    /// `SET ROLE`, and what stands behind these words.
    Role(Box<[u8]>),
    /// `KILL`
    Killed(Kill),
}

/// `KILL [CONNECTION | QUERY] n`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// What stands between `KILL` and the number.
    pub words: Box<[u8]>,
    /// Whether it ends the connection, not only its statement.
    pub connection: bool,
    /// The number.
    pub id: u64,
}

/// A table as a statement names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRef {
    /// The database, where it is named.
    pub database: Option<Box<[u8]>>,
    /// The table.
    pub name: Box<[u8]>,
}

/// What the head of a statement says.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub kind: StatementKind,
    pub marks: Marks,
    pub sole: Option<Sole>,
    pub effects: Vec<TextEffect>,
    pub temporary_settings: Vec<Box<[u8]>>,
    /// The procedure of a CALL.
    pub called: Vec<u8>,
    /// `CREATE PROCEDURE` and the like: the text holds code that is not run now.
    pub defines_code: bool,
}

impl Read {
    /// Whether user variables that this kind of statement names may be assigned.
    pub(super) fn writes_variables(&self) -> bool {
        matches!(
            self.kind,
            StatementKind::Call
                | StatementKind::Execute
                | StatementKind::GetDiagnostics
                | StatementKind::Insert
                | StatementKind::Other
                | StatementKind::Prepare
                | StatementKind::Set
        )
    }

    fn effect(&mut self, effect: TextEffect) {
        self.effects.push(effect);
        self.marks |= Marks::HAS_EFFECTS;
    }
}

fn lower(token: Token<'_>) -> Vec<u8> {
    match token {
        Token::Word(word) => word.to_ascii_lowercase(),
        _ => Vec::new(),
    }
}

fn is(token: Option<&Token<'_>>, word: &[u8]) -> bool {
    matches!(token, Some(Token::Word(w)) if w.eq_ignore_ascii_case(word))
}

fn name(token: Option<&Token<'_>>) -> Option<Box<[u8]>> {
    match token? {
        Token::Word(name) => Some((*name).into()),
        Token::Quoted(name) => Some(undouble(name)),
        _ => None,
    }
}

fn undouble(name: &[u8]) -> Box<[u8]> {
    String::from_utf8(name.to_vec())
        .map(|text| text.replace("``", "`").into_bytes())
        .unwrap_or_else(|error| error.into_bytes())
        .into()
}

/// Reads the head of a statement of `tokens` tokens in all.
pub(super) fn read(head: &[Token<'_>], tokens: usize, text: &[u8], dialect: &Dialect) -> Read {
    let mut read = Read::default();
    let Some(first) = head.first() else { return read };
    let second = head.get(1);
    read.kind = match lower(*first).as_slice() {
        b"select" | b"with" | b"values" | b"table" => StatementKind::Select,
        b"insert" | b"replace" | b"load" => StatementKind::Insert,
        b"update" => StatementKind::Update,
        b"delete" => StatementKind::Delete,
        b"set" => set(&mut read, head, text, dialect),
        b"show" => show(&mut read, head, tokens),
        b"begin" => begin(&mut read, head),
        b"start" if is(second, b"transaction") => {
            read.marks |= Marks::ENDS_TRANSACTION | Marks::BEGINS_TRANSACTION;
            StatementKind::Begin
        }
        b"commit" => {
            read.marks |= Marks::ENDS_TRANSACTION;
            StatementKind::Commit
        }
        b"rollback" => rollback(&mut read, head),
        b"savepoint" => {
            read.marks |= Marks::SAVEPOINT;
            StatementKind::Other
        }
        b"create" => create(&mut read, head, text, dialect),
        b"drop" => drop(&mut read, head, text, dialect),
        b"alter" => alter(&mut read, head, text, dialect),
        b"rename" => {
            read.marks |= Marks::ENDS_TRANSACTION | Marks::DDL_ROUTINE;
            read.effect(TextEffect::TablesRenamed);
            StatementKind::Alter
        }
        b"truncate" | b"optimize" | b"analyze" | b"repair" | b"check" => {
            read.marks |= Marks::ENDS_TRANSACTION;
            StatementKind::Other
        }
        b"lock" | b"unlock" | b"flush" | b"backup" | b"xa" => lock(&mut read, head, text, dialect),
        b"handler" => handler(&mut read, head),
        b"call" => {
            read.called = called(head);
            StatementKind::Call
        }
        b"do" => StatementKind::Do,
        b"use" => StatementKind::Use,
        b"prepare" | b"execute" | b"deallocate" => prepared(&mut read, head, dialect),
        b"kill" => kill(&mut read, head, text),
        b"get" => {
            read.marks |= Marks::GET_DIAGNOSTICS;
            StatementKind::GetDiagnostics
        }
        b"grant" | b"revoke" => {
            read.marks |= Marks::PRIVILEGES | Marks::ENDS_TRANSACTION;
            StatementKind::Other
        }
        b"explain" | b"describe" | b"desc" => StatementKind::Explain,
        b"declare" | b"if" | b"case" | b"loop" | b"repeat" | b"while" | b"for" => {
            // MariaDB's compound statements outside a routine.
            read.marks |= Marks::OPAQUE;
            StatementKind::Other
        }
        _ if *first == Token::Symbol(b'(') => StatementKind::Select,
        _ => StatementKind::Other,
    };
    if read.kind == StatementKind::Select {
        read.sole = sole_select(head, tokens);
    }
    read
}

fn begin(read: &mut Read, head: &[Token<'_>]) -> StatementKind {
    read.marks |= Marks::ENDS_TRANSACTION | Marks::BEGINS_TRANSACTION;
    if head.len() > 1 && !is(head.get(1), b"work") {
        // BEGIN NOT ATOMIC …
        read.marks |= Marks::OPAQUE;
    }
    StatementKind::Begin
}

fn rollback(read: &mut Read, head: &[Token<'_>]) -> StatementKind {
    let to = is(head.get(1), b"to") || (is(head.get(1), b"work") && is(head.get(2), b"to"));
    if !to {
        read.marks |= Marks::ENDS_TRANSACTION;
    }
    StatementKind::Rollback
}

/// `SELECT name() [[AS] alias]`, `SELECT @@name [[AS] alias]`
fn sole_select(head: &[Token<'_>], tokens: usize) -> Option<Sole> {
    if tokens > head.len() {
        return None;
    }
    let (sole, rest) = match head {
        [_, Token::Word(word), Token::Symbol(b'('), Token::Symbol(b')'), rest @ ..] => {
            let sole = match word.to_ascii_lowercase().as_slice() {
                b"connection_id" => Sole::ConnectionId,
                b"found_rows" => Sole::FoundRows,
                b"row_count" => Sole::RowCount,
                _ => return None,
            };
            (sole, rest)
        }
        [_, Token::SystemVariable(variable), rest @ ..] => {
            let sole = match variable.to_ascii_lowercase().as_slice() {
                b"warning_count" | b"session.warning_count" | b"local.warning_count" => {
                    Sole::WarningCount
                }
                b"error_count" | b"session.error_count" | b"local.error_count" => Sole::ErrorCount,
                _ => return None,
            };
            (sole, rest)
        }
        _ => return None,
    };
    let alias =
        |token: &Token<'_>| matches!(token, Token::Word(_) | Token::Quoted(_) | Token::Text(_));
    match rest {
        [] => Some(sole),
        [name] if alias(name) && !is(Some(name), b"limit") => Some(sole),
        [r#as, name] if is(Some(r#as), b"as") && alias(name) => Some(sole),
        _ => None,
    }
}

fn show(read: &mut Read, head: &[Token<'_>], tokens: usize) -> StatementKind {
    let words: Vec<_> = head.iter().skip(1).map(|token| lower(*token)).collect();
    match words.first().map(Vec::as_slice) {
        Some(b"warnings" | b"errors") => {
            read.marks |= Marks::SHOW_DIAGNOSTICS;
            if tokens == 2 {
                let errors = words[0] == b"errors";
                read.sole = Some(if errors { Sole::Errors } else { Sole::Warnings });
            }
        }
        Some(b"count") => {
            read.marks |= Marks::SHOW_DIAGNOSTICS;
            read.sole = match words.last().map(Vec::as_slice) {
                Some(b"warnings") => Some(Sole::WarningCount),
                Some(b"errors") => Some(Sole::ErrorCount),
                _ => None,
            };
        }
        _ => {}
    }
    StatementKind::Show
}

fn set(read: &mut Read, head: &[Token<'_>], text: &[u8], dialect: &Dialect) -> StatementKind {
    let string = |token: Option<&Token<'_>>| -> Option<Box<str>> {
        let bytes = match token? {
            Token::Word(word) | Token::Quoted(word) => word.to_vec(),
            Token::Text(raw) => unescape(raw, *dialect),
            _ => return None,
        };
        Some(String::from_utf8_lossy(&bytes).into())
    };
    let second = head.get(1);
    let third = head.get(2);
    if is(second, b"names") {
        read.marks |= Marks::SET_NAMES;
        let charset = if is(third, b"default") { None } else { string(third) };
        let collation = if is(head.get(3), b"collate") { string(head.get(4)) } else { None };
        let plain = match (head.len(), collation.is_some()) {
            (3, false) | (5, true) => charset.is_some() || is(third, b"default"),
            _ => false,
        };
        if plain {
            read.effect(TextEffect::Names { charset, collation });
        } else {
            // Joined with other assignments: what came of it is asked.
            read.marks |= Marks::SET_CHARACTER_SET;
        }
    } else if (is(second, b"character") && is(third, b"set")) || is(second, b"charset") {
        read.marks |= Marks::SET_CHARACTER_SET;
    } else if is(second, b"role") {
        read.marks |= Marks::SET_ROLE;
        let mut lexer = Lexer::new(text, *dialect);
        lexer.nth(1);
        let spec = text.get(lexer.position()..).unwrap_or_default();
        let spec = spec.strip_suffix(b";").unwrap_or(spec).trim_ascii();
        read.effect(TextEffect::Role(spec.into()));
    } else if is(second, b"resource") {
        read.marks |= Marks::SET_RESOURCE_GROUP;
    } else if is(second, b"password") || is(second, b"default") {
        read.marks |= Marks::PRIVILEGES;
    } else if is(second, b"statement") {
        return set_statement(read, text, dialect);
    } else if is(second, b"global") || is(second, b"persist") {
        return StatementKind::Set;
    }
    // In a list of assignments NAMES may stand anywhere.
    let mut previous = Token::Symbol(b' ');
    for token in Lexer::new(text, *dialect).skip(2) {
        if previous == Token::Symbol(b',')
            && (is(Some(&token), b"names")
                || is(Some(&token), b"character")
                || is(Some(&token), b"charset"))
        {
            read.marks |= Marks::SET_CHARACTER_SET;
        }
        if is(Some(&token), b"autocommit") {
            read.marks |= Marks::ENDS_TRANSACTION;
        }
        previous = token;
    }
    StatementKind::Set
}

/// MariaDB: `SET STATEMENT a=1, b=2 FOR SELECT …`
fn set_statement(read: &mut Read, text: &[u8], dialect: &Dialect) -> StatementKind {
    let mut lexer = Lexer::new(text, *dialect);
    lexer.nth(1);
    let mut depth = 0;
    let mut expect_name = true;
    for token in lexer.by_ref() {
        match token {
            Token::Word(word) if depth == 0 && word.eq_ignore_ascii_case(b"for") => break,
            Token::Word(word) if expect_name => {
                read.temporary_settings.push(word.to_ascii_lowercase().into());
                expect_name = false;
            }
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') => depth -= 1,
            Token::Symbol(b',') if depth == 0 => expect_name = true,
            _ => {}
        }
    }
    let rest: Vec<_> = lexer.clone().take(super::HEAD).collect();
    let inner_text = text.get(lexer.position()..).unwrap_or_default();
    let inner = self::read(&rest, lexer.count(), inner_text, dialect);
    read.marks |= inner.marks;
    read.effects.extend(inner.effects);
    read.called = inner.called;
    inner.kind
}

/// The table at a position of the head, and where the head goes on.
fn table(tokens: &[Token<'_>]) -> Option<(TableRef, usize)> {
    let first = name(tokens.first())?;
    if tokens.get(1) == Some(&Token::Symbol(b'.')) {
        let second = name(tokens.get(2))?;
        return Some((TableRef { database: Some(first), name: second }, 3));
    }
    Some((TableRef { database: None, name: first }, 1))
}

fn create(read: &mut Read, head: &[Token<'_>], text: &[u8], dialect: &Dialect) -> StatementKind {
    let words: Vec<_> = head.iter().map(|token| lower(*token)).collect();
    let has = |word: &[u8]| words.iter().any(|w| w == word);
    let temporary = words.iter().position(|w| w == b"temporary");
    let code = [&b"procedure"[..], b"function", b"trigger", b"event", b"view", b"package"];
    if let Some(at) = temporary
        && at <= 3
    {
        // Its table, or MariaDB's sequence, outlives the statement.
        let mut at = at + 2;
        if is(head.get(at), b"if") {
            at += 3;
        }
        let created = head.get(at..).and_then(table).map(|(table, _)| table);
        read.effect(TextEffect::TemporaryCreated(created));
        return StatementKind::Create;
    }
    read.marks |= Marks::ENDS_TRANSACTION;
    // The kind of what is created stands among the first words, behind DEFINER and the like.
    let defined = Lexer::new(text, *dialect).take(24).any(
        |token| matches!(token, Token::Word(w) if code.iter().any(|c| w.eq_ignore_ascii_case(c))),
    );
    if defined && !has(b"table") && !has(b"database") && !has(b"schema") {
        read.marks |= Marks::DDL_ROUTINE;
        read.defines_code = true;
    }
    if has(b"user") || has(b"role") {
        read.marks |= Marks::PRIVILEGES;
    }
    StatementKind::Create
}

fn drop(read: &mut Read, head: &[Token<'_>], text: &[u8], dialect: &Dialect) -> StatementKind {
    let second = lower(*head.get(1).unwrap_or(&Token::Opaque));
    let third = lower(*head.get(2).unwrap_or(&Token::Opaque));
    match (second.as_slice(), third.as_slice()) {
        (b"prepare", _) => {
            if let Some(name) = name(head.get(2)) {
                read.effect(TextEffect::Deallocated(name));
            }
            return StatementKind::Other;
        }
        (b"temporary", b"table" | b"tables" | b"sequence") => {
            read.effect(TextEffect::TablesDropped(dropped(text, dialect, 3)));
        }
        (b"table" | b"tables" | b"sequence", _) => {
            read.marks |= Marks::ENDS_TRANSACTION;
            read.effect(TextEffect::TablesDropped(dropped(text, dialect, 2)));
        }
        (b"database" | b"schema", _) => {
            read.marks |= Marks::DROP_DATABASE | Marks::ENDS_TRANSACTION | Marks::DDL_ROUTINE;
        }
        (b"user" | b"role", _) => read.marks |= Marks::PRIVILEGES | Marks::ENDS_TRANSACTION,
        _ => read.marks |= Marks::DDL_ROUTINE | Marks::ENDS_TRANSACTION,
    }
    StatementKind::Drop
}

/// The tables of a DROP, whose names begin behind so many tokens.
fn dropped(text: &[u8], dialect: &Dialect, skip: usize) -> Vec<TableRef> {
    let tokens: Vec<_> = Lexer::new(text, *dialect).skip(skip).take(4096).collect();
    let mut rest = &tokens[..];
    if is(rest.first(), b"if") {
        rest = rest.get(2..).unwrap_or_default();
    }
    let mut tables = Vec::new();
    while let Some((table, length)) = table(rest) {
        tables.push(table);
        rest = &rest[length..];
        match rest.first() {
            Some(Token::Symbol(b',')) => rest = &rest[1..],
            _ => break,
        }
    }
    tables
}

fn alter(read: &mut Read, head: &[Token<'_>], text: &[u8], dialect: &Dialect) -> StatementKind {
    read.marks |= Marks::ENDS_TRANSACTION;
    if is(head.get(1), b"user") {
        read.marks |= Marks::PRIVILEGES;
    } else if !is(head.get(1), b"table") {
        read.marks |= Marks::DDL_ROUTINE;
        read.defines_code = Lexer::new(text, *dialect).take(24).any(|token| {
            matches!(token, Token::Word(w) if [&b"view"[..], b"event"].iter().any(|c| w.eq_ignore_ascii_case(c)))
        });
    }
    if Lexer::new(text, *dialect).any(|token| is(Some(&token), b"rename")) {
        read.marks |= Marks::DDL_ROUTINE;
        read.effect(TextEffect::TablesRenamed);
    }
    StatementKind::Alter
}

fn lock(read: &mut Read, head: &[Token<'_>], text: &[u8], dialect: &Dialect) -> StatementKind {
    let second = lower(*head.get(1).unwrap_or(&Token::Opaque));
    let mark = match (lower(head[0]).as_slice(), second.as_slice()) {
        (b"lock", b"instance") => Marks::LOCK_INSTANCE,
        (b"lock", _) => Marks::LOCK_TABLES | Marks::ENDS_TRANSACTION,
        (b"unlock", b"instance") => Marks::UNLOCK_INSTANCE,
        (b"unlock", _) => Marks::UNLOCK_TABLES,
        (b"backup", _) => Marks::BACKUP,
        (b"xa", _) => Marks::XA,
        _ => {
            let locks = Lexer::new(text, *dialect)
                .any(|token| is(Some(&token), b"lock") || is(Some(&token), b"export"));
            let privileges = second == b"privileges";
            let mut marks = Marks::ENDS_TRANSACTION;
            if locks {
                marks |= Marks::FLUSH_LOCK;
            }
            if privileges {
                marks |= Marks::PRIVILEGES;
            }
            marks
        }
    };
    read.marks |= mark;
    StatementKind::Other
}

fn handler(read: &mut Read, head: &[Token<'_>]) -> StatementKind {
    let Some((named, length)) = head.get(1..).and_then(table) else {
        read.marks |= Marks::OPAQUE;
        return StatementKind::Other;
    };
    let at = 1 + length;
    if is(head.get(at), b"open") {
        let alias_at = if is(head.get(at + 1), b"as") { at + 2 } else { at + 1 };
        let opened = name(head.get(alias_at)).unwrap_or(named.name);
        read.effect(TextEffect::HandlerOpened(opened));
    } else if is(head.get(at), b"close") {
        read.effect(TextEffect::HandlerClosed(named.name));
    }
    StatementKind::Other
}

fn called(head: &[Token<'_>]) -> Vec<u8> {
    let Some((procedure, _)) = head.get(1..).and_then(table) else { return Vec::new() };
    procedure.name.to_ascii_lowercase()
}

fn prepared(read: &mut Read, head: &[Token<'_>], dialect: &Dialect) -> StatementKind {
    match (lower(head[0]).as_slice(), name(head.get(1))) {
        (b"deallocate", _) => {
            if let Some(name) = name(head.get(2)) {
                read.effect(TextEffect::Deallocated(name));
            }
            StatementKind::Other
        }
        (b"prepare", Some(name)) => {
            let text = match head.get(3) {
                Some(Token::Text(raw)) if head.len() == 4 => Some(unescape(raw, *dialect)),
                _ => None,
            };
            read.effect(TextEffect::Prepared { name, text });
            StatementKind::Prepare
        }
        (_, Some(name)) if !name.eq_ignore_ascii_case(b"immediate") => {
            read.effect(TextEffect::Executed(name));
            StatementKind::Execute
        }
        _ => {
            read.marks |= Marks::OPAQUE;
            StatementKind::Execute
        }
    }
}

fn kill(read: &mut Read, head: &[Token<'_>], text: &[u8]) -> StatementKind {
    read.marks |= Marks::KILL;
    let Some(Token::Word(number)) = head.last() else { return StatementKind::Kill };
    let Some(id) = std::str::from_utf8(number).ok().and_then(|n| n.parse().ok()) else {
        return StatementKind::Kill;
    };
    let words: Vec<_> = head[1..head.len() - 1].iter().map(|token| lower(*token)).collect();
    let connection = !words.iter().any(|w| w == b"query");
    let words = words.join(&b' ');
    if text.len() < 200 && !words.windows(2).any(|w| w == b"id") {
        read.effect(TextEffect::Killed(Kill { words: words.into(), connection, id }));
    }
    StatementKind::Kill
}
