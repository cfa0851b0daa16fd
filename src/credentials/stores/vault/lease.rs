//! Users that Vault makes, for as long as their leases last.
//!
//! ```text
//!             made ──────────── a third is left ───── end
//! fetch        │  the same user  │  the lease renewed, │  another user
//!              │                 │  or another user    │
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::super::error::StoreError;
use super::super::{Lease, Occasion, Version, VersionedSecret};
use super::login::Token;
use super::{VaultStore, path, read};
use crate::config::Secret;
use crate::net::http::HttpRequest;

/// A user that a server refuses is replaced by another, but not more often: each is a user in the
/// database.
const PAUSE: Duration = Duration::from_secs(10);

/// The users that are in use, by role.
#[derive(Default)]
pub(super) struct Leases(Mutex<HashMap<String, Arc<Mutex<Option<Leased>>>>>);

struct Leased {
    username: Option<String>,
    password: Secret,
    /// What the lease is called.
    id: String,
    renewable: bool,
    made: Instant,
    /// How long a lease of this role is at first.
    whole: Duration,
    end: Instant,
    /// The login that it was made under: it ends with that one's token.
    login: u64,
}

impl Leases {
    pub(super) async fn fetch(
        &self,
        store: &VaultStore,
        role: &str,
        occasion: Occasion,
    ) -> Result<VersionedSecret, StoreError> {
        let place = self.0.lock().await.entry(role.to_owned()).or_default().clone();
        // Whoever wants the same one waits, so that only one is made.
        let mut place = place.lock().await;
        let token = store.login.token(&store.door).await?;
        if let Some(leased) = &mut *place
            && leased.is_good(occasion, &token)
            && (!leased.is_old() || leased.renew(store).await)
        {
            return leased.secret(role, &token);
        }
        let made = make(store, role).await?;
        let token = store.login.token(&store.door).await?;
        place.insert(made.under(&token)).secret(role, &token)
    }
}

impl Leased {
    fn is_good(&self, occasion: Occasion, token: &Token) -> bool {
        let refused = occasion == Occasion::ServerRefused && self.made.elapsed() > PAUSE;
        !refused && self.login == token.number && Instant::now() < self.end
    }

    /// Whether no more than a third of its time is left.
    fn is_old(&self) -> bool {
        self.end.saturating_duration_since(Instant::now()) <= self.whole / 3
    }

    /// Has the lease prolonged; whether it is for long enough: near the longest time that a role
    /// allows it is not.
    async fn renew(&mut self, store: &VaultStore) -> bool {
        if !self.renewable {
            return false;
        }
        let wanted = serde_json::json!({ "lease_id": self.id, "increment": self.whole.as_secs() });
        let renewing = async {
            let url = store.door.at("sys/leases/renew")?;
            let request = HttpRequest::post(url, wanted.to_string().into_bytes());
            let answer = store.authorized(request).await?;
            if !answer.status.is_success() {
                return Err(store.door.refusal(&answer, &self.id));
            }
            read::<Renewed>(&store.door, &answer, "a renewed lease")
        };
        match renewing.await {
            Ok(Renewed { lease_duration }) => {
                let renewed = Duration::from_secs(lease_duration);
                self.end = Instant::now() + renewed;
                tracing::debug!(?renewed, "lease of a database user renewed");
                !self.is_old()
            }
            Err(error) => {
                tracing::debug!(%error, "lease of a database user not renewed: making another");
                false
            }
        }
    }

    fn secret(&self, role: &str, token: &Token) -> Result<VersionedSecret, StoreError> {
        let version = Version::new(&self.id);
        let (username, password) = (self.username.clone(), self.password.clone());
        let mut secret = VersionedSecret::checked(role, username, password, version)?;
        let remaining = self.end.saturating_duration_since(Instant::now());
        let mut ask_again = remaining.saturating_sub(self.whole / 3);
        if let Some(old) = token.old {
            ask_again = ask_again.min(old.saturating_duration_since(Instant::now()));
        }
        secret.lease = Some(Lease { remaining, ask_again });
        secret.age = Some(self.made.elapsed());
        Ok(secret)
    }
}

async fn make(store: &VaultStore, role: &str) -> Result<Made, StoreError> {
    let found = store.read(&format!("{}/creds/{}", store.mount, path(role)), role).await?;
    read(&store.door, &found, "a dynamic role's user")
}

impl Made {
    fn under(self, token: &Token) -> Leased {
        let whole = Duration::from_secs(self.lease_duration);
        let now = Instant::now();
        Leased {
            username: self.data.username,
            password: Secret::new(self.data.password.as_bytes()),
            id: self.lease_id,
            renewable: self.renewable,
            made: now,
            whole,
            end: now + whole,
            login: token.number,
        }
    }
}

#[derive(Deserialize)]
struct Made {
    lease_id: String,
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
    data: User,
}

#[derive(Deserialize)]
struct User {
    username: Option<String>,
    password: Zeroizing<String>,
}

#[derive(Deserialize)]
struct Renewed {
    lease_duration: u64,
}
