//! `SET` in all its forms.

use super::details::{Action, Scope, Value};
use super::found::Found;
use super::keyword::Keyword as K;
use super::marks::Marks;
use super::parse::Parser;
use crate::session::lexer::TokenKind;

/// Reads a `SET` statement. MariaDB's `SET STATEMENT` is taken apart before this.
pub(super) fn read(parser: &mut Parser<'_>, found: &mut Found) {
    parser.advance();
    let next = {
        let mut ahead = parser.clone();
        ahead.advance();
        ahead
    };
    let assigns = next.token.is(b'=') || next.token.kind == TokenKind::Assign;
    match parser.keyword {
        K::Role if !assigns => {
            parser.advance();
            let roles = parser.rest();
            return found.push(Marks::SET_ROLE, Action::SetRole(roles));
        }
        K::Default if next.at(K::Role) => return found.marks |= Marks::PRIVILEGES,
        K::Resource if next.at(K::Group) => {
            parser.words(&[K::Resource, K::Group]);
            let Some(group) = parser.name() else { return found.unsure() };
            return found.push(Marks::SET_RESOURCE_GROUP, Action::SetResourceGroup(group));
        }
        K::Transaction if !assigns => {
            parser.advance();
            let text = parser.rest();
            let marks = Marks::SET_TRANSACTION_NEXT;
            return found.push(marks, Action::SetTransactionNext(text));
        }
        K::Session | K::Local if next.at(K::Transaction) => {
            return found.marks |= Marks::SET_VARIABLE;
        }
        K::Global if next.at(K::Transaction) => return found.marks |= Marks::SET_GLOBAL,
        _ => {}
    }
    assignments(parser, found);
}

/// A list of assignments, in which `NAMES` and `CHARACTER SET` may stand too.
fn assignments(parser: &mut Parser<'_>, found: &mut Found) {
    let mut scope = Scope::Session;
    while !parser.at_end() {
        assignment(parser, &mut scope, found);
        if !parser.at_end() && !parser.token.is(b',') {
            found.unsure();
            parser.skip_item();
        }
        parser.symbol(b',');
    }
}

/// One assignment. A scope word counts for those behind it too.
fn assignment(parser: &mut Parser<'_>, scope: &mut Scope, found: &mut Found) {
    if parser.user_variable().is_some() {
        // The first reading noted it.
        return parser.skip_item();
    }
    let mut target = *scope;
    if parser.token.kind == TokenKind::System {
        parser.advance();
        target = Scope::Next;
        if let Some(written) = scope_word(parser) {
            target = written;
            parser.symbol(b'.');
        }
    } else if let Some(written) = scope_word(parser) {
        *scope = written;
        target = written;
    } else if charset(parser, found) {
        return;
    }
    let is_password = parser.at(K::Password);
    let Some(name) = parser.name() else {
        found.unsure();
        return parser.skip_item();
    };
    let mut name = name.into_vec();
    while parser.symbol(b'.') {
        name.push(b'.');
        name.extend_from_slice(&parser.name().unwrap_or_default());
    }
    if !(parser.symbol(b'=') || parser.token.kind == TokenKind::Assign) {
        if !is_password {
            found.unsure();
        }
        return parser.skip_item();
    }
    if parser.token.kind == TokenKind::Assign {
        parser.advance();
    }
    let value = value(parser);
    name.make_ascii_lowercase();
    let marks = variable_marks(&name, target, &value);
    found.push(marks, Action::SetVariable { scope: target, name: name.into(), value });
}

fn scope_word(parser: &mut Parser<'_>) -> Option<Scope> {
    let scope = match parser.keyword {
        K::Global => Scope::Global,
        K::Session | K::Local => Scope::Session,
        K::Persist | K::PersistOnly => Scope::Persist,
        _ => return None,
    };
    parser.advance();
    Some(scope)
}

