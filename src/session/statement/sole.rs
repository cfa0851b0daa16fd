//! Texts that are exactly one question about the session, and `SHOW`.

use super::details::{Limit, Sole};
use super::found::Found;
use super::keyword::Keyword as K;
use super::marks::Marks;
use super::parse::Parser;
use crate::session::lexer::{Token, TokenKind};

/// `SELECT question [[AS] alias]`
pub(super) fn select(parser: &mut Parser<'_>, found: &mut Found) {
    if !parser.word(K::Select) {
        return;
    }
    let sole = question(parser);
    if ends_with_alias(parser) {
        found.sole = sole;
    }
}

fn question(parser: &mut Parser<'_>) -> Option<Sole> {
    let sole = if parser.token.kind == TokenKind::System {
        parser.advance();
        if parser.any(&[K::Session, K::Local]) && !parser.symbol(b'.') {
            return None;
        }
        match parser.keyword {
            K::WarningCount => Sole::WarningCount,
            K::ErrorCount => Sole::ErrorCount,
            _ => return None,
        }
    } else {
        let sole = match parser.keyword {
            K::ConnectionId => Sole::ConnectionId,
            K::RowCount => Sole::RowCount,
            K::FoundRows => Sole::FoundRows,
            _ => return None,
        };
        parser.advance();
        if !parser.symbol(b'(') || !parser.token.is(b')') {
            return None;
        }
        sole
    };
    parser.advance();
    Some(sole)
}

/// Whether nothing follows but the name of the only column.
fn ends_with_alias(parser: &mut Parser<'_>) -> bool {
    let named = parser.word(K::As);
    let name = parser.name_or_text();
    parser.at_end() && (name.is_some() || !named)
}

/// `SHOW …`
pub(super) fn show(parser: &mut Parser<'_>, found: &mut Found) {
    parser.advance();
    let sole = match parser.keyword {
        K::Warnings => Sole::Warnings,
        K::Errors => Sole::Errors,
        K::Count => {
            parser.advance();
            if !(parser.symbol(b'(') && parser.symbol(b'*') && parser.symbol(b')')) {
                return found.unsure();
            }
            if parser.at(K::Warnings) { Sole::WarningCount } else { Sole::ErrorCount }
        }
        K::Variables => return found.marks |= Marks::SHOW_VARIABLES,
        K::Session | K::Local => {
            parser.advance();
            if parser.at(K::Variables) {
                found.marks |= Marks::SHOW_VARIABLES;
            }
            return;
        }
        K::Profile | K::Profiles => return found.marks |= Marks::BACKEND_LOCAL_READ,
        _ => return,
    };
    found.marks |= Marks::SHOW_DIAGNOSTICS;
    parser.advance();
    if matches!(sole, Sole::Warnings | Sole::Errors) && parser.at(K::Limit) {
        found.limit = limit(parser);
    }
    if parser.at_end() {
        found.sole = Some(sole);
    }
}

/// `LIMIT count`, `LIMIT offset, count`, `LIMIT count OFFSET offset`
fn limit(parser: &mut Parser<'_>) -> Option<Limit> {
    let before = parser.clone();
    let mut read = || {
        parser.advance();
        let first = number(parser)?;
        if parser.token.is(b',') {
            parser.advance();
            return Some(Limit { offset: first, count: number(parser)? });
        }
        let offset = if parser.word(K::Offset) { number(parser)? } else { 0 };
        Some(Limit { offset, count: first })
    };
    let limit = read();
    if limit.is_none() {
        *parser = before;
    }
    limit
}

fn number(parser: &mut Parser<'_>) -> Option<u64> {
    let number = std::str::from_utf8(parser.text()).ok()?.parse().ok()?;
    parser.advance();
    Some(number)
}

/// Whether a statement is nothing but its verb and one call of the function at `name`, with or
/// without an alias.
pub(super) fn is_whole_call(mut parser: Parser<'_>, name: Token) -> bool {
    parser.advance();
    if parser.token != name {
        return false;
    }
    parser.advance();
    let mut depth = 0_u32;
    while !parser.at_end() {
        match parser.token.kind {
            TokenKind::Symbol(b'(') => depth += 1,
            TokenKind::Symbol(b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        parser.advance();
        if depth == 0 {
            break;
        }
    }
    ends_with_alias(&mut parser)
}
