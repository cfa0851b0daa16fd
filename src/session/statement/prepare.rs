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
    parser.advance();
    let Some(name) = parser.name() else { return found.unsure() };
    parser.word(K::From);
    let source = source(parser);
    if let Source::Text(text) = &source {
        found.nested = Some(text.clone());
    }
    let name = name.to_ascii_lowercase().into();
    // The first reading knows the catalogue, and looks into the text.
    let prepared = Arc::new(Analysis::opaque());
    found.push(Marks::TEXT_PREPARE, Action::Prepare { name, source, prepared });
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
    let Some(name) = parser.name() else { return found.unsure() };
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
    let name = name.to_ascii_lowercase().into();
    found.push(Marks::TEXT_EXECUTE, Action::Execute { name, using });
}

/// `DEALLOCATE PREPARE name` or `DROP PREPARE name`
pub(super) fn deallocate(parser: &mut Parser<'_>, found: &mut Found) {
    parser.advance();
    parser.word(K::Prepare);
    match parser.name() {
        Some(name) => {
            found.push(Marks::TEXT_DEALLOCATE, Action::Deallocate(name.to_ascii_lowercase().into()))
        }
        None => found.unsure(),
    }
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
