//! The only file that knows every floor: builds, wires, drains.

use crate::admin;
use crate::backend::connection::Connection;
use crate::backend::login::{LoginRequest, login};
use crate::backend::server::ServerInfo;
use crate::backend::setup::{Setup, set_up};
use crate::config::secret::Secret;
use crate::config::{
    Config, Endpoint, FrontTlsMode, PoolConfig, PoolSize, ServerVersionSetting, ServiceConfig,
    UserSecret, UserTransport,
};
use crate::credentials::stores::{self, SecretStore, StoreError};
use crate::frontend::cancel::Registry;
use crate::frontend::greet::RsaKey;
use crate::frontend::listener::listen;
use crate::frontend::metrics::FrontendMetrics;
use crate::frontend::serve::seconds;
use crate::frontend::service::{GreetSettings, Limits, PoolMaker, Service, ServiceParts};
use crate::frontend::users::{User, Users};
use crate::net::tls::{self, ClientTls, TlsError};
use crate::pool::budget::Budget;
use crate::pool::manager::{OpenError, Opener, Opening};
use crate::pool::metrics::PoolMetricsFamily;
use crate::pool::{Pool, PoolKey, PoolSettings};
use crate::runtime::Tasks;
use crate::session::state::{Baseline, Environment};
use crate::wire::capability::Capabilities;
use arc_swap::ArcSwapOption;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Why Millpond did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
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

/// Runs Millpond until `stop` resolves, and drains it then.
///
/// # Errors
///
/// When it cannot start.
pub async fn run(config: Config, stop: impl Future<Output = &'static str>) -> Result<(), AppError> {
    let tasks = Tasks::default();
    let metrics = prometheus::Registry::new();
    register_process(&metrics)?;
    let frontend = FrontendMetrics::register(&metrics)?;
    let pools = PoolMetricsFamily::register(&metrics)?;
    let registry = Arc::new(Registry::default());
    let mut services = Vec::new();
    for service in &config.services {
        let parts =
            Parts { tasks: &tasks, frontend: &frontend, pools: &pools, registry: &registry };
        services.push((service, build(&config, service, parts).await?));
    }
    // Everything that can be wrong has been found out; now ports are bound.
    let bound = bind("admin.listen".into(), config.admin.listen).await?;
    let ready: Vec<_> = services.iter().map(|(_, (service, _))| service.clone()).collect();
    admin::serve(bound, metrics, move || ready.iter().all(|s| s.learned().is_some()), &tasks);
    let mut started = Vec::new();
    for (configured, (service, monitor)) in services {
        let key = format!("services.{}.listen", configured.name);
        let listener = bind(key, configured.listen).await?;
        tracing::info!(service = configured.name, address = %configured.listen, "listening");
        let Some(pool) = monitor else { continue };
        tasks.spawn("catalogue of stored code", service.clone().keep_catalogue(pool));
        tasks.spawn("upkeep of pools", upkeep(service.clone(), configured.idle_client_timeout));
        tasks.spawn("listener", listen(service.clone(), listener));
        started.push(service);
    }
    let signal = stop.await;
    tracing::info!(signal, "stopping");
    drain(&tasks, &registry, started, config.runtime.drain_timeout).await;
    Ok(())
}

/// Idle clients are told; those in the middle of something may finish it.
async fn drain(tasks: &Tasks, registry: &Registry, services: Vec<Arc<Service>>, limit: Duration) {
    registry.close_all();
    let stopped = tasks.stop(limit);
    let done = tokio::select! {
        done = stopped => done,
        // Once all clients are gone, the pools have nobody to wait for.
        () = async {
            while services.iter().any(|s| s.metrics.clients.get() > 0) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            for pool in services.iter().flat_map(|service| service.pools()) {
                pool.close();
            }
            std::future::pending().await
        } => false,
    };
    if !done {
        tracing::warn!(?limit, "some clients did not finish in time");
    }
}

fn register_process(registry: &prometheus::Registry) -> prometheus::Result<()> {
    let process = prometheus::process_collector::ProcessCollector::for_self();
    registry.register(Box::new(process))?;
    let info = prometheus::IntGaugeVec::new(
        prometheus::Opts::new("millpond_build_info", "Which Millpond this is."),
        &["version"],
    )?;
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(info))
}

async fn bind(key: String, address: SocketAddr) -> Result<TcpListener, AppError> {
    let bound = async {
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
    bound.await.map_err(|source| AppError::Bind { key, address, source })
}

struct Parts<'a> {
    tasks: &'a Tasks,
    frontend: &'a FrontendMetrics,
    pools: &'a PoolMetricsFamily,
    registry: &'a Arc<Registry>,
}

async fn build(
    config: &Config,
    service: &ServiceConfig,
    parts: Parts<'_>,
) -> Result<(Arc<Service>, Option<Arc<Pool>>), AppError> {
    let tls_error = |source| AppError::Tls { service: service.name.clone(), source };
    let name: Arc<str> = service.name.as_str().into();
    let users = Arc::new(users(config, service).await?);
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
        rsa: Arc::new(RsaKey::default()),
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
        registry: parts.registry.clone(),
        metrics: parts.frontend.of(&service.name),
        tasks: parts.tasks.clone(),
        maker: Box::new(maker),
        greeting,
    };
    let built = Service::new(service_parts);
    let monitor = service.backend.monitor_user.as_str().into();
    let pool = built.pool(&PoolKey { user: monitor, found_rows: false, local_files: false });
    Ok((built, pool))
}

/// Fetches the passwords of a service's users.
async fn users(config: &Config, service: &ServiceConfig) -> Result<Users, AppError> {
    let opened: BTreeMap<&str, Box<dyn SecretStore>> =
        config.secrets.iter().map(|(name, store)| (name.as_str(), stores::open(store))).collect();
    let mut users = Users::new();
    for (name, user) in &service.users {
        let refused =
            |source| AppError::Secret { service: service.name.clone(), user: name.clone(), source };
        let secret: Secret = match &user.secret {
            UserSecret::Password(password) => password.clone(),
            UserSecret::Stored(reference) => {
                let store = opened.get(reference.store.as_str());
                let store = store.ok_or_else(|| refused(StoreError::Missing))?;
                store.fetch(&reference.key).await.map_err(refused)?.password
            }
        };
        let tls_only = user.transport == UserTransport::Tls;
        let user = User { name: name.as_str().into(), secret, tls_only };
        users.insert(name.clone(), user);
    }
    Ok(users)
}

/// Looks after the pools and the idle clients of a service.
async fn upkeep(service: Arc<Service>, idle: Option<Duration>) {
    let stopping = service.tasks.stopping();
    tokio::pin!(stopping);
    let mut period = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            () = &mut stopping => return,
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
        if key.local_files {
            extra = extra | Capabilities::LOCAL_FILES;
        }
        let request =
            LoginRequest { user: user.name.to_string(), secret: user.secret.clone(), extra };
        let opener = ServiceOpener {
            endpoints: self.endpoints.clone(),
            request,
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
}

impl ServiceOpener {
    async fn open_now(&self, generation: u64) -> Result<Connection, OpenError> {
        let _permit = self.connects.acquire().await.map_err(|_| OpenError::GivenUp)?;
        let mut last = OpenError::NoServer;
        for endpoint in self.endpoints.iter() {
            match login(endpoint, &self.request, &self.tls).await {
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
