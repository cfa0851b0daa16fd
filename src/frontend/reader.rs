//! How clients' texts are read: by what is known of the server's stored code, and each shape of
//! texts once.

use crate::session::catalogue::Catalogue;
use crate::session::statement::{Analysis, Dialect, LONGEST_SHAPE, analyze, shape};
use parking_lot::Mutex;

/// How many shapes are remembered.
const SLOTS: usize = 256;

/// Reads texts by one catalogue, and remembers those that it has read.
#[derive(Debug)]
pub struct Reader {
    catalogue: Catalogue,
    /// Each shape has one place; who comes later has it.
    slots: Box<[Mutex<Option<Reading>>]>,
}

/// What was made of texts of one shape.
#[derive(Debug)]
struct Reading {
    shape: Box<[u8]>,
    dialect: Dialect,
    analysis: Analysis,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new(Catalogue::default())
    }
}

impl Reader {
    /// One that has read nothing.
    pub fn new(catalogue: Catalogue) -> Self {
        Self { catalogue, slots: (0..SLOTS).map(|_| Mutex::default()).collect() }
    }

    /// What routines and triggers may do.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// What a text may do to its session.
    pub fn read(&self, sql: &[u8], dialect: &Dialect) -> Analysis {
        let mut room = [0; LONGEST_SHAPE];
        let Some(shape) = shape(sql, &mut room) else {
            return analyze(sql, dialect, &self.catalogue);
        };
        let slot = &self.slots[slot(shape)];
        if let Some(reading) = &*slot.lock()
            && *reading.shape == *shape
            && reading.dialect == *dialect
        {
            return reading.analysis.clone();
        }
        let analysis = analyze(sql, dialect, &self.catalogue);
        if analysis.is_of_shape() {
            let (dialect, analysis) = (*dialect, analysis.clone());
            *slot.lock() = Some(Reading { shape: shape.into(), dialect, analysis });
        }
        analysis
    }
}

/// The place of a shape.
fn slot(shape: &[u8]) -> usize {
    // The golden ratio's fraction, as in other hashes here: eight bytes at a time.
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut words = shape.chunks_exact(8);
    let mut hash = shape.len() as u64;
    for word in &mut words {
        let word = word.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        hash = (hash.rotate_left(5) ^ word).wrapping_mul(SPREAD);
    }
    for &byte in words.remainder() {
        hash = (hash.rotate_left(5) ^ u64::from(byte)).wrapping_mul(SPREAD);
    }
    (hash >> 32) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::server::ServerVersion;
    use crate::session::statement::Marks;

    #[test]
    fn what_was_read_once_is_known_and_only_in_its_dialect() {
        let reader = Reader::new(Catalogue::empty());
        let dialect = Dialect::new(&ServerVersion::parse(b"9.7.0"), b"", "utf8mb4");
        let one_only = Dialect { multi_statements: false, ..dialect };
        let read = |sql: &str, dialect| reader.read(sql.as_bytes(), dialect);
        let known = || reader.slots.iter().filter(|slot| slot.lock().is_some()).count();
        let first = read("SELECT c FROM t WHERE id = 5", &dialect);
        assert!(first.marks.has(Marks::PURE_READ));
        assert_eq!(read("SELECT c FROM t WHERE id = 678", &dialect), first);
        assert_eq!(known(), 1);
        for sql in ["SELECT 1; SELECT 2", "SELECT 3; SELECT 4"] {
            assert_eq!(read(sql, &dialect).count, 2);
            assert_eq!(read(sql, &one_only), analyze(sql.as_bytes(), &one_only, &reader.catalogue));
            assert_eq!(read(sql, &dialect).count, 2);
        }
    }

    #[test]
    fn particulars_are_read_anew_each_time() {
        let reader = Reader::default();
        let dialect = Dialect::new(&ServerVersion::parse(b"10.11.6-MariaDB"), b"", "utf8mb4");
        for (sql, id) in [("KILL 5", 5), ("KILL 6", 6)] {
            let analysis = reader.read(sql.as_bytes(), &dialect);
            assert!(format!("{:?}", analysis.actions()).contains(&id.to_string()));
        }
    }
}
