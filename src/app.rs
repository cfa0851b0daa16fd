//! The only file that knows every floor: builds, wires, drains.

mod logins;

pub use self::logins::Refresh;

use self::logins::{BackLogin, Logins};
use crate::admin::{self, AdminServer, Pages, Readiness};
use crate::backend::connection::Connection;
use crate::backend::login::LoginRequest;
use crate::backend::server::ServerInfo;
use crate::backend::setup::{Setup, set_up};
use crate::config::{
    Config, Endpoint, FrontTlsMode, PoolConfig, PoolSize, ServerVersionSetting, ServiceConfig,
};
use crate::credentials::metrics::SecretMetricsFamily;
use crate::credentials::rsa::RsaKey;
use crate::credentials::stores::StoreError;
use crate::frontend::cancel::Registry as Clients;
use crate::frontend::listener::listen;
use crate::frontend::metrics::FrontendMetrics;
use crate::frontend::serve::seconds;
use crate::frontend::service::{GreetSettings, Limits, PoolMaker, Service, ServiceParts};
use crate::frontend::users::Users;
use crate::net::tls::{self, ClientTls, TlsError};
use crate::pool::budget::Budget;
use crate::pool::manager::{OpenError, Opener, Opening};
use crate::pool::metrics::PoolMetricsFamily;
use crate::pool::{Pool, PoolKey, PoolSettings};
use crate::runtime::{Death, Law, Tasks};
use crate::session::state::{Baseline, Environment};
use crate::wire::capability::Capabilities;
use arc_swap::ArcSwapOption;
use prometheus::Registry;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// Why Millpond did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The admin port's thread is gone.
    #[error("the admin port's thread ended by itself")]
    AdminEnded,
    /// A task without which nothing works is gone.
    #[error(transparent)]
    Death(#[from] Death),
    /// A port cannot be bound.
    #[error("{key} = \"{address}\": {source}")]
    Bind {
        /// The key that names the address.
        key: String,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A metric cannot be registered.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A secret cannot be fetched.
    #[error("services.{service}.users.{user}: {source}")]
    Secret {
        /// The service.
        service: String,
        /// The user.
        user: String,
        /// Why.
        source: StoreError,
    },
    /// TLS cannot be set up.
    #[error("services.{service}: {source}")]
    Tls {
        /// The service.
        service: String,
        /// Why.
        source: TlsError,
    },
}

/// How often pools are looked after.
const UPKEEP: Duration = Duration::from_secs(1);

/// Runs Millpond until `stop` resolves, and drains it then. `refresh` is for those who want the
/// secrets fetched again now.
///
/// # Errors
///
/// When it cannot start, or cannot go on.
pub async fn run(
    config: Config,
    refresh: &Refresh,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let tasks = Tasks::new();
    let metrics = Registry::new();
    admin::metrics::register(&metrics)?;
    let frontend = FrontendMetrics::register(&metrics)?;
    let pools = PoolMetricsFamily::register(&metrics)?;
    let secrets = SecretMetricsFamily::register(&metrics)?;
    let logins = Logins::new(&config, secrets, &tasks, refresh);
    let clients = Arc::new(Clients::default());
    tokio::pin!(stop);
    let building = async {
        let mut built = Vec::new();
        for service in &config.services {
            let parts = Parts {
                tasks: &tasks,
                frontend: &frontend,
                pools: &pools,
                clients: &clients,
                logins: &logins,
            };
            built.push((service, build(service, parts).await?));
        }
        Ok::<_, Error>(built)
    };
    let built = tokio::select! {
        built = building => built?,
        // While a secret is waited for.
        () = &mut stop => return Ok(()),
    };
    // Everything that can be wrong has been found out; now ports are bound.
    let readiness = watch::Sender::new(Readiness::Starting);
    let mut admin = open_admin(&config, metrics, &readiness)?;
    let mut services = Vec::new();
    for (configured, (service, monitor)) in built {
        start(configured, &service, monitor, &tasks)?;
        services.push(service);
    }
    let ready = async {
        for service in &services {
            service.wait_known().await;
        }
        readiness.send_replace(Readiness::Ready);
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        () = &mut stop => Ok(()),
        () = admin.ended() => Err(Error::AdminEnded),
        death = tasks.death() => Err(death.into()),
        () = ready => Ok(()),
    };
    readiness.send_replace(Readiness::Draining);
    drain(&tasks, &clients, services, config.runtime.drain_timeout).await;
    outcome
}

fn open_admin(
    config: &Config,
    metrics: Registry,
    readiness: &watch::Sender<Readiness>,
) -> Result<AdminServer, Error> {
    let address = config.admin.listen;
    let refused = |source| Error::Bind { key: "admin.listen".into(), address, source };
    let listener = std::net::TcpListener::bind(address).map_err(refused)?;
    let pages = Pages::new(metrics, readiness.subscribe());
    let admin = AdminServer::start(listener, pages).map_err(refused)?;
    tracing::info!(address = %admin.address(), "admin port open");
    Ok(admin)
}

/// Binds a service's port and starts its tasks.
fn start(
    configured: &ServiceConfig,
    service: &Arc<Service>,
    monitor: Option<Arc<Pool>>,
    tasks: &Tasks,
) -> Result<(), Error> {
    let key = format!("services.{}.listen", configured.name);
    let listener = bind(key, configured.listen)?;
    let address = listener.local_addr().unwrap_or(configured.listen);
    tracing::info!(service = configured.name, %address, "listening");
    if let Some(pool) = monitor {
        let keep = service.clone().keep_catalogue(pool);
        tasks.spawn("catalogue of stored code", Law::Vital, keep);
    }
    let upkeep = upkeep(service.clone(), configured.idle_client_timeout);
    tasks.spawn("upkeep of pools", Law::Vital, upkeep);
    tasks.spawn("listener", Law::Vital, listen(service.clone(), listener));
    Ok(())
}

/// Idle clients are told; those in the middle of something may finish it.
async fn drain(tasks: &Tasks, clients: &Clients, services: Vec<Arc<Service>>, limit: Duration) {
    clients.close_all();
    // Once all clients are gone, the pools have nobody to wait for.
    let emptied = async {
        while services.iter().any(|service| service.metrics.clients.get() > 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            clients.close_all();
        }
        for pool in services.iter().flat_map(|service| service.pools()) {
            pool.close();
        }
        std::future::pending().await
    };
    let drained = tokio::select! {
        drained = tasks.drain(limit) => drained,
        drained = emptied => drained,
    };
    if let Err(error) = drained {
        tracing::warn!(?limit, %error, "not everything ended in time");
    }
}

fn bind(key: String, address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = || {
        let socket = if address.is_ipv4() {
            tokio::net::TcpSocket::new_v4()?
        } else {
            tokio::net::TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        // Functions come in floods; a short queue would turn them away in the kernel.
        socket.listen(4096)
    };
    bound().map_err(|source| Error::Bind { key, address, source })
}

struct Parts<'a> {
    tasks: &'a Tasks,
    frontend: &'a FrontendMetrics,
    pools: &'a PoolMetricsFamily,
    clients: &'a Arc<Clients>,
    logins: &'a Logins,
}

async fn build(
    service: &ServiceConfig,
    parts: Parts<'_>,
) -> Result<(Arc<Service>, Option<Arc<Pool>>), Error> {
    let tls_error = |source| Error::Tls { service: service.name.clone(), source };
    let name: Arc<str> = service.name.as_str().into();
    let users = Arc::new(parts.logins.users(service).await?);
    let maker = Maker {
        service: name.clone(),
        endpoints: service.backend.endpoints.clone().into(),
        tls: tls::connector(&service.backend.tls).map_err(tls_error)?,
        settings: service.pool.clone(),
        users: users.clone(),
        budget: Budget::new(match service.pool.max_size {
            PoolSize::Absolute(size) => size,
            // Until the server has said how many connections it has.
            PoolSize::Percent(_) => 1,
        }),
        connects: Arc::new(Semaphore::new(service.pool.parallel_connects)),
        shared: Arc::default(),
        tasks: parts.tasks.clone(),
        metrics: parts.pools.clone(),
    };
    let greeting = GreetSettings {
        version: match &service.server_version {
            ServerVersionSetting::Auto => None,
            ServerVersionSetting::Fixed(version) => Some(version.clone()),
        },
        tls: tls::acceptor(&service.tls).map_err(tls_error)?,
        require_tls: service.tls.mode == FrontTlsMode::Required,
        users,
        rsa: RsaKey::new(),
    };
    let service_parts = ServiceParts {
        name,
        limits: Limits {
            max_clients: service.max_clients,
            borrow_timeout: service.pool.borrow_timeout,
            handshake_timeout: service.handshake_timeout,
            max_packet: service.max_packet,
            result_buffer: service.max_client_buffer,
        },
        registry: parts.clients.clone(),
        metrics: parts.frontend.of(&service.name),
        tasks: parts.tasks.clone(),
        maker: Box::new(maker),
        greeting,
    };
    let built = Service::new(service_parts);
    let monitor = service.backend.monitor_user.as_str().into();
    let pool = built.pool(&PoolKey {
        user: monitor,
        found_rows: false,
        local_files: false,
        extended_metadata: false,
    });
    Ok((built, pool))
}

/// Looks after the pools and the idle clients of a service.
async fn upkeep(service: Arc<Service>, idle: Option<Duration>) {
    let stopping = service.tasks.stop_signal().clone();
    let mut period = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = period.tick() => {}
        }
        let now = Instant::now();
        for pool in service.pools() {
            pool.maintain(now);
        }
        if let Some(idle) = idle
            && let Some(before) = seconds().checked_sub(idle.as_secs())
        {
            service.registry.close_idle(&service.name, before);
        }
    }
}

