//! How Millpond says to Vault who it is, and the token that it has then.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::super::error::StoreError;
use super::super::web::read_file;
use super::{Answer, Door, read};
use crate::config::{Kept, Secret, VaultAuth, escaped};
use crate::net::http::HttpRequest;

/// A token, kept alive.
pub(super) struct Login {
    auth: VaultAuth,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    /// How many logins there were.
    logins: u64,
}

/// A token at one moment.
pub(super) struct Token {
    pub(super) secret: Secret,
    /// Which login it is of: what was made under another ends with that one's token.
    pub(super) number: u64,
    /// How long it was for when it was new; zero when it does not end.
    whole: Duration,
    /// When it has to be prolonged; not at all when it does not end.
    pub(super) old: Option<Instant>,
    renewable: bool,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("auth", &self.auth).finish_non_exhaustive()
    }
}

impl Login {
    pub(super) fn new(auth: VaultAuth) -> Self {
        Self { auth, state: Mutex::default() }
    }

    /// The token, prolonged or another where it is half over. Cancel safe.
    pub(super) async fn token(&self, door: &Door) -> Result<Arc<Token>, StoreError> {
        let mut state = self.state.lock().await;
        if let Some(token) = &state.token {
            if token.old.is_none_or(|old| Instant::now() < old) {
                return Ok(token.clone());
            }
            if token.renewable
                && let Some(longer) = renewed(door, token).await
            {
                tracing::debug!(vault = door.web.service(), "token renewed");
                return Ok(state.token.insert(Arc::new(longer)).clone());
            }
        }
        let mut token = self.log_in(door, state.logins + 1).await?;
        tracing::debug!(vault = door.web.service(), "logged in to the store");
        match &state.token {
            // One that somebody else has made, and its time looked up again.
            Some(known) if known.secret == token.secret => token.number = known.number,
            _ => state.logins += 1,
        }
        Ok(state.token.insert(Arc::new(token)).clone())
    }

    /// Vault does not take this token: whether another may be had.
    pub(super) async fn forget(&self, refused: &Arc<Token>) -> bool {
        let mut state = self.state.lock().await;
        match &state.token {
            Some(token) if !Arc::ptr_eq(token, refused) => return true,
            _ => state.token = None,
        }
        // A token in the configuration stays the same.
        !matches!(self.auth, VaultAuth::Token(Kept::Here(_)))
    }

    async fn log_in(&self, door: &Door, number: u64) -> Result<Token, StoreError> {
        let (mount, body) = match &self.auth {
            VaultAuth::Token(kept) => return looked_up(door, open(kept).await?, number).await,
            VaultAuth::AppRole { mount, role_id, secret_id } => {
                let secret = match secret_id {
                    Some(kept) => Some(open(kept).await?),
                    None => None,
                };
                let secret = secret.as_ref().map(|secret| String::from_utf8_lossy(secret.expose()));
                (mount, serde_json::json!({ "role_id": role_id, "secret_id": secret }))
            }
            VaultAuth::Kubernetes { mount, role, jwt_file } => {
                let jwt = read_file(jwt_file).await?;
                (mount, serde_json::json!({ "role": role, "jwt": *jwt }))
            }
        };
        let url = door.at(&format!("auth/{}/login", escaped(mount)))?;
        let request = HttpRequest::post(url, body.to_string().into_bytes());
        let answer = door.ask(request, None).await?;
        match answer.status.as_u16() {
            200 => {}
            429 | 500.. => return Err(door.refusal(&answer, "")),
            status => return Err(door.web.login("its login is refused", status)),
        }
        let LoggedIn { auth } = read(door, &answer, "a token")?;
        let secret = Secret::new(auth.client_token.as_bytes());
        Ok(Token::new(secret, number, auth.lease_duration, auth.renewable))
    }
}

impl Token {
    fn new(secret: Secret, number: u64, seconds: u64, renewable: bool) -> Self {
        let whole = Duration::from_secs(seconds);
        // A token of 0 seconds is one without an end.
        let old = (seconds > 0).then(|| Instant::now() + whole / 2);
        Self { secret, number, whole, old, renewable }
    }
}

/// The token for longer; `None` when there is nothing for it but another.
async fn renewed(door: &Door, token: &Token) -> Option<Token> {
    let request = HttpRequest::post(door.at("auth/token/renew-self").ok()?, "{}");
    let answer = door.ask(request, Some(&token.secret)).await.ok()?;
    let LoggedIn { auth } = read(door, &answer, "a token").ok()?;
    let (secret, number) = (token.secret.clone(), token.number);
    let longer = Token::new(secret, number, auth.lease_duration, auth.renewable);
    // Near the longest time that it may have, it is not prolonged by much. With another by then,
    // what was made under this one can be replaced before it ends.
    let enough = longer.whole >= token.whole / 2;
    (answer.status.is_success() && enough).then_some(Token { whole: token.whole, ..longer })
}

/// A token that somebody else has made: how long it lasts.
async fn looked_up(door: &Door, secret: Secret, number: u64) -> Result<Token, StoreError> {
    let request = HttpRequest::get(door.at("auth/token/lookup-self")?);
    let answer = door.ask(request, Some(&secret)).await?;
    match answer.status.as_u16() {
        200 => {}
        429 | 500.. => return Err(door.refusal(&answer, "")),
        status => return Err(door.web.login("its token is not taken", status)),
    }
    let Answer { data: Found { ttl, renewable } } = read(door, &answer, "a token's time")?;
    Ok(Token::new(secret, number, ttl, renewable))
}

async fn open(kept: &Kept) -> Result<Secret, StoreError> {
    match kept {
        Kept::Here(secret) => Ok(secret.clone()),
        Kept::File(path) => read_file(path).await.map(|text| Secret::new(text.as_bytes())),
    }
}

#[derive(Deserialize)]
struct LoggedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: Zeroizing<String>,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    ttl: u64,
    #[serde(default)]
    renewable: bool,
}
