//! Short statements about the session: `USE`, `KILL`, savepoints, the end of a transaction.

use super::details::{Action, AfterEnd, Kill};
use super::found::Found;
use super::keyword::Keyword as K;
use super::marks::Marks;
use super::parse::Parser;
use crate::session::lexer::TokenKind;

/// Reads any of them.
pub(super) fn read(parser: &mut Parser<'_>, found: &mut Found) {
    let verb = parser.keyword;
    parser.advance();
    match verb {
        K::Begin | K::Start => {
            found.push(Marks::BEGINS_TRANSACTION, Action::Begin);
        }
        K::Call => match parser.object_name() {
            Some(name) => found.push(Marks::CALL, Action::Call(name)),
            None => found.unsure(),
        },
        K::Commit => end(parser, found),
        K::Rollback => rollback(parser, found),
        K::Drop => drop_database(parser, found),
        K::Kill => kill(parser, found),
        K::Savepoint => named(parser, found, Action::Savepoint),
        K::Release => {
            parser.word(K::Savepoint);
            named(parser, found, Action::ReleaseSavepoint);
        }
        K::Use => match parser.name() {
            Some(name) => found.push(Marks::NONE, Action::Use(name)),
            None => found.unsure(),
        },
        _ => found.unsure(),
    }
}

fn named(parser: &mut Parser<'_>, found: &mut Found, action: fn(Box<[u8]>) -> Action) {
    match parser.name() {
        Some(name) => found.push(Marks::SAVEPOINT, action(name)),
        None => found.unsure(),
    }
}

fn rollback(parser: &mut Parser<'_>, found: &mut Found) {
    parser.word(K::Work);
    if parser.word(K::To) {
        parser.word(K::Savepoint);
        return named(parser, found, Action::RollbackTo);
    }
    end(parser, found);
}

/// `[WORK] [AND [NO] CHAIN] [[NO] RELEASE]`
fn end(parser: &mut Parser<'_>, found: &mut Found) {
    parser.word(K::Work);
    let mut then = AfterEnd::Default;
    let mut marks = Marks::ENDS_TRANSACTION;
    while !parser.at_end() {
        if parser.words(&[K::No, K::Chain]) {
            then = AfterEnd::NoChain;
        } else if parser.words(&[K::No, K::Release]) {
            then = match then {
                AfterEnd::Chain => AfterEnd::ChainNoRelease,
                _ => AfterEnd::NoRelease,
            };
        } else if parser.word(K::Chain) {
            then = AfterEnd::Chain;
        } else if parser.word(K::Release) {
            then = AfterEnd::Release;
            marks |= Marks::RELEASE_CONNECTION;
        } else {
            parser.advance();
        }
    }
    found.push(marks, Action::EndTransaction { then });
}

fn drop_database(parser: &mut Parser<'_>, found: &mut Found) {
    parser.any(&[K::Database, K::Schema]);
    parser.words(&[K::If, K::Exists]);
    match parser.name() {
        Some(name) => found.push(Marks::DROP_DATABASE, Action::DropDatabase(name)),
        None => found.unsure(),
    }
}

/// `KILL [HARD|SOFT] [CONNECTION|QUERY] id`, or `CONNECTION_ID()`; anything else is for the server.
fn kill(parser: &mut Parser<'_>, found: &mut Found) {
    let start = parser.token.start;
    let mut end = start;
    let mut connection = true;
    while matches!(parser.keyword, K::Hard | K::Soft | K::Connection | K::Query) {
        connection &= !parser.at(K::Query);
        end = parser.token.end;
        parser.advance();
    }
    let number = |text| std::str::from_utf8(text).ok().and_then(|n| n.parse().ok());
    let own = parser.at(K::ConnectionId);
    let id = match parser.token.kind {
        TokenKind::Number => number(parser.text()),
        _ => None,
    };
    parser.advance();
    let own = own && parser.symbol(b'(') && parser.symbol(b')');
    found.marks |= Marks::KILL;
    if (own || id.is_some()) && parser.at_end() {
        let words = parser.slice(start, end).into();
        found.actions.push(Action::Kill(Kill { words, connection, id }));
    }
}
