//! The users of a service, and the passwords that they may prove.

use super::peer::Peer;
use crate::config::{CertificateRule, Network};
use crate::credentials::rotation::Keyring;
use crate::credentials::tokens::TokenLogin;
use crate::session::treatment::Treatment;
use arc_swap::ArcSwap;
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
    /// From where the user may come; from anywhere when there is none.
    pub allow_from: Arc<[Network]>,
    /// As whom Millpond logs in for it, where the configuration says so.
    pub database_user: Option<Arc<str>>,
    /// Which certificate the user has to show; `None`: none.
    pub certificate: Option<Arc<CertificateRule>>,
    /// Which tokens prove the user in place of its password; `None`: none.
    pub token: Option<Arc<TokenLogin>>,
    /// How its sessions are treated, where that is not as usual.
    pub treatment: Option<Arc<Treatment>>,
}

impl User {
    /// Whether the user may come from there.
    pub fn may_come_from(&self, peer: &Peer) -> bool {
        self.allow_from.is_empty() || peer.is_in(&self.allow_from)
    }
}

/// The users of a service, by name.
pub type Users = HashMap<String, User>;

/// Whom Millpond logs in to servers for. Those who may not come any more are among them as long as
/// the process lives: whoever of them is here already stays.
pub type Logins = Arc<ArcSwap<Users>>;
