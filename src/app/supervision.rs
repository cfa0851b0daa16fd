//! A service's supervisor, and how it logs in.

use super::back_login::{BackLogin, Place};
use crate::backend::control::ControlConnection;
use crate::backend::login::{LoginError, LoginRequest};
use crate::config::{InstanceHost, Provider, ProxyProtocol, ServiceConfig};
use crate::failover::events::Events;
use crate::failover::metrics::FailoverMetrics;
use crate::failover::probe::{Connecting, ProbeSettings, Prober, Questioned};
use crate::failover::providers::names::Names;
use crate::failover::providers::{Dialect, Interview};
use crate::failover::recovery::RecoverySettings;
use crate::failover::snapshot::ServerState;
use crate::failover::supervisor::{Supervisor, SupervisorParts, Watched};
use crate::failover::verdict::Lone;
use crate::frontend::users::Logins;
use crate::net::tls::ClientTls;
use crate::net::tls::renewed::Renewed;
use crate::router::Preferences;
use crate::wire::capability::Capabilities;
use hickory_resolver::net::NetError;
use std::sync::Arc;
use std::time::Duration;

/// The supervisor of a service's servers, and what it is seen by.
pub(super) fn supervise(
    service: &ServiceConfig,
    logins: &Logins,
    tls: &Renewed<ClientTls>,
    metrics: FailoverMetrics,
    events: Arc<Events>,
) -> Result<(Supervisor, Watched), NetError> {
    let prober = MonitorLogin {
        user: service.backend.monitor_user.as_str().into(),
        logins: logins.clone(),
        tls: tls.clone(),
        dialect: dialect(service.backend.provider),
        proxy_protocol: service.backend.proxy_protocol,
        instances: service.backend.instance_host.clone(),
    };
    let failover = &service.failover;
    let provider = service.backend.provider;
    let names = match provider {
        Provider::Dns | Provider::Auto => {
            Some(Names::new(service.backend.resolver, failover.resolve_interval)?)
        }
        _ => None,
    };
    Ok(Supervisor::new(SupervisorParts {
        service: service.name.as_str().into(),
        endpoints: service.backend.endpoints.clone(),
        lone: match provider {
            Provider::Static => Lone::IsWriter,
            _ => Lone::IsAsked,
        },
        names,
        settings: ProbeSettings {
            calm: failover.probe_interval,
            alert: failover.suspect_interval,
            limit: failover.probe_timeout,
        },
        recovery: RecoverySettings {
            slow_start: failover.slow_start,
            flap_limit: failover.flap_limit,
            flap_window: failover.flap_window,
            flap_hold: failover.flap_hold,
        },
        prober: Arc::new(prober),
        metrics,
        events,
    }))
}

/// In whose terms the servers are asked; in their own where that is to be found out.
fn dialect(provider: Provider) -> Option<Dialect> {
    match provider {
        Provider::Auto => None,
        Provider::Static | Provider::Dns => Some(Dialect::Plain),
        Provider::Aurora => Some(Dialect::Aurora),
        Provider::RdsCluster => Some(Dialect::Rds),
        Provider::GroupReplication => Some(Dialect::GroupReplication),
        Provider::Galera => Some(Dialect::Galera),
    }
}

/// By what sessions choose a server.
pub(super) fn preferences(service: &ServiceConfig) -> Preferences {
    Preferences {
        zone: service.failover.zone.clone(),
        max_lag: service.failover.reader_max_lag,
        without_readers: service.failover.without_readers,
    }
}

/// Logs in for probes.
#[derive(Debug)]
struct MonitorLogin {
    user: Arc<str>,
    logins: Logins,
    tls: Renewed<ClientTls>,
    dialect: Option<Dialect>,
    proxy_protocol: ProxyProtocol,
    instances: Option<InstanceHost>,
}

impl Prober for MonitorLogin {
    fn connect(&self, server: &ServerState) -> Connecting {
        let user = self.logins.load().get(&*self.user).cloned();
        let (endpoint, address) = (server.endpoint.clone(), server.address);
        let (tls, dialect, instances) = (self.tls.now(), self.dialect, self.instances.clone());
        let proxy_protocol = self.proxy_protocol;
        Box::pin(async move {
            let Some(user) = user else { return Err(LoginError::NoUser) };
            let request = LoginRequest {
                user: user.name.to_string(),
                secret: user.keyring.known().current.password.clone(),
                extra: Capabilities::default(),
                database: None,
                proxy_protocol,
            };
            let place = Place { endpoint: &endpoint, address, tls: &tls, gate: None };
            // A probe that is refused has the secret fetched; the next one may use it.
            let (login, _) = BackLogin::of(&user).log_in(place, &request, Duration::ZERO).await?;
            let connection: Box<dyn Questioned> = Box::new(Interview::new(
                ControlConnection::new(login),
                dialect,
                endpoint.clone(),
                instances,
            ));
            Ok(connection)
        })
    }
}
