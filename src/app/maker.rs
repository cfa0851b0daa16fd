//! Opens the connections of a service: one budget and one set of facts for each server.

use super::logins::{BackLogin, Place};
use crate::backend::connection::Connection;
use crate::backend::login::LoginRequest;
use crate::backend::server::{ServerId, ServerInfo};
use crate::backend::setup::{Setup, set_up};
use crate::config::{PoolConfig, PoolSize};
use crate::failover::snapshot::Snapshot;
use crate::failover::suspicion::{Evidence, Suspicions};
use crate::frontend::service::PoolMaker;
use crate::frontend::users::Users;
use crate::net::tls::ClientTls;
use crate::pool::budget::Budget;
use crate::pool::manager::{OpenError, Opener, Opening};
use crate::pool::metrics::PoolMetricsFamily;
use crate::pool::{Pool, PoolKey, PoolSettings};
use crate::runtime::Tasks;
use crate::session::state::{Baseline, Environment};
use crate::wire::capability::Capabilities;
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// What the pools of one service are made of.
#[derive(Debug)]
pub(super) struct MakerParts {
    pub service: Arc<str>,
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    pub suspicions: Suspicions,
    pub tls: ClientTls,
    pub settings: PoolConfig,
    pub users: Arc<Users>,
    pub tasks: Tasks,
    pub metrics: PoolMetricsFamily,
}

/// Makes the pools of one service.
#[derive(Debug)]
pub(super) struct Maker {
    parts: MakerParts,
    servers: Mutex<HashMap<ServerId, Arc<Server>>>,
}

/// What the pools of one server have in common.
#[derive(Debug)]
struct Server {
    id: ServerId,
    budget: Arc<Budget>,
    connects: Semaphore,
    /// Learned from the last connection.
    info: ArcSwapOption<ServerInfo>,
    baseline: ArcSwapOption<Baseline>,
}

impl Maker {
    pub(super) fn new(parts: MakerParts) -> Self {
        Self { parts, servers: Mutex::default() }
    }

    fn server(&self, id: ServerId) -> Arc<Server> {
        let settings = &self.parts.settings;
        let new = || Server {
            id,
            budget: Budget::new(match settings.max_size {
                PoolSize::Absolute(size) => size,
                // Until the server has said how many connections it has.
                PoolSize::Percent(_) => 1,
            }),
            connects: Semaphore::new(settings.parallel_connects),
            info: ArcSwapOption::empty(),
            baseline: ArcSwapOption::empty(),
        };
        self.servers.lock().entry(id).or_insert_with(|| Arc::new(new())).clone()
    }
}

impl PoolMaker for Maker {
    fn make(&self, key: &PoolKey) -> Option<Arc<Pool>> {
        let user = self.parts.users.get(&*key.user)?;
        let server = self.server(key.server);
        let parts = &self.parts;
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
        let opener = ServerOpener {
            server: server.clone(),
            snapshot: parts.snapshot.clone(),
            suspicions: parts.suspicions.clone(),
            request,
            login: BackLogin::of(user),
            tls: parts.tls.clone(),
            settings: parts.settings.clone(),
            fresh: Setup::fresh_environment(),
        };
        let settings = PoolSettings {
            max_size: match parts.settings.max_size {
                PoolSize::Absolute(size) => size,
                // The budget is the bound; the pool itself has room for any server.
                PoolSize::Percent(_) => 10_000,
            },
            min_idle: parts.settings.min_idle,
            max_idle_time: parts.settings.max_idle_time,
            max_waiting: parts.settings.max_waiting.unwrap_or(usize::MAX),
            hand_over: parts.settings.hand_over,
        };
        let metrics = parts.metrics.of(&parts.service, &key.user);
        let pool = Pool::new(
            key.clone(),
            settings,
            Arc::new(opener),
            server.budget.clone(),
            parts.tasks.clone(),
            metrics,
        );
        server.budget.join(&pool);
        Some(pool)
    }

    fn retain(&self, snapshot: &Snapshot) {
        self.servers.lock().retain(|id, _| snapshot.server(*id).is_some());
    }
}

/// Opens connections to one server.
#[derive(Debug, Clone)]
struct ServerOpener {
    server: Arc<Server>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    suspicions: Suspicions,
    request: LoginRequest,
    login: BackLogin,
    tls: ClientTls,
    settings: PoolConfig,
    fresh: Arc<Environment>,
}

impl Opener for ServerOpener {
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

    fn found_closed(&self) {
        self.suspicions.report(self.server.id, Evidence::ConnectionLost);
    }
}

impl ServerOpener {
    async fn open_now(&self, generation: u64) -> Result<Connection, OpenError> {
        let (endpoint, address) = {
            let snapshot = self.snapshot.borrow();
            let server = snapshot.server(self.server.id).ok_or(OpenError::NoServer)?;
            (server.endpoint.clone(), server.address)
        };
        // Part of the limit on connecting, so that a refusal is told as one and not as lateness.
        let patience = self.settings.connect_timeout / 2;
        let gate = Some(&self.server.connects);
        let place = Place { endpoint: &endpoint, address, tls: &self.tls, gate };
        let (login, _permit) = self.login.log_in(place, &self.request, patience).await?;
        let connection = set_up(login, self.setup(generation)).await?;
        self.learned(&connection);
        Ok(connection)
    }

    fn setup(&self, generation: u64) -> Setup {
        let lifetime = self.settings.max_lifetime.unwrap_or(Duration::from_secs(86_400 * 365));
        Setup {
            server: self.server.info.load_full(),
            baseline: self.server.baseline.load_full(),
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
        let most = self.server.info.load().as_ref().map_or(16_382, |s| s.max_prepared_statements);
        (most as usize / 2 / self.server.budget.size().max(1)).clamp(1, 256)
    }

    fn learned(&self, connection: &Connection) {
        self.server.info.store(Some(connection.server.clone()));
        self.server.baseline.store(Some(connection.baseline.clone()));
        if let PoolSize::Percent(_) = self.settings.max_size {
            let most = connection.server.max_connections as usize;
            self.server.budget.resize(self.settings.max_size.of(most));
        }
    }
}
