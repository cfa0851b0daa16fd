//! What a statement does to its session, in particular.

use std::sync::Arc;

use super::Analysis;
use super::kind::StatementKind;
use super::sequence::SequenceUse;
use crate::session::catalogue::Effects;

/// What was found besides the marks. Absent from an analysis in which nothing was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// The sort of each statement, if there are several.
    pub statements: Vec<StatementKind>,
    /// Every user variable, once, in the order of appearance.
    pub user_variables: Vec<UserVariable>,
    /// What is done, in the order of the text. A `BEGIN`, `COMMIT` or `ROLLBACK` that is all of
    /// the text is said by its marks alone.
    pub actions: Vec<Placed>,
    /// Variables that are set for the time of one statement only, by `SET_VAR` or
    /// `SET STATEMENT`, or whose setting is to be overlooked; ASCII letters in lower case.
    pub temporary_settings: Vec<Box<[u8]>>,
    /// Rows of a table are changed whose triggers are not known.
    pub hidden_triggers: bool,
    /// Nobody else is to have the connection afterwards.
    pub dedicated: bool,
    /// What the impure names in the text may do.
    pub impure: Effects,
    /// An `UPDATE` or a `DELETE` is one of several tables, perhaps.
    pub joins: bool,
    /// More rows may be found than are shown: `LIMIT 5, 10`, `OFFSET 5`, a `UNION` with a `LIMIT`.
    pub finds_more: bool,
    /// Questions that are parts of the text, in its order.
    pub asked: Vec<Asked>,
    /// Which rows a `SHOW WARNINGS` or `SHOW ERRORS` is to show, if not all.
    pub limit: Option<Limit>,
    /// The sequences that the text names, in its order.
    pub sequences: Vec<SequenceUse>,
    /// The text is a `SELECT` of one sequence's next value, and of nothing else.
    pub draws_alone: bool,
    /// Values may be taken of sequences whose names are not known.
    pub draws_unknown: bool,
    /// Last values are asked for where no answer can be put in the question's place.
    pub reads_last_values: bool,
}

/// A part of a text that asks for what the session knows, where what it knows can be put in its
/// place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// For what.
    pub asks: Sole,
    /// The statement's index in the text, from 0.
    pub statement: u32,
    /// Offset of its first byte in the text.
    pub start: usize,
    /// Offset behind its last byte.
    pub end: usize,
    /// Whether it is a column by itself, and named after its text.
    pub whole: bool,
    /// The index of the sequence that it names in [`Details::sequences`].
    pub sequence: Option<usize>,
}

/// `LIMIT`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Rows that are left out in front.
    pub offset: u64,
    /// Rows that are shown at most.
    pub count: u64,
}

impl Details {
    /// Notes that a user variable is named.
    pub(super) fn note_user_variable(&mut self, name: Box<[u8]>, access: Access) {
        match self.user_variables.iter_mut().find(|variable| variable.name == name) {
            Some(variable) => variable.access = variable.access.max(access),
            None => self.user_variables.push(UserVariable { name, access }),
        }
    }
}

/// A user variable that the text names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserVariable {
    /// Without `@` and quotes, ASCII letters in lower case, no trailing blanks.
    pub name: Box<[u8]>,
    /// Whether it may be written.
    pub access: Access,
}

/// How something is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Only read.
    Read,
    /// Perhaps written.
    Write,
}

/// An action and the statement that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The statement's index in the text, from 0.
    pub statement: u32,
    /// What it does.
    pub action: Action,
}

/// The name of a table or the like, as written, without quotes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectName {
    /// The database in front of the dot, if any.
    pub database: Option<Box<[u8]>>,
    /// The name.
    pub name: Box<[u8]>,
}

