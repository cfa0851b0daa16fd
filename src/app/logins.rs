//! The logins of all services: where their secrets come from, and how they are used on servers.

use super::Error;
use crate::backend::login::{LoggedIn, LoginError, LoginRequest, login};
use crate::config::{
    Config, Endpoint, IdentityConfig, OnStart, RefreshConfig, Secret, SecretRef, ServiceConfig,
    TokenRule, UserSecret, UserTransport,
};
use crate::credentials::metrics::SecretMetricsFamily;
use crate::credentials::rotation::{Keyring, Refreshed};
use crate::credentials::stores::{StoreError, Stores};
use crate::credentials::tokens::metrics::TokenMetrics;
use crate::credentials::tokens::{Provider, TokenLogin};
use crate::frontend::users::{User, Users};
use crate::net::tls::ClientTls;
use crate::runtime::{Law, Tasks};
use arc_swap::ArcSwap;
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
    stores: ArcSwap<Stores>,
    policies: ArcSwap<BTreeMap<String, RefreshConfig>>,
    metrics: SecretMetricsFamily,
    providers: Mutex<BTreeMap<String, (IdentityConfig, Arc<Provider>)>>,
    token_metrics: TokenMetrics,
    tasks: Tasks,
    wanted: watch::Receiver<()>,
    made: Mutex<BTreeMap<SecretRef, Arc<Keyring>>>,
    /// Those of services' users whose passwords are in no store.
    fixed: Mutex<BTreeMap<(String, String), Arc<Keyring>>>,
}

/// When logins are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// At the start: a secret may be waited for.
    Start,
    /// At a reload: all there is goes on without it.
    Reload,
}

/// The users of a service, and what is to be done when they are taken over.
pub(super) struct Fetched {
    pub(super) users: Users,
    passwords: Vec<(Arc<Keyring>, Secret)>,
}

impl Fetched {
    /// The users; their passwords are in force from now on.
    pub(super) fn take_over(self) -> Users {
        for (keyring, password) in self.passwords {
            keyring.replace(password);
        }
        self.users
    }
}

impl Logins {
    pub(super) fn new(
        config: &Config,
        metrics: SecretMetricsFamily,
        token_metrics: TokenMetrics,
        tasks: &Tasks,
        refresh: &Refresh,
    ) -> Self {
        Self {
            stores: ArcSwap::from_pointee(Stores::new(&config.secrets, std::env::vars_os())),
            policies: ArcSwap::from_pointee(config.refresh.clone()),
            metrics,
            providers: Mutex::default(),
            token_metrics,
            tasks: tasks.clone(),
            wanted: refresh.0.subscribe(),
            made: Mutex::default(),
            fixed: Mutex::default(),
        }
    }

    /// Knows the stores of this configuration, too. Those that it knew are the same in it.
    pub(super) fn know_stores(&self, config: &Config) {
        self.stores.store(Arc::new(Stores::new(&config.secrets, std::env::vars_os())));
        self.policies.store(Arc::new(config.refresh.clone()));
    }

    /// Knows who vouches for clients in this configuration. Reads files of authorities.
    pub(super) fn know_providers(&self, config: &Config) -> Result<(), Error> {
        let mut providers = self.providers.lock();
        let mut next = BTreeMap::new();
        for (name, settings) in &config.identity {
            // One that has not changed keeps what it knows.
            let kept = providers.get(name).filter(|(before, _)| before == settings);
            let provider = match kept {
                Some((_, provider)) => provider.clone(),
                None => {
                    let made = Provider::new(name, settings, self.token_metrics.clone());
                    let name = name.clone();
                    Arc::new(made.map_err(|source| Error::Identity { name, source })?)
                }
            };
            next.insert(name.clone(), (settings.clone(), provider));
        }
        *providers = next;
        Ok(())
    }

    /// The tokens of a user.
    fn token(&self, rule: &TokenRule) -> Option<Arc<TokenLogin>> {
        let (_, provider) = self.providers.lock().get(&rule.provider)?.clone();
        Some(Arc::new(TokenLogin::new(provider, rule.clone())))
    }

    /// The users of a service; fetches their passwords.
    pub(super) async fn users(
        &self,
        service: &ServiceConfig,
        moment: Moment,
    ) -> Result<Fetched, Error> {
        let mut users = Users::new();
        let mut passwords = Vec::new();
        for (name, user) in &service.users {
            let keyring = match &user.secret {
                UserSecret::Password(password) => {
                    let mut fixed = self.fixed.lock();
                    let new = || Arc::new(Keyring::fixed(password.clone()));
                    let owner = (service.name.clone(), name.clone());
                    let keyring = fixed.entry(owner).or_insert_with(new).clone();
                    passwords.push((keyring.clone(), password.clone()));
                    keyring
                }
                UserSecret::Stored(reference) => {
                    self.keyring(reference, moment).await.map_err(|source| Error::Secret {
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
                certificate: user.certificate.clone().map(Arc::new),
                token: user.token.as_ref().and_then(|rule| self.token(rule)),
                treatment: (!user.treatment.is_usual()).then(|| Arc::new(user.treatment.clone())),
            };
            users.insert(name.clone(), user);
        }
        Ok(Fetched { users, passwords })
    }

    async fn keyring(
        &self,
        reference: &SecretRef,
        moment: Moment,
    ) -> Result<Arc<Keyring>, StoreError> {
        if let Some(keyring) = self.made.lock().get(reference) {
            return Ok(keyring.clone());
        }
        let mut policy = self.policies.load().get(&reference.store).copied().unwrap_or_default();
        if moment == Moment::Reload {
            policy.on_start = OnStart::Fail;
        }
        let metrics = self.metrics.of(reference);
        let fetching =
            Keyring::fetched(self.stores.load_full(), reference.clone(), policy, metrics);
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
