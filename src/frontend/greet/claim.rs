//! Somebody who says to be a certain user, and what that user may prove.

use crate::config::secret::Secret;
use crate::credentials::rotation::{Keyring, Known, Refreshed};
use crate::credentials::verify::Verifier;
use crate::frontend::users::{User, Users};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long a client whose password is not known waits for its secret's store.
const REFRESH_LIMIT: Duration = Duration::from_secs(3);

/// The claim of one client, who need not be what it says.
pub(super) struct Claim<'a> {
    user: Option<&'a User>,
    /// Whose secret is fetched again when the proof is of none that is known. A stranger is made to
    /// wait as a user would be, or the time would tell which names there are.
    asked: Option<&'a Keyring>,
    decoy: &'a Secret,
}

impl<'a> Claim<'a> {
    /// `decoy` is what a stranger's proof is compared with.
    pub(super) fn new(user: Option<&'a User>, users: &'a Users, decoy: &'a Secret) -> Self {
        let any = || users.values().map(|user| &*user.keyring).find(|keyring| !keyring.is_fixed());
        let asked = user.map(|user| &*user.keyring).or_else(any);
        Self { user, asked, decoy }
    }

    /// What the user may prove at this moment; `None` for a stranger.
    pub(super) fn known(&self) -> Option<Arc<Known>> {
        self.user.map(|user| user.keyring.known())
    }

    /// Compares proofs with that.
    pub(super) fn verifier<'k>(&'k self, known: &'k Option<Arc<Known>>) -> Verifier<'k> {
        let current = known.as_ref().map(|known| &known.current.password);
        let previous = known.as_ref().and_then(|known| known.accepted_previous(Instant::now()));
        Verifier::new(current, previous, self.decoy)
    }

    /// Whether this is a password of the user.
    pub(super) fn is_known(&self, password: &[u8]) -> bool {
        self.verifier(&self.known()).password(password)
    }

    /// Checks a proof; where it is of no known password, once more after the store was asked for a
    /// newer one: the client may have heard of it first.
    pub(super) async fn check<T>(&self, check: impl Fn(&Verifier<'_>) -> Option<T>) -> Option<T> {
        let known = self.known();
        if let Some(found) = check(&self.verifier(&known)) {
            return Some(found);
        }
        let asked = self.asked?;
        let seen = known.as_ref().map_or_else(|| asked.known().version, |known| known.version);
        match timeout(REFRESH_LIMIT, asked.refresh(seen)).await {
            Ok(Refreshed::Changed) => check(&self.verifier(&self.known())),
            Ok(Refreshed::Same) | Err(_) => None,
        }
    }
}
