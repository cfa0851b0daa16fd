//! The users of a service, and the passwords that they may prove.

use crate::config::secret::Secret;
use std::collections::HashMap;
use std::sync::Arc;

/// A user of a service.
#[derive(Debug, Clone)]
pub struct User {
    /// The name, as a client gives it.
    pub name: Arc<str>,
    /// The password.
    pub secret: Secret,
    /// Whether the user may only come by TLS.
    pub tls_only: bool,
}

/// The users of a service, by name.
pub type Users = HashMap<String, User>;
