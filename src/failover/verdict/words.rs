//! What is said and seen of servers.

use std::time::Duration;

/// What a server says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Writer or reader, in its own words.
    pub claim: Claim,
    /// How far it is behind, if it replicates and says so.
    pub lag: Option<Duration>,
}

/// A server's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Claim {
    /// It takes writes.
    Writer,
    /// It takes writes, and a majority of its group has elected it to.
    Elected,
    /// It takes writes, as others do; the lower the number, the sooner it is chosen.
    Able(u32),
    /// It only reads.
    Reader,
    /// It is fit for nothing now: it joins its group, has no quorum, or is another one than it is
    /// taken for.
    Unfit,
}

impl Claim {
    /// Whether it would take a write.
    pub(in crate::failover) fn is_writing(self) -> bool {
        matches!(self, Self::Writer | Self::Elected | Self::Able(_))
    }

    /// Whether it wants to be the only one that writes.
    pub(super) fn is_exclusive(self) -> bool {
        matches!(self, Self::Writer | Self::Elected)
    }
}

/// What was seen of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// It answered.
    Answered(Answer),
    /// It could not be reached, or did not answer in time.
    Failed,
    /// Something speaks against it; it is being asked.
    Doubted,
}
