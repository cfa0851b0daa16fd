//! The reasons for which sessions keep their connections.

use std::fmt;

/// A reason to keep a backend connection. The same enum is the branch, the log text and the
/// metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PinReason {
    /// `sql_auto_is_null`: the row inserted last can be asked for once; until it is off.
    AutoIsNull,
    /// `BACKUP STAGE`, `BACKUP LOCK`; until its end.
    Backup,
    /// A cursor with unread rows; until it is read to its end, reset, closed or executed again.
    Cursor,
    /// `HANDLER … OPEN`; until each is closed.
    Handler,
    /// The client asked for it by a comment; until a reset.
    Hint,
    /// A variable that cannot be read back was set; until it is consumed or reset.
    ImmovableVariable,
    /// A routine or trigger whose body may do anything ran; until a reset.
    Impure,
    /// `LOCK INSTANCE FOR BACKUP`; until `UNLOCK INSTANCE`.
    InstanceLock,
    /// MySQL's locks on names, which a statement without `autocommit` keeps although the status does
    /// not tell of a transaction; until the transaction's end.
    MetadataLock,
    /// `SET TRANSACTION` for the next transaction, and a look at the session's variables, of which
    /// it is not known whether that counts as one; until it begins.
    NextTransaction,
    /// A statement that could not be read; until a reset.
    Opaque,
    /// The optimizer's trace was on, which only its connection has; until a reset.
    OptimizerTrace,
    /// The user's `pool_mode`; until the client leaves.
    PoolMode,
    /// `profiling` was on: only its connection has the profiles; until a reset.
    Profiling,
    /// `FLUSH TABLES … WITH READ LOCK`; until `UNLOCK TABLES`.
    ReadLock,
    /// `SET RESOURCE GROUP`; until a reset.
    ResourceGroup,
    /// Results are in a character set of more than one byte for each character; until they are not.
    ResultsCharset,
    /// `SET ROLE` of which it is not known whether it was run; until a reset on MySQL, and for the
    /// rest of the connection's life on MariaDB, where a reset does not undo it.
    Role,
    /// A savepoint outside a transaction, under `autocommit=0`; until its end.
    Savepoint,
    /// Values of sequences were taken that cannot be told by name, or are asked for by stored code;
    /// until a reset.
    Sequence,
    /// The client set up session trackers of its own; until a reset.
    SessionTrack,
    /// `LOCK TABLES`; until `UNLOCK TABLES` or a transaction's begin.
    TableLock,
    /// Temporary tables; until all are dropped.
    TemporaryTable,
    /// A statement prepared by SQL text that cannot be prepared elsewhere; until it is deallocated.
    TextStatement,
    /// A binary prepared statement names user variables, whose types it keeps; until it is closed.
    TiedStatement,
    /// An open transaction; until its end.
    Transaction,
    /// `GET_LOCK`; until all are released.
    UserLock,
    /// User variables that were not captured; until a reset.
    UserVariable,
    /// A distributed transaction; until its end.
    Xa,
}

impl PinReason {
    /// All reasons, in alphabetical order.
    pub const ALL: [Self; 29] = [
        Self::AutoIsNull,
        Self::Backup,
        Self::Cursor,
        Self::Handler,
        Self::Hint,
        Self::ImmovableVariable,
        Self::Impure,
        Self::InstanceLock,
        Self::MetadataLock,
        Self::NextTransaction,
        Self::Opaque,
        Self::OptimizerTrace,
        Self::PoolMode,
        Self::Profiling,
        Self::ReadLock,
        Self::ResourceGroup,
        Self::ResultsCharset,
        Self::Role,
        Self::Savepoint,
        Self::Sequence,
        Self::SessionTrack,
        Self::TableLock,
        Self::TemporaryTable,
        Self::TextStatement,
        Self::TiedStatement,
        Self::Transaction,
        Self::UserLock,
        Self::UserVariable,
        Self::Xa,
    ];

    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::AutoIsNull => "auto_is_null",
            Self::Backup => "backup",
            Self::Cursor => "cursor",
            Self::Handler => "handler",
            Self::Hint => "hint",
            Self::ImmovableVariable => "immovable_variable",
            Self::Impure => "impure_routine",
            Self::InstanceLock => "instance_lock",
            Self::MetadataLock => "metadata_lock",
            Self::NextTransaction => "next_transaction",
            Self::Opaque => "opaque_statement",
            Self::OptimizerTrace => "optimizer_trace",
            Self::PoolMode => "pool_mode",
            Self::Profiling => "profiling",
            Self::ReadLock => "read_lock",
            Self::ResourceGroup => "resource_group",
            Self::ResultsCharset => "results_charset",
            Self::Role => "role",
            Self::Savepoint => "savepoint",
            Self::Sequence => "sequence",
            Self::SessionTrack => "session_track",
            Self::TableLock => "table_lock",
            Self::TemporaryTable => "temporary_table",
            Self::TextStatement => "text_statement",
            Self::TiedStatement => "tied_statement",
            Self::Transaction => "transaction",
            Self::UserLock => "user_lock",
            Self::UserVariable => "user_variable",
            Self::Xa => "xa",
        }
    }

    pub(super) const fn bit(self) -> u32 {
        1 << self as u8
    }
}

impl fmt::Display for PinReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
