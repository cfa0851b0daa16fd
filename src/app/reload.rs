//! The configuration is read again while clients are served.
//!
//! First everything that can fail: the file is read and checked whole, secrets are fetched,
//! certificates read. Only then are the new settings put in force, by steps that can't fail.

use super::Error;
use super::build::{Built, greeting, limits};
use super::logins::{Fetched, Logins, Moment};
use super::maker::Maker;
use crate::admin::{NotReloaded, ReloadRequests, Reloaded, Reloads};
use crate::config::{Config, ConfigError, ServiceConfig, SlowConfig};
use crate::frontend::service::Service;
use crate::frontend::users::{Logins as BackLogins, User};
use crate::net::tls::{self, ServerTls};
use std::fmt;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Reads the configuration.
type Load = Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// Where the configuration comes from, and who wants it read again.
pub struct Source {
    /// Reads it.
    pub load: Load,
    /// Asks for that.
    pub reloads: Reloads,
    /// Those who asked.
    pub requests: ReloadRequests,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

/// What of a running service can change.
pub(super) struct Live {
    service: Arc<Service>,
    maker: Arc<Maker>,
    logins: BackLogins,
}

impl Live {
    pub(super) fn of(built: &Built) -> Self {
        Self {
            service: built.service.clone(),
            maker: built.maker.clone(),
            logins: built.back_logins.clone(),
        }
    }
}

/// A service's new settings, ready to be put in force.
struct Prepared {
    users: Fetched,
    tls: Option<ServerTls>,
}

/// Reads the configuration again when it is asked to.
pub(super) struct Reloader {
    running: Config,
    load: Load,
    logins: Arc<Logins>,
    services: Vec<Live>,
}

impl Reloader {
    /// `running` is in force; its services are `services`, in the same order.
    pub(super) fn new(
        running: Config,
        load: Load,
        logins: Arc<Logins>,
        services: Vec<Live>,
    ) -> Self {
        Self { running, load, logins, services }
    }

    /// Until the process stops.
    pub(super) async fn run(mut self, mut requests: ReloadRequests, stop: CancellationToken) {
        while let Some(Some(answer)) = stop.run_until_cancelled(requests.recv()).await {
            let Some(outcome) = stop.run_until_cancelled(self.reload()).await else { return };
            match &outcome {
                Ok(Reloaded { changed, needs_restart }) => {
                    tracing::info!(?changed, ?needs_restart, "configuration reloaded");
                }
                Err(why) => tracing::error!("{why}"),
            }
            if let Some(answer) = answer {
                // Whoever asked may not wait for it.
                let _ = answer.send(outcome);
            }
        }
        stop.cancelled().await;
    }

    async fn reload(&mut self) -> Result<Reloaded, NotReloaded> {
        let refused = |error: &dyn fmt::Display| NotReloaded::Refused(error.to_string());
        let next = (self.load)().map_err(|error| refused(&error))?;
        let taken = self.running.taking_over(&next);
        let mut prepared = Vec::new();
        self.logins.know_stores(&taken);
        for (index, service) in taken.services.iter().enumerate() {
            prepared.push(self.prepare(index, service).await.map_err(|error| refused(&error))?);
        }
        for ((live, configured), new) in self.services.iter().zip(&taken.services).zip(prepared) {
            live.put_in_force(configured, new, taken.log.slow);
        }
        let reloaded = Reloaded {
            changed: self.running.differences(&taken),
            needs_restart: taken.differences(&next),
        };
        self.running = taken;
        Ok(reloaded)
    }

    async fn prepare(&self, index: usize, service: &ServiceConfig) -> Result<Prepared, Error> {
        let before = &self.running.services[index];
        let users = self.logins.users(service, Moment::Reload).await?;
        // Files may have changed under the same names; a certificate that Millpond made itself
        // stays, since clients may remember it.
        let tls = if service.tls.identity.is_some() || service.tls != before.tls {
            tls::acceptor(&service.tls)
                .map_err(|source| Error::Tls { service: service.name.clone(), source })?
        } else {
            self.services[index].service.greeting().tls.clone()
        };
        Ok(Prepared { users, tls })
    }
}

impl Live {
    fn put_in_force(&self, configured: &ServiceConfig, new: Prepared, slow: SlowConfig) {
        let users = new.users.take_over();
        let before = self.logins.load_full();
        // Who may not come any more, and is here, stays.
        let mut logins = (*before).clone();
        logins.extend(users.clone());
        self.logins.store(Arc::new(logins));
        let login_changed = |name: &str| match (before.get(name), users.get(name)) {
            (Some(before), Some(now)) => !same_login(before, now),
            _ => false,
        };
        self.maker.reconfigure(&configured.pool, &self.service.pools(), login_changed);
        let lasting = self.service.greeting().lasting.clone();
        let limits = limits(configured, slow);
        self.service.reconfigure(limits, greeting(configured, new.tls, users, lasting));
    }
}

/// Whether Millpond logs in for them as the same database user, by the same secret.
fn same_login(one: &User, other: &User) -> bool {
    Arc::ptr_eq(&one.keyring, &other.keyring) && one.database_user == other.database_user
}
