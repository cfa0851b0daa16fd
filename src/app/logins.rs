//! The logins of all services: where their secrets come from, and how they are used on servers.

use super::Error;
use crate::backend::login::{LoggedIn, LoginError, LoginRequest, login};
use crate::config::{
    Config, Endpoint, RefreshConfig, SecretRef, ServiceConfig, UserSecret, UserTransport,
};
use crate::credentials::metrics::SecretMetricsFamily;
use crate::credentials::rotation::{Keyring, Refreshed};
use crate::credentials::stores::{StoreError, Stores};
use crate::frontend::users::{User, Users};
use crate::net::tls::ClientTls;
use crate::runtime::{Law, Tasks};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};

/// Asks for all secrets to be fetched again.
#[derive(Debug, Default)]
pub struct Refresh(watch::Sender<()>);

impl Refresh {
    /// Now.
    pub fn ask(&self) {
        self.0.send_replace(());
    }
}

/// The logins of all services, each secret once.
pub(super) struct Logins {
    stores: Arc<Stores>,
    policies: BTreeMap<String, RefreshConfig>,
    metrics: SecretMetricsFamily,
    tasks: Tasks,
    wanted: watch::Receiver<()>,
    made: Mutex<BTreeMap<SecretRef, Arc<Keyring>>>,
}

impl Logins {
    pub(super) fn new(
        config: &Config,
        metrics: SecretMetricsFamily,
        tasks: &Tasks,
        refresh: &Refresh,
    ) -> Self {
        Self {
            stores: Arc::new(Stores::new(&config.secrets, std::env::vars_os())),
            policies: config.refresh.clone(),
            metrics,
            tasks: tasks.clone(),
            wanted: refresh.0.subscribe(),
            made: Mutex::default(),
        }
    }

    /// The users of a service; fetches their passwords.
    pub(super) async fn users(&self, service: &ServiceConfig) -> Result<Users, Error> {
        let mut users = Users::new();
        for (name, user) in &service.users {
            let keyring = match &user.secret {
                UserSecret::Password(password) => Arc::new(Keyring::fixed(password.clone())),
                UserSecret::Stored(reference) => {
                    self.keyring(reference).await.map_err(|source| Error::Secret {
                        service: service.name.clone(),
                        user: name.clone(),
                        source,
                    })?
                }
            };
            let tls_only = user.transport == UserTransport::Tls;
            let user = User {
                name: name.as_str().into(),
                keyring,
                tls_only,
                allow_from: user.allow_from.as_slice().into(),
                database_user: user.database_user.as_deref().map(Into::into),
            };
            users.insert(name.clone(), user);
        }
        Ok(users)
    }

    async fn keyring(&self, reference: &SecretRef) -> Result<Arc<Keyring>, StoreError> {
        if let Some(keyring) = self.made.lock().get(reference) {
            return Ok(keyring.clone());
        }
        let policy = self.policies.get(&reference.store).copied().unwrap_or_default();
        let metrics = self.metrics.of(reference);
        let fetching = Keyring::fetched(self.stores.clone(), reference.clone(), policy, metrics);
        let keyring = Arc::new(fetching.await?);
        let stop = self.tasks.stop_signal().clone();
        let keep = keyring.clone().keep(self.wanted.clone(), stop);
        self.tasks.spawn("keeping of a secret", Law::Vital, keep);
        self.made.lock().insert(reference.clone(), keyring.clone());
        Ok(keyring)
    }
}

/// Where to log in.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub endpoint: &'a Endpoint,
    pub address: Option<SocketAddr>,
    pub tls: &'a ClientTls,
    /// Bounds the logins under way at a time; not held while a newer secret is waited for.
    pub gate: Option<&'a Semaphore>,
}

/// How Millpond logs in to servers for one user.
#[derive(Debug, Clone)]
pub(super) struct BackLogin {
    pub(super) keyring: Arc<Keyring>,
    /// As whom, where the configuration says so.
    as_whom: Option<Arc<str>>,
}

impl BackLogin {
    pub(super) fn of(user: &User) -> Self {
        Self { keyring: user.keyring.clone(), as_whom: user.database_user.clone() }
    }

    /// Logs in with the current secret or, refused, with the previous, or with a newer one if the
    /// store has it within `patience`: a server and a store do not change at the same moment.
    ///
    /// Gives the place at the gate, too, for what is to be done behind it.
    ///
    /// Cancel safe: an unfinished connection is closed.
    pub(super) async fn log_in<'a>(
        &self,
        place: Place<'a>,
        request: &LoginRequest,
        patience: Duration,
    ) -> Result<(LoggedIn, Option<SemaphorePermit<'a>>), LoginError> {
        let Place { endpoint, address, tls, gate } = place;
        let keyring = &self.keyring;
        let deadline = Instant::now() + patience;
        loop {
            let permit = match gate {
                // It is never closed.
                Some(gate) => gate.acquire().await.ok(),
                None => None,
            };
            let known = keyring.known();
            let mut refusal = None;
            for pair in keyring.attempts(&known) {
                let mut request = request.clone();
                request.secret = pair.password.clone();
                if let Some(username) = self.as_whom.as_deref().or(pair.username.as_deref()) {
                    request.user = username.to_owned();
                }
                match login(endpoint, address, &request, tls).await {
                    Ok(logged_in) => {
                        keyring.worked(&known, &pair);
                        return Ok((logged_in, permit));
                    }
                    Err(error) if error.is_access_denied() => refusal = refusal.or(Some(error)),
                    Err(error) => return Err(error),
                }
            }
            drop(permit);
            let refusal = refusal.unwrap_or(LoginError::Closed);
            if keyring.is_fixed() {
                return Err(refusal);
            }
            if !patience.is_zero() {
                tracing::warn!(
                    error = %refusal, "a server refuses the secret: asking for a newer one"
                );
            }
            // Until there is one: what the server has now may be on its way to the store.
            loop {
                match timeout_at(deadline, keyring.refresh(known.version)).await {
                    Ok(Refreshed::Changed) => break,
                    Ok(Refreshed::Same) => {}
                    Err(_) => return Err(refusal),
                }
            }
        }
    }
}
