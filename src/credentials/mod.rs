//! Floor 6: where passwords come from, and whether a client knows one.

pub mod backing;
pub mod fuzzing;
pub mod metrics;
#[cfg(feature = "rds-iam")]
pub mod rds_iam;
pub mod rotation;
pub mod rsa;
pub mod stores;
pub mod throttle;
pub mod tokens;
pub mod verify;
