//! Opens the connections of a service: one budget and one set of facts for each server.

use super::back_login::{BackLogin, Place};
use crate::backend::connection::Connection;
use crate::backend::login::LoginRequest;
use crate::backend::server::{ServerId, ServerInfo};
use crate::backend::setup::{Setup, set_up};
use crate::config::{OwnLimits, PoolConfig, PoolSize, ProxyProtocol};
use crate::failover::snapshot::Snapshot;
use crate::failover::suspicion::{Evidence, Suspicions};
use crate::frontend::service::PoolMaker;
use crate::frontend::users::Logins;
use crate::net::tls::ClientTls;
use crate::net::tls::renewed::Renewed;
use crate::pool::budget::{Bounds, Budget, UNLIMITED};
use crate::pool::manager::{OpenError, Opener, Opening};
use crate::pool::metrics::PoolMetricsFamily;
use crate::pool::{Pool, PoolKey, PoolSettings};
use crate::runtime::Tasks;
use crate::session::state::{Baseline, Environment};
use crate::wire::capability::Capabilities;
use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// What the pools of one service are made of.
#[derive(Debug)]
pub(super) struct MakerParts {
    pub service: Arc<str>,
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    pub suspicions: Suspicions,
    pub tls: Renewed<ClientTls>,
    pub proxy_protocol: ProxyProtocol,
    pub settings: PoolConfig,
    pub users: HashMap<String, OwnLimits>,
    pub logins: Logins,
    pub tasks: Tasks,
    pub metrics: PoolMetricsFamily,
}

/// Makes the pools of one service.
#[derive(Debug)]
pub(super) struct Maker {
    parts: MakerParts,
    settings: Arc<ArcSwap<PoolConfig>>,
    users: ArcSwap<HashMap<String, OwnLimits>>,
    servers: Mutex<HashMap<ServerId, Arc<Server>>>,
}

/// What the pools of one server have in common.
#[derive(Debug)]
struct Server {
    id: ServerId,
    budget: Arc<Budget>,
    /// What each user may have of it, for those who have connections.
    allowances: Mutex<HashMap<Arc<str>, Weak<Budget>>>,
    connects: Semaphore,
    /// Learned from the last connection.
    info: ArcSwapOption<ServerInfo>,
    baseline: ArcSwapOption<Baseline>,
}

impl Maker {
    pub(super) fn new(parts: MakerParts) -> Self {
        let settings = Arc::new(ArcSwap::from_pointee(parts.settings.clone()));
        let users = ArcSwap::from_pointee(parts.users.clone());
        Self { parts, settings, users, servers: Mutex::default() }
    }

    /// From now on pools are made like this, and those that there are behave so. The connections of
    /// users of whom `login_changed` says so are replaced.
    pub(super) fn reconfigure(
        &self,
        settings: &PoolConfig,
        users: HashMap<String, OwnLimits>,
        pools: &[Arc<Pool>],
        login_changed: impl Fn(&str) -> bool,
    ) {
        let before = self.settings.swap(Arc::new(settings.clone()));
        self.users.store(Arc::new(users));
        for server in self.servers.lock().values() {
            match (settings.max_size, server.info.load().as_ref()) {
                (PoolSize::Absolute(size), _) => server.budget.resize(size),
                (share, Some(info)) => {
                    server.budget.resize(share.of(info.max_connections as usize))
                }
                // The first connection will say.
                (_, None) => {}
            }
            for (user, allowance) in server.allowances.lock().iter() {
                if let Some(allowance) = allowance.upgrade() {
                    allowance.resize(self.allowed(user));
                }
            }
        }
        for pool in pools {
            pool.reconfigure(self.pool_settings(&pool.key().user));
            if before.init_query != settings.init_query || login_changed(&pool.key().user) {
                pool.renew();
            }
        }
    }

    /// The most connections that a user may have to one server.
    fn allowed(&self, user: &str) -> usize {
        let users = self.users.load();
        users.get(user).and_then(|own| own.max_backend_connections).unwrap_or(UNLIMITED)
    }

    /// What bounds the pools of a user at a server.
    fn bounds(&self, server: &Server, user: &Arc<str>) -> Bounds {
        let mut allowances = server.allowances.lock();
        let allowance = allowances.get(user).and_then(Weak::upgrade).unwrap_or_else(|| {
            allowances.retain(|_, allowance| allowance.strong_count() > 0);
            let allowance = Budget::new(self.allowed(user));
            allowances.insert(user.clone(), Arc::downgrade(&allowance));
            allowance
        });
        Bounds { budget: server.budget.clone(), allowance }
    }