/// Makes the pools of one service.
#[derive(Debug)]
struct Maker {
    service: Arc<str>,
    endpoints: Arc<[Endpoint]>,
    tls: ClientTls,
    settings: PoolConfig,
    users: Arc<Users>,
    budget: Arc<Budget>,
    connects: Arc<Semaphore>,
    shared: Arc<Shared>,
    tasks: Tasks,
    metrics: PoolMetricsFamily,
}

/// What the connections of a service have in common, learned from the last one.
#[derive(Debug, Default)]
struct Shared {
    server: ArcSwapOption<ServerInfo>,
    baseline: ArcSwapOption<Baseline>,
}

impl PoolMaker for Maker {
    fn make(&self, key: &PoolKey) -> Option<Arc<Pool>> {
        let user = self.users.get(&*key.user)?;
        let mut extra = Capabilities::default();
        if key.found_rows {
            extra = extra | Capabilities::FOUND_ROWS;
        }
        if key.extended_metadata {
            extra = extra | Capabilities::MARIADB_EXTENDED_METADATA;
        }
        if key.local_files {
            extra = extra | Capabilities::LOCAL_FILES;
        }
        let request = LoginRequest {
            user: user.name.to_string(),
            secret: user.keyring.known().current.password.clone(),
            extra,
            database: None,
        };
        let opener = ServiceOpener {
            endpoints: self.endpoints.clone(),
            request,
            login: BackLogin::of(user),
            tls: self.tls.clone(),
            settings: self.settings.clone(),
            connects: self.connects.clone(),
            shared: self.shared.clone(),
            fresh: Setup::fresh_environment(),
            budget: self.budget.clone(),
        };
        let settings = PoolSettings {
            max_size: match self.settings.max_size {
                PoolSize::Absolute(size) => size,
                // The budget is the bound; the pool itself has room for any server.
                PoolSize::Percent(_) => 10_000,
            },
            min_idle: self.settings.min_idle,
            max_idle_time: self.settings.max_idle_time,
            max_waiting: self.settings.max_waiting.unwrap_or(usize::MAX),
        };
        let metrics = self.metrics.of(&self.service, &key.user);
        let pool = Pool::new(
            key.clone(),
            settings,
            Arc::new(opener),
            self.budget.clone(),
            self.tasks.clone(),
            metrics,
        );
        self.budget.join(&pool);
        Some(pool)
    }
}

