//! What sort of statement a text begins with.

/// The sort of one statement, by its first words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StatementKind {
    /// `GRANT`, `CREATE USER`, `SET PASSWORD` …
    Account,
    /// Servers' affairs: `PURGE`, `CHANGE REPLICATION SOURCE`, `INSTALL`, `SHUTDOWN` …
    Administration,
    /// `ALTER DATABASE`.
    AlterDatabase,
    /// `ALTER TABLE`.
    AlterTable,
    /// MariaDB's `BACKUP`.
    Backup,
    /// `BEGIN` or `START TRANSACTION`.
    Begin,
    /// `CALL`.
    Call,
    /// `COMMIT`.
    Commit,
    /// A block of statements outside a routine.
    Compound,
    /// A procedure, function, trigger, event or package is made or altered.
    CreateRoutine,
    /// `CREATE TABLE`.
    CreateTable,
    /// `CREATE TEMPORARY TABLE` or `SEQUENCE`.
    CreateTemporaryTable,
    /// Any other data definition.
    Ddl,
    /// `DEALLOCATE PREPARE`.
    Deallocate,
    /// `DELETE`.
    Delete,
    /// `GET DIAGNOSTICS`, `SIGNAL`.
    Diagnostics,
    /// `DESCRIBE` of a table.
    Describe,
    /// `DO`.
    Do,
    /// `DROP DATABASE`.
    DropDatabase,
    /// `DROP TABLE` or `DROP SEQUENCE`, also with `TEMPORARY`.
    DropTable,
    /// Nothing but blanks and comments.
    #[default]
    Empty,
    /// `EXECUTE`, also `IMMEDIATE`.
    Execute,
    /// `EXPLAIN` of a statement, and MariaDB's `ANALYZE SELECT`.
    Explain,
    /// `FLUSH`.
    Flush,
    /// `HANDLER`.
    Handler,
    /// `HELP`.
    Help,
    /// `INSERT`.
    Insert,
    /// `KILL`.
    Kill,
    /// `LOAD DATA`, `LOAD XML`.
    LoadData,
    /// `LOCK INSTANCE`.
    LockInstance,
    /// `LOCK TABLES`.
    LockTables,
    /// `ANALYZE`, `CHECK`, `OPTIMIZE`, `REPAIR TABLE` and the like.
    Maintenance,
    /// None of the sorts listed here.
    Other,
    /// `PREPARE`.
    Prepare,
    /// `RELEASE SAVEPOINT`.
    ReleaseSavepoint,
    /// `RENAME TABLE`.
    RenameTable,
    /// `REPLACE`.
    Replace,
    /// `RESIGNAL`.
    Resignal,
    /// `ROLLBACK`, also `TO` a savepoint.
    Rollback,
    /// `SAVEPOINT`.
    Savepoint,
    /// `SELECT`, `TABLE`, `VALUES`, in parentheses or not.
    Select,
    /// `SET`.
    Set,
    /// `SHOW`.
    Show,
    /// `SHOW CREATE` of a table or view, which looks at it.
    ShowCreate,
    /// `SHOW` of what is not kept as tables: processes, grants, the making of routines.
    ShowState,
    /// `TRUNCATE`.
    TruncateTable,
    /// `UNLOCK INSTANCE`.
    UnlockInstance,
    /// `UNLOCK TABLES`.
    UnlockTables,
    /// `UPDATE`.
    Update,
    /// `USE`.
    Use,
    /// `WITH …` whose main verb was not found.
    With,
    /// `XA`.
    Xa,
}

impl StatementKind {
    /// Whether statements of this sort only read, unless what they call writes.
    pub fn is_read(self) -> bool {
        matches!(
            self,
            Self::Select
                | Self::Show
                | Self::ShowCreate
                | Self::ShowState
                | Self::Describe
                | Self::Explain
                | Self::Help
                | Self::Empty
        )
    }

    /// Whether this is any `SHOW`.
    pub fn shows(self) -> bool {
        matches!(self, Self::Show | Self::ShowCreate | Self::ShowState)
    }

    /// Whether the expressions in statements of this sort are computed when they run, and nothing
    /// keeps or shows the text of them.
    pub(super) fn evaluates(self) -> bool {
        matches!(
            self,
            Self::Call
                | Self::CreateTable
                | Self::CreateTemporaryTable
                | Self::Delete
                | Self::Do
                | Self::Handler
                | Self::Insert
                | Self::LoadData
                | Self::Replace
                | Self::Select
                | Self::Set
                | Self::Update
                | Self::With
        )
    }

    /// Whether statements of this sort may give rows a new id.
    pub fn inserts(self) -> bool {
        matches!(self, Self::Insert | Self::Replace | Self::LoadData)
    }

    /// Whether statements of this sort change rows, and so may fire triggers.
    pub fn changes_rows(self) -> bool {
        matches!(self, Self::Insert | Self::Update | Self::Delete | Self::Replace | Self::LoadData)
    }
}
