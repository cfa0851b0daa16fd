//! Which servers there are, and how they are reached.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;

use super::given::{Choice, Given, Setting};
use super::section::Section;
use super::show::Shown;
use super::tls::BackTls;
use super::user::Users;

/// How it is found out which server is the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// The endpoints as they are written down.
    Static,
    /// Every address that the endpoints' names lead to is a server.
    Dns,
    /// The instances of an Aurora cluster.
    Aurora,
    /// The members of an RDS Multi-AZ cluster, or of a blue/green deployment.
    RdsCluster,
    /// The members of a MySQL group.
    GroupReplication,
    /// The nodes of a Galera cluster.
    Galera,
    /// Whichever of these the servers say that they are.
    Auto,
}

/// How the instances of an Aurora cluster are called: a host name with `?` for the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceHost(String);

impl Setting for InstanceHost {
    const EXPECTED: &'static str =
        "a host name with ? for the instance, as \"?.xyz.eu-west-1.rds.amazonaws.com\"";

    fn read(given: Given<'_>) -> Option<Self> {
        let text = given.text()?;
        let rest = text.strip_prefix("?.")?;
        is_host(rest).then(|| Self(text.to_owned()))
    }
}

impl InstanceHost {
    /// The pattern that an endpoint of an Aurora cluster, or of one of its instances, follows.
    pub fn of_endpoint(host: &str) -> Option<Self> {
        let (_, domain) = host.split_once('.')?;
        let domain = ["cluster-ro-", "cluster-custom-", "cluster-"]
            .iter()
            .find_map(|kind| domain.strip_prefix(kind))
            .unwrap_or(domain);
        let cloud = [".rds.amazonaws.com", ".rds.amazonaws.com.cn"];
        cloud.iter().any(|end| domain.ends_with(end)).then(|| Self(format!("?.{domain}")))
    }

    /// Where an instance is; none for what cannot be the name of one.
    pub fn of(&self, instance: &str, port: u16) -> Option<Endpoint> {
        let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if instance.is_empty() || !instance.bytes().all(named) {
            return None;
        }
        Some(Endpoint { host: self.0.replacen('?', instance, 1), port, zone: None })
    }
}

/// What connections to servers begin with, for those behind a proxy that wants to hear it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// Nothing.
    #[default]
    Off,
    /// A header of version 1 of the PROXY protocol.
    V1,
    /// One of version 2.
    V2,
}

impl Choice for ProxyProtocol {
    const EXPECTED: &'static str = r#""off", "v1" or "v2""#;
    const NAMES: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("v1", Self::V1), ("v2", Self::V2)];
}

impl Choice for Provider {
    const EXPECTED: &'static str =
        r#""static", "dns", "aurora", "rds_cluster", "group_replication", "galera" or "auto""#;
    const NAMES: &'static [(&'static str, Self)] = &[
        ("static", Self::Static),
        ("dns", Self::Dns),
        ("aurora", Self::Aurora),
        ("rds_cluster", Self::RdsCluster),
        ("group_replication", Self::GroupReplication),
        ("galera", Self::Galera),
        ("auto", Self::Auto),
    ];
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
    /// The DNS server that is asked for their names; `None` for those of the system.
    pub resolver: Option<SocketAddr>,
    /// How Aurora's instances are called, where that is known.
    pub instance_host: Option<InstanceHost>,
    /// What connections to them begin with.
    pub proxy_protocol: ProxyProtocol,
    /// Encryption towards them.
    pub tls: BackTls,
    /// Whose login Millpond uses for its own connections: one of the service's users.
    pub monitor_user: String,
    /// What to make of triggers that this user may not see.
    pub hidden_triggers: HiddenTriggers,
}

/// What to make of triggers that nobody shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HiddenTriggers {
    /// There may be some, which do anything: a session that may have fired one keeps its connection.
    Pin,
    /// There are none, or they leave nothing behind.
    Trust,
}

impl Choice for HiddenTriggers {
    const EXPECTED: &'static str = r#""pin" or "trust""#;
    const NAMES: &'static [(&'static str, Self)] = &[("pin", Self::Pin), ("trust", Self::Trust)];
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
        let resolver = section.setting("resolver");
        let derived = || endpoints.iter().find_map(|at| InstanceHost::of_endpoint(&at.host));
        let instance_host = section.setting("instance_host").or_else(derived);
        if provider == Provider::Aurora && instance_host.is_none() && !endpoints.is_empty() {
            section.missing("instance_host", InstanceHost::EXPECTED);
        }
        let proxy_protocol = section.setting("proxy_protocol").unwrap_or_default();
        let tls = section.section("tls", BackTls::read);
        let monitor_user = section.text("monitor_user");
        if let Some(name) = &monitor_user
            && !users.contains(name)
        {
            let why = format!("no such user: expected one of {}", users.names());
            section.conflict("monitor_user", why);
        }
        let monitor_user = monitor_user.or_else(|| users.first()).unwrap_or_default();
        let hidden_triggers = section.setting("hidden_triggers").unwrap_or(HiddenTriggers::Pin);
        Self {
            provider,
            endpoints,
            resolver,
            instance_host,
            proxy_protocol,
            tls,
            monitor_user,
            hidden_triggers,
        }
    }

    pub(super) fn show(&self) -> Shown {
        let endpoints: Vec<_> = self.endpoints.iter().map(ToString::to_string).collect();
        Shown::new()
            .put("provider", self.provider.name())
            .put("endpoints", endpoints)
            .maybe("resolver", self.resolver.map(|address| address.to_string()))
            .maybe("instance_host", self.instance_host.as_ref().map(|host| host.0.clone()))
            .put("proxy_protocol", self.proxy_protocol.name())
            .put("monitor_user", self.monitor_user.as_str())
            .put("hidden_triggers", self.hidden_triggers.name())
            .section("tls", self.tls.show())
    }
}
