//! Prepared statements in text.

use std::sync::Arc;

use super::Analysis;
use super::details::{Action, Source};
use super::found::Found;
use super::keyword::Keyword as K;
use super::marks::Marks;
use super::parse::Parser;
use crate::session::lexer::{TokenKind, text_value};

/// `PREPARE name FROM 'text' | @variable | expression`
pub(super) fn prepare(parser: &mut Parser<'_>, found: &mut Found) {
    let start = parser.token.start;
    parser.advance();
    let Some(name) = name(parser, found) else { return found.unsure() };
    parser.word(K::From);
    let source = source(parser);
    let sql = parser.slice(start, parser.token.start).trim_ascii().into();
    if let Source::Text(text) = &source {
        found.nested = Some(text.clone());
    }
    // The first reading knows the catalogue, and looks into the text.
    let prepared = Arc::new(Analysis::opaque());
    found.push(Marks::TEXT_PREPARE, Action::Prepare { name, sql, source, prepared });
}

/// `EXECUTE name [USING @a, …]` or `EXECUTE IMMEDIATE text [USING …]`
pub(super) fn execute(parser: &mut Parser<'_>, found: &mut Found) {
    parser.advance();
    if parser.word(K::Immediate) {
        let source = source(parser);
        match &source {
            Source::Text(text) => found.nested = Some(text.clone()),
            Source::Variable(_) | Source::Expression => found.marks |= Marks::OPAQUE,
        }
        return found.push(Marks::EXECUTE_IMMEDIATE, Action::ExecuteImmediate(source));
    }
    let Some(name) = name(parser, found) else { return found.unsure() };
    let mut using = Vec::new();
    if parser.word(K::Using) {
        while !parser.at_end() {
            match parser.user_variable() {
                Some(variable) => using.push(variable),
                None => {
                    // MariaDB takes expressions.
                    found.unsure();
                    parser.skip_item();
                }
            }
            parser.symbol(b',');
        }
    }
    found.push(Marks::TEXT_EXECUTE, Action::Execute { name, using });
}

/// `DEALLOCATE PREPARE name` or `DROP PREPARE name`
pub(super) fn deallocate(parser: &mut Parser<'_>, found: &mut Found) {
    parser.advance();
    parser.word(K::Prepare);
    match name(parser, found) {
        Some(name) => found.push(Marks::TEXT_DEALLOCATE, Action::Deallocate(name)),
        None => found.unsure(),
    }
}

/// A statement's name in lower case. Which other letters are the same is up to a collation.
fn name(parser: &mut Parser<'_>, found: &mut Found) -> Option<Box<[u8]>> {
    let name = parser.name()?;
    let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'`';
    if !name.iter().all(plain) {
        found.marks |= Marks::OPAQUE;
    }
    Some(name.to_ascii_lowercase().into())
}

/// Where the text comes from: a string or a variable that stands alone, or anything.
fn source(parser: &mut Parser<'_>) -> Source {
    let source = match parser.token.kind {
        TokenKind::Text => {
            let text = text_value(parser.text(), &parser.dialect).into_owned().into();
            parser.advance();
            Source::Text(text)
        }
        TokenKind::UserVariable => {
            parser.user_variable().map_or(Source::Expression, Source::Variable)
        }
        _ => return Source::Expression,
    };
    if parser.at_end() || parser.at(K::Using) { source } else { Source::Expression }
}
