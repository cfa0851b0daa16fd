//! One database service as its clients see it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::backend::BackendConfig;
use super::failover::FailoverConfig;
use super::given::{Choice, Given, Setting};
use super::limits::TimeLimits;
use super::login_limits::LoginLimits;
use super::network::{NETWORKS, Network};
use super::pool::PoolConfig;
use super::section::Section;
use super::show::Shown;
use super::tls::{FrontTls, FrontTlsMode};
use super::user::{Named, UserConfig, UserTransport, Users};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// The server version that clients are told in the greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerVersionSetting {
    /// The backend's own.
    Auto,
    /// This one: begins like `8.4.3`.
    Fixed(String),
}

impl Setting for ServerVersionSetting {
    const EXPECTED: &'static str = "\"auto\", or a version such as \"8.4.3\" or \
                                    \"10.11.6-MariaDB\"";

    fn read(given: Given<'_>) -> Option<Self> {
        match given.text()? {
            "auto" => Some(Self::Auto),
            text => is_version(text).then(|| Self::Fixed(text.to_owned())),
        }
    }
}

/// Whether clients may compress what they say and hear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// In the ways that the server knows, too: zlib, and zstd on MySQL.
    #[default]
    Offered,
    /// Not at all.
    Withheld,
}

/// Drivers take the first three numbers apart, some without a check.
fn is_version(text: &str) -> bool {
    let core = text.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
    let numbers: Vec<_> = core.split('.').map(str::parse::<u16>).collect();
    // A greeting's version ends with a zero byte; the server itself allows 60 bytes.
    let printable = text.len() <= 60 && text.bytes().all(|byte| byte.is_ascii_graphic());
    printable && numbers.len() == 3 && numbers.iter().all(Result::is_ok)
}

/// What becomes of users that are in no configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownUsers {
    /// The server is asked, with the password that they come with.
    PassThrough,
    /// They are denied access.
    Refuse,
}

impl Choice for UnknownUsers {
    const EXPECTED: &'static str = r#""refuse" or "pass_through""#;
    const NAMES: &'static [(&'static str, Self)] =
        &[("refuse", Self::Refuse), ("pass_through", Self::PassThrough)];
}

/// `[services.<name>]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    /// Its name: ASCII letters, digits, `-` and `_`.
    pub name: String,
    /// Where clients find the writer.
    pub listen: SocketAddr,
    /// Where clients find the readers, if there is such a place.
    pub reader_listen: Option<SocketAddr>,
    /// The most clients at a time; one more is told so with error 1040.
    pub max_clients: usize,
    /// Where proxies are that begin each connection with a PROXY protocol header; nobody else may.
    pub proxy_protocol_from: Vec<Network>,
    /// The most clients that may come from one address in a second. `None`: any number.
    pub max_connects_per_second: Option<u32>,
    /// How long clients may do nothing, or keep a transaction open.
    pub times: TimeLimits,
    /// How long a client may take to log in.
    pub handshake_timeout: Duration,
    /// How much is kept, in bytes, for a client that reads slower than the server sends.
    pub max_client_buffer: usize,
    /// The largest packet, in bytes, that a client may send: the `max_allowed_packet` of Millpond.
    pub max_packet: usize,
    /// The version in the greeting.
    pub server_version: ServerVersionSetting,
    /// Whether clients may compress.
    pub compression: Compression,
    /// Encryption towards clients.
    pub tls: FrontTls,
    /// How many logins may fail.
    pub login_limits: LoginLimits,
    /// The servers.
    pub backend: BackendConfig,
    /// The connections to them.
    pub pool: PoolConfig,
    /// What happens when a server fails.
    pub failover: FailoverConfig,
    /// What becomes of users that are not among these.
    pub unknown_users: UnknownUsers,
    /// The most of them at a time that the server is asked about.
    pub max_pass_through_users: usize,
    /// Who may connect; at least one.
    pub users: BTreeMap<String, UserConfig>,
}

