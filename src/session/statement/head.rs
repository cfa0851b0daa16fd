//! The sort of a statement, from its first words.

use super::keyword::Keyword as K;
use super::kind::StatementKind as Kind;
use super::marks::Marks;
use super::parse::Parser;
use crate::session::lexer::TokenKind;
use crate::session::server::Flavor;

/// The sort of the statement that begins at the parser's token, and the marks that follow from the
/// sort alone.
pub(super) fn classify(mut parser: Parser<'_>) -> (Kind, Marks) {
    while parser.symbol(b'(') {}
    let first = parser.keyword;
    parser.advance();
    let ends = Marks::ENDS_TRANSACTION;
    let begins = ends | Marks::BEGINS_TRANSACTION;
    match first {
        K::Select | K::Table | K::Values | K::Value => (Kind::Select, Marks::NONE),
        K::Insert => (Kind::Insert, Marks::NONE),
        K::Update => (Kind::Update, Marks::NONE),
        K::Delete => (Kind::Delete, Marks::NONE),
        K::Replace => (Kind::Replace, Marks::NONE),
        K::With => (Kind::With, Marks::NONE),
        K::Do => (Kind::Do, Marks::NONE),
        K::Set => (Kind::Set, Marks::NONE),
        K::Show => (show(&mut parser), Marks::NONE),
        K::Use => (Kind::Use, Marks::NONE),
        K::Call => (Kind::Call, Marks::CALL),
        K::Begin => begin(&parser),
        K::Start if parser.at(K::Transaction) => (Kind::Begin, begins),
        K::Commit => (Kind::Commit, ends),
        K::Rollback => rollback(&parser),
        K::Savepoint => (Kind::Savepoint, Marks::SAVEPOINT),
        K::Release => (Kind::ReleaseSavepoint, Marks::SAVEPOINT),
        K::Prepare => (Kind::Prepare, Marks::TEXT_PREPARE),
        K::Execute if parser.at(K::Immediate) => (Kind::Execute, Marks::EXECUTE_IMMEDIATE),
        K::Execute => (Kind::Execute, Marks::TEXT_EXECUTE),
        K::Deallocate => (Kind::Deallocate, Marks::TEXT_DEALLOCATE),
        K::Kill => (Kind::Kill, Marks::KILL),
        K::Load => load(&mut parser),
        K::Lock if parser.at(K::Instance) => (Kind::LockInstance, Marks::LOCK_INSTANCE),
        K::Lock => (Kind::LockTables, Marks::LOCK_TABLES | ends),
        K::Unlock if parser.at(K::Instance) => (Kind::UnlockInstance, Marks::UNLOCK_INSTANCE),
        K::Unlock => (Kind::UnlockTables, Marks::UNLOCK_TABLES),
        K::Handler => (Kind::Handler, Marks::NONE),
        K::Xa => (Kind::Xa, Marks::XA),
        K::Backup => (Kind::Backup, Marks::BACKUP),
        K::Flush => flush(&parser),
        K::Explain | K::Describe | K::Desc => explain(&mut parser),
        K::Analyze => analyze(&mut parser),
        K::Checksum => (Kind::Maintenance, Marks::NONE),
        K::Check | K::Optimize | K::Repair | K::Cache => (Kind::Maintenance, ends),
        K::Get => (Kind::Diagnostics, Marks::GET_DIAGNOSTICS),
        K::Signal => (Kind::Diagnostics, Marks::NONE),
        K::Resignal => (Kind::Resignal, Marks::NONE),
        K::Help => (Kind::Help, Marks::NONE),
        _ => definition(first, &mut parser),
    }
}

/// Statements that change what the server stores.
fn definition(first: K, parser: &mut Parser<'_>) -> (Kind, Marks) {
    let commits = Marks::ENDS_TRANSACTION;
    match first {
        K::Create => create(parser),
        K::Alter => alter(parser),
        K::Drop => drop(parser),
        K::Rename if parser.any(&[K::Table, K::Tables]) => {
            (Kind::RenameTable, Marks::TABLE_RENAME | Marks::DDL_ROUTINE | commits)
        }
        K::Rename | K::Grant | K::Revoke => (Kind::Account, commits | Marks::PRIVILEGES),
        K::Truncate => (Kind::TruncateTable, commits),
        K::Import => (Kind::Ddl, Marks::DDL_ROUTINE | commits),
        // A component or plugin may bring functions.
        K::Install | K::Uninstall => (Kind::Administration, Marks::DDL_ROUTINE),
        K::Reset
        | K::Purge
        | K::Change
        | K::Start
        | K::Stop
        | K::Shutdown
        | K::Restart
        | K::Clone => (Kind::Administration, Marks::NONE),
        // It replays events, which set whatever they were recorded with.
        K::Binlog => (Kind::Administration, Marks::OPAQUE),
        K::If | K::Loop | K::Repeat | K::While | K::For | K::Case | K::Declare
            if parser.dialect.flavor == Flavor::MariaDb =>
        {
            (Kind::Compound, Marks::OPAQUE | Marks::UNCERTAIN)
        }
        // A block with a label, which may build texts that cannot be read.
        _ if parser.dialect.flavor == Flavor::MariaDb && parser.symbol(b':') => {
            (Kind::Compound, Marks::OPAQUE | Marks::UNCERTAIN)
        }
        _ => (Kind::Other, Marks::OPAQUE),
    }
}

