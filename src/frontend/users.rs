//! The users of a service, and the passwords that they may prove.

use crate::config::{CertificateRule, Network};
use crate::credentials::rotation::Keyring;
use crate::credentials::tokens::TokenLogin;
use crate::session::treatment::Treatment;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
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
    /// Whether the user may come from there: an address, or `localhost` as servers call their own.
    pub fn may_come_from(&self, host: &str) -> bool {
        let contained = |address| self.allow_from.iter().any(|network| network.contains(address));
        match host {
            _ if self.allow_from.is_empty() => true,
            "localhost" => {
                contained(Ipv4Addr::LOCALHOST.into()) || contained(Ipv6Addr::LOCALHOST.into())
            }
            _ => host.parse().is_ok_and(contained),
        }
    }
}

/// The users of a service, by name.
pub type Users = HashMap<String, User>;

/// Whom Millpond logs in to servers for. Those who may not come any more are among them as long as
/// the process lives: whoever of them is here already stays.
pub type Logins = Arc<ArcSwap<Users>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::secret::Secret;

    #[test]
    fn a_user_comes_from_where_it_may() {
        let user = |networks: &[&str]| User {
            name: "app".into(),
            keyring: Arc::new(Keyring::fixed(Secret::new("secret"))),
            tls_only: false,
            allow_from: networks.iter().map(|network| network.parse().unwrap()).collect(),
            database_user: None,
            certificate: None,
            token: None,
            treatment: None,
        };
        for (networks, host, may) in [
            (&[][..], "192.0.2.1", true),
            (&["10.0.0.0/8", "192.0.2.0/24"], "192.0.2.1", true),
            (&["10.0.0.0/8"], "192.0.2.1", false),
            (&["10.0.0.0/8"], "localhost", false),
            (&["127.0.0.1"], "localhost", true),
            (&["::1"], "localhost", true),
            (&["10.0.0.0/8"], "nonsense", false),
        ] {
            assert_eq!(user(networks).may_come_from(host), may, "{networks:?} {host}");
        }
    }
}