/// `NAMES …`, `CHARACTER SET …`, `CHARSET …`.
fn charset(parser: &mut Parser<'_>, found: &mut Found) -> bool {
    let is_names = parser.word(K::Names);
    if !is_names && !parser.words(&[K::Character, K::Set]) && !parser.word(K::Charset) {
        return false;
    }
    let charset = if parser.word(K::Default) {
        None
    } else {
        // `binary` and `ascii` are keywords and names.
        match parser.name_or_text() {
            Some(name) => Some(name),
            None => {
                found.unsure();
                parser.skip_item();
                return true;
            }
        }
    };
    if !is_names {
        found.push(Marks::SET_CHARACTER_SET, Action::SetCharacterSet(charset));
        return true;
    }
    let collation = if parser.word(K::Collate) { parser.name_or_text() } else { None };
    found.push(Marks::SET_NAMES, Action::SetNames { charset, collation });
    true
}

/// The right side of an assignment.
fn value(parser: &mut Parser<'_>) -> Value {
    let (start, end) = (parser.token.start, parser.token.end);
    let kind = parser.token.kind;
    let default = parser.at(K::Default);
    parser.advance();
    let alone = parser.at_end() || parser.token.is(b',');
    if alone && default {
        return Value::Default;
    }
    let literal =
        matches!(kind, TokenKind::Word | TokenKind::Text | TokenKind::Number | TokenKind::Bits);
    if alone && literal {
        return Value::Literal(parser.slice(start, end).into());
    }
    parser_back_to_item_end(parser, kind);
    Value::Expression
}

/// Passes over what is left of an expression whose first token, already read, was `first`.
fn parser_back_to_item_end(parser: &mut Parser<'_>, first: TokenKind) {
    if first == TokenKind::Symbol(b'(') {
        let mut depth = 1_u32;
        while depth > 0 && !parser.at_end() {
            match parser.token.kind {
                TokenKind::Symbol(b'(') => depth += 1,
                TokenKind::Symbol(b')') => depth -= 1,
                _ => {}
            }
            parser.advance();
        }
    }
    parser.skip_item();
}

/// Whether a value surely is "on".
fn is_on(value: &Value) -> bool {
    let on: &[&[u8]] = &[b"1", b"on", b"true", b"'on'"];
    match value {
        Value::Literal(text) => on.iter().any(|on| on.eq_ignore_ascii_case(text)),
        Value::Default | Value::Expression => false,
    }
}

/// What setting this variable means.
fn variable_marks(name: &[u8], scope: Scope, value: &Value) -> Marks {
    let mut marks = match scope {
        Scope::Global | Scope::Persist => return Marks::SET_GLOBAL,
        Scope::Next | Scope::Session => Marks::SET_VARIABLE,
    };
    if !name.is_ascii() {
        // The server would find a variable by letters that only look alike to its collation.
        marks |= Marks::OPAQUE;
    }
    if name == b"autocommit" && is_on(value) {
        marks |= Marks::ENDS_TRANSACTION;
    }
    match K::of(name) {
        K::LastInsertId | K::Identity => marks |= Marks::LAST_INSERT_ID_SET,
        K::TransactionIsolation | K::TxIsolation | K::TransactionReadOnly | K::TxReadOnly
            if scope == Scope::Next =>
        {
            marks |= Marks::SET_TRANSACTION_NEXT;
        }
        K::InsertId
        | K::Timestamp
        | K::RandSeed1
        | K::RandSeed2
        | K::GtidNext
        | K::GtidSeqNo
        | K::PseudoThreadId
        | K::PseudoSlaveMode
        | K::PseudoReplicaMode
        | K::SqlLogBin
        | K::Debug
        | K::DebugDbug
        | K::DebugSync
        | K::SkipReplication
        | K::ImmediateServerVersion
        | K::OriginalServerVersion
        | K::OriginalCommitTimestamp => marks |= Marks::SPECIAL_VARIABLE,
        _ => {}
    }
    marks
}
