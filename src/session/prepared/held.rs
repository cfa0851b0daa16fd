//! The prepared statements of one backend connection.

use super::StatementKey;
use super::spread::Spread;
use crate::session::parameters::Settled;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The most bytes of text that a connection holds statements of, beside the latest.
const MOST_TEXT: usize = 4 * 1024 * 1024;

/// The statements that one backend connection holds, least recently used first out.
#[derive(Debug)]
pub struct BackendStatements {
    held: HashMap<Held, BackendStatement, Spread>,
    /// Bytes of their texts together.
    text: usize,
    capacity: usize,
    clock: u64,
    /// Statements to close with the next write: `COM_STMT_CLOSE` has no reply.
    to_close: Vec<u32>,
}

/// What tells statements on one backend connection apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    key: Arc<StatementKey>,
    settled: Settled,
}

impl Hash for Held {
    /// That of the key, which has it already: hardly any has several types.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl Held {
    fn new(key: &Arc<StatementKey>, settled: &Settled) -> Self {
        Self { key: key.clone(), settled: settled.clone() }
    }
}

#[derive(Debug)]
struct BackendStatement {
    /// The server's number.
    id: u32,
    last_used: u64,
}

impl BackendStatements {
    /// Holds up to `capacity` statements.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self { held: HashMap::default(), text: 0, capacity, clock: 0, to_close: Vec::new() }
    }

    /// The server's number of the statement of this key with these types, if the connection has it;
    /// counts as a use.
    pub fn find(&mut self, key: &Arc<StatementKey>, settled: &Settled) -> Option<u32> {
        self.clock += 1;
        let statement = self.held.get_mut(&Held::new(key, settled))?;
        statement.last_used = self.clock;
        Some(statement.id)
    }

    /// The statement's next execution gives it other types; tells its number, if the connection has
    /// it.
    pub fn resettle(
        &mut self,
        key: &Arc<StatementKey>,
        before: &Settled,
        after: &Settled,
    ) -> Option<u32> {
        let id = self.take(&Held::new(key, before))?.id;
        self.insert(key, after, id);
        Some(id)
    }

    fn take(&mut self, held: &Held) -> Option<BackendStatement> {
        let statement = self.held.remove(held)?;
        self.text -= held.key.sql().len();
        Some(statement)
    }

    /// Takes in a freshly prepared statement; a former one of the same kind and, when there are too
    /// many or too much text, those not used for longest are marked to be closed.
    pub fn insert(&mut self, key: &Arc<StatementKey>, settled: &Settled, id: u32) {
        self.clock += 1;
        let statement = BackendStatement { id, last_used: self.clock };
        let held = Held::new(key, settled);
        if let Some(former) = self.take(&held) {
            self.to_close.push(former.id);
        }
        self.text += key.sql().len();
        self.held.insert(held, statement);
        while self.held.len() > self.capacity || (self.text > MOST_TEXT && self.held.len() > 1) {
            let oldest = self.held.iter().min_by_key(|(_, s)| s.last_used);
            let Some(oldest) = oldest.map(|(held, _)| held.clone()) else { return };
            let taken = self.take(&oldest).map(|statement| statement.id);
            self.to_close.extend(taken);
        }
    }

    /// A statement outside the cache is not needed any more.
    pub fn close_later(&mut self, id: u32) {
        self.to_close.push(id);
    }

    /// Marks half of the statements to be closed, the least recently used ones: the answer to
    /// error 1461 (the server has too many).
    pub fn shed_half(&mut self) {
        let mut uses: Vec<u64> = self.held.values().map(|s| s.last_used).collect();
        uses.sort_unstable();
        let Some(&median) = uses.get(uses.len() / 2) else { return };
        let (to_close, text) = (&mut self.to_close, &mut self.text);
        self.held.retain(|held, s| {
            let keep = s.last_used > median;
            if !keep {
                to_close.push(s.id);
                *text -= held.key.sql().len();
            }
            keep
        });
    }

    /// The server's numbers of all that it has, those to be closed included.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.held.values().map(|statement| statement.id).chain(self.to_close.iter().copied())
    }

    /// The numbers to close with the next write.
    pub fn take_to_close(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.to_close)
    }

    /// Forgets everything: the server dropped all statements in a reset.
    pub fn clear(&mut self) {
        self.held.clear();
        self.text = 0;
        self.to_close.clear();
    }

    /// How many statements the connection holds.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::parameters::{Given, Parameters, Type};
    use crate::session::state::Environment;

    fn key(sql: &str) -> Arc<StatementKey> {
        let environment = Environment::at_login("utf8mb4", "utf8mb4_general_ci");
        Arc::new(StatementKey::new(sql.as_bytes(), &environment))
    }

    #[test]
    fn the_least_recently_used_statement_is_closed() {
        let mut statements = BackendStatements::new(2);
        statements.insert(&key("a"), &None, 1);
        statements.insert(&key("b"), &None, 2);
        assert_eq!(statements.find(&key("a"), &None), Some(1));
        statements.insert(&key("c"), &None, 3);
        assert_eq!(statements.take_to_close(), [2]);
        assert!(statements.find(&key("b"), &None).is_none());
        assert_eq!(statements.len(), 2);
    }

    #[test]
    fn much_text_is_held_only_while_it_is_the_latest() {
        let mut statements = BackendStatements::new(8);
        let long = |byte: &str| key(&byte.repeat(MOST_TEXT / 2));
        statements.insert(&key("a"), &None, 1);
        statements.insert(&long("b"), &None, 2);
        assert_eq!(statements.len(), 2);
        statements.insert(&long("c"), &None, 3);
        assert_eq!(statements.take_to_close(), [1]);
        statements.insert(&key(&"d".repeat(MOST_TEXT + 1)), &None, 4);
        let mut closed = statements.take_to_close();
        closed.sort_unstable();
        assert_eq!(closed, [2, 3]);
        statements.insert(&key("e"), &None, 5);
        assert_eq!(statements.take_to_close(), [4]);
        assert_eq!((statements.len(), statements.text), (1, 1));
        statements.clear();
        assert_eq!(statements.text, 0);
    }

    #[test]
    fn preparing_the_same_again_closes_the_former() {
        let mut statements = BackendStatements::new(8);
        statements.insert(&key("a"), &None, 1);
        statements.insert(&key("a"), &None, 2);
        assert_eq!(statements.take_to_close(), [1]);
        assert_eq!(statements.find(&key("a"), &None), Some(2));
    }

    #[test]
    fn shedding_keeps_the_recently_used_half() {
        let mut statements = BackendStatements::new(8);
        for id in 1..=4 {
            statements.insert(&key(&id.to_string()), &None, id);
        }
        statements.shed_half();
        let mut closed = statements.take_to_close();
        closed.sort_unstable();
        assert_eq!(closed, [1, 2, 3]);
        assert_eq!(statements.len(), 1);
    }

    #[test]
    fn a_statement_of_other_types_is_another_one() {
        let mut statements = BackendStatements::new(8);
        let settled = Parameters::new([Type::Text])
            .given(&[Given::Signed], || None)
            .expect("the server prepares it again")
            .settled;
        statements.insert(&key("a"), &None, 1);
        assert_eq!(statements.find(&key("a"), &settled), None);
        assert_eq!(statements.resettle(&key("a"), &None, &settled), Some(1));
        assert_eq!(statements.find(&key("a"), &settled), Some(1));
        assert_eq!(statements.find(&key("a"), &None), None);
        assert_eq!(statements.take_to_close(), [0_u32; 0]);
    }
}
