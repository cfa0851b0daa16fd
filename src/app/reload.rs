//! The configuration is read again while clients are served.
//!
//! First everything that can fail: the file is read and checked whole, secrets are fetched,
//! certificates read. Only then are the new settings put in force, by steps that can't fail.

use super::Error;
use super::build::{Built, greeting, limits, user_limits};
use super::logins::{Fetched, Logins, Moment};
use super::maker::Maker;
use crate::admin::{NotReloaded, ReloadRequests, Reloaded, Reloads};
use crate::config::{Config, ConfigError, ServiceConfig, SlowConfig};
use crate::frontend::guests::Guests;
use crate::frontend::service::Service;
use crate::frontend::users::{Logins as BackLogins, User};
use crate::net::tls::renewed::Renewed;
use crate::net::tls::{self, ClientTls, ServerTls};
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
#[derive(Clone)]
pub(super) struct Live {
    service: Arc<Service>,
    maker: Arc<Maker>,
    logins: BackLogins,
    back_tls: Renewed<ClientTls>,
    guests: Arc<Guests>,
}

impl Live {
    pub(super) fn of(built: &Built) -> Self {
        Self {
            service: built.service.clone(),
            maker: built.maker.clone(),
            logins: built.back_logins.clone(),
            back_tls: built.back_tls.clone(),
            guests: built.guests.clone(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.service.name
    }

    /// What clients are shown.
    pub(super) fn front_tls(&self) -> Option<Renewed<ServerTls>> {
        self.service.greeting().tls.clone()
    }

    /// What servers are shown.
    pub(super) fn back_tls(&self) -> &Renewed<ClientTls> {
        &self.back_tls
    }
}

/// A service's new settings, ready to be put in force.
struct Prepared {
    users: Fetched,
    tls: Option<Renewed<ServerTls>>,
    back_tls: ClientTls,
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
        self.logins.know_providers(&taken).map_err(|error| refused(&error))?;
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
        let tls_error = |source| Error::Tls { service: service.name.clone(), source };
        let tls = if service.tls.identity.is_some() || service.tls != before.tls {
            tls::renewed_acceptor(&service.tls).map_err(tls_error)?
        } else {
            self.services[index].front_tls()
        };
        let back_tls = self.services[index].back_tls.again().map_err(tls_error)?;
        Ok(Prepared { users, tls, back_tls })
    }
}

impl Live {
    fn put_in_force(&self, configured: &ServiceConfig, new: Prepared, slow: SlowConfig) {
        let users = new.users.take_over();
        self.back_tls.put(new.back_tls);
        let before = self.logins.load_full();
        // Who may not come any more, and is here, stays.
        self.logins.rcu(|now| {
            let mut logins = (**now).clone();
            logins.extend(users.clone());
            logins
        });
        let login_changed = |name: &str| match (before.get(name), users.get(name)) {
            (Some(before), Some(now)) => !same_login(before, now),
            _ => false,
        };
        let users_limits = user_limits(configured);
        self.maker.reconfigure(
            &configured.pool,
            users_limits,
            &self.service.pools(),
            login_changed,
        );
        let lasting = self.service.greeting().lasting.clone();
        let limits = limits(configured, slow);
        self.service
            .reconfigure(limits, greeting(configured, new.tls, users, lasting, &self.guests));
    }
}

/// Whether Millpond logs in for them as the same database user, by the same secret.
fn same_login(one: &User, other: &User) -> bool {
    Arc::ptr_eq(&one.keyring, &other.keyring) && one.database_user == other.database_user
}
