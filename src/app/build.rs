//! From a checked configuration to a service.

use super::Error;
use super::asking::Asker;
use super::logins::{Logins, Moment};
use super::maker::{Maker, MakerParts};
use super::supervision::{preferences, supervise};
use crate::config::{
    FrontTlsMode, OwnLimits, ServerVersionSetting, ServiceConfig, SlowConfig, UnknownUsers,
};
use crate::failover::events::Events;
use crate::failover::metrics::FailoverMetricsFamily;
use crate::failover::supervisor::Supervisor;
use crate::frontend::cancel::Registry as Clients;
use crate::frontend::greet::{GreetSettings, Lasting};
use crate::frontend::guests::{GuestPolicy, Guests};
use crate::frontend::limits::{Limits, UserLimits};
use crate::frontend::metrics::{FrontendMetrics, GuestFamily};
use crate::frontend::service::{Service, ServiceParts};
use crate::frontend::topology::Topology;
use crate::frontend::users::{Logins as BackLogins, Users};
use crate::net::tls::renewed::Renewed;
use crate::net::tls::{self, ClientTls, ServerTls};
use crate::pool::metrics::PoolMetricsFamily;
use crate::runtime::{Tasks, Workers};
use arc_swap::ArcSwap;
use std::collections::HashMap;
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
    pub workers: &'a Workers,
    pub guests: &'a GuestFamily,
    pub slow: SlowConfig,
}

/// A service, and what its tasks need.
pub(super) struct Built {
    pub service: Arc<Service>,
    pub supervision: Supervisor,
    pub maker: Arc<Maker>,
    pub back_logins: BackLogins,
    pub back_tls: Renewed<ClientTls>,
    pub guests: Arc<Guests>,
}

pub(super) async fn build(service: &ServiceConfig, parts: Parts<'_>) -> Result<Built, Error> {
    let tls_error = |source| Error::Tls { service: service.name.clone(), source };
    let name: Arc<str> = service.name.as_str().into();
    let users = parts.logins.users(service, Moment::Start).await?.take_over();
    let back_logins: BackLogins = Arc::new(ArcSwap::from_pointee(users.clone()));
    let back_tls = tls::renewed_connector(&service.backend.tls).map_err(tls_error)?;
    let metrics = parts.failover.of(&service.name);
    let events = parts.events.clone();
    let (supervision, watched) = supervise(service, &back_logins, &back_tls, metrics, events)
        .map_err(|source| Error::Resolver { service: service.name.clone(), source })?;
    let asker = Asker::new(
        watched.snapshot.clone(),
        back_tls.clone(),
        service.backend.proxy_protocol,
        service.pool.connect_timeout,
    );
    let metrics = parts.guests.of(&service.name);
    let guests = Guests::new(Arc::new(asker), back_logins.clone(), metrics);
    let maker = Arc::new(Maker::new(MakerParts {
        service: name.clone(),
        snapshot: watched.snapshot.clone(),
        suspicions: watched.suspicions.clone(),
        tls: back_tls.clone(),
        proxy_protocol: service.backend.proxy_protocol,
        settings: service.pool.clone(),
        users: user_limits(service),
        logins: back_logins.clone(),
        tasks: parts.tasks.clone(),
        metrics: parts.pools.clone(),
    }));
    let tls = tls::renewed_acceptor(&service.tls).map_err(tls_error)?;
    let lasting = Lasting::new(parts.workers.clone());
    let greeting = greeting(service, tls, users, lasting, &guests);
    let service_parts = ServiceParts {
        name,
        limits: limits(service, parts.slow),
        registry: parts.clients.clone(),
        metrics: parts.frontend.of(&service.name),
        tasks: parts.tasks.clone(),
        topology: Topology::new(watched, preferences(service)),
        maker: maker.clone(),
        greeting,
        guests: Some(guests.clone()),
    };
    Ok(Built {
        service: Service::new(service_parts),
        supervision,
        maker,
        back_logins,
        back_tls,
        guests,
    })
}

/// The limits that pools have by user.
pub(super) fn user_limits(service: &ServiceConfig) -> HashMap<String, OwnLimits> {
    service.users.iter().map(|(name, user)| (name.clone(), user.limits.clone())).collect()
}

/// What handshakes are told.
pub(super) fn greeting(
    service: &ServiceConfig,
    tls: Option<Renewed<ServerTls>>,
    users: Users,
    lasting: Lasting,
    guests: &Arc<Guests>,
) -> GreetSettings {
    GreetSettings {
        version: match &service.server_version {
            ServerVersionSetting::Auto => None,
            ServerVersionSetting::Fixed(version) => Some(version.clone()),
        },
        tls,
        require_tls: service.tls.mode == FrontTlsMode::Required,
        compression: service.compression,
        users: Arc::new(users),
        login_limits: service.login_limits,
        guests: match service.unknown_users {
            UnknownUsers::Refuse => None,
            UnknownUsers::PassThrough => {
                Some(GuestPolicy { guests: guests.clone(), most: service.max_pass_through_users })
            }
        },
        lasting,
        proxies: service.proxy_protocol_from.as_slice().into(),
    }
}

pub(super) fn limits(service: &ServiceConfig, slow: SlowConfig) -> Limits {
    let of = |own: &OwnLimits| {
        let times = own.times(&service.times);
        UserLimits {
            clients: own.max_clients,
            idle_client: times.idle_client,
            idle_transaction: times.idle_transaction,
            transaction: times.transaction,
        }
    };
    let everybody = of(&OwnLimits::default());
    let users = service.users.iter().map(|(name, user)| (name, of(&user.limits)));
    Limits {
        max_clients: service.max_clients,
        connects_per_second: service.max_connects_per_second,
        borrow_timeout: service.pool.borrow_timeout,
        sleep_after: service.failover.sleep_after,
        resume_timeout: service.failover.resume_timeout,
        retry: service.failover.retry,
        lost_statement: service.failover.lost_statement,
        max_waiting: service.pool.max_waiting.unwrap_or(usize::MAX),
        handshake_timeout: service.handshake_timeout,
        max_packet: service.max_packet,
        monitor_user: service.backend.monitor_user.as_str().into(),
        hidden_triggers: service.backend.hidden_triggers,
        result_buffer: service.max_client_buffer,
        everybody,
        users: users
            .filter(|(_, limits)| *limits != everybody)
            .map(|(name, limits)| (name.as_str().into(), limits))
            .collect(),
        slow,
    }
}
