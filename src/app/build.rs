//! From a checked configuration to a service.

use super::Error;
use super::logins::Logins;
use super::maker::{Maker, MakerParts};
use super::supervision::{preferences, supervise};
use crate::config::{FrontTlsMode, ServerVersionSetting, ServiceConfig, SlowConfig};
use crate::credentials::rsa::RsaKey;
use crate::failover::events::Events;
use crate::failover::metrics::FailoverMetricsFamily;
use crate::failover::supervisor::Supervisor;
use crate::frontend::cancel::Registry as Clients;
use crate::frontend::metrics::FrontendMetrics;
use crate::frontend::service::{GreetSettings, Limits, Service, ServiceParts};
use crate::frontend::topology::Topology;
use crate::net::tls;
use crate::pool::metrics::PoolMetricsFamily;
use crate::runtime::Tasks;
use std::sync::Arc;

/// What all services share.
pub(super) struct Parts<'a> {
    pub tasks: &'a Tasks,
    pub frontend: &'a FrontendMetrics,
    pub pools: &'a PoolMetricsFamily,
    pub failover: &'a FailoverMetricsFamily,
    pub events: &'a Arc<Events>,
    pub clients: &'a Arc<Clients>,
    pub logins: &'a Logins,
    pub slow: SlowConfig,
}

/// A service, and what its tasks need.
pub(super) struct Built {
    pub service: Arc<Service>,
    pub supervision: Supervisor,
}

pub(super) async fn build(service: &ServiceConfig, parts: Parts<'_>) -> Result<Built, Error> {
    let tls_error = |source| Error::Tls { service: service.name.clone(), source };
    let name: Arc<str> = service.name.as_str().into();
    let users = Arc::new(parts.logins.users(service).await?);
    let back_tls = tls::connector(&service.backend.tls).map_err(tls_error)?;
    let metrics = parts.failover.of(&service.name);
    let events = parts.events.clone();
    let (supervision, watched) = supervise(service, &users, &back_tls, metrics, events)
        .map_err(|source| Error::Resolver { service: service.name.clone(), source })?;
    let maker = Maker::new(MakerParts {
        service: name.clone(),
        snapshot: watched.snapshot.clone(),
        suspicions: watched.suspicions.clone(),
        tls: back_tls,
        settings: service.pool.clone(),
        users: users.clone(),
        tasks: parts.tasks.clone(),
        metrics: parts.pools.clone(),
    });
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
        limits: limits(service, parts.slow),
        registry: parts.clients.clone(),
        metrics: parts.frontend.of(&service.name),
        tasks: parts.tasks.clone(),
        topology: Topology::new(watched, preferences(service)),
        maker: Box::new(maker),
        greeting,
    };
    Ok(Built { service: Service::new(service_parts), supervision })
}

fn limits(service: &ServiceConfig, slow: SlowConfig) -> Limits {
    Limits {
        max_clients: service.max_clients,
        borrow_timeout: service.pool.borrow_timeout,
        retry: service.failover.retry,
        max_waiting: service.pool.max_waiting.unwrap_or(usize::MAX),
        handshake_timeout: service.handshake_timeout,
        max_packet: service.max_packet,
        result_buffer: service.max_client_buffer,
        slow,
    }
}
