//! Statements that lock tables or the server, and `HANDLER`.

use super::details::{Action, BackupAction, ObjectName};
use super::found::Found;
use super::keyword::Keyword as K;
use super::marks::Marks;
use super::parse::Parser;

/// `LOCK TABLES`, `UNLOCK TABLES`, `LOCK INSTANCE`, `UNLOCK INSTANCE`.
pub(super) fn simple(parser: &mut Parser<'_>, found: &mut Found) {
    let lock = parser.at(K::Lock);
    parser.advance();
    let mark = match (lock, parser.at(K::Instance)) {
        (true, true) => Marks::LOCK_INSTANCE,
        (true, false) => Marks::LOCK_TABLES,
        (false, true) => Marks::UNLOCK_INSTANCE,
        (false, false) => Marks::UNLOCK_TABLES,
    };
    found.push(mark, Action::Mark(mark));
}

/// `FLUSH TABLES … WITH READ LOCK`, `FLUSH TABLES … FOR EXPORT`.
pub(super) fn flush(parser: &mut Parser<'_>, found: &mut Found) {
    while !parser.at_end() {
        if parser.words(&[K::Read, K::Lock]) || parser.words(&[K::For, K::Export]) {
            let mark = Marks::FLUSH_LOCK;
            return found.push(mark, Action::Mark(mark));
        }
        parser.advance();
    }
}

/// MariaDB's `BACKUP`.
pub(super) fn backup(parser: &mut Parser<'_>, found: &mut Found) {
    parser.advance();
    let action = if parser.word(K::Stage) {
        if parser.at(K::End) { BackupAction::StageEnd } else { BackupAction::Stage }
    } else if parser.at(K::Unlock) {
        BackupAction::Unlock
    } else {
        BackupAction::Lock
    };
    found.push(Marks::BACKUP, Action::Backup(action));
}

/// `HANDLER name OPEN [[AS] alias]`, `HANDLER name READ …`, `HANDLER name CLOSE`.
pub(super) fn handler(parser: &mut Parser<'_>, found: &mut Found) {
    parser.advance();
    let Some(table) = parser.object_name() else { return found.unsure() };
    match parser.keyword {
        K::Open => {
            parser.advance();
            parser.word(K::As);
            let alias = parser.name().unwrap_or_else(|| table.name.clone());
            found.push(Marks::HANDLER_OPEN, Action::HandlerOpen { table, alias });
        }
        K::Close => {
            let name = ObjectName { database: table.database, name: table.name };
            found.push(Marks::HANDLER_CLOSE, Action::HandlerClose(name));
        }
        _ => found.marks |= Marks::HANDLER_READ,
    }
}
