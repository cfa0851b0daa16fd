//! What makes two prepared statements the same, and how they are found.

use crate::session::state::{Environment, Names, Role, SeparateCharsets, Value};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// What decides the meaning of a prepared statement: its text, and the part of the environment
/// that the server freezes at its preparation (measured: current database, the parse-affecting
/// `sql_mode`, character sets and collations).
#[derive(Debug)]
pub struct StatementKey {
    sql: Box<[u8]>,
    environment: FrozenEnvironment,
    hash: u64,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FrozenEnvironment {
    database: Option<Box<[u8]>>,
    charset: Option<Box<str>>,
    collation: Option<Box<str>>,
    separate: Option<SeparateCharsets>,
    sql_mode: Option<Value>,
    utf8mb4_collation: Option<Value>,
    role: Option<Box<[u8]>>,
}

/// The variables that decide how a text is read.
pub(super) const FROZEN_VARIABLES: [&str; 2] = ["default_collation_for_utf8mb4", "sql_mode"];

impl StatementKey {
    /// The key of `sql` prepared in `environment`.
    pub fn new(sql: &[u8], environment: &Environment) -> Self {
        let Names { charset, collation } = &environment.names;
        let separate = environment.separate_charsets.clone();
        let variable = |name| environment.variables.get(name).map(Into::into);
        let frozen = FrozenEnvironment {
            database: environment.database.clone(),
            charset: charset.clone(),
            collation: collation.clone(),
            separate,
            sql_mode: variable("sql_mode"),
            utf8mb4_collation: variable("default_collation_for_utf8mb4"),
            role: match &environment.role {
                Role::Login => None,
                Role::Set(text) => Some(text.clone()),
            },
        };
        let mut hasher = std::hash::DefaultHasher::new();
        sql.hash(&mut hasher);
        frozen.hash(&mut hasher);
        Self { sql: sql.into(), environment: frozen, hash: hasher.finish() }
    }

    /// The statement's text.
    pub fn sql(&self) -> &[u8] {
        &self.sql
    }
}

impl PartialEq for StatementKey {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.sql == other.sql && self.environment == other.environment
    }
}

impl Eq for StatementKey {}

impl Hash for StatementKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// For maps in which each execution looks something up: by numbers of Millpond's own, or by a key
/// that has its hash with it.
pub(super) type Spread = BuildHasherDefault<SpreadHasher>;

/// Takes a hash as it is, and spreads Millpond's own numbers, which follow one another.
#[derive(Debug, Default)]
pub(super) struct SpreadHasher(u64);

impl Hasher for SpreadHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(byte.into());
        }
    }

    fn write_u32(&mut self, number: u32) {
        // The golden ratio's fraction: neighbours end far from each other.
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 ^= hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
