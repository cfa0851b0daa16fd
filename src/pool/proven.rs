//! Alignments that are known to work.
//!
//! A restore and the client's command go out in one write only where the restore cannot fail:
//! a command must never run behind a restore that failed. What has succeeded once, with the same
//! value on the same pool, is taken to succeed again; what can take that away (a database dropped,
//! a privilege revoked) makes everything unproven.

use crate::session::align::Restore;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The most restores remembered; more are proven again.
const MOST: usize = 4096;

/// The restores that have succeeded.
#[derive(Debug, Default)]
pub struct Proven {
    seen: Mutex<HashSet<u64>>,
}

impl Proven {
    /// Whether all of these have succeeded before.
    pub fn all(&self, restores: &[Restore]) -> bool {
        let seen = self.seen.lock();
        restores.iter().all(|restore| seen.contains(&hash(restore)))
    }

    /// These have succeeded.
    pub fn add(&self, restores: &[Restore]) {
        let mut seen = self.seen.lock();
        if seen.len() + restores.len() > MOST {
            seen.clear();
        }
        seen.extend(restores.iter().map(hash));
    }

    /// Something happened that may make a restore fail which used to succeed.
    pub fn forget(&self) {
        self.seen.lock().clear();
    }
}

fn hash(restore: &Restore) -> u64 {
    let mut hasher = DefaultHasher::new();
    restore.hash(&mut hasher);
    hasher.finish()
}