impl ServiceConfig {
    /// `None` after a refusal.
    pub(super) fn read(name: &str, section: &mut Section<'_>, named: Named<'_>) -> Option<Self> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.is_empty() || !name.bytes().all(letter) {
            section.refuse_own("a service's name has only letters, digits, `-` and `_`");
        }
        let listen = section.setting("listen");
        if !section.had("listen") {
            section.missing("listen", SocketAddr::EXPECTED);
        }
        let reader_listen = section.setting("reader_listen");
        let number = |value: Option<u32>| value.and_then(|value| usize::try_from(value).ok());
        let max_clients = number(section.number("max_clients", 1..=1_000_000)).unwrap_or(10_000);
        let proxies = section.list("proxy_protocol_from", NETWORKS, |text| text.parse().ok());
        let proxy_protocol_from = proxies.unwrap_or_default();
        let max_connects_per_second = section.number("max_connects_per_second", 1..=1_000_000);
        let times = TimeLimits::read(section);
        let handshake_timeout =
            section.duration("handshake_timeout", SECOND / 10..=5 * MINUTE).unwrap_or(10 * SECOND);
        let max_client_buffer =
            section.size("max_client_buffer", 16 * KIB..=64 * MIB).unwrap_or(64 * KIB);
        let max_packet = section.size("max_packet", KIB..=1_024 * MIB).unwrap_or(64 * MIB);
        let server_version =
            section.setting("server_version").unwrap_or(ServerVersionSetting::Auto);
        let compression = match section.setting("compression") {
            Some(false) => Compression::Withheld,
            Some(true) | None => Compression::Offered,
        };
        let tls = section.section("tls", FrontTls::read);
        let login_limits = section.section("login_limits", LoginLimits::read);
        let users = Users::read(section, named);
        let unknown_users = section.setting("unknown_users").unwrap_or(UnknownUsers::Refuse);
        let max_pass_through_users =
            number(section.number("max_pass_through_users", 1..=10_000)).unwrap_or(100);
        for (name, user) in &users.checked {
            if user.transport == UserTransport::Tls && tls.mode == FrontTlsMode::Disabled {
                let why = "the user could never connect, because the service's tls.mode is \
                           \"disabled\": expected \"preferred\" or \"required\" there";
                section.conflict(&format!("users.{name}.require_tls"), why);
            }
            if user.token.is_some() && tls.mode == FrontTlsMode::Disabled {
                let why = "tokens are only taken under TLS, and the service's tls.mode is \
                           \"disabled\": expected \"preferred\" or \"required\" there";
                section.conflict(&format!("users.{name}.token"), why);
            }
            if user.certificate.is_some() && tls.client_ca.is_none() {
                let why = "the user could never connect, because no certificate is asked for: \
                           expected `client_ca` in the service's tls, the authorities that are \
                           believed";
                section.conflict(&format!("users.{name}.certificate"), why);
            }
        }
        let backend = section.section("backend", |section| BackendConfig::read(section, &users));
        let pool = section.section("pool", PoolConfig::read);
        let failover = section.section("failover", FailoverConfig::read);
        Some(Self {
            name: name.to_owned(),
            listen: listen?,
            reader_listen,
            max_clients,
            proxy_protocol_from,
            max_connects_per_second,
            times,
            handshake_timeout,
            max_client_buffer,
            max_packet,
            server_version,
            compression,
            tls,
            login_limits,
            backend,
            pool,
            failover,
            unknown_users,
            max_pass_through_users,
            users: users.checked,
        })
    }

    pub(super) fn show(&self) -> Shown {
        let server_version = match &self.server_version {
            ServerVersionSetting::Auto => "auto",
            ServerVersionSetting::Fixed(text) => text,
        };
        let users = self
            .users
            .iter()
            .fold(Shown::new(), |users, (name, user)| users.section(name, user.show()));
        let proxies: Vec<String> =
            self.proxy_protocol_from.iter().map(Network::to_string).collect();
        Shown::new()
            .put("listen", self.listen.to_string())
            .maybe("reader_listen", self.reader_listen.map(|address| address.to_string()))
            .put("max_clients", i64::try_from(self.max_clients).unwrap_or(i64::MAX))
            .maybe("proxy_protocol_from", (!proxies.is_empty()).then_some(proxies))
            .maybe("max_connects_per_second", self.max_connects_per_second.map(i64::from))
            .all(self.times.show())
            .duration("handshake_timeout", self.handshake_timeout)
            .size("max_client_buffer", self.max_client_buffer)
            .size("max_packet", self.max_packet)
            .put("server_version", server_version)
            .put("compression", self.compression == Compression::Offered)
            .put("unknown_users", self.unknown_users.name())
            .put(
                "max_pass_through_users",
                i64::try_from(self.max_pass_through_users).unwrap_or(i64::MAX),
            )
            .section("tls", self.tls.show())
            .section("login_limits", self.login_limits.show())
            .section("backend", self.backend.show())
            .section("pool", self.pool.show())
            .section("failover", self.failover.show())
            .section("users", users)
    }
}
