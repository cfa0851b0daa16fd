//! Why a session keeps its backend connection, and what ends it.

mod reason;

pub use self::reason::PinReason;

/// The reasons that hold at one moment.
#[derive(Debug, Clone, Default)]
pub struct Pins {
    reasons: u32,
    named: Option<Box<Named>>,
}

/// What has to be counted to know when a pin ends.
#[derive(Debug, Clone, Default)]
struct Named {
    temporary_tables: Vec<TableName>,
    handlers: Vec<Box<[u8]>>,
    user_locks: Vec<Box<[u8]>>,
    unknown_locks: UnknownLocks,
    unknown_tables: bool,
}

/// A table's database and name, as the server would resolve them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// The database; `None` only where there was none to resolve in.
    pub database: Option<Box<[u8]>>,
    /// The table.
    pub name: Box<[u8]>,
}

impl Pins {
    /// The reasons that end with a transaction, as a set of bits.
    pub const OF_TRANSACTION: u32 =
        PinReason::Transaction.bit() | PinReason::Savepoint.bit() | PinReason::MetadataLock.bit();

    /// Whether nothing holds.
    pub fn is_empty(&self) -> bool {
        self.reasons == 0
    }

    /// Whether `reason` holds.
    pub fn has(&self, reason: PinReason) -> bool {
        self.reasons & reason.bit() != 0
    }

    /// Sets or ends one reason.
    pub fn put(&mut self, reason: PinReason, holds: Holds) {
        match holds {
            Holds::Yes => self.reasons |= reason.bit(),
            Holds::No => self.reasons &= !reason.bit(),
        }
    }

    /// Whether a transaction is under way that is rolled back with the backend connection.
    pub fn in_transaction(&self) -> bool {
        self.reasons & Self::OF_TRANSACTION != 0
    }

    /// Whether anything but an open transaction or the user's wish holds: what is lost with the backend connection
    /// and makes the client's own connection useless.
    pub fn beyond_transaction(&self) -> bool {
        self.reasons & !(Self::OF_TRANSACTION | PinReason::PoolMode.bit()) != 0
    }

    /// The reasons that hold.
    pub fn iter(&self) -> impl Iterator<Item = PinReason> {
        let reasons = self.reasons;
        PinReason::ALL.into_iter().filter(move |r| reasons & r.bit() != 0)
    }

    /// The reasons as a set that can be compared and stored.
    pub fn bits(&self) -> u32 {
        self.reasons
    }

