//! Users that are in no configuration: the server says whether they are who they say, and they are
//! known as long as they have sessions.
//!
//! Millpond logs in for them with the password that they came with. It is the only place where a
//! client's password is kept, and it is wiped with the last session.

use super::metrics::GuestMetrics;
use super::service::Service;
use super::told::Told;
use super::users::{Logins, User, Users};
use crate::config::secret::Secret;
use crate::credentials::rotation::Keyring;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};

/// What a server says about a password.
pub type Asking = Pin<Box<dyn Future<Output = Result<bool, Told>> + Send>>;

/// Asks a server whether it takes a password.
pub trait AskServer: Send + Sync + fmt::Debug {
    /// Logs in, and leaves again.
    fn ask(&self, user: String, password: Secret) -> Asking;
}

/// The users that only the server knows.
#[derive(Debug)]
pub struct Guests {
    server: Arc<dyn AskServer>,
    logins: Logins,
    metrics: GuestMetrics,
    service: OnceLock<Weak<Service>>,
    known: Mutex<HashMap<Arc<str>, Known>>,
}

/// Whether, and how many, such users are let in.
#[derive(Debug, Clone)]
pub struct GuestPolicy {
    /// Those there are.
    pub guests: Arc<Guests>,
    /// The most at a time.
    pub most: usize,
}

#[derive(Debug)]
struct Known {
    user: User,
    sessions: usize,
}

/// One session's place. The last one takes the user and the password with it.
#[derive(Debug)]
pub struct Guest {
    guests: Arc<Guests>,
    name: Arc<str>,
}

/// A user that the server knows, with a place for one session.
#[derive(Debug)]
pub struct GuestLogin {
    /// The user.
    pub user: User,
    /// The place.
    pub guest: Guest,
}

impl Guests {
    /// Nobody is there yet. `logins` are those whom Millpond logs in for.
    pub fn new(server: Arc<dyn AskServer>, logins: Logins, metrics: GuestMetrics) -> Arc<Self> {
        let (service, known) = (OnceLock::new(), Mutex::default());
        Arc::new(Self { server, logins, metrics, service, known })
    }

    /// Whose pools the last session of a user closes.
    pub(super) fn belong_to(&self, service: &Arc<Service>) {
        // It is told once.
        let _ = self.service.set(Arc::downgrade(service));
    }

    /// A user that has sessions.
    pub(super) fn known(self: &Arc<Self>, name: &str) -> Option<GuestLogin> {
        let mut known = self.known.lock();
        let (name, known) = known
            .get_key_value(name)
            .map(|(name, _)| name.clone())
            .and_then(|name| known.get_mut(&name).map(|known| (name, known)))?;
        known.sessions += 1;
        Some(GuestLogin { user: known.user.clone(), guest: Guest { guests: self.clone(), name } })
    }

    /// Asks the server about a password; `None` when it does not take it, or `most` are there.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    pub(super) async fn enter(
        self: &Arc<Self>,
        name: &str,
        password: &[u8],
        most: usize,
    ) -> Result<Option<GuestLogin>, Told> {
        if self.is_full(name, most) {
            return Ok(None);
        }
        let password = Secret::new(password);
        let answer = self.server.ask(name.to_owned(), password.clone()).await;
        self.metrics.asked(answer.as_ref().ok().copied());
        if !answer? {
            return Ok(None);
        }
        let mut known = self.known.lock();
        let full = known.len() >= most;
        let name: Arc<str> = name.into();
        let entry = match known.entry(name.clone()) {
            std::collections::hash_map::Entry::Occupied(entry) => {
                let entry = entry.into_mut();
                // The server has another password than the sessions of before came with.
                entry.user.keyring.replace(password);
                entry
            }
            std::collections::hash_map::Entry::Vacant(_) if full => return Ok(None),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let user = User::guest(name.clone(), password);
                self.change_logins(|logins| {
                    logins.entry(name.to_string()).or_insert_with(|| user.clone());
                });
                entry.insert(Known { user, sessions: 0 })
            }
        };
        entry.sessions += 1;
        let user = entry.user.clone();
        self.metrics.here.set(i64::try_from(known.len()).unwrap_or(i64::MAX));
        Ok(Some(GuestLogin { user, guest: Guest { guests: self.clone(), name } }))
    }

    fn is_full(&self, name: &str, most: usize) -> bool {
        let known = self.known.lock();
        let full = known.len() >= most && !known.contains_key(name);
        if full {
            tracing::warn!(most, "refused: too many users that only the server knows");
        }
        full
    }

    fn leave(&self, name: &Arc<str>) {
        let mut known = self.known.lock();
        let Some(entry) = known.get_mut(name) else { return };
        entry.sessions -= 1;
        if entry.sessions > 0 {
            return;
        }
        let keyring = entry.user.keyring.clone();
        known.remove(name);
        self.metrics.here.set(i64::try_from(known.len()).unwrap_or(i64::MAX));
        // By now the name may be one of the configuration's.
        let own = |user: &User| Arc::ptr_eq(&user.keyring, &keyring);
        if !self.logins.load().get(&**name).is_some_and(own) {
            return;
        }
        self.change_logins(|logins| {
            if logins.get(&**name).is_some_and(own) {
                logins.remove(&**name);
            }
        });
        // While nobody can enter under this name.
        if let Some(service) = self.service.get().and_then(Weak::upgrade) {
            service.forget_user(name);
        }
    }

    fn change_logins(&self, change: impl Fn(&mut Users)) {
        self.logins.rcu(|logins| {
            let mut next = Users::clone(logins);
            change(&mut next);
            next
        });
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.guests.leave(&self.name);
    }
}

impl User {
    /// A user of whom nothing is known but the password.
    fn guest(name: Arc<str>, password: Secret) -> Self {
        Self {
            name,
            keyring: Arc::new(Keyring::fixed(password)),
            tls_only: false,
            allow_from: [].into(),
            database_user: None,
            certificate: None,
            token: None,
            treatment: None,
        }
    }
}

#[cfg(test)]
mod tests;
