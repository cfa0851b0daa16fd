//! Names, found as the server compares them.

use std::collections::BTreeMap;

/// A name as a key: ASCII letters in lower case, and [`WILD`] for every other character, since
/// which of those are the same is up to the server's collation (`É` may be an `e`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Folded(Vec<u8>);

const WILD: u8 = 0xff;

impl Folded {
    pub(super) fn new(name: &[u8]) -> Self {
        let mut folded = Vec::with_capacity(name.len());
        for &byte in name {
            match byte {
                0..=0x7f => folded.push(byte.to_ascii_lowercase()),
                // The further bytes of a UTF-8 character.
                0x80..=0xbf if folded.last() == Some(&WILD) => {}
                _ => folded.push(WILD),
            }
        }
        Self(folded)
    }

    /// Whether the server may take both for the same name.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(a, b)| a == b || *a == WILD || *b == WILD)
    }

    fn is_plain(&self) -> bool {
        !self.0.contains(&WILD)
    }
}

/// Values under names, for a quick answer to "nothing there".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index<T> {
    /// A bit for each hash: most names are answered here.
    filter: [u64; 16],
    /// Sorted by hash.
    plain: Vec<(u64, Folded, T)>,
    /// Names with characters that may match others.
    wild: Vec<(Folded, T)>,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self { filter: [0; 16], plain: Vec::new(), wild: Vec::new() }
    }
}

impl<T> Index<T> {
    pub(super) fn new(values: BTreeMap<Folded, T>) -> Self {
        let mut index = Self::default();
        for (name, value) in values {
            if name.is_plain() {
                let hash = hash(&name.0);
                if let Some(word) = index.filter.get_mut(word_of(hash)) {
                    *word |= bit_of(hash);
                }
                index.plain.push((hash, name, value));
            } else {
                index.wild.push((name, value));
            }
        }
        index.plain.sort_by_key(|(hash, _, _)| *hash);
        index
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.wild.is_empty()
    }

    /// The values under every name that the server may take for `name`, which has no quotes.
    pub(super) fn find<'a>(&'a self, name: &[u8]) -> Matches<'a, T> {
        if name.is_ascii() && self.wild.is_empty() {
            let hash = hash(name);
            let hit = self.filter.get(word_of(hash)).is_some_and(|word| word & bit_of(hash) != 0);
            let found = if hit { self.plain_range(hash, name) } else { &[] };
            return Matches { plain: found.iter(), wild: [].iter(), name: None };
        }
        // Only here a name is copied: one side or the other has a character that may be another.
        let name = Folded::new(name);
        Matches { plain: self.plain.iter(), wild: self.wild.iter(), name: Some(name) }
    }

    /// As [`find`](Self::find), for a name that is folded already.
    pub(super) fn find_folded<'a>(&'a self, name: &Folded) -> Matches<'a, T> {
        if name.is_plain() {
            return self.find(&name.0);
        }
        Matches { plain: self.plain.iter(), wild: self.wild.iter(), name: Some(name.clone()) }
    }

    fn plain_range(&self, hash: u64, name: &[u8]) -> &[(u64, Folded, T)] {
        let from = self.plain.partition_point(|(other, _, _)| *other < hash);
        let found = self.plain.iter().skip(from).take_while(|(other, _, _)| *other == hash);
        for (offset, (_, other, _)) in found.enumerate() {
            if other.0.eq_ignore_ascii_case(name) {
                return self.plain.get(from + offset..=from + offset).unwrap_or_default();
            }
        }
        &[]
    }
}

/// What [`Index::find`] found.
pub(super) struct Matches<'a, T> {
    plain: std::slice::Iter<'a, (u64, Folded, T)>,
    wild: std::slice::Iter<'a, (Folded, T)>,
    /// If it is set, each entry must be compared with it.
    name: Option<Folded>,
}

impl<'a, T> Iterator for Matches<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<Self::Item> {
        let fits = |other: &Folded| self.name.as_ref().is_none_or(|name| name.may_be(other));
        let plain = self.plain.by_ref().find(|(_, name, _)| fits(name)).map(|(_, _, value)| value);
        plain.or_else(|| self.wild.by_ref().find(|(name, _)| fits(name)).map(|(_, value)| value))
    }
}

/// FNV-1a over the name with ASCII letters in lower case.
fn hash(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    })
}

fn word_of(hash: u64) -> usize {
    (hash >> 60) as usize
}

fn bit_of(hash: u64) -> u64 {
    1 << ((hash >> 54) & 63)
}
