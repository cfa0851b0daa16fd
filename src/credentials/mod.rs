//! Floor 6: where passwords come from.

pub mod stores;