/// Opens connections to a service's server.
#[derive(Debug, Clone)]
struct ServiceOpener {
    endpoints: Arc<[Endpoint]>,
    request: LoginRequest,
    login: BackLogin,
    tls: ClientTls,
    settings: PoolConfig,
    connects: Arc<Semaphore>,
    shared: Arc<Shared>,
    fresh: Arc<Environment>,
    budget: Arc<Budget>,
}

impl Opener for ServiceOpener {
    fn open(&self, generation: u64) -> Opening {
        let opener = self.clone();
        Box::pin(async move {
            let limit = opener.settings.connect_timeout;
            let opening = opener.open_now(generation);
            tokio::time::timeout(limit, opening).await.unwrap_or(Err(OpenError::Timeout))
        })
    }

    fn is_outdated(&self, connection: &Connection, now: Instant) -> bool {
        self.login.keyring.is_outdated(connection.opened, connection.thread_id, now)
    }
}

impl ServiceOpener {
    async fn open_now(&self, generation: u64) -> Result<Connection, OpenError> {
        let _permit = self.connects.acquire().await.map_err(|_| OpenError::GivenUp)?;
        let mut last = OpenError::NoServer;
        // Part of the limit on connecting, so that a refusal is told as one and not as lateness.
        let patience = self.settings.connect_timeout / 2;
        for endpoint in self.endpoints.iter() {
            match self.login.log_in(endpoint, &self.request, &self.tls, patience).await {
                Ok(login) => {
                    let connection = set_up(login, self.setup(generation)).await?;
                    self.learned(&connection);
                    return Ok(connection);
                }
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    fn setup(&self, generation: u64) -> Setup {
        let lifetime = self.settings.max_lifetime.unwrap_or(Duration::from_secs(86_400 * 365));
        Setup {
            server: self.shared.server.load_full(),
            baseline: self.shared.baseline.load_full(),
            fresh: self.fresh.clone(),
            init_query: self.settings.init_query.clone(),
            // Connections that were opened together are not to be replaced together.
            lifetime: lifetime.mul_f64(0.9 + 0.2 * fastrand::f64()),
            statements: self.statements_of_each(),
            generation,
        }
    }

    /// How many prepared statements a connection may keep, of those that the server allows.
    fn statements_of_each(&self) -> usize {
        let most = self.shared.server.load().as_ref().map_or(16_382, |s| s.max_prepared_statements);
        (most as usize / 2 / self.budget.size().max(1)).clamp(1, 256)
    }

    fn learned(&self, connection: &Connection) {
        self.shared.server.store(Some(connection.server.clone()));
        self.shared.baseline.store(Some(connection.baseline.clone()));
        if let PoolSize::Percent(_) = self.settings.max_size {
            let most = connection.server.max_connections as usize;
            self.budget.resize(self.settings.max_size.of(most));
        }
    }
}
