//! Why a pool lends nothing.

use super::manager::OpenError;
use std::sync::Arc;

/// Why no connection could be lent.
#[derive(Debug, thiserror::Error)]
pub enum AcquireError {
    /// All connections stayed busy until the deadline.
    #[error("no backend connection became free in time")]
    BorrowTimeout,
    /// The pool is shut down.
    #[error("the pool is closed")]
    Closed,
    /// A connection could not be opened.
    #[error("a backend connection could not be opened: {0}")]
    Open(#[source] Arc<OpenError>),
    /// Too many borrowers wait already.
    #[error("too many clients wait for a backend connection")]
    QueueFull,
    /// The user has as many connections as it may, and they stayed busy until the deadline.
    #[error("the user has {limit} backend connections, and may have no more")]
    UserLimit {
        /// The user.
        user: Arc<str>,
        /// How many it may have.
        limit: usize,
    },
}
