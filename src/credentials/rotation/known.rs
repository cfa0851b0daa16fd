//! A login at one moment.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::secret::Secret;
use crate::credentials::stores::{Pair, VersionedSecret};

/// A login at one moment.
#[derive(Clone, Debug)]
pub struct Known {
    /// What is in force.
    pub current: Pair,
    /// What was in force before, if there ever was anything else.
    pub previous: Option<Pair>,
    /// What a store says is going to be in force: servers may have it already.
    pub pending: Option<Pair>,
    /// When it changed last; `None` for never.
    pub changed: Option<Instant>,
    /// Until when a server knew what was in force before that; `None` where nobody says.
    pub(super) former_end: Option<Instant>,
    /// How often something new was learned.
    pub version: u64,
    /// Until when clients may come with the previous password.
    overlap_end: Option<Instant>,
    presence: Presence,
}

/// Whether there is a login at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// Not yet: `current` is a password that nobody knows.
    Absent,
    Present,
}

impl Known {
    /// A login that never was another.
    pub(super) fn first(current: Pair) -> Self {
        let presence = Presence::Present;
        let (previous, pending, changed) = (None, None, None);
        let (former_end, overlap_end) = (None, None);
        let version = 0;
        Self { current, previous, pending, changed, former_end, version, overlap_end, presence }
    }

    /// A login as a store has it. What it says was before may still be in use, `overlap` after the
    /// change.
    pub(super) fn of_store(fetched: VersionedSecret, overlap: Duration) -> Self {
        let left = overlap.saturating_sub(fetched.age.unwrap_or_default());
        let overlap_end = fetched.previous.as_ref().and_then(|_| Instant::now().checked_add(left));
        let (previous, pending) = (fetched.previous.clone(), fetched.pending.clone());
        Self { previous, pending, overlap_end, ..Self::first(fetched.into_pair()) }
    }

    /// No login: clients can't know its password, and no server is tried with it.
    pub(super) fn absent() -> Self {
        let mut nobody = [0; 32];
        // Should there be no randomness, it is the presence that tells.
        let _ = aws_lc_rs::rand::fill(&mut nobody);
        let pair = Pair { username: None, password: Secret::new(nobody) };
        Self { presence: Presence::Absent, ..Self::first(pair) }
    }

    /// What is known after this was learned, where the store takes back what is in force now at
    /// `end`; `None` when that is nothing new.
    pub(super) fn after(
        &self,
        fetched: VersionedSecret,
        overlap: Duration,
        end: Option<Instant>,
    ) -> Option<Self> {
        let version = self.version + 1;
        if self.presence == Presence::Absent {
            return Some(Self { version, ..Self::of_store(fetched, overlap) });
        }
        let pending = fetched.pending.clone();
        let fetched = fetched.into_pair();
        if fetched == self.current {
            // What is pending is not asked for each time, so it is kept until it is current.
            let news = pending.filter(|pending| {
                *pending != self.current && self.pending.as_ref() != Some(pending)
            })?;
            return Some(Self { pending: Some(news), version, ..self.clone() });
        }
        let now = Instant::now();
        Some(Self {
            current: fetched,
            previous: Some(self.current.clone()),
            pending,
            changed: Some(now),
            former_end: end,
            version,
            overlap_end: now.checked_add(overlap),
            presence: Presence::Present,
        })
    }

    /// The password before this one, while clients may still come with it.
    pub fn accepted_previous(&self, now: Instant) -> Option<&Secret> {
        let pair = self.previous.as_ref()?;
        self.overlap_end.filter(|end| now < *end).map(|_| &pair.password)
    }

    /// The logins to try on a server: what is in force, what was, and what is going to be. None
    /// when there is no login.
    pub(super) fn candidates(&self) -> Vec<Pair> {
        if self.presence == Presence::Absent {
            return Vec::new();
        }
        let pairs = [Some(&self.current), self.previous.as_ref(), self.pending.as_ref()];
        pairs.into_iter().flatten().cloned().collect()
    }
}
