//! Alignments that are known to work.
//!
//! A restore and the client's command go out in one write only where the restore is not expected to
//! fail. What has succeeded once, with the same value on the same pool, is taken to succeed again;
//! what can take that away (a database dropped, a privilege revoked) makes everything unproven. Where
//! somebody else may have done that, a command that changes anything waits all the same.

use crate::session::align::Restore;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;
use tokio::time::timeout;

/// The most restores remembered; more are proven again.
const MOST: usize = 4096;

/// How many proofs may be under way without one waiting for another.
const TURNS: usize = 16;
/// How long a proof that somebody else has begun is waited for.
const PATIENCE: Duration = Duration::from_millis(100);

/// The restores that have succeeded.
#[derive(Debug, Default)]
pub struct Proven {
    seen: Mutex<HashSet<u64>>,
    turns: [tokio::sync::Mutex<()>; TURNS],
}

/// Somebody's turn to prove a restore.
pub type Turn<'a> = tokio::sync::MutexGuard<'a, ()>;

impl Proven {
    /// Whether all of these have succeeded before.
    pub fn all(&self, restores: &[Restore]) -> bool {
        let seen = self.seen.lock();
        restores.iter().all(|restore| seen.contains(&hash(restore)))
    }

    /// The turn to prove this one: whoever else wants to prove it waits, and need not any more when it
    /// is proven. `None` when that took too long: a server that is slow must not be waited for by one
    /// after another.
    ///
    /// Cancel safe.
    pub async fn turn(&self, restore: &Restore) -> Option<Turn<'_>> {
        let turn = self.turns.get(hash(restore) as usize % TURNS)?;
        timeout(PATIENCE, turn.lock()).await.ok()
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