    /// How the pools of a user behave.
    fn pool_settings(&self, user: &str) -> PoolSettings {
        let settings = self.settings.load();
        let users = self.users.load();
        let own = users.get(user);
        let user_limit = own.and_then(|own| own.max_backend_connections);
        let max_size = match settings.max_size {
            PoolSize::Absolute(size) => size,
            // The budget is the bound; the pool itself has room for any server.
            PoolSize::Percent(_) => 10_000,
        };
        let most = user_limit.unwrap_or(usize::MAX);
        let max_waiting = own.and_then(|own| own.max_waiting).or(settings.max_waiting);
        PoolSettings {
            max_size: max_size.min(most),
            min_idle: settings.min_idle.min(most),
            max_idle_time: settings.max_idle_time,
            max_waiting: max_waiting.unwrap_or(usize::MAX),
            user_limit,
            hand_over: settings.hand_over,
        }
    }

    fn server(&self, id: ServerId) -> Arc<Server> {
        let settings = self.settings.load();
        let new = || Server {
            id,
            budget: Budget::new(match settings.max_size {
                PoolSize::Absolute(size) => size,
                // Until the server has said how many connections it has.
                PoolSize::Percent(_) => 1,
            }),
            allowances: Mutex::default(),
            connects: Semaphore::new(settings.parallel_connects),
            info: ArcSwapOption::empty(),
            baseline: ArcSwapOption::empty(),
        };
        self.servers.lock().entry(id).or_insert_with(|| Arc::new(new())).clone()
    }
}

impl PoolMaker for Maker {
    fn make(&self, key: &PoolKey) -> Option<Arc<Pool>> {
        let logins = self.parts.logins.load();
        let user = logins.get(&*key.user)?;
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
            proxy_protocol: parts.proxy_protocol,
        };
        let opener = ServerOpener {
            server: server.clone(),
            snapshot: parts.snapshot.clone(),
            suspicions: parts.suspicions.clone(),
            request,
            login: BackLogin::of(user),
            logins: parts.logins.clone(),
            tls: parts.tls.clone(),
            settings: self.settings.clone(),
            fresh: Setup::fresh_environment(),
        };
        let metrics = parts.metrics.of(&parts.service, &key.user);
        let bounds = self.bounds(&server, &key.user);
        let pool = Pool::new(
            key.clone(),
            self.pool_settings(&key.user),
            Arc::new(opener),
            bounds.clone(),
            parts.tasks.clone(),
            metrics,
        );
        bounds.budget.join(&pool);
        bounds.allowance.join(&pool);
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
    /// As it was when the pool was made.
    login: BackLogin,
    logins: Logins,
    tls: Renewed<ClientTls>,
    settings: Arc<ArcSwap<PoolConfig>>,
    fresh: Arc<Environment>,
}

impl Opener for ServerOpener {
    fn open(&self, generation: u64) -> Opening {
        let opener = self.clone();
        Box::pin(async move {
            let limit = opener.settings.load().connect_timeout;
            let opening = opener.open_now(generation);
            tokio::time::timeout(limit, opening).await.unwrap_or(Err(OpenError::Timeout))
        })
    }

    fn outdated_from(&self, connection: &Connection) -> Option<Instant> {
        self.login().outdated_from(connection.opened, connection.thread_id)
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
        let patience = self.settings.load().connect_timeout / 2;
        let gate = Some(&self.server.connects);
        let tls = self.tls.now();
        let place = Place { endpoint: &endpoint, address, tls: &tls, gate };
        let (login, _permit) = self.login().log_in(place, &self.request, patience).await?;
        let connection = set_up(login, self.setup(generation)).await?;
        self.learned(&connection);
        Ok(connection)
    }

    /// The user's login as it is now.
    fn login(&self) -> BackLogin {
        let logins = self.logins.load();
        logins.get(&self.request.user).map_or_else(|| self.login.clone(), BackLogin::of)
    }

    fn setup(&self, generation: u64) -> Setup {
        let settings = self.settings.load();
        let lifetime = settings.max_lifetime.unwrap_or(Duration::from_secs(86_400 * 365));
        Setup {
            server: self.server.info.load_full(),
            baseline: self.server.baseline.load_full(),
            fresh: self.fresh.clone(),
            init_query: settings.init_query.as_str().into(),
            // Connections that were opened together are not to be replaced together.
            lifetime: lifetime.mul_f64(0.9 + 0.2 * fastrand::f64()),
            sharers: self.server.budget.size(),
            generation,
        }
    }

    fn learned(&self, connection: &Connection) {
        self.server.info.store(Some(connection.server.clone()));
        self.server.baseline.store(Some(connection.baseline.clone()));
        let size = self.settings.load().max_size;
        if let PoolSize::Percent(_) = size {
            let most = connection.server.max_connections as usize;
            self.server.budget.resize(size.of(most));
        }
    }
}