    /// Ends everything that a reset of the session ends.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn named(&mut self) -> &mut Named {
        self.named.get_or_insert_default()
    }

    /// A temporary table was created.
    pub fn temporary_table_created(&mut self, table: TableName) {
        let tables = &mut self.named().temporary_tables;
        if !tables.contains(&table) {
            tables.push(table);
        }
        self.put(PinReason::TemporaryTable, Holds::Yes);
    }

    /// Tables were dropped; the last temporary one ends the pin.
    pub fn tables_dropped(&mut self, dropped: &[TableName]) {
        let Some(named) = &mut self.named else { return };
        if named.temporary_tables.is_empty() {
            return;
        }
        named.temporary_tables.retain(|table| !dropped.contains(table));
        if named.temporary_tables.is_empty() && !named.unknown_tables {
            self.put(PinReason::TemporaryTable, Holds::No);
        }
    }

    /// Whether this is one of the session's temporary tables.
    pub fn has_temporary_table(&self, table: &TableName) -> bool {
        self.named.as_ref().is_some_and(|named| named.temporary_tables.contains(table))
    }

    /// A handler was opened under this name.
    pub fn handler_opened(&mut self, name: &[u8]) {
        self.named().handlers.push(name.into());
        self.put(PinReason::Handler, Holds::Yes);
    }

    /// A handler was closed.
    pub fn handler_closed(&mut self, name: &[u8]) {
        let Some(named) = &mut self.named else { return };
        named.handlers.retain(|handler| !handler.eq_ignore_ascii_case(name));
        if named.handlers.is_empty() {
            self.put(PinReason::Handler, Holds::No);
        }
    }

    /// No handler is open.
    pub fn handlers_closed(&mut self) {
        if let Some(named) = &mut self.named {
            named.handlers.clear();
        }
        self.put(PinReason::Handler, Holds::No);
    }

    /// User locks may have been taken. Names that are no plain text cannot be asked for later.
    pub fn user_locks_taken(&mut self, names: &[Box<[u8]>], unknown: UnknownLocks) {
        let named = self.named();
        for name in names {
            if !named.user_locks.contains(name) {
                named.user_locks.push(name.clone());
            }
        }
        let odd =
            |name: &[u8]| name.iter().any(|b| matches!(b, b'\'' | b'\\' | b'"') || *b >= 0x80);
        if unknown == UnknownLocks::Some || names.iter().any(|name| odd(name)) {
            named.unknown_locks = UnknownLocks::Some;
        }
        self.put(PinReason::UserLock, Holds::Yes);
    }

    /// `RELEASE_ALL_LOCKS()`
    pub fn user_locks_released(&mut self) {
        if let Some(named) = &mut self.named {
            named.user_locks.clear();
            named.unknown_locks = UnknownLocks::None;
        }
        self.put(PinReason::UserLock, Holds::No);
    }

    /// Exactly these user locks are held.
    pub fn user_locks_are(&mut self, names: &[Box<[u8]>]) {
        self.user_locks_released();
        if !names.is_empty() {
            self.user_locks_taken(names, UnknownLocks::None);
        }
    }

    /// Whether user locks are all that holds, and all of them can be asked for.
    pub fn only_known_locks(&self) -> bool {
        self.reasons == PinReason::UserLock.bit()
            && self.named.as_ref().is_some_and(|named| named.unknown_locks == UnknownLocks::None)
    }

    /// Asks which of the user locks are still held.
    pub fn locks_query(&self) -> Option<Vec<u8>> {
        let named = self.named.as_ref().filter(|named| !named.user_locks.is_empty())?;
        let mut sql = b"SELECT ".to_vec();
        for (at, name) in named.user_locks.iter().enumerate() {
            if at > 0 {
                sql.push(b',');
            }
            sql.extend_from_slice(b"IS_USED_LOCK(");
            super::literal::put_string(&mut sql, name);
            sql.extend_from_slice(b")=CONNECTION_ID()");
        }
        sql.extend_from_slice(b" LIMIT 1");
        Some(sql)
    }

    /// The answer to [`Self::locks_query`].
    pub fn locks_known(&mut self, held: &[Option<Vec<u8>>]) {
        let Some(named) = &mut self.named else { return };
        let mut held = held.iter();
        named.user_locks.retain(|_| held.next().is_none_or(|h| h.as_deref() == Some(b"1")));
        if named.user_locks.is_empty() && named.unknown_locks == UnknownLocks::None {
            self.put(PinReason::UserLock, Holds::No);
        }
    }

    /// Temporary tables can no longer be told by name.
    pub fn temporary_tables_unknown(&mut self) {
        self.named().unknown_tables = true;
        self.put(PinReason::TemporaryTable, Holds::Yes);
    }
}

/// Whether there may be user locks whose names are not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnknownLocks {
    /// There are none.
    #[default]
    None,
    /// There may be.
    Some,
}

/// Whether a reason holds from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No,
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> TableName {
        TableName { database: Some(b"db"[..].into()), name: name.as_bytes().into() }
    }

    #[test]
    fn the_last_temporary_table_ends_the_pin() {
        let mut pins = Pins::default();
        pins.temporary_table_created(table("a"));
        pins.temporary_table_created(table("b"));
        pins.tables_dropped(&[table("a"), table("other")]);
        assert!(pins.has(PinReason::TemporaryTable));
        pins.tables_dropped(&[table("b")]);
        assert!(pins.is_empty());
    }

    #[test]
    fn user_locks_hold_until_all_known_ones_are_released() {
        let mut pins = Pins::default();
        let names: [Box<[u8]>; 2] = [b"a"[..].into(), b"b"[..].into()];
        pins.user_locks_taken(&names, UnknownLocks::None);
        assert!(pins.only_known_locks());
        let query = pins.locks_query().expect("two locks can be asked for");
        assert_eq!(
            String::from_utf8_lossy(&query),
            "SELECT IS_USED_LOCK('a')=CONNECTION_ID(),IS_USED_LOCK('b')=CONNECTION_ID() LIMIT 1"
        );
        pins.locks_known(&[Some(b"0".to_vec()), Some(b"1".to_vec())]);
        assert!(pins.has(PinReason::UserLock));
        pins.locks_known(&[None]);
        assert!(pins.is_empty());
        pins.user_locks_taken(&names, UnknownLocks::Some);
        assert!(!pins.only_known_locks());
        pins.user_locks_released();
        assert!(pins.is_empty());
    }

    #[test]
    fn every_reason_has_its_own_bit_and_name() {
        let mut pins = Pins::default();
        for reason in PinReason::ALL {
            pins.put(reason, Holds::Yes);
        }
        assert_eq!(pins.iter().count(), PinReason::ALL.len());
        let mut names: Vec<_> = PinReason::ALL.iter().map(|r| r.name()).collect();
        names.dedup();
        assert_eq!(names.len(), PinReason::ALL.len());
        assert!(names.is_sorted());
    }
}
