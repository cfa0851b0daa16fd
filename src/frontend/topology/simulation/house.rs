//! The service: real but for its servers, its pools and its clients.

use super::super::*;
use super::world::{Script, World};
use super::{SERVERS, SESSIONS};
use crate::backend::connection::Connection;
use crate::config::{Compression, Endpoint, HandOver, LoginLimits, LostStatement, Retry};
use crate::failover::events::Events;
use crate::failover::metrics::FailoverMetricsFamily;
use crate::failover::probe::ProbeSettings;
use crate::failover::recovery::RecoverySettings;
use crate::failover::supervisor::{Supervisor, SupervisorParts};
use crate::failover::verdict::Lone;
use crate::frontend::cancel::Registry as Clients;
use crate::frontend::greet::{GreetSettings, Lasting};
use crate::frontend::limits::{Limits, UserLimits};
use crate::frontend::metrics::FrontendMetrics;
use crate::frontend::service::{PoolMaker, ServiceParts};
use crate::pool::PoolSettings;
use crate::pool::budget::{Bounds, Budget};
use crate::pool::manager::{OpenError, Opener, Opening};
use crate::pool::metrics::PoolMetricsFamily;
use crate::runtime::{Tasks, Workers};
use std::collections::HashMap;
use std::time::Duration;

/// Pools that are there to be fenced; nobody borrows from them.
#[derive(Debug)]
struct Fences(PoolMetricsFamily, Tasks);

#[derive(Debug)]
struct Nowhere;

impl Opener for Nowhere {
    fn open(&self, _generation: u64) -> Opening {
        Box::pin(async { Err::<Connection, _>(OpenError::NoServer) })
    }

    fn found_closed(&self) {}
}

impl PoolMaker for Fences {
    fn make(&self, key: &PoolKey) -> Option<Arc<Pool>> {
        let settings = PoolSettings {
            max_size: 1,
            min_idle: 0,
            max_idle_time: None,
            user_limit: None,
            max_waiting: 1,
            hand_over: HandOver::WhenNeeded,
        };
        let metrics = self.0.of("orders", "app");
        let bounds = Bounds { budget: Budget::new(1), allowance: Budget::unlimited() };
        Some(Pool::new(key.clone(), settings, Arc::new(Nowhere), bounds, self.1.clone(), metrics))
    }

    fn retain(&self, _snapshot: &Snapshot) {}
}

/// A service whose servers are all scripted.
pub(super) fn service(world: &Arc<World>, tasks: &Tasks) -> (Arc<Service>, Supervisor) {
    let registry = prometheus::Registry::new();
    let endpoint = |n| Endpoint { host: format!("db-{n}"), port: 3306, zone: None };
    let (supervisor, watched) = Supervisor::new(SupervisorParts {
        service: "orders".into(),
        endpoints: (0..SERVERS).map(endpoint).collect(),
        lone: Lone::IsWriter,
        names: None,
        settings: ProbeSettings {
            calm: Duration::from_secs(1),
            alert: Duration::from_millis(20),
            limit: Duration::from_millis(500),
        },
        recovery: RecoverySettings {
            slow_start: Some(Duration::from_secs(10)),
            flap_limit: 3,
            flap_window: Duration::from_secs(60),
            flap_hold: Duration::from_secs(10),
        },
        prober: Arc::new(Script(world.clone())),
        metrics: FailoverMetricsFamily::register(&registry).unwrap().of("orders"),
        events: Events::new(100),
    });
    let preferences =
        Preferences { zone: None, max_lag: None, without_readers: WithoutReaders::Writer };
    let service = Service::new(ServiceParts {
        name: "orders".into(),
        limits: Limits {
            connects_per_second: None,
            everybody: UserLimits::default(),
            users: HashMap::new(),
            slow: crate::config::SlowConfig { from: None, text: crate::config::SlowText::Masked },
            max_clients: SESSIONS,
            borrow_timeout: Duration::from_secs(5),
            sleep_after: None,
            resume_timeout: Duration::from_secs(60),
            retry: Retry::Safe,
            lost_statement: LostStatement::Lost,
            max_waiting: SESSIONS,
            handshake_timeout: Duration::from_secs(10),
            max_packet: 1 << 20,
            monitor_user: "app".into(),
            hidden_triggers: crate::config::HiddenTriggers::Pin,
            result_buffer: 1 << 16,
        },
        registry: Arc::new(Clients::default()),
        metrics: FrontendMetrics::register(&registry).unwrap().of("orders"),
        tasks: tasks.clone(),
        topology: Topology::new(watched, preferences),
        maker: Arc::new(Fences(PoolMetricsFamily::register(&registry).unwrap(), tasks.clone())),
        guests: None,
        greeting: GreetSettings {
            version: None,
            tls: None,
            require_tls: false,
            compression: Compression::Offered,
            users: Arc::default(),
            login_limits: LoginLimits::default(),
            guests: None,
            lasting: Lasting::new(Workers::start("logins", 1).unwrap()),
            proxies: [].into(),
        },
    });
    (service, supervisor)
}
