//! What Millpond logs in to servers with, where that is not what clients prove.

use std::sync::Arc;

#[cfg(feature = "rds-iam")]
use super::rds_iam::RdsIam;
use super::rotation::Keyring;

/// What Millpond logs in to servers with for one user. A clone is another handle of the same.
#[derive(Clone, Debug)]
pub enum Backing {
    /// A login that may change.
    Kept(Arc<Keyring>),
    /// A signature, made for each login.
    #[cfg(feature = "rds-iam")]
    RdsIam(Arc<RdsIam>),
}

impl Backing {
    /// Whether both are the same one.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Kept(one), Self::Kept(other)) => Arc::ptr_eq(one, other),
            #[cfg(feature = "rds-iam")]
            (Self::RdsIam(_), Self::RdsIam(_)) => true,
            #[cfg(feature = "rds-iam")]
            _ => false,
        }
    }
}
