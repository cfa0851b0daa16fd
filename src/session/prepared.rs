//! Prepared statements without a connection of their own.
//!
//! A client's statement is a number of Millpond's, a text, and the environment in which it was
//! prepared. On whichever backend connection it is executed, a backend statement of the same
//! [`StatementKey`] whose parameters are the same is used, and prepared first where there is none.

mod held;
mod spread;

pub use self::held::BackendStatements;

use self::spread::Spread;
use super::parameters::Parameters;
use super::state::{Environment, Names, SeparateCharsets, Value};
use super::statement::{Analysis, Marks};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What decides the meaning of a prepared statement: its text, and the part of the environment
/// that the server freezes at its preparation (measured: current database, the parse-affecting
/// `sql_mode`, character sets and collations).
#[derive(Debug)]
pub struct StatementKey {
    sql: Box<[u8]>,
    environment: FrozenEnvironment,
    hash: u64,
}

/// The part of an environment that decides how a text is read, where a preparation keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FrozenEnvironment {
    database: Option<Box<[u8]>>,
    charset: Option<Box<str>>,
    collation: Option<Box<str>>,
    separate: Option<SeparateCharsets>,
    sql_mode: Option<Value>,
    utf8mb4_collation: Option<Value>,
    role: Option<Box<[u8]>>,
}

/// An environment in which the server has prepared a statement once more: another one than at first.
/// Two are the same where they decide the same.
#[derive(Debug, Clone)]
pub struct Otherwise {
    frozen: FrozenEnvironment,
    /// All of it.
    pub whole: Environment,
}

impl PartialEq for Otherwise {
    fn eq(&self, other: &Self) -> bool {
        self.frozen == other.frozen
    }
}

impl Eq for Otherwise {}

impl Hash for Otherwise {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.frozen.hash(state);
    }
}

/// The variables that decide how a text is read.
const FROZEN_VARIABLES: [&str; 2] = ["default_collation_for_utf8mb4", "sql_mode"];

impl StatementKey {
    /// The key of `sql` prepared in `environment`.
    pub fn new(sql: &[u8], environment: &Environment) -> Self {
        let frozen = FrozenEnvironment::of(environment);
        let mut hasher = std::hash::DefaultHasher::new();
        sql.hash(&mut hasher);
        frozen.hash(&mut hasher);
        Self { sql: sql.into(), environment: frozen, hash: hasher.finish() }
    }

    /// The statement's text.
    pub fn sql(&self) -> &[u8] {
        &self.sql
    }

    /// What decides how the text is read when the server prepares it again now, in the database of
    /// the first preparation; `None` if it is what decided then.
    pub fn frozen_otherwise(&self, now: &Environment) -> Option<Arc<Otherwise>> {
        let database = self.environment.database.clone();
        let frozen = FrozenEnvironment { database, ..FrozenEnvironment::of(now) };
        (frozen != self.environment).then(|| {
            let database = frozen.database.clone();
            Arc::new(Otherwise { frozen, whole: Environment { database, ..now.clone() } })
        })
    }
}

impl FrozenEnvironment {
    fn of(environment: &Environment) -> Self {
        let Names { charset, collation } = &environment.names;
        let variable = |name| environment.variables.get(name).map(Into::into);
        Self {
            database: environment.database.clone(),
            charset: charset.clone(),
            collation: collation.clone(),
            separate: environment.separate_charsets.clone(),
            sql_mode: variable("sql_mode"),
            utf8mb4_collation: variable("default_collation_for_utf8mb4"),
            role: match &environment.role {
                super::state::Role::Login => None,
                super::state::Role::Set(text) => Some(text.clone()),
            },
        }
    }
}

/// The environment in which a statement is prepared once more for a session whose environment is
/// `present`: what a preparation freezes is as it was (`frozen`), the rest stays. In particular,
/// `autocommit` does: to switch that on ends a transaction.
pub fn environment_to_prepare(present: &Environment, frozen: &Environment) -> Environment {
    let mut environment = present.clone();
    environment.database = frozen.database.clone();
    environment.names = frozen.names.clone();
    environment.separate_charsets = frozen.separate_charsets.clone();
    environment.role = frozen.role.clone();
    for name in FROZEN_VARIABLES {
        match frozen.variables.get(name) {
            Some(value) => environment.variables.set(name, value),
            None => environment.variables.remove(name),
        }
    }
    environment
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

/// A client's prepared statement.
#[derive(Debug)]
pub struct ClientStatement {
    /// What it is, wherever it runs.
    pub key: Arc<StatementKey>,
    /// The environment of its preparation, to prepare it elsewhere.
    pub environment: Arc<Environment>,
    /// What its text may do to the session.
    pub analysis: Arc<Analysis>,
    /// Number of parameters.
    pub parameters: u16,
    /// The parameter types last bound, raw as in `COM_STMT_EXECUTE`.
    pub types: Option<Arc<[u8]>>,
    /// What the server takes its parameters for.
    pub typed: Parameters,
    /// `COM_STMT_SEND_LONG_DATA` since the last execution, by parameter.
    pub long_data: LongValues,
    /// Whether a cursor is open on the backend.
    pub cursor: Cursor,
    /// The server's number of the one backend statement that will do, where another would not:
    /// the server gave it the types that the user variables in its text had when it was prepared.
    pub only: Option<u32>,
}

impl ClientStatement {
    /// Whether another connection could not have it as it is: one that may do anything is not executed
    /// only to give its parameters their types.
    pub fn is_tied(&self) -> bool {
        let hidden = self.analysis.marks.intersects(Marks::IMPURE | Marks::OPAQUE);
        self.only.is_some() || self.typed.settled.is_some() && hidden
    }
}

/// Whether rows wait on the server to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// None.
    Closed,
    /// `COM_STMT_FETCH` can follow, on the same backend connection.
    Open {
        /// The server's number of the statement that has the cursor: it has one of its own.
        backend_id: u32,
    },
    /// The client is done with it, but it is still open behind: a tied statement cannot just be
    /// closed, and MySQL gives no rows to an execution without a cursor over an open one.
    Left,
}

