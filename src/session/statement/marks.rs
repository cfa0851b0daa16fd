//! What a text may do to its session, as a set of bits.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of marks, united over all statements of a text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Marks(u64);

macro_rules! marks {
    ($($(#[$doc:meta])* $name:ident = $bit:expr;)*) => {
        impl Marks {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            const NAMES: &[(Self, &str)] = &[$((Self::$name, stringify!($name)),)*];
        }
    };
}

marks! {
    /// A user variable is named; see [`Details::user_variables`](super::Details::user_variables).
    USER_VARIABLES = 0;
    /// A user variable may be written.
    WRITES_VARIABLES = 1;
    /// `LAST_INSERT_ID()`, `@@last_insert_id` or `@@identity` is read.
    LAST_INSERT_ID_READ = 2;
    /// `LAST_INSERT_ID(n)`, or `SET last_insert_id`.
    LAST_INSERT_ID_SET = 3;
    /// `ROW_COUNT()`.
    ROW_COUNT = 4;
    /// `FOUND_ROWS()`.
    FOUND_ROWS = 5;
    /// `SQL_CALC_FOUND_ROWS`.
    SQL_CALC_FOUND_ROWS = 6;
    /// `SHOW WARNINGS`, `SHOW ERRORS`, their counts, `@@warning_count`, `@@error_count`.
    SHOW_DIAGNOSTICS = 7;
    /// `GET DIAGNOSTICS`.
    GET_DIAGNOSTICS = 8;
    /// `CONNECTION_ID()` or `@@pseudo_thread_id`.
    CONNECTION_ID = 9;
    /// `GET_LOCK(…)`.
    GET_LOCK = 10;
    /// `RELEASE_LOCK(…)`.
    RELEASE_LOCK = 11;
    /// `RELEASE_ALL_LOCKS()`.
    RELEASE_ALL_LOCKS = 12;
    /// `IS_USED_LOCK(…)`, which answers with a connection's id.
    IS_USED_LOCK = 13;
    /// `CREATE TEMPORARY TABLE` or `SEQUENCE`.
    TEMP_TABLE_CREATE = 14;
    /// `DROP TABLE` with or without `TEMPORARY`: a temporary table may go.
    TABLE_DROP = 15;
    /// A table, perhaps a temporary one, gets another name.
    TABLE_RENAME = 16;
    /// `LOCK TABLES`.
    LOCK_TABLES = 17;
    /// `UNLOCK TABLES`.
    UNLOCK_TABLES = 18;
    /// `FLUSH TABLES … WITH READ LOCK` or `FOR EXPORT`.
    FLUSH_LOCK = 19;
    /// `LOCK INSTANCE FOR BACKUP`.
    LOCK_INSTANCE = 20;
    /// `UNLOCK INSTANCE`.
    UNLOCK_INSTANCE = 21;
    /// MariaDB's `BACKUP STAGE`, `BACKUP LOCK`, `BACKUP UNLOCK`.
    BACKUP = 22;
    /// `HANDLER … OPEN`.
    HANDLER_OPEN = 23;
    /// `HANDLER … CLOSE`.
    HANDLER_CLOSE = 24;
    /// `HANDLER … READ`: the position moves.
    HANDLER_READ = 25;
    /// `SET ROLE`.
    SET_ROLE = 26;
    /// `SET RESOURCE GROUP` for this session.
    SET_RESOURCE_GROUP = 27;
    /// `SAVEPOINT`, `RELEASE SAVEPOINT`, `ROLLBACK TO`.
    SAVEPOINT = 28;
    /// `PREPARE name FROM …`.
    TEXT_PREPARE = 29;
    /// `EXECUTE name`.
    TEXT_EXECUTE = 30;
    /// `DEALLOCATE PREPARE name`.
    TEXT_DEALLOCATE = 31;
    /// MariaDB's `EXECUTE IMMEDIATE`.
    EXECUTE_IMMEDIATE = 32;
    /// Any `XA` statement.
    XA = 33;
    /// Characteristics of only the next transaction are set.
    SET_TRANSACTION_NEXT = 34;
    /// MariaDB's `SET STATEMENT … FOR …`.
    SET_STATEMENT = 35;
    /// The optimizer hint `SET_VAR`.
    SET_VAR_HINT = 36;
    /// `SET NAMES`.
    SET_NAMES = 37;
    /// `SET CHARACTER SET`.
    SET_CHARACTER_SET = 38;
    /// Something about session tracking is named.
    SESSION_TRACK = 39;
    /// Session variables may be listed.
    SHOW_VARIABLES = 40;
    /// `KILL`.
    KILL = 41;
    /// `LOAD DATA LOCAL` or `LOAD XML LOCAL`.
    LOAD_DATA_LOCAL = 42;
    /// `CALL`.
    CALL = 43;
    /// Routines, triggers, views or tables change: the catalogue is out of date.
    DDL_ROUTINE = 44;
    /// `DROP DATABASE`.
    DROP_DATABASE = 45;
    /// `SET GLOBAL` or `SET PERSIST`.
    SET_GLOBAL = 46;
    /// An open transaction ends: `COMMIT`, `ROLLBACK`, and everything that commits first.
    ENDS_TRANSACTION = 47;
    /// `BEGIN`, `START TRANSACTION`.
    BEGINS_TRANSACTION = 48;
    /// A read that can't change the session's state, even when it fails: nothing in it but tables
    /// and functions that are known to be harmless.
    PURE_READ = 49;
    /// The catalogue says that something named here may change the session's state; see
    /// [`Details::impure`](super::Details::impure).
    IMPURE = 50;
    /// The text could not be read: it may do anything.
    OPAQUE = 51;
    /// Some of what was found may not run, or may run in another order: nothing found here may
    /// end a pin, everything found here may begin one.
    UNCERTAIN = 52;
    /// One of the variables that can't be moved to another connection is set.
    SPECIAL_VARIABLE = 53;
    /// `IS NULL`, which `sql_auto_is_null` turns into a reading of the last insert id.
    IS_NULL = 54;
    /// A function is called that is not known to be the server's own.
    FOREIGN_FUNCTION = 55;
    /// `/* millpond: pin */` in front.
    HINT_PIN = 56;
    /// `/* millpond: share */` in front.
    HINT_SHARE = 57;
    /// A session variable is set; see [`Action::SetVariable`](super::Action::SetVariable).
    SET_VARIABLE = 58;
    /// A value is read that only the connection of an earlier statement has: `LASTVAL()`,
    /// `@@last_gtid`, `SHOW PROFILE`.
    BACKEND_LOCAL_READ = 59;
    /// A sequence's value is taken or set: `NEXTVAL()`, `SETVAL()`. No roll-back undoes that.
    BACKEND_LOCAL_WRITE = 60;
    /// `COMMIT RELEASE`, `ROLLBACK RELEASE`: the server closes the connection.
    RELEASE_CONNECTION = 61;
    /// Rows read are locked: `FOR UPDATE`, `FOR SHARE`, `LOCK IN SHARE MODE`.
    LOCKING_READ = 62;
    /// Users, roles or privileges change.
    PRIVILEGES = 63;
}

impl Marks {
    /// What the session has to be told of when the statement has run, beyond what trackers say.
    pub(super) const SESSION: Self = Self(
        Self::OPAQUE.0
            | Self::UNCERTAIN.0
            | Self::IMPURE.0
            | Self::GET_LOCK.0
            | Self::RELEASE_LOCK.0
            | Self::RELEASE_ALL_LOCKS.0
            | Self::SESSION_TRACK.0
            | Self::SET_NAMES.0
            | Self::SET_CHARACTER_SET.0
            | Self::SET_ROLE.0
            | Self::SET_RESOURCE_GROUP.0
            | Self::SPECIAL_VARIABLE.0
            | Self::TEMP_TABLE_CREATE.0
            | Self::TABLE_DROP.0
            | Self::TABLE_RENAME.0
            | Self::HANDLER_OPEN.0
            | Self::HANDLER_CLOSE.0
            | Self::TEXT_PREPARE.0
            | Self::TEXT_EXECUTE.0
            | Self::TEXT_DEALLOCATE.0
            | Self::EXECUTE_IMMEDIATE.0
            | Self::SAVEPOINT.0
            | Self::LOCK_TABLES.0
            | Self::UNLOCK_TABLES.0
            | Self::FLUSH_LOCK.0
            | Self::LOCK_INSTANCE.0
            | Self::UNLOCK_INSTANCE.0
            | Self::BACKUP.0
            | Self::XA.0
            | Self::DDL_ROUTINE.0
            | Self::DROP_DATABASE.0
            | Self::PRIVILEGES.0
            | Self::HINT_PIN.0
            | Self::ENDS_TRANSACTION.0
            | Self::BEGINS_TRANSACTION.0
            | Self::RELEASE_CONNECTION.0,
    );

    /// No mark.
    pub const NONE: Self = Self(0);

    /// Whether there is no mark.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The marks of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are also in `other`.
    #[must_use]
    pub const fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Sets `other`.
    #[inline]
    pub fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// The bits.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl BitOr for Marks {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for Marks {
    fn bitor_assign(&mut self, other: Self) {
        self.insert(other);
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = f.debug_set();
        for (_, name) in Self::NAMES.iter().filter(|(mark, _)| self.has(*mark)) {
            set.entry(&format_args!("{name}"));
        }
        set.finish()
    }
}
