//! Statements that make, drop and rename tables which may be temporary.

use super::details::{Action, DropScope, Existing, Missing, ObjectName};
use super::found::Found;
use super::keyword::Keyword as K;
use super::marks::Marks;
use super::parse::Parser;
use crate::session::lexer::TokenKind;

/// Whether an `UPDATE` or `DELETE` is of several tables.
pub(super) fn is_joined(mut parser: Parser<'_>) -> bool {
    let deletes = parser.at(K::Delete);
    parser.advance();
    while parser.any(&[K::LowPriority, K::Quick, K::Ignore]) {}
    if deletes && !parser.word(K::From) {
        return true;
    }
    let mut depth = 0_u32;
    while !parser.at_end() {
        match (parser.keyword, parser.token.kind) {
            (K::Join | K::StraightJoin | K::Using, _) => return true,
            (_, TokenKind::Symbol(b',')) if depth == 0 => return true,
            (K::Set | K::Where | K::Order | K::Limit, _) if depth == 0 => return false,
            (_, TokenKind::Symbol(b'(')) => depth += 1,
            (_, TokenKind::Symbol(b')')) => depth = depth.saturating_sub(1),
            _ => {}
        }
        parser.advance();
    }
    false
}

/// `CREATE [OR REPLACE] TEMPORARY TABLE|SEQUENCE [IF NOT EXISTS] name …`
pub(super) fn create(parser: &mut Parser<'_>, found: &mut Found) {
    parser.advance();
    let mut existing = Existing::Fails;
    if parser.words(&[K::Or, K::Replace]) {
        existing = Existing::Replaced;
    }
    parser.word(K::Temporary);
    parser.any(&[K::Table, K::Sequence]);
    if parser.words(&[K::If, K::Not, K::Exists]) {
        existing = Existing::Stays;
    }
    let name = parser.object_name();
    found.push(Marks::TEMP_TABLE_CREATE, Action::CreateTemporaryTable { name, existing });
}

/// `DROP [TEMPORARY] TABLE|TABLES|SEQUENCE [IF EXISTS] name, …`
pub(super) fn drop(parser: &mut Parser<'_>, found: &mut Found) {
    parser.advance();
    let scope = if parser.word(K::Temporary) { DropScope::Temporary } else { DropScope::All };
    parser.any(&[K::Table, K::Tables, K::Sequence]);
    let exists = parser.words(&[K::If, K::Exists]);
    let missing = if exists { Missing::Ignored } else { Missing::Fails };
    let mut names = Vec::new();
    loop {
        match parser.object_name() {
            Some(name) => names.push(name),
            None => return found.unsure(),
        }
        if !parser.symbol(b',') {
            break;
        }
    }
    found.push(Marks::TABLE_DROP, Action::DropTables { names, scope, missing });
}

/// `ALTER TABLE name …, RENAME [TO|AS] name, …`
pub(super) fn alter(parser: &mut Parser<'_>, found: &mut Found) {
    while !parser.at_end() && !parser.at(K::Table) {
        parser.advance();
    }
    parser.word(K::Table);
    parser.words(&[K::If, K::Exists]);
    let Some(from) = parser.object_name() else { return found.unsure() };
    let mut depth = 0_u32;
    while !parser.at_end() {
        if parser.symbol(b'(') {
            depth += 1;
        } else if parser.symbol(b')') {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && parser.word(K::Rename) {
            if parser.any(&[K::Column, K::Index, K::Key]) {
                continue;
            }
            if !parser.any(&[K::To, K::As]) {
                parser.symbol(b'=');
            }
            let Some(to) = parser.object_name() else { return found.unsure() };
            return renamed(vec![(from, to)], found);
        } else {
            parser.advance();
        }
    }
}

/// `RENAME TABLE|TABLES a TO b, …`
pub(super) fn rename(parser: &mut Parser<'_>, found: &mut Found) {
    parser.advance();
    parser.any(&[K::Table, K::Tables]);
    parser.words(&[K::If, K::Exists]);
    let mut pairs = Vec::new();
    loop {
        let Some(from) = parser.object_name() else { return found.unsure() };
        while !parser.at_end() && !parser.at(K::To) {
            // `WAIT n` or `NOWAIT`
            parser.advance();
        }
        parser.word(K::To);
        let Some(to) = parser.object_name() else { return found.unsure() };
        pairs.push((from, to));
        if !parser.symbol(b',') {
            break;
        }
    }
    renamed(pairs, found);
}

/// A table's triggers go with it under its new name.
fn renamed(pairs: Vec<(ObjectName, ObjectName)>, found: &mut Found) {
    found.push(Marks::TABLE_RENAME | Marks::DDL_ROUTINE, Action::RenameTables(pairs));
}