impl ClientStatement {
    /// Adds a piece of long data, as long as there are no more than `limit` bytes of it.
    pub fn append_long_data(&mut self, parameter: u16, data: &[u8], limit: usize) {
        let values = &mut self.long_data;
        let size: usize = values.by_parameter.iter().map(|value| value.data.len()).sum();
        if values.beyond_limit || size + data.len() > limit {
            *values = LongValues { by_parameter: Vec::new(), beyond_limit: true };
            return;
        }
        let found = values.by_parameter.iter_mut().find(|value| value.parameter == parameter);
        match found {
            Some(value) => {
                value.data.extend_from_slice(data);
                value.longest = value.longest.max(data.len());
            }
            None => {
                let (data, longest) = (data.to_vec(), data.len());
                values.by_parameter.push(LongValue { parameter, data, longest });
            }
        }
    }
}

/// Values of parameters that came ahead of an execution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LongValues {
    by_parameter: Vec<LongValue>,
    /// There were more bytes than may be kept: the execution fails.
    pub beyond_limit: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct LongValue {
    parameter: u16,
    data: Vec<u8>,
    /// Bytes of the longest piece that the client sent.
    longest: usize,
}

impl LongValues {
    /// Whether there is nothing that an execution would have to look at.
    pub fn is_empty(&self) -> bool {
        self.by_parameter.is_empty() && !self.beyond_limit
    }

    /// What was sent for a parameter, in one piece.
    pub fn of(&self, parameter: u16) -> Option<&[u8]> {
        let found = self.by_parameter.iter().find(|value| value.parameter == parameter);
        found.map(|value| &value.data[..])
    }

    /// The parameters and their values in pieces no longer than those that the client sent: longer
    /// ones may be too long for the server.
    pub fn pieces(&self) -> impl Iterator<Item = (u16, &[u8])> {
        self.by_parameter.iter().flat_map(|value| {
            let parameter = value.parameter;
            // An empty value has one piece, too.
            let empty = value.data.is_empty().then_some(&[][..]);
            let pieces = value.data.chunks(value.longest.max(1));
            empty.into_iter().chain(pieces).map(move |piece| (parameter, piece))
        })
    }
}

/// All prepared statements of one client, by the number that it was told.
#[derive(Debug, Default)]
pub struct ClientStatements {
    by_id: HashMap<u32, ClientStatement, Spread>,
    /// Bytes of their texts together.
    text: usize,
    last_id: u32,
}

/// MariaDB: the statement prepared last, whatever its number.
pub const LAST_PREPARED: u32 = u32::MAX;

impl ClientStatements {
    /// The number of the next statement.
    pub fn next_id(&mut self) -> u32 {
        let mut id = self.last_id;
        loop {
            id = id.wrapping_add(1);
            // 0 and the highest number mean something else to some drivers.
            if id != 0 && id != LAST_PREPARED && !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }

    /// Takes in a statement under a number from [`Self::next_id`].
    pub fn insert(&mut self, id: u32, statement: ClientStatement) {
        self.last_id = id;
        self.text += statement.key.sql().len();
        self.by_id.insert(id, statement);
    }

    /// The statement with this number.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut ClientStatement> {
        let id = if id == LAST_PREPARED { self.last_id } else { id };
        self.by_id.get_mut(&id)
    }

    /// Forgets a statement.
    pub fn remove(&mut self, id: u32) -> Option<ClientStatement> {
        let id = if id == LAST_PREPARED { self.last_id } else { id };
        let statement = self.by_id.remove(&id)?;
        self.text -= statement.key.sql().len();
        Some(statement)
    }

    /// Forgets them all, as a reset of the session does.
    pub fn clear(&mut self) {
        self.by_id.clear();
        self.text = 0;
    }

    /// Bytes of their texts together.
    pub fn text(&self) -> usize {
        self.text
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whether any cursor is open.
    pub fn has_open_cursor(&self) -> bool {
        self.by_id.values().any(|s| matches!(s.cursor, Cursor::Open { .. }))
    }

    /// Whether any statement is tied to the backend connection that it was prepared on.
    pub fn has_tied_statement(&self) -> bool {
        self.by_id.values().any(ClientStatement::is_tied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_under_another_mode_is_another_statement() {
        let environment = Environment::at_login("utf8mb4", "utf8mb4_general_ci");
        let mut ansi = environment.clone();
        ansi.variables.set("sql_mode", b"ANSI_QUOTES");
        let sql = br#"SELECT "a""#;
        assert_ne!(StatementKey::new(sql, &environment), StatementKey::new(sql, &ansi));
        assert_eq!(StatementKey::new(sql, &ansi), StatementKey::new(sql, &ansi));
    }

    #[test]
    fn what_a_preparation_freezes_is_told_from_what_it_does_not() {
        let mut environment = Environment::at_login("utf8mb4", "utf8mb4_general_ci");
        let key = StatementKey::new(b"SELECT ?", &environment);
        environment.database = Some(b"elsewhere"[..].into());
        environment.variables.set("time_zone", b"+01:00");
        assert_eq!(key.frozen_otherwise(&environment), None);
        environment.variables.set("sql_mode", b"ANSI_QUOTES");
        assert!(key.frozen_otherwise(&environment).is_some());
    }
}
