//! Hashing for maps in which each execution looks several times: by Millpond's own numbers, and by
//! hashes that are there already.

use std::hash::{BuildHasherDefault, Hasher};

/// For numbers that nobody outside chooses.
pub(super) type Spread = BuildHasherDefault<SpreadHasher>;

/// Spreads numbers that follow one another.
#[derive(Debug, Default)]
pub(super) struct SpreadHasher(u64);

impl Hasher for SpreadHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(byte.into());
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        // The golden ratio's fraction: neighbours end far from each other.
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
