//! One bit for each thing that a statement may say about the session.

use std::ops::{BitOr, BitOrAssign};

/// A set of things that a command's text mentions or does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks(u64);

macro_rules! marks {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl Marks {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*
        }
    };
}

marks! {
    /// A statement that could not be read.
    OPAQUE = 0;
    /// Names a routine, table or view whose code may do anything to the session.
    IMPURE = 1;
    /// `@name`
    USER_VARIABLES = 2;
    /// User variables may be assigned.
    WRITES_VARIABLES = 3;
    /// `LAST_INSERT_ID()`, `@@identity`
    LAST_INSERT_ID_READ = 4;
    /// `LAST_INSERT_ID(n)`, `SET last_insert_id`
    LAST_INSERT_ID_SET = 5;
    /// `GET_LOCK`
    GET_LOCK = 6;
    /// `RELEASE_LOCK`
    RELEASE_LOCK = 7;
    /// `RELEASE_ALL_LOCKS`
    RELEASE_ALL_LOCKS = 8;
    /// `SQL_CALC_FOUND_ROWS`
    SQL_CALC_FOUND_ROWS = 9;
    /// `FOUND_ROWS`
    FOUND_ROWS = 10;
    /// `ROW_COUNT`
    ROW_COUNT = 11;
    /// `SHOW WARNINGS` and its kin, `@@warning_count`
    SHOW_DIAGNOSTICS = 12;
    /// `GET DIAGNOSTICS`
    GET_DIAGNOSTICS = 13;
    /// A session tracking variable is named.
    SESSION_TRACK = 14;
    /// Lists of session variables, in which Millpond's own settings would show.
    SHOW_VARIABLES = 15;
    /// `SET NAMES`
    SET_NAMES = 16;
    /// `SET CHARACTER SET`
    SET_CHARACTER_SET = 17;
    /// `SET ROLE`
    SET_ROLE = 18;
    /// `SET RESOURCE GROUP`
    SET_RESOURCE_GROUP = 19;
    /// `SAVEPOINT`
    SAVEPOINT = 20;
    /// `LOCK TABLES`
    LOCK_TABLES = 21;
    /// `UNLOCK TABLES`
    UNLOCK_TABLES = 22;
    /// `FLUSH TABLES … WITH READ LOCK`, `… FOR EXPORT`
    FLUSH_LOCK = 23;
    /// `LOCK INSTANCE`
    LOCK_INSTANCE = 24;
    /// `UNLOCK INSTANCE`
    UNLOCK_INSTANCE = 25;
    /// `BACKUP`
    BACKUP = 26;
    /// `XA`
    XA = 27;
    /// Routines, triggers or views change.
    DDL_ROUTINE = 28;
    /// `DROP DATABASE`
    DROP_DATABASE = 29;
    /// Users, roles or privileges change.
    PRIVILEGES = 30;
    /// `/* millpond:pin */`
    HINT_PIN = 31;
    /// Reads only, so that not even a failure changes the session.
    PURE_READ = 32;
    /// Ends a transaction: `COMMIT`, `ROLLBACK`, and what commits implicitly.
    ENDS_TRANSACTION = 33;
    /// The word `variables`.
    WORD_VARIABLES = 34;
    /// A string or hint names something of the session.
    MENTIONS_SESSION = 35;
    /// `INTO`, `RETURNING`: a statement of an unusual shape.
    UNUSUAL = 36;
    /// `CONNECTION_ID`
    CONNECTION_ID = 37;
    /// `KILL`
    KILL = 38;
    /// Has a [`super::TextEffect`].
    HAS_EFFECTS = 39;
    /// `BEGIN`, `START TRANSACTION`
    BEGINS_TRANSACTION = 40;
    /// A user lock is taken whose name is no literal.
    LOCK_NAME_UNKNOWN = 41;
}

impl Marks {
    /// What makes a reading statement more than that.
    pub const NOT_PURE: Self = Self(
        Self::OPAQUE.0
            | Self::IMPURE.0
            | Self::WRITES_VARIABLES.0
            | Self::LAST_INSERT_ID_SET.0
            | Self::GET_LOCK.0
            | Self::RELEASE_LOCK.0
            | Self::RELEASE_ALL_LOCKS.0
            | Self::SQL_CALC_FOUND_ROWS.0
            | Self::UNUSUAL.0,
    );

    /// What also counts as a quoted identifier.
    pub const QUOTABLE: Self = Self(Self::SHOW_VARIABLES.0 | Self::SESSION_TRACK.0);

    /// What the session has to be told of after the statement, beyond the trackers.
    const SESSION: Self = Self(
        Self::OPAQUE.0
            | Self::IMPURE.0
            | Self::GET_LOCK.0
            | Self::RELEASE_LOCK.0
            | Self::RELEASE_ALL_LOCKS.0
            | Self::SESSION_TRACK.0
            | Self::SET_NAMES.0
            | Self::SET_CHARACTER_SET.0
            | Self::SET_ROLE.0
            | Self::SET_RESOURCE_GROUP.0
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
            | Self::HAS_EFFECTS.0,
    );

    /// Whether all of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
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

    /// Whether the session has to be told anything beyond what the trackers say.
    pub const fn touches_session(self) -> bool {
        self.intersects(Self::SESSION)
    }
}

impl BitOr for Marks {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Marks {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The longest word that means anything here.
const LONGEST: usize = 32;

/// What a word means wherever it stands.
pub(super) fn of_word(word: &[u8]) -> Marks {
    if word.len() < 4 || word.len() > LONGEST {
        return Marks::default();
    }
    let mut lower = [0; LONGEST];
    let lower = &mut lower[..word.len()];
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    if lower.starts_with(b"session_track_") {
        return Marks::SESSION_TRACK;
    }
    match &*lower {
        b"last_insert_id" | b"identity" => Marks::LAST_INSERT_ID_READ,
        b"get_lock" => Marks::GET_LOCK,
        b"release_lock" => Marks::RELEASE_LOCK,
        b"release_all_locks" => Marks::RELEASE_ALL_LOCKS,
        b"sql_calc_found_rows" => Marks::SQL_CALC_FOUND_ROWS,
        b"found_rows" => Marks::FOUND_ROWS,
        b"row_count" => Marks::ROW_COUNT,
        b"connection_id" => Marks::CONNECTION_ID,
        b"into" | b"returning" => Marks::UNUSUAL,
        b"warning_count" | b"error_count" => Marks::SHOW_DIAGNOSTICS,
        b"variables" => Marks::WORD_VARIABLES,
        b"session_variables"
        | b"system_variables"
        | b"variables_by_thread"
        | b"variables_info"
        | b"user_variables"
        | b"user_variables_by_thread" => Marks::SHOW_VARIABLES,
        // Locks of the locking service and of the asynchronous replication functions.
        b"service_get_read_locks" | b"service_get_write_locks" | b"service_release_locks" => {
            Marks::IMPURE
        }
        _ => Marks::default(),
    }
}

/// What a system variable means wherever it is read.
pub(super) fn of_system_variable(name: &[u8]) -> Marks {
    let bare = name.rsplit(|b| *b == b'.').next().unwrap_or(name);
    let bare = bare.strip_prefix(b"`").and_then(|b| b.strip_suffix(b"`")).unwrap_or(bare);
    of_word(bare)
}