fn flush(parser: &Parser<'_>) -> (Kind, Marks) {
    let privileges = parser.at(K::Privileges);
    let privileges = if privileges { Marks::PRIVILEGES } else { Marks::NONE };
    (Kind::Flush, Marks::ENDS_TRANSACTION | privileges)
}

fn begin(parser: &Parser<'_>) -> (Kind, Marks) {
    let alone = parser.at_end() || parser.at(K::Work);
    if parser.dialect.flavor == Flavor::MariaDb && !alone {
        return (Kind::Compound, Marks::OPAQUE | Marks::UNCERTAIN);
    }
    (Kind::Begin, Marks::ENDS_TRANSACTION | Marks::BEGINS_TRANSACTION)
}

/// `ROLLBACK` ends the transaction unless it goes back `TO` a savepoint.
fn rollback(parser: &Parser<'_>) -> (Kind, Marks) {
    let mut parser = parser.clone();
    parser.word(K::Work);
    let marks = if parser.at(K::To) { Marks::SAVEPOINT } else { Marks::ENDS_TRANSACTION };
    (Kind::Rollback, marks)
}

fn load(parser: &mut Parser<'_>) -> (Kind, Marks) {
    if parser.word(K::Index) {
        return (Kind::Maintenance, Marks::ENDS_TRANSACTION);
    }
    parser.any(&[K::Data, K::Xml]);
    while !parser.at_end() && !parser.at(K::Infile) {
        if parser.at(K::Local) {
            return (Kind::LoadData, Marks::LOAD_DATA_LOCAL);
        }
        parser.advance();
    }
    (Kind::LoadData, Marks::NONE)
}

/// Words behind `SHOW` for what is not kept as tables; those that are no keywords here.
const STATES: [&[u8]; 10] = [
    b"authors",
    b"contributors",
    b"engine",
    b"grants",
    b"parse_tree",
    b"processlist",
    b"relaylog",
    b"relaylogs",
    b"replicas",
    b"replica",
];

/// Which `SHOW` it is: the rows of some are counted by `FOUND_ROWS()`.
fn show(parser: &mut Parser<'_>) -> Kind {
    parser.any(&[K::All, K::Full]);
    match parser.keyword {
        K::Create => {
            parser.advance();
            let table = parser.any(&[K::Table, K::View, K::Sequence]);
            if table { Kind::ShowCreate } else { Kind::ShowState }
        }
        K::Analyze
        | K::Binary
        | K::Binlog
        | K::Explain
        | K::Master
        | K::Privileges
        | K::Profiles
        | K::Slave => Kind::ShowState,
        _ if STATES.iter().any(|state| parser.text().eq_ignore_ascii_case(state)) => {
            Kind::ShowState
        }
        _ => Kind::Show,
    }
}

/// Whether what `EXPLAIN` explains would change rows of a table.
pub(super) fn explains_write(mut parser: Parser<'_>) -> bool {
    parser.advance();
    explained(&mut parser).changes_rows()
}

/// `EXPLAIN` only reads, unless it runs what it explains: `EXPLAIN ANALYZE UPDATE`.
fn explain(parser: &mut Parser<'_>) -> (Kind, Marks) {
    let runs = parser.word(K::Analyze);
    if !runs {
        let kind = if is_table(parser) { Kind::Describe } else { Kind::Explain };
        return (kind, Marks::NONE);
    }
    (explained(parser), Marks::NONE)
}

/// Whether what is explained is a table, not a statement.
fn is_table(parser: &Parser<'_>) -> bool {
    const STATEMENTS: &[K] = &[
        K::Delete,
        K::Extended,
        K::For,
        K::Format,
        K::Insert,
        K::Into,
        K::Replace,
        K::Select,
        K::Table,
        K::Update,
        K::Values,
        K::With,
    ];
    let word = matches!(parser.token.kind, TokenKind::Word | TokenKind::Quoted);
    let partitions = parser.text().eq_ignore_ascii_case(b"partitions");
    word && !partitions && !STATEMENTS.contains(&parser.keyword)
}

