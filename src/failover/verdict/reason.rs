//! Why there is another writer.

/// Why the writer is another one now, or none: the text of the log and the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The first one that was found.
    Found,
    /// The former one is the only one that claims to write, again.
    Returned,
    /// It cannot be reached.
    Unreachable,
    /// It says that it only reads.
    Demoted,
    /// It claims to write, and the former one is gone or reads.
    Promoted,
    /// It claims to write, and the former one does not belong to the service any more.
    Moved,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Found,
        Self::Returned,
        Self::Unreachable,
        Self::Demoted,
        Self::Promoted,
        Self::Moved,
    ];

    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Returned => "returned",
            Self::Unreachable => "unreachable",
            Self::Demoted => "demoted",
            Self::Promoted => "promoted",
            Self::Moved => "moved",
        }
    }
}
