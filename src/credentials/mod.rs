//! Floor 6: where passwords come from, and whether a client knows one.

pub mod fuzzing;
pub mod metrics;
pub mod rotation;
pub mod rsa;
pub mod stores;
pub mod throttle;
pub mod tokens;
pub mod verify;
