//! Whether new clients should come here.

use std::fmt;

/// Where the process is in its life.
///
/// ```text
/// Starting ──> Ready ──> Draining
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// Told to stop: clients that are here may finish, others go elsewhere.
    Draining,
    /// Clients are served.
    Ready,
    /// Not yet.
    #[default]
    Starting,
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Draining => "draining",
            Self::Ready => "ready",
            Self::Starting => "starting",
        })
    }
}
