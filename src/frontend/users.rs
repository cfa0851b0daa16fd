//! The users of a service, and the passwords that they may prove.

use crate::credentials::rotation::Keyring;
use std::collections::HashMap;
use std::sync::Arc;

/// A user of a service.
#[derive(Debug, Clone)]
pub struct User {
    /// The name, as a client gives it.
    pub name: Arc<str>,
    /// The passwords that are right for it, now.
    pub keyring: Arc<Keyring>,
    /// Whether the user may only come by TLS.
    pub tls_only: bool,
}

/// The users of a service, by name.
pub type Users = HashMap<String, User>;
