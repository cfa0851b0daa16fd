//! Which servers there are, and how they are reached.

use std::collections::BTreeSet;
use std::fmt;

use super::given::Choice;
use super::section::Section;
use super::show::Shown;
use super::tls::BackTls;
use super::user::Users;

/// How it is found out which server is the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// The endpoints as they are written down.
    Static,
}

impl Choice for Provider {
    const EXPECTED: &'static str = r#""static""#;
    const NAMES: &'static [(&'static str, Self)] = &[("static", Self::Static)];
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// A host name, or an IP address (IPv6 without brackets).
    pub host: String,
    /// The port.
    pub port: u16,
    /// The availability zone, if it is known.
    pub zone: Option<String>,
}

/// What an [`Endpoint`] looks like, to follow "expected".
const ENDPOINTS: &str = "a list of servers as \"host:port\" or \"host:port@zone\", \
                         such as [\"db-a.internal:3306@az-a\"]";

impl Endpoint {
    /// Reads `host:port` or `host:port@zone`.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, zone) = match text.split_once('@') {
            Some((address, zone)) => (address, Some(zone)),
            None => (text, None),
        };
        let (host, port) = address.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        // Only in brackets may a host have colons: `::1:3306` could mean anything.
        let host = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().ok().map(|_| bare)?,
            None => Some(host).filter(|host| is_host(host))?,
        };
        let port = port.parse().ok().filter(|port| *port != 0)?;
        if zone.is_some_and(|zone| zone.is_empty() || zone.contains(char::is_whitespace)) {
            return None;
        }
        Some(Self { host: host.to_owned(), port, zone: zone.map(str::to_owned) })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port)?,
            false => write!(f, "{}:{}", self.host, self.port)?,
        }
        self.zone.as_ref().map_or(Ok(()), |zone| write!(f, "@{zone}"))
    }
}

fn is_host(host: &str) -> bool {
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !host.is_empty() && host.bytes().all(in_host)
}

/// `[services.<name>.backend]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendConfig {
    /// How the writer is found.
    pub provider: Provider,
    /// The servers; at least one, no two alike.
    pub endpoints: Vec<Endpoint>,
    /// Encryption towards them.
    pub tls: BackTls,
    /// Whose login Millpond uses for its own connections: one of the service's users.
    pub monitor_user: String,
}

impl BackendConfig {
    pub(super) fn read(section: &mut Section<'_>, users: &Users) -> Self {
        let provider = section.setting("provider").unwrap_or(Provider::Static);
        let endpoints = section.list("endpoints", ENDPOINTS, Endpoint::parse);
        if !section.had("endpoints") {
            section.missing("endpoints", ENDPOINTS);
        }
        let endpoints = endpoints.unwrap_or_default();
        let distinct: BTreeSet<_> = endpoints.iter().map(|at| (&at.host, at.port)).collect();
        if distinct.len() < endpoints.len() {
            section.conflict("endpoints", "a server is listed twice: expected each once");
        }
        let tls = section.section("tls", BackTls::read);
        let monitor_user = section.text("monitor_user");
        if let Some(name) = &monitor_user
            && !users.contains(name)
        {
            let why = format!("no such user: expected one of {}", users.names());
            section.conflict("monitor_user", why);
        }
        let monitor_user = monitor_user.or_else(|| users.first()).unwrap_or_default();
        Self { provider, endpoints, tls, monitor_user }
    }

    pub(super) fn show(&self) -> Shown {
        let endpoints: Vec<_> = self.endpoints.iter().map(ToString::to_string).collect();
        Shown::new()
            .put("provider", self.provider.name())
            .put("endpoints", endpoints)
            .put("monitor_user", self.monitor_user.as_str())
            .section("tls", self.tls.show())
    }
}
