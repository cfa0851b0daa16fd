//! How Millpond logs in to servers.

use crate::backend::login::{LoggedIn, LoginError, LoginRequest, login};
use crate::config::Endpoint;
use crate::credentials::backing::Backing;
#[cfg(feature = "rds-iam")]
use crate::credentials::rds_iam::RdsIam;
use crate::credentials::rotation::{Keyring, Refreshed};
use crate::frontend::users::User;
use crate::net::tls::ClientTls;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

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
    backing: Backing,
    /// As whom, where the configuration says so.
    as_whom: Option<Arc<str>>,
}

impl BackLogin {
    pub(super) fn of(user: &User) -> Self {
        let same = || Backing::Kept(user.keyring.clone());
        let backing = user.backing.clone().unwrap_or_else(same);
        Self { backing, as_whom: user.database_user.clone() }
    }

    /// When a connection that was opened then has had its time with a former password, if it is
    /// one.
    pub(super) fn outdated_from(&self, opened: Instant, number: u32) -> Option<Instant> {
        match &self.backing {
            Backing::Kept(keyring) => keyring.outdated_from(opened, number),
            // A signature is of the moment of the login.
            #[cfg(feature = "rds-iam")]
            Backing::RdsIam(_) => None,
        }
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
        match &self.backing {
            Backing::Kept(keyring) => self.with_password(keyring, place, request, patience).await,
            #[cfg(feature = "rds-iam")]
            Backing::RdsIam(signer) => self.with_signature(signer, place, request).await,
        }
    }

    async fn with_password<'a>(
        &self,
        keyring: &Keyring,
        place: Place<'a>,
        request: &LoginRequest,
        patience: Duration,
    ) -> Result<(LoggedIn, Option<SemaphorePermit<'a>>), LoginError> {
        let Place { endpoint, address, tls, gate } = place;
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
            let told = refusal.is_some();
            let refusal = refusal.unwrap_or(LoginError::NoUser);
            if keyring.is_fixed() {
                return Err(refusal);
            }
            if told && !patience.is_zero() {
                tracing::warn!(
                    error = %refusal, "a server refuses the secret: asking for a newer one"
                );
            }
            // Until there is one: what the server has now may be on its way to the store.
            loop {
                match timeout_at(deadline, keyring.refresh_refused(known.version)).await {
                    Ok(Refreshed::Changed) => break,
                    Ok(Refreshed::Same) => {}
                    Err(_) => return Err(refusal),
                }
            }
        }
    }

    /// Refused, it is tried once more, with keys that are looked for anew.
    #[cfg(feature = "rds-iam")]
    async fn with_signature<'a>(
        &self,
        signer: &RdsIam,
        place: Place<'a>,
        request: &LoginRequest,
    ) -> Result<(LoggedIn, Option<SemaphorePermit<'a>>), LoginError> {
        let Place { endpoint, address, tls, gate } = place;
        let mut request = request.clone();
        if let Some(username) = &self.as_whom {
            request.user = username.to_string();
        }
        let mut refused = false;
        loop {
            let permit = match gate {
                Some(gate) => gate.acquire().await.ok(),
                None => None,
            };
            let token = signer.token(endpoint, &request.user).await.map_err(|error| {
                tracing::warn!(%error, "no token for a login to RDS");
                LoginError::NoProof
            })?;
            request.secret = token;
            match login(endpoint, address, &request, tls).await {
                Err(error) if error.is_access_denied() && !refused => {
                    refused = true;
                    signer.forget().await;
                }
                logged_in => return logged_in.map(|logged_in| (logged_in, permit)),
            }
        }
    }
}