/// What one statement does to the session when it succeeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `BACKUP STAGE`, `BACKUP LOCK`, `BACKUP UNLOCK`.
    Backup(BackupAction),
    /// `CALL`.
    Call(ObjectName),
    /// A temporary table or sequence is made.
    CreateTemporaryTable {
        /// Its name; `None` where it can't be told.
        name: Option<ObjectName>,
        /// What happens if it exists.
        existing: Existing,
    },
    /// `DEALLOCATE PREPARE` or `DROP PREPARE`.
    Deallocate(Box<[u8]>),
    /// `DROP DATABASE`.
    DropDatabase(Box<[u8]>),
    /// `DROP TABLE`, `DROP SEQUENCE`.
    DropTables {
        /// Which ones.
        names: Vec<ObjectName>,
        /// Which tables it looks for.
        scope: DropScope,
        /// What happens if one is missing.
        missing: Missing,
    },
    /// `COMMIT` or `ROLLBACK`.
    EndTransaction {
        /// What comes after it.
        then: AfterEnd,
    },
    /// `EXECUTE name USING …`.
    Execute {
        /// The prepared statement.
        name: Box<[u8]>,
        /// The user variables for its placeholders.
        using: Vec<Box<[u8]>>,
    },
    /// `EXECUTE IMMEDIATE …`.
    ExecuteImmediate(Source),
    /// `HANDLER … CLOSE`.
    HandlerClose(ObjectName),
    /// `HANDLER … OPEN`.
    HandlerOpen {
        /// The table.
        table: ObjectName,
        /// The name under which the other statements know it.
        alias: Box<[u8]>,
    },
    /// `KILL` of a connection by its number.
    Kill(Kill),
    /// `GET_LOCK`, `RELEASE_LOCK`, `RELEASE_ALL_LOCKS`.
    Lock {
        /// Which function.
        function: LockFunction,
        /// The lock's name, if it is written as a string.
        name: Option<Box<[u8]>>,
        /// Whether its result will be seen.
        place: CallPlace,
    },
    /// `PREPARE name FROM …`.
    Prepare {
        /// The name, as written.
        name: Box<[u8]>,
        /// The whole statement, as written.
        sql: Box<[u8]>,
        /// Where its text comes from.
        source: Source,
        /// What its text does; opaque if it is not known.
        prepared: Arc<Analysis>,
    },
    /// `ALTER TABLE … RENAME`, `RENAME TABLE`: from, to.
    RenameTables(Vec<(ObjectName, ObjectName)>),
    /// `RELEASE SAVEPOINT`.
    ReleaseSavepoint(Box<[u8]>),
    /// `ROLLBACK TO`.
    RollbackTo(Box<[u8]>),
    /// `SAVEPOINT`.
    Savepoint(Box<[u8]>),
    /// `SET CHARACTER SET`: the set's name as written, or `None` for `DEFAULT`.
    SetCharacterSet(Option<Box<[u8]>>),
    /// `SET NAMES`.
    SetNames {
        /// The set's name as written; `None` for `DEFAULT`.
        charset: Option<Box<[u8]>>,
        /// The collation's name as written, if any.
        collation: Option<Box<[u8]>>,
    },
    /// `SET RESOURCE GROUP` for this session.
    SetResourceGroup(Box<[u8]>),
    /// `SET ROLE`: the text behind these words.
    SetRole(Box<[u8]>),
    /// `SET TRANSACTION` without a scope: the text behind these words.
    SetTransactionNext(Box<[u8]>),
    /// A system variable is set.
    SetVariable {
        /// Whose value.
        scope: Scope,
        /// The variable, ASCII letters in lower case; of a structured one all parts.
        name: Box<[u8]>,
        /// To what.
        value: Value,
    },
    /// `USE`.
    Use(Box<[u8]>),
    /// `UNLOCK TABLES`, `UNLOCK INSTANCE`, `LOCK TABLES` and the like say all by their marks; this
    /// says where they stand.
    Mark(super::Marks),
}

/// What a MariaDB backup statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackupAction {
    /// A stage begins or goes on.
    Stage,
    /// `BACKUP STAGE END`.
    StageEnd,
    /// `BACKUP LOCK`.
    Lock,
    /// `BACKUP UNLOCK`.
    Unlock,
}

/// What a creation does when its name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Existing {
    /// It fails.
    Fails,
    /// `IF NOT EXISTS`: the old one stays.
    Stays,
    /// `OR REPLACE`: the old one goes.
    Replaced,
}

/// Which tables a `DROP` looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropScope {
    /// A temporary one first, then others.
    All,
    /// `TEMPORARY`.
    Temporary,
}

/// What a `DROP` does when a table is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Missing {
    /// It fails.
    Fails,
    /// `IF EXISTS`.
    Ignored,
}

/// What follows the end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AfterEnd {
    /// What `@@completion_type` says.
    Default,
    /// `AND CHAIN`: another transaction.
    Chain,
    /// `AND NO CHAIN`: none.
    NoChain,
    /// `NO RELEASE`, perhaps with `AND NO CHAIN`: the connection stays open.
    NoRelease,
    /// `AND CHAIN NO RELEASE`: it does, for another transaction.
    ChainNoRelease,
    /// `RELEASE`: the connection is closed.
    Release,
}

/// Where the text of a statement comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A string, with its escapes resolved.
    Text(Box<[u8]>),
    /// A user variable's value; the name as in [`UserVariable::name`].
    Variable(Box<[u8]>),
    /// An expression.
    Expression,
}

/// `KILL [HARD | SOFT] [CONNECTION | QUERY] id`, or of `CONNECTION_ID()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// What stands between `KILL` and the number.
    pub words: Box<[u8]>,
    /// Whether it ends the connection, not only its statement.
    pub connection: bool,
    /// The number; `None` for the session's own.
    pub id: Option<u64>,
}

/// The functions that change which user locks are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockFunction {
    /// `GET_LOCK`.
    Get,
    /// `RELEASE_LOCK`.
    Release,
    /// `RELEASE_ALL_LOCKS`.
    ReleaseAll,
}

/// Where a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallPlace {
    /// It is all that a `SELECT` selects: the only value of the only row.
    Sole,
    /// It is all that a `DO` does: it runs once, its result is not seen.
    Done,
    /// Anywhere else: it may run any number of times.
    Within,
}

/// Whose value of a system variable is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// `GLOBAL`.
    Global,
    /// `@@name` without a scope: the session's, of some variables only until the next transaction
    /// ends.
    Next,
    /// `PERSIST`, `PERSIST_ONLY`.
    Persist,
    /// The session's.
    Session,
}

/// To what a variable is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `DEFAULT`.
    Default,
    /// One word, number or string, as written.
    Literal(Box<[u8]>),
    /// Anything else.
    Expression,
}

/// A text that asks for one thing that belongs to the session, and for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sole {
    /// `SELECT CONNECTION_ID()`
    ConnectionId,
    /// `SELECT @@error_count`, `SHOW COUNT(*) ERRORS`
    ErrorCount,
    /// `SHOW ERRORS`
    Errors,
    /// `SELECT FOUND_ROWS()`
    FoundRows,
    /// `LASTVAL(sequence)`, `PREVIOUS VALUE FOR sequence`, which is no text by itself
    LastValue,
    /// `SELECT ROW_COUNT()`
    RowCount,
    /// `SELECT @@warning_count`, `SHOW COUNT(*) WARNINGS`
    WarningCount,
    /// `SHOW WARNINGS`
    Warnings,
}
