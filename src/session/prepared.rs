//! Prepared statements without a connection of their own.
//!
//! A client's statement is a number of Millpond's, a text, and the environment in which it was
//! prepared. On whichever backend connection it is executed, a backend statement of the same
//! [`StatementKey`] is used, and prepared first where there is none.

mod key;

pub use self::key::StatementKey;

use self::key::{FROZEN_VARIABLES, Spread};
use super::state::Environment;
use super::statement::Analysis;
use std::collections::HashMap;
use std::sync::Arc;

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
    /// `COM_STMT_SEND_LONG_DATA` since the last execution, by parameter.
    pub long_data: LongValues,
    /// Whether a cursor is open on the backend.
    pub cursor: Cursor,
    /// The server's number of the one backend statement that will do, where another would not:
    /// the server gave it the types that the user variables in its text had when it was prepared.
    pub only: Option<u32>,
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
        self.by_id.remove(&id)
    }

    /// Forgets them all, as a reset of the session does.
    pub fn clear(&mut self) {
        self.by_id.clear();
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
        self.by_id.values().any(|s| s.only.is_some())
    }
}

/// The statements that one backend connection holds, least recently used first out.
#[derive(Debug)]
pub struct BackendStatements {
    by_key: HashMap<Arc<StatementKey>, BackendStatement, Spread>,
    capacity: usize,
    clock: u64,
    /// Statements to close with the next write: `COM_STMT_CLOSE` has no reply.
    to_close: Vec<u32>,
}

/// A statement on one backend connection.
#[derive(Debug)]
pub struct BackendStatement {
    /// The server's number.
    pub id: u32,
    last_used: u64,
}

impl BackendStatements {
    /// Holds up to `capacity` statements.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self { by_key: HashMap::default(), capacity, clock: 0, to_close: Vec::new() }
    }

    /// The statement of this key, if the connection has it; counts as a use.
    pub fn get_mut(&mut self, key: &StatementKey) -> Option<&mut BackendStatement> {
        self.clock += 1;
        let statement = self.by_key.get_mut(key)?;
        statement.last_used = self.clock;
        Some(statement)
    }

    /// Takes in a freshly prepared statement; a former one of the same key and, when there are too
    /// many, the one not used for longest are marked to be closed.
    pub fn insert(&mut self, key: Arc<StatementKey>, id: u32) {
        self.clock += 1;
        let statement = BackendStatement { id, last_used: self.clock };
        if let Some(former) = self.by_key.insert(key, statement) {
            self.to_close.push(former.id);
        }
        if self.by_key.len() > self.capacity {
            let oldest = self.by_key.iter().min_by_key(|(_, s)| s.last_used);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.remove(&key);
            }
        }
    }

    /// Drops a statement from the cache and marks it to be closed.
    pub fn remove(&mut self, key: &StatementKey) {
        if let Some(statement) = self.by_key.remove(key) {
            self.to_close.push(statement.id);
        }
    }

    /// A statement outside the cache is not needed any more.
    pub fn close_later(&mut self, id: u32) {
        self.to_close.push(id);
    }

    /// Marks half of the statements to be closed, the least recently used ones: the answer to
    /// error 1461 (the server has too many).
    pub fn shed_half(&mut self) {
        let mut uses: Vec<u64> = self.by_key.values().map(|s| s.last_used).collect();
        uses.sort_unstable();
        let Some(&median) = uses.get(uses.len() / 2) else { return };
        let to_close = &mut self.to_close;
        self.by_key.retain(|_, s| {
            let keep = s.last_used > median;
            if !keep {
                to_close.push(s.id);
            }
            keep
        });
    }

    /// The numbers to close with the next write.
    pub fn take_to_close(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.to_close)
    }

    /// Forgets everything: the server dropped all statements in a reset.
    pub fn clear(&mut self) {
        self.by_key.clear();
        self.to_close.clear();
    }

    /// How many statements the connection holds.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sql: &str) -> Arc<StatementKey> {
        let environment = Environment::at_login("utf8mb4", "utf8mb4_general_ci");
        Arc::new(StatementKey::new(sql.as_bytes(), &environment))
    }

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
    fn the_least_recently_used_statement_is_closed() {
        let mut statements = BackendStatements::new(2);
        statements.insert(key("a"), 1);
        statements.insert(key("b"), 2);
        assert_eq!(statements.get_mut(&key("a")).map(|s| s.id), Some(1));
        statements.insert(key("c"), 3);
        assert_eq!(statements.take_to_close(), [2]);
        assert!(statements.get_mut(&key("b")).is_none());
        assert_eq!(statements.len(), 2);
    }

    #[test]
    fn preparing_the_same_again_closes_the_former() {
        let mut statements = BackendStatements::new(8);
        statements.insert(key("a"), 1);
        statements.insert(key("a"), 2);
        assert_eq!(statements.take_to_close(), [1]);
        assert_eq!(statements.get_mut(&key("a")).map(|s| s.id), Some(2));
    }

    #[test]
    fn shedding_keeps_the_recently_used_half() {
        let mut statements = BackendStatements::new(8);
        for id in 1..=4 {
            statements.insert(key(&id.to_string()), id);
        }
        statements.shed_half();
        let mut closed = statements.take_to_close();
        closed.sort_unstable();
        assert_eq!(closed, [1, 2, 3]);
        assert_eq!(statements.len(), 1);
    }
}
