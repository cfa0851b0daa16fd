//! Floor 8: which server is the writer, which are readers, and since when.
//!
//! The supervisor of a service watches its servers and publishes a [`Snapshot`](snapshot::Snapshot)
//! whenever something changes; sessions read it when they borrow, and report through
//! [`Suspicions`](suspicion::Suspicions) what they meet on the data path, the fastest detector that
//! there is.

mod doubt;
pub mod events;
pub mod metrics;
pub mod orders;
pub mod probe;
pub mod providers;
pub mod recovery;
pub mod roster;
pub mod snapshot;
pub mod supervisor;
pub mod suspicion;
pub mod verdict;
pub mod webhook;