/// MariaDB's `ANALYZE` runs a statement; `ANALYZE TABLE` is another matter.
fn analyze(parser: &mut Parser<'_>) -> (Kind, Marks) {
    if parser.dialect.flavor == Flavor::MySql
        || parser.at(K::Table)
        || parser.at(K::Tables)
        || parser.at(K::Local)
        || parser.text().eq_ignore_ascii_case(b"no_write_to_binlog")
    {
        return (Kind::Maintenance, Marks::ENDS_TRANSACTION);
    }
    (explained(parser), Marks::NONE)
}

fn explained(parser: &mut Parser<'_>) -> Kind {
    while !parser.at_end() {
        match parser.keyword {
            K::Insert => return Kind::Insert,
            K::Update => return Kind::Update,
            K::Delete => return Kind::Delete,
            K::Replace => return Kind::Replace,
            K::Select | K::Table | K::Values | K::With => return Kind::Explain,
            _ => parser.advance(),
        }
    }
    Kind::Explain
}

fn create(parser: &mut Parser<'_>) -> (Kind, Marks) {
    let commits = Marks::ENDS_TRANSACTION;
    let changes = Marks::DDL_ROUTINE | commits;
    let mut temporary = false;
    while !parser.at_end() {
        match parser.keyword {
            K::Temporary => temporary = true,
            K::Table | K::Sequence if temporary => {
                return (Kind::CreateTemporaryTable, Marks::TEMP_TABLE_CREATE);
            }
            K::Table | K::Sequence => return (Kind::CreateTable, commits),
            K::Procedure | K::Function | K::Trigger | K::Package => {
                return (Kind::CreateRoutine, changes);
            }
            K::Event => return (Kind::CreateRoutine, commits),
            K::View | K::Library => return (Kind::Ddl, changes),
            K::User | K::Role => return (Kind::Account, commits | Marks::PRIVILEGES),
            K::Database | K::Schema | K::Index | K::Server | K::Tablespace | K::Resource => {
                return (Kind::Ddl, commits);
            }
            K::Definer => {
                parser.advance();
                skip_account(parser);
                continue;
            }
            _ => {}
        }
        parser.advance();
    }
    (Kind::Ddl, changes)
}

/// Passes over `= 'user'@'host'`.
fn skip_account(parser: &mut Parser<'_>) {
    parser.symbol(b'=');
    if parser.name_or_text().is_some() {
        let _ = parser.user_variable();
    }
}

fn alter(parser: &mut Parser<'_>) -> (Kind, Marks) {
    let commits = Marks::ENDS_TRANSACTION;
    while !parser.at_end() {
        match parser.keyword {
            K::Table => return (Kind::AlterTable, commits),
            K::Procedure | K::Function | K::Trigger | K::Package => {
                return (Kind::Ddl, commits | Marks::DDL_ROUTINE);
            }
            K::Event => return (Kind::CreateRoutine, commits),
            K::View => return (Kind::Ddl, commits | Marks::DDL_ROUTINE),
            K::User => return (Kind::Account, commits | Marks::PRIVILEGES),
            K::Database | K::Schema => return (Kind::AlterDatabase, commits),
            K::Server | K::Tablespace | K::Instance | K::Sequence | K::Resource => {
                return (Kind::Ddl, commits);
            }
            K::Definer => {
                parser.advance();
                skip_account(parser);
                continue;
            }
            _ => {}
        }
        parser.advance();
    }
    (Kind::Ddl, commits | Marks::DDL_ROUTINE)
}

fn drop(parser: &mut Parser<'_>) -> (Kind, Marks) {
    let commits = Marks::ENDS_TRANSACTION;
    if parser.word(K::Temporary) {
        return (Kind::DropTable, Marks::TABLE_DROP);
    }
    match parser.keyword {
        K::Table | K::Tables | K::Sequence => (Kind::DropTable, Marks::TABLE_DROP | commits),
        K::Prepare => (Kind::Deallocate, Marks::TEXT_DEALLOCATE),
        K::Database | K::Schema => {
            (Kind::DropDatabase, Marks::DROP_DATABASE | Marks::DDL_ROUTINE | commits)
        }
        K::User | K::Role => (Kind::Account, commits | Marks::PRIVILEGES),
        K::Procedure | K::Function | K::Trigger | K::View | K::Package | K::Library => {
            (Kind::Ddl, Marks::DDL_ROUTINE | commits)
        }
        _ => (Kind::Ddl, commits),
    }
}
