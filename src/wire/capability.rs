//! Capability and status flags.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html>,
//! <https://mariadb.com/kb/en/connection/#capabilities>

use std::ops::{BitAnd, BitOr, Not};

/// Capability flags as negotiated at login: the low 32 bits are MySQL's, the high 32 bits are
/// MariaDB's extended ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Capabilities(pub u64);

macro_rules! flags {
    ($type:ident: $repr:ty { $($(#[$doc:meta])* $name:ident = $value:expr;)* }) => {
        impl $type {
            $($(#[$doc])* pub const $name: Self = Self($value);)*
            const NAMES: &'static [(&'static str, $repr)] = &[$((stringify!($name), $value)),*];

            /// Whether all flags of `other` are set.
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// These flags and those of `other`.
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// These flags but those of `other`.
            #[must_use]
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }
        }

        impl BitOr for $type {
            type Output = Self;
            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl BitAnd for $type {
            type Output = Self;
            fn bitand(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }
        }

        impl Not for $type {
            type Output = Self;
            fn not(self) -> Self {
                Self(!self.0)
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_set()
                    .entries(Self::NAMES.iter().filter(|(_, v)| self.0 & v != 0).map(|(n, _)| n))
                    .finish()
            }
        }
    };
}

flags!(Capabilities: u64 {
    /// Set by MySQL; its absence announces MariaDB's extended capabilities.
    LONG_PASSWORD = 1;
    /// Affected rows are found rows. Fixed at login: part of the pool's key.
    FOUND_ROWS = 1 << 1;
    /// Longer flags in column definitions.
    LONG_FLAG = 1 << 2;
    /// The handshake response names a database.
    CONNECT_WITH_DB = 1 << 3;
    /// Forbids `database.table.column`; without effect on current servers.
    NO_SCHEMA = 1 << 4;
    /// zlib compression of the connection.
    COMPRESS = 1 << 5;
    /// ODBC behaviour; without effect.
    ODBC = 1 << 6;
    /// `LOAD DATA LOCAL`. Fixed at login: part of the pool's key.
    LOCAL_FILES = 1 << 7;
    /// Blanks before `(` are ignored: `sql_mode` bit `IGNORE_SPACE` at login.
    IGNORE_SPACE = 1 << 8;
    /// The 4.1 protocol; required.
    PROTOCOL_41 = 1 << 9;
    /// `wait_timeout` starts from `interactive_timeout`.
    INTERACTIVE = 1 << 10;
    /// The connection switches to TLS.
    SSL = 1 << 11;
    /// Without effect.
    IGNORE_SIGPIPE = 1 << 12;
    /// Status flags in OK packets.
    TRANSACTIONS = 1 << 13;
    /// Old name of the 4.1 protocol; unused.
    RESERVED = 1 << 14;
    /// Authentication with a 20-byte nonce; required.
    SECURE_CONNECTION = 1 << 15;
    /// Several statements in one `COM_QUERY`.
    MULTI_STATEMENTS = 1 << 16;
    /// Several results of one `COM_QUERY`.
    MULTI_RESULTS = 1 << 17;
    /// Several results of one `COM_STMT_EXECUTE`.
    PS_MULTI_RESULTS = 1 << 18;
    /// Authentication plugins are named.
    PLUGIN_AUTH = 1 << 19;
    /// Connection attributes in the handshake response.
    CONNECT_ATTRS = 1 << 20;
    /// The authentication response has a length-encoded length.
    PLUGIN_AUTH_LENENC_CLIENT_DATA = 1 << 21;
    /// The client can change an expired password.
    CAN_HANDLE_EXPIRED_PASSWORDS = 1 << 22;
    /// Session trackers in OK packets.
    SESSION_TRACK = 1 << 23;
    /// Result sets end with an OK packet and have no EOF after the column definitions.
    DEPRECATE_EOF = 1 << 24;
    /// The client may ask for results without column definitions.
    OPTIONAL_RESULTSET_METADATA = 1 << 25;
    /// zstd compression of the connection.
    ZSTD_COMPRESSION = 1 << 26;
    /// Query attributes in `COM_QUERY` and `COM_STMT_EXECUTE`.
    QUERY_ATTRIBUTES = 1 << 27;
    /// Several authentication factors.
    MULTI_FACTOR_AUTHENTICATION = 1 << 28;
    /// Reserved for an extension of the flags.
    CAPABILITY_EXTENSION = 1 << 29;
    /// The client verifies the server's certificate.
    SSL_VERIFY_SERVER_CERT = 1 << 30;
    /// The client keeps its options over a reconnect.
    REMEMBER_OPTIONS = 1 << 31;
    /// MariaDB: progress reports.
    MARIADB_PROGRESS = 1 << 32;
    /// MariaDB: `COM_MULTI`, reserved.
    MARIADB_COM_MULTI = 1 << 33;
    /// MariaDB: `COM_STMT_BULK_EXECUTE`.
    MARIADB_STMT_BULK_OPERATIONS = 1 << 34;
    /// MariaDB: extended type information in column definitions.
    MARIADB_EXTENDED_METADATA = 1 << 35;
    /// MariaDB: column definitions of a statement that did not change are left out.
    MARIADB_CACHE_METADATA = 1 << 36;
    /// MariaDB: unit results of a bulk execution.
    MARIADB_BULK_UNIT_RESULTS = 1 << 37;
});

impl Capabilities {
    /// The flags that MySQL knows.
    pub const fn mysql(self) -> u32 {
        self.0 as u32
    }

    /// The flags of MariaDB's extension.
    pub const fn mariadb(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// Server status flags, as in every OK and EOF packet.
///
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/mysql__com_8h.html>
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Status(pub u16);

flags!(Status: u16 {
    /// A transaction is open.
    IN_TRANS = 1;
    /// `autocommit` is on.
    AUTOCOMMIT = 1 << 1;
    /// More results follow.
    MORE_RESULTS = 1 << 3;
    /// The statement used no good index.
    NO_GOOD_INDEX = 1 << 4;
    /// The statement used no index.
    NO_INDEX = 1 << 5;
    /// A cursor is open.
    CURSOR_EXISTS = 1 << 6;
    /// The cursor has no more rows.
    LAST_ROW_SENT = 1 << 7;
    /// A database was dropped.
    DB_DROPPED = 1 << 8;
    /// `sql_mode` has `NO_BACKSLASH_ESCAPES`.
    NO_BACKSLASH_ESCAPES = 1 << 9;
    /// The columns of a prepared statement changed.
    METADATA_CHANGED = 1 << 10;
    /// The statement was slow.
    QUERY_WAS_SLOW = 1 << 11;
    /// The results are a prepared statement's output parameters.
    PS_OUT_PARAMS = 1 << 12;
    /// The open transaction is read-only.
    IN_TRANS_READONLY = 1 << 13;
    /// Session trackers follow.
    SESSION_STATE_CHANGED = 1 << 14;
});

impl Status {
    /// What says something about the statement it came with; the rest is about the session.
    pub const OF_ONE_STATEMENT: Self = Self(
        Self::MORE_RESULTS.0
            | Self::NO_GOOD_INDEX.0
            | Self::NO_INDEX.0
            | Self::CURSOR_EXISTS.0
            | Self::LAST_ROW_SENT.0
            | Self::DB_DROPPED.0
            | Self::METADATA_CHANGED.0
            | Self::QUERY_WAS_SLOW.0
            | Self::PS_OUT_PARAMS.0
            | Self::SESSION_STATE_CHANGED.0,
    );
}
