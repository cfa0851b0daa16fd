//! Texts that are exactly one question about the session, and `SHOW`.

use super::builtin;
use super::details::{Question, Sole};
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
    let comments = parser.comments();
    let start = parser.token.start;
    let Some(question) = question(parser) else { return };
    // Servers differ on comments in a column's name.
    if parser.comments() != comments {
        return;
    }
    let end = parser.token.end;
    parser.advance();
    let expression = parser.slice(start, end).to_vec();
    let Some(column) = alias(parser, expression) else { return };
    found.sole = Some(Sole { question, column });
}

/// The question at the current token; the parser is left at its last token.
fn question(parser: &mut Parser<'_>) -> Option<Question> {
    if parser.token.kind == TokenKind::System {
        parser.advance();
        if parser.any(&[K::Session, K::Local]) && !parser.symbol(b'.') {
            return None;
        }
        return match parser.keyword {
            K::LastInsertId | K::Identity => Some(Question::LastInsertId),
            K::WarningCount => Some(Question::WarningCount),
            K::ErrorCount => Some(Question::ErrorCount),
            _ => None,
        };
    }
    let question = match parser.keyword {
        K::ConnectionId => Question::ConnectionId,
        K::LastInsertId => Question::LastInsertId,
        K::RowCount => Question::RowCount,
        K::FoundRows => Question::FoundRows,
        _ => return None,
    };
    parser.advance();
    (parser.symbol(b'(') && parser.token.is(b')')).then_some(question)
}

/// The name of the only column: the alias, or `expression` if there is none. `None` if anything
/// else follows.
fn alias(parser: &mut Parser<'_>, expression: Vec<u8>) -> Option<Vec<u8>> {
    if parser.at_end() {
        return Some(expression);
    }
    parser.word(K::As);
    if parser.token.kind == TokenKind::Word && builtin::is_known(parser.text()) {
        // Perhaps a reserved word, and an error.
        return None;
    }
    let name = parser.name_or_text()?;
    // The server trims blanks, and converts names from the client's character set.
    let is_plain = (1..=64).contains(&name.len())
        && name.trim_ascii() == name
        && name.iter().all(|byte| matches!(byte, b' '..=b'~'));
    (parser.at_end() && is_plain).then_some(name)
}

/// `SHOW …`
pub(super) fn show(parser: &mut Parser<'_>, found: &mut Found) {
    parser.advance();
    let (question, column): (_, &[u8]) = match parser.keyword {
        K::Warnings => (Question::ShowWarnings, b""),
        K::Errors => (Question::ShowErrors, b""),
        K::Count => {
            parser.advance();
            if !(parser.symbol(b'(') && parser.symbol(b'*') && parser.symbol(b')')) {
                return found.unsure();
            }
            if parser.at(K::Warnings) {
                (Question::ShowWarningCount, b"@@session.warning_count")
            } else {
                (Question::ShowErrorCount, b"@@session.error_count")
            }
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
    if parser.at_end() {
        found.sole = Some(Sole { question, column: column.to_vec() });
    }
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
    alias(&mut parser, Vec::new()).is_some()
}
