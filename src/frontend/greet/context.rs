//! What handshakes need to know, put together from what is configured and what was learned of the
//! server.

use crate::config::{Compression, LoginLimits, Network};
use crate::credentials::rsa::RsaKey;
use crate::credentials::throttle::Throttle;
use crate::frontend::guests::GuestPolicy;
use crate::frontend::service::Learned;
use crate::frontend::users::Users;
use crate::net::tls::ServerTls;
use crate::net::tls::renewed::Renewed;
use crate::runtime::Workers;
use crate::session::model::greeting_status;
use crate::session::server::Flavor;
use crate::wire::auth::Plugin;
use crate::wire::capability::{Capabilities, Status};
use arc_swap::ArcSwapOption;
use std::fmt;
use std::sync::Arc;

/// What a handshake needs to know.
#[derive(Clone)]
pub struct GreetContext {
    /// The version that clients are told.
    pub version: String,
    /// The plugin that the greeting offers.
    pub plugin: Plugin,
    /// What clients may use.
    pub capabilities: Capabilities,
    /// The collation of the greeting, its low byte.
    pub collation: u8,
    /// The status of the greeting.
    pub status: Status,
    /// TLS, where it is on.
    pub tls: Option<ServerTls>,
    /// Whether clients without TLS are refused.
    pub require_tls: bool,
    /// Who may log in.
    pub users: Arc<Users>,
    /// Those that only the server knows, where they are let in.
    pub guests: Option<GuestPolicy>,
    /// What logins share.
    pub lasting: Lasting,
    /// How many logins may fail.
    pub login_limits: LoginLimits,
}

/// What the logins of a service share, whatever is configured.
#[derive(Clone, Debug)]
pub struct Lasting {
    /// Where they compute.
    pub workers: Workers,
    /// The key for passwords over plain connections.
    pub rsa: RsaKey,
    /// Those that failed.
    pub throttle: Arc<Throttle>,
}

impl Lasting {
    /// No login yet.
    pub fn new(workers: Workers) -> Self {
        let rsa = RsaKey::new(workers.clone());
        Self { workers, rsa, throttle: Arc::default() }
    }
}

/// What clients may use, whatever the server behind; TLS, query attributes and MariaDB's own come
/// on top.
pub const OFFERED: Capabilities = Capabilities(
    Capabilities::LONG_PASSWORD.0
        | Capabilities::FOUND_ROWS.0
        | Capabilities::LONG_FLAG.0
        | Capabilities::CONNECT_WITH_DB.0
        | Capabilities::NO_SCHEMA.0
        | Capabilities::ODBC.0
        | Capabilities::LOCAL_FILES.0
        | Capabilities::IGNORE_SPACE.0
        | Capabilities::PROTOCOL_41.0
        | Capabilities::INTERACTIVE.0
        | Capabilities::IGNORE_SIGPIPE.0
        | Capabilities::TRANSACTIONS.0
        | Capabilities::RESERVED.0
        | Capabilities::SECURE_CONNECTION.0
        | Capabilities::MULTI_STATEMENTS.0
        | Capabilities::MULTI_RESULTS.0
        | Capabilities::PS_MULTI_RESULTS.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::CONNECT_ATTRS.0
        | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA.0
        | Capabilities::SESSION_TRACK.0
        | Capabilities::DEPRECATE_EOF.0,
);

/// What of a handshake is configured.
#[derive(Clone)]
pub struct GreetSettings {
    /// The version that clients are told; `None` for the server's own.
    pub version: Option<String>,
    /// TLS, where it is on.
    pub tls: Option<Renewed<ServerTls>>,
    /// Whether clients without TLS are refused.
    pub require_tls: bool,
    /// Whether clients may compress.
    pub compression: Compression,
    /// Who may log in.
    pub users: Arc<Users>,
    /// How many logins may fail.
    pub login_limits: LoginLimits,
    /// Those that only the server knows, where they are let in.
    pub guests: Option<GuestPolicy>,
    /// What logins share.
    pub lasting: Lasting,
    /// Where proxies are, which say in a header whose connections theirs are.
    pub proxies: Arc<[Network]>,
}

impl fmt::Debug for GreetSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GreetSettings").field("users", &self.users).finish_non_exhaustive()
    }
}

/// The context of the handshakes of now. It is made anew when what it is made of is another.
#[derive(Default)]
pub struct CurrentContext(ArcSwapOption<Made>);

/// A context, and what it was made of.
struct Made {
    settings: Arc<GreetSettings>,
    learned: Option<Arc<Learned>>,
    tls: Option<Arc<ServerTls>>,
    context: Arc<GreetContext>,
}

impl CurrentContext {
    /// The context for these.
    pub fn of(
        &self,
        settings: &Arc<GreetSettings>,
        learned: Option<&Arc<Learned>>,
    ) -> Arc<GreetContext> {
        let tls = settings.tls.as_ref().map(Renewed::now);
        if let Some(made) = &*self.0.load()
            && Arc::ptr_eq(&made.settings, settings)
            && made.learned.as_ref().map(Arc::as_ptr) == learned.map(Arc::as_ptr)
            && made.tls.as_ref().map(Arc::as_ptr) == tls.as_ref().map(Arc::as_ptr)
        {
            return made.context.clone();
        }
        let context = Arc::new(make(settings, learned.map(Arc::as_ref), tls.as_deref()));
        self.0.store(Some(Arc::new(Made {
            settings: settings.clone(),
            learned: learned.cloned(),
            tls,
            context: context.clone(),
        })));
        context
    }
}

impl fmt::Debug for CurrentContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentContext").finish_non_exhaustive()
    }
}

fn make(
    settings: &GreetSettings,
    learned: Option<&Learned>,
    tls: Option<&ServerTls>,
) -> GreetContext {
    let version = learned.map(|l| &l.server.version);
    let default = learned.and_then(|learned| learned.collation);
    let maria = version.is_some_and(|v| v.flavor == Flavor::MariaDb);
    let mut capabilities = OFFERED;
    if maria {
        capabilities = capabilities.without(Capabilities::LONG_PASSWORD)
            | Capabilities::MARIADB_STMT_BULK_OPERATIONS
            | Capabilities::MARIADB_EXTENDED_METADATA;
    } else {
        capabilities = capabilities | Capabilities::QUERY_ATTRIBUTES;
    }
    if settings.compression == Compression::Offered {
        capabilities = capabilities | Capabilities::COMPRESS;
        if !maria {
            capabilities = capabilities | Capabilities::ZSTD_COMPRESSION;
        }
    }
    let fixed = settings.version.clone();
    GreetContext {
        version: fixed.or_else(|| version.map(|v| v.text.clone())).unwrap_or_default(),
        plugin: if maria { Plugin::Native } else { Plugin::CachingSha2 },
        capabilities,
        // Its low byte, as servers say it.
        collation: default.unwrap_or(if maria { 45 } else { 255 }) as u8,
        status: learned.map_or(Status::AUTOCOMMIT, |learned| {
            greeting_status(&learned.server.version, &learned.baseline)
        }),
        tls: tls.cloned(),
        require_tls: settings.require_tls,
        users: settings.users.clone(),
        login_limits: settings.login_limits,
        guests: settings.guests.clone(),
        lasting: settings.lasting.clone(),
    }
}
