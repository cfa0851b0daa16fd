//! Somebody who says to be a certain user, and what that user may prove.

use super::GreetContext;
use crate::config::secret::Secret;
use crate::credentials::rotation::{Keyring, Known, Refreshed};
use crate::credentials::verify::Verifier;
use crate::frontend::guests::{Guest, GuestLogin};
use crate::frontend::told::Told;
use crate::frontend::users::User;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long a client whose password is not known waits for its secret's store.
const REFRESH_LIMIT: Duration = Duration::from_secs(3);

/// The claim of one client, who need not be what it says.
pub(super) struct Claim<'a> {
    context: &'a GreetContext,
    name: &'a str,
    user: Option<User>,
    /// The user's place among those that only the server knows, if it is one of them.
    guest: Option<Guest>,
    /// What a stranger's proof is compared with.
    decoy: Secret,
    /// The store has been asked for a newer password.
    refreshed: bool,
}

impl<'a> Claim<'a> {
    /// `decoy` is what a stranger's proof is compared with.
    pub(super) fn new(context: &'a GreetContext, name: &'a str, decoy: Secret) -> Self {
        let configured = context.users.get(name).cloned();
        let guest = || context.guests.as_ref()?.guests.known(name);
        let (user, guest) = match configured {
            Some(user) => (Some(user), None),
            None => match guest() {
                Some(GuestLogin { user, guest }) => (Some(user), Some(guest)),
                None => (None, None),
            },
        };
        Self { context, name, user, guest, decoy, refreshed: false }
    }

    /// Who the client says it is, if there is such a user.
    pub(super) fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// Who the client is, once that is proven.
    pub(super) fn proven(self) -> Option<GuestOrUser> {
        self.user.map(|user| GuestOrUser { user, guest: self.guest })
    }

    /// Whether the password itself, or what comes in its place, may tell more than a proof of it.
    pub(super) fn is_told_more_by_itself(&self) -> bool {
        match (&self.user, &self.guest) {
            (Some(user), None) => user.token.is_some(),
            (_, Some(_)) | (None, _) => self.context.guests.is_some(),
        }
    }

    /// Whether the user needs no password.
    pub(super) fn no_password(&self) -> bool {
        self.verifier(&self.known()).no_password()
    }

    /// What the user may prove at this moment; `None` for a stranger.
    fn known(&self) -> Option<Arc<Known>> {
        self.user.as_ref().map(|user| user.keyring.known())
    }

    /// Compares proofs with that.
    fn verifier<'k>(&'k self, known: &'k Option<Arc<Known>>) -> Verifier<'k> {
        let current = known.as_ref().map(|known| &known.current.password);
        let previous = known.as_ref().and_then(|known| known.accepted_previous(Instant::now()));
        Verifier::new(current, previous, &self.decoy)
    }

    fn is_known(&self, password: &[u8]) -> bool {
        self.verifier(&self.known()).password(password)
    }

    /// Checks a proof. Where it is of no known password, and the password itself would not tell more,
    /// it is checked once more after the store was asked for a newer one: the client may have heard
    /// of it first.
    pub(super) async fn check<T>(
        &mut self,
        check: impl Fn(&Verifier<'_>) -> Option<T>,
    ) -> Option<T> {
        let found = check(&self.verifier(&self.known()));
        if found.is_some() || self.is_told_more_by_itself() {
            return found;
        }
        match self.refresh().await {
            Refreshed::Changed => check(&self.verifier(&self.known())),
            Refreshed::Same => None,
        }
    }

    /// Whether this is a password of the user, or a token that proves it, or what the server takes
    /// for its password.
    ///
    /// # Errors
    ///
    /// When the server would have to be asked, and does not answer.
    pub(super) async fn password(&mut self, given: &[u8], encrypted: bool) -> Result<bool, Told> {
        if self.is_known(given) {
            return Ok(true);
        }
        let token = self.user.as_ref().and_then(|user| user.token.as_ref());
        if let Some(token) = token.filter(|token| encrypted && token.looks_like_one(given)) {
            return Ok(token.proves(self.name, given).await);
        }
        if (self.user.is_none() || self.guest.is_some())
            && let Some(policy) = &self.context.guests
        {
            let entered = policy.guests.enter(self.name, given, policy.most).await?;
            let Some(GuestLogin { user, guest }) = entered else { return Ok(false) };
            (self.user, self.guest) = (Some(user), Some(guest));
            return Ok(true);
        }
        if self.refreshed {
            return Ok(false);
        }
        Ok(self.refresh().await == Refreshed::Changed && self.is_known(given))
    }

    /// Asks the store for a newer password. A stranger is made to wait as a user would be, or the
    /// time would tell which names there are.
    async fn refresh(&mut self) -> Refreshed {
        self.refreshed = true;
        let any = || {
            let keyrings = self.context.users.values().map(|user| &user.keyring);
            keyrings.clone().find(|keyring| !keyring.is_fixed()).cloned()
        };
        let own = self.user.as_ref().map(|user| user.keyring.clone());
        let asked: Option<Arc<Keyring>> = own.or_else(any);
        let Some(asked) = asked else { return Refreshed::Same };
        let seen = asked.known().version;
        timeout(REFRESH_LIMIT, asked.refresh(seen)).await.unwrap_or(Refreshed::Same)
    }
}

/// Who has proven to be whom.
pub(super) struct GuestOrUser {
    /// The user.
    pub(super) user: User,
    /// Its place among those that only the server knows, if it is one of them.
    pub(super) guest: Option<Guest>,
}
