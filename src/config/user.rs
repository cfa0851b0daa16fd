//! Who may connect, and where passwords come from.

use std::collections::BTreeMap;

use super::certificate::CertificateRule;
use super::given::Choice;
use super::identity::{IdentityConfig, TokenRule};
use super::limits::OwnLimits;
use super::network::{NETWORKS, Network};
use super::secret::Secret;
use super::section::Section;
use super::show::{HIDDEN, Shown};
use super::store::StoreConfig;
use crate::session::treatment::{PoolMode, Treatment, may_ignore};

/// A secret in a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretRef {
    /// The store: a name under `[secrets]`.
    pub store: String,
    /// The secret's name in the store.
    pub key: String,
}

impl SecretRef {
    fn parse(text: &str) -> Option<Self> {
        let (store, key) = text.split_once(':')?;
        (!store.is_empty() && !key.is_empty())
            .then(|| Self { store: store.to_owned(), key: key.to_owned() })
    }
}

/// Where a user's password comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserSecret {
    /// From the configuration itself, for trying out.
    Password(Secret),
    /// From a secret store.
    Stored(SecretRef),
}

/// `[services.<name>.users.<user>]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConfig {
    /// The password: what a client has to know, and what Millpond logs in with.
    pub secret: UserSecret,
    /// Whether the user may connect without TLS.
    pub transport: UserTransport,
    /// From where the user may connect; from anywhere when there is none.
    pub allow_from: Vec<Network>,
    /// Its limits, where they are others than the service's.
    pub limits: OwnLimits,
    /// As whom Millpond logs in for it; the store's user name or its own when there is none.
    pub database_user: Option<String>,
    /// Which certificate the user has to show; `None`: none.
    pub certificate: Option<CertificateRule>,
    /// Which tokens prove the user in place of its password; `None`: none.
    pub token: Option<TokenRule>,
    /// How its sessions are treated.
    pub treatment: Treatment,
}

impl Choice for PoolMode {
    const EXPECTED: &'static str = r#""transaction", "session" or "dedicated""#;
    const NAMES: &'static [(&'static str, Self)] = &[
        ("transaction", Self::Transaction),
        ("session", Self::Session),
        ("dedicated", Self::Dedicated),
    ];
}

/// How a user may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserTransport {
    /// In any way that the service allows.
    Any,
    /// Only with TLS.
    Tls,
}

impl UserConfig {
    /// `None` after a refusal.
    fn read(section: &mut Section<'_>, named: Named<'_>) -> Option<Self> {
        let Named { stores, identity } = named;
        let password = section.secret("password");
        let stored = section.confidential(
            "secret",
            "the name of a store and of a secret in it, as \"store:key\"",
            SecretRef::parse,
        );
        let transport = match section.setting("require_tls") {
            Some(true) => UserTransport::Tls,
            Some(false) | None => UserTransport::Any,
        };
        let allow_from = section.list("allow_from", NETWORKS, |text| text.parse().ok());
        let limits = OwnLimits::read(section);
        let database_user = section.text("database_user");
        let certificate = section.optional("certificate", CertificateRule::read);
        let treatment = treatment(section);
        if let Some(stored) = &stored
            && !stores.contains_key(&stored.store)
        {
            let names: Vec<_> = stores.keys().map(String::as_str).collect();
            let why = match names.is_empty() {
                true => "no such store: expected a section [secrets.<store>] for it".to_owned(),
                false => format!("no such store: expected one of {}", names.join(", ")),
            };
            section.conflict("secret", why);
        }
        match (section.had("secret"), section.had("password")) {
            (true, true) => section.conflict("password", "there is `secret` too: expected one"),
            (false, false) => {
                section.missing("secret", "\"store:key\", or `password` for trying out");
            }
            (true, false) | (false, true) => {}
        }
        let secret = password.map(UserSecret::Password).or(stored.map(UserSecret::Stored))?;
        let allow_from = allow_from.unwrap_or_default();
        let token = section.optional("token", |section| TokenRule::read(section, identity));
        // A rule that was refused is none that may be left out.
        let certificate = match certificate {
            Some(rule) => Some(rule?),
            None => None,
        };
        let token = token.flatten();
        Some(Self {
            secret,
            transport,
            allow_from,
            limits,
            database_user,
            certificate,
            token,
            treatment,
        })
    }

    pub(super) fn show(&self) -> Shown {
        let shown = match &self.secret {
            UserSecret::Password(_) => Shown::new().put("password", HIDDEN),
            UserSecret::Stored(SecretRef { store, key }) => {
                Shown::new().put("secret", format!("{store}:{key}"))
            }
        };
        let ignored: Vec<String> = self.treatment.ignored.iter().map(ToString::to_string).collect();
        let networks: Vec<String> = self.allow_from.iter().map(Network::to_string).collect();
        let shown = match &self.certificate {
            Some(rule) => shown.section("certificate", rule.show()),
            None => shown,
        };
        let shown = match &self.token {
            Some(rule) => shown.section("token", rule.show()),
            None => shown,
        };
        shown
            .put("require_tls", self.transport == UserTransport::Tls)
            .maybe("allow_from", (!networks.is_empty()).then_some(networks))
            .maybe("database_user", self.database_user.clone())
            .put("pool_mode", self.treatment.pool_mode.name())
            .maybe("ignore_variables", (!ignored.is_empty()).then_some(ignored))
            .all(self.limits.show())
    }
}

/// What users may name.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    /// Stores of secrets.
    pub(super) stores: &'a BTreeMap<String, StoreConfig>,
    /// Who vouches for clients; `None` for one that was refused.
    pub(super) identity: &'a BTreeMap<String, Option<IdentityConfig>>,
}

fn treatment(section: &mut Section<'_>) -> Treatment {
    let pool_mode = section.setting("pool_mode").unwrap_or_default();
    let names = "names of session variables and, with an @, of user variables, such as \
                 \"time_zone\" or \"@trace_id\"";
    let is_plain = |text: &str| {
        let name = text.strip_prefix('@').unwrap_or(text);
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let ignored = section.list("ignore_variables", names, |text| {
        is_plain(text).then(|| Box::from(text.to_ascii_lowercase()))
    });
    let ignored = ignored.unwrap_or_default();
    if let Some(name) = ignored.iter().find(|name| !may_ignore(name)) {
        let why = format!("what is read and answered depends on {name}: expected other variables");
        section.conflict("ignore_variables", why);
    }
    Treatment { pool_mode, ignored }
}

/// The users of a service while it is read.
pub(super) struct Users {
    /// All names in the order of the configuration, also of users that were refused.
    names: Vec<String>,
    /// Those that are right.
    pub(super) checked: BTreeMap<String, UserConfig>,
}

impl Users {
    pub(super) fn read(service: &mut Section<'_>, named: Named<'_>) -> Self {
        let users =
            service.each("users", |name, user| (name.to_owned(), UserConfig::read(user, named)));
        if users.is_empty() {
            service.missing("users", "at least one user, as [users.<name>] below the service");
        }
        let names = users.iter().map(|(name, _)| name.clone()).collect();
        let checked =
            users.into_iter().filter_map(|(name, user)| user.map(|user| (name, user))).collect();
        Self { names, checked }
    }

    pub(super) fn first(&self) -> Option<String> {
        self.names.first().cloned()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    pub(super) fn names(&self) -> String {
        self.names.join(", ")
    }
}
