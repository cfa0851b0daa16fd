//! The only room that knows every floor: builds, wires, drains.

mod asking;
mod back_login;
mod build;
mod certificates;
mod logins;
mod maker;
mod reload;
mod sockets;
mod supervision;

pub use self::logins::Refresh;
pub use self::reload::Source;
pub use self::sockets::{Sockets, Unfit};

use self::build::{Built, Parts, build};
use self::logins::Logins;
use self::reload::{Live, Reloader};
use crate::admin::{self, AdminServer, Control, Guard, Pages, Readiness};
use crate::config::{Config, FrontTls, FrontTlsMode, ServiceConfig};
use crate::credentials::metrics::SecretMetricsFamily;
use crate::credentials::stores::StoreError;
use crate::credentials::tokens::metrics::TokenMetrics;
use crate::failover::events::Events;
use crate::failover::metrics::FailoverMetricsFamily;
use crate::failover::webhook::{Webhook, WebhookError};
use crate::frontend::cancel::Registry as Clients;
use crate::frontend::listener::listen;
use crate::frontend::metrics::{FrontendMetrics, GuestMetrics};
use crate::frontend::operate::Operator;
use crate::frontend::serve::seconds;
use crate::frontend::service::Service;
use crate::net::tls::metrics::CertificateMetrics;
use crate::net::tls::{self, TlsError};
use crate::pool::metrics::PoolMetricsFamily;
use crate::pool::upkeep::Warmth;
use crate::router::Access;
use crate::runtime::logging::Log;
use crate::runtime::{Death, Law, Tasks, Workers, manager};
use prometheus::Registry;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

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
    /// There are no threads for logins.
    #[error("threads for logins: {0}")]
    Threads(#[source] io::Error),
    /// TLS cannot be set up on the admin port.
    #[error("admin: {0}")]
    AdminTls(#[source] TlsError),
    /// A socket of the service manager's is for nothing.
    #[error(transparent)]
    Sockets(#[from] Unfit),
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
    /// Who vouches for clients cannot be asked.
    #[error("identity.{name}: {source}")]
    Identity {
        /// Its name.
        name: String,
        /// Why.
        source: TlsError,
    },
    /// Events cannot be posted.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// Names cannot be looked up.
    #[error("services.{service}.backend: the system names no DNS server: {source}")]
    Resolver {
        /// The service.
        service: String,
        /// Why.
        source: hickory_resolver::net::NetError,
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
/// secrets fetched again now, `source` for those who want the configuration read again, `log` what
/// its operators can change, `sockets` what is bound already.
///
/// # Errors
///
/// When it cannot start, or cannot go on.
pub async fn run(
    config: Config,
    source: Source,
    refresh: &Refresh,
    log: Log,
    mut sockets: Sockets,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    sockets.assign(&config)?;
    let tasks = Tasks::new();
    let metrics = Registry::new();
    admin::metrics::register(&metrics)?;
    let frontend = FrontendMetrics::register(&metrics)?;
    let pools = PoolMetricsFamily::register(&metrics)?;
    let failover = FailoverMetricsFamily::register(&metrics)?;
    let certificates = CertificateMetrics::register(&metrics)?;
    let secrets = SecretMetricsFamily::register(&metrics)?;
    let tokens = TokenMetrics::register(&metrics)?;
    let logins = Arc::new(Logins::new(&config, secrets, tokens, &tasks, refresh));
    logins.know_providers(&config)?;
    let guests = GuestMetrics::register(&metrics)?;
    let workers = login_threads(config.runtime.login_threads).map_err(Error::Threads)?;
    let clients = Arc::new(Clients::default());
    let events = Events::new(config.events.keep);
    let webhook = config.events.webhook.as_ref();
    let webhook = webhook.map(|target| Webhook::new(target, &metrics)).transpose()?;
    tokio::pin!(stop);
    let building = async {
        let mut built = Vec::new();
        for service in &config.services {
            let parts = Parts {
                tasks: &tasks,
                frontend: &frontend,
                pools: &pools,
                failover: &failover,
                events: &events,
                clients: &clients,
                logins: &logins,
                workers: &workers,
                guests: &guests,
                slow: config.log.slow,
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
    let (operators, requests): (Vec<_>, Vec<_>) =
        built.iter().map(|(_, built)| Operator::channel(&built.service.name)).unzip();
    let control = Control::new(operators, source.reloads.clone());
    let guard = Guard::new(&config.admin);
    if let Some(webhook) = webhook {
        let posting = webhook.run(events.clone(), tasks.stop_signal().clone());
        tasks.spawn("webhook", Law::Mortal, posting);
    }
    let pages = Pages::new(metrics, readiness.subscribe(), events, control, guard, log.clone());
    let mut admin = open_admin(&config, pages, &mut sockets)?;
    tasks.spawn("repeats in the log", Law::Vital, tell_repeats(log, tasks.stop_signal().clone()));
    let (mut services, mut live) = (Vec::new(), Vec::new());
    for ((configured, built), requests) in built.into_iter().zip(requests) {
        services.push(built.service.clone());
        live.push(Live::of(&built));
        tasks.spawn("operations", Law::Vital, built.service.clone().operate(requests));
        start(configured, built, &tasks, &mut sockets)?;
    }
    let drain_timeout = config.runtime.drain_timeout;
    let following = certificates::follow(live.clone(), certificates, tasks.stop_signal().clone());
    tasks.spawn("certificates", Law::Vital, following);
    let reloader = Reloader::new(config, source.load, logins, live);
    let reloading = reloader.run(source.requests, tasks.stop_signal().clone());
    tasks.spawn("reloading", Law::Vital, reloading);
    if let Some(period) = manager::watchdog_period() {
        let alive = manager::keep_alive(period, tasks.stop_signal().clone());
        tasks.spawn("watchdog", Law::Vital, alive);
    }
    manager::ready();
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
    manager::stopping();
    drain(&tasks, &clients, services, drain_timeout).await;
    outcome
}

/// The threads on which logins are computed.
fn login_threads(configured: usize) -> io::Result<Workers> {
    let threads = match configured {
        0 => std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2),
        threads => threads,
    };
    Workers::start("logins", threads)
}

fn open_admin(config: &Config, pages: Pages, sockets: &mut Sockets) -> Result<AdminServer, Error> {
    let address = config.admin.listen;
    let refused = |source| Error::Bind { key: "admin.listen".into(), address, source };
    let tls = match &config.admin.tls {
        None => None,
        Some(tls) => tls::acceptor(&FrontTls {
            mode: FrontTlsMode::Required,
            identity: Some(tls.identity.clone()),
            client_ca: tls.client_ca.clone(),
        })
        .map_err(Error::AdminTls)?,
    };
    let listener = match sockets.take("admin.listen") {
        Some(listener) => listener,
        None => std::net::TcpListener::bind(address).map_err(refused)?,
    };
    let admin = AdminServer::start(listener, pages, tls).map_err(refused)?;
    tracing::info!(address = %admin.address(), "admin port open");
    Ok(admin)
}

/// Binds a service's port and starts its tasks.
fn start(
    configured: &ServiceConfig,
    built: Built,
    tasks: &Tasks,
    sockets: &mut Sockets,
) -> Result<(), Error> {
    let Built { service, supervision, .. } = built;
    let listeners = [
        ("listen", Some(configured.listen), Access::Write),
        ("reader_listen", configured.reader_listen, Access::Read),
    ];
    for (key, address, access) in listeners {
        let Some(address) = address else { continue };
        let full = format!("services.{}.{key}", configured.name);
        let listener = match sockets.take(&full) {
            Some(listener) => adopt(full, address, listener)?,
            None => bind(full, address)?,
        };
        let address = listener.local_addr().unwrap_or(address);
        tracing::info!(service = configured.name, %address, key, "listening");
        tasks.spawn("listener", Law::Vital, listen(service.clone(), listener, access));
    }
    supervision.start(tasks);
    let fencing = service.clone();
    tasks.keep("fencing of servers", move || fencing.clone().keep_topology());
    let monitor = configured.backend.monitor_user.as_str().into();
    let keep = service.clone().keep_catalogue(monitor);
    tasks.spawn("catalogue of stored code", Law::Vital, keep);
    tasks.spawn("upkeep of pools", Law::Vital, upkeep(service));
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

/// Goes on with a socket that is bound already.
fn adopt(
    key: String,
    address: SocketAddr,
    listener: std::net::TcpListener,
) -> Result<TcpListener, Error> {
    let adopted = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
    adopted.map_err(|source| Error::Bind { key, address, source })
}

/// Logs what was kept out of the log because it repeated itself.
async fn tell_repeats(log: Log, stopping: CancellationToken) {
    let mut period = tokio::time::interval(UPKEEP);
    while stopping.run_until_cancelled(period.tick()).await.is_some() {
        log.tell_repeats();
    }
}

/// Looks after the pools and the idle clients of a service.
async fn upkeep(service: Arc<Service>) {
    let stopping = service.tasks.stop_signal().clone();
    let mut period = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = period.tick() => {}
        }
        let now = Instant::now();
        let pools = service.pools();
        service.doze(&pools);
        let warmth = if service.topology.sleep.is_asleep() { Warmth::Cold } else { Warmth::Kept };
        for pool in &pools {
            pool.maintain(now, warmth);
        }
        service.metrics.pools_are(&pools, now);
        service.metrics.incidents.close_old(now);
        service.rates.forget_old(now);
        let limits = service.limits().clone();
        let seconds = seconds();
        service.registry.close_idle(&service.name, |user| {
            seconds.checked_sub(limits.of(user).idle_client?.as_secs())
        });
    }
}
