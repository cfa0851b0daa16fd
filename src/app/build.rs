//! From a checked configuration to a service.

use super::Error;
use super::maker::{Maker, MakerParts};
use super::supervision::{preferences, supervise};
use crate::config::secret::Secret;
use crate::config::{
    Config, FrontTlsMode, ServerVersionSetting, ServiceConfig, UserSecret, UserTransport,
};
use crate::credentials::rsa::RsaKey;
use crate::credentials::stores::Stores;
use crate::failover::metrics::FailoverMetricsFamily;
use crate::failover::supervisor::Supervisor;
use crate::frontend::cancel::Registry as Clients;
use crate::frontend::metrics::FrontendMetrics;
use crate::frontend::service::{GreetSettings, Limits, Service, ServiceParts};
use crate::frontend::topology::Topology;
use crate::frontend::users::{User, Users};
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
    pub clients: &'a Arc<Clients>,
}

/// A service, and what its tasks need.
pub(super) struct Built {
    pub service: Arc<Service>,
    pub supervision: Supervisor,
}

pub(super) async fn build(
    config: &Config,
    service: &ServiceConfig,
    parts: Parts<'_>,
) -> Result<Built, Error> {
    let tls_error = |source| Error::Tls { service: service.name.clone(), source };
    let name: Arc<str> = service.name.as_str().into();
    let users = Arc::new(users(config, service).await?);
    let back_tls = tls::connector(&service.backend.tls).map_err(tls_error)?;
    let metrics = parts.failover.of(&service.name);
    let (supervision, watched) = supervise(service, &users, &back_tls, metrics);
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
        limits: limits(service),
        registry: parts.clients.clone(),
        metrics: parts.frontend.of(&service.name),
        tasks: parts.tasks.clone(),
        topology: Topology::new(watched.snapshot, watched.suspicions, preferences(service)),
        maker: Box::new(maker),
        greeting,
    };
    Ok(Built { service: Service::new(service_parts), supervision })
}

fn limits(service: &ServiceConfig) -> Limits {
    Limits {
        max_clients: service.max_clients,
        borrow_timeout: service.pool.borrow_timeout,
        retry: service.failover.retry,
        max_waiting: service.pool.max_waiting.unwrap_or(usize::MAX),
        handshake_timeout: service.handshake_timeout,
        max_packet: service.max_packet,
        result_buffer: service.max_client_buffer,
    }
}

/// Fetches the passwords of a service's users.
async fn users(config: &Config, service: &ServiceConfig) -> Result<Users, Error> {
    let stores = Stores::new(&config.secrets, std::env::vars_os());
    let mut users = Users::new();
    for (name, user) in &service.users {
        let refused =
            |source| Error::Secret { service: service.name.clone(), user: name.clone(), source };
        let secret: Secret = match &user.secret {
            UserSecret::Password(password) => password.clone(),
            UserSecret::Stored(reference) => {
                stores.fetch(reference).await.map_err(refused)?.password
            }
        };
        let tls_only = user.transport == UserTransport::Tls;
        let user = User { name: name.as_str().into(), secret, previous: None, tls_only };
        users.insert(name.clone(), user);
    }
    Ok(users)
}
