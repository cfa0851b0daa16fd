//! Checks what clients prove. No I/O.

use crate::config::secret::Secret;
use crate::wire::auth::{NONCE, native_proof, passwords_equal, proofs_equal, sha2_proof};

/// What somebody who claims to be a certain user may prove. Each check does the same work whether
/// the user exists and how many passwords it has, so that its time tells nothing.
#[derive(Debug)]
pub struct Verifier<'a> {
    accepted: [Option<&'a Secret>; 2],
    decoy: &'a Secret,
}

impl<'a> Verifier<'a> {
    /// For a user with a `current` password, and a `previous` one while that is being replaced; for
    /// a user that does not exist, with neither. `decoy` is what the proof is compared with in
    /// place of a password that is not there, and never accepted.
    pub fn new(
        current: Option<&'a Secret>,
        previous: Option<&'a Secret>,
        decoy: &'a Secret,
    ) -> Self {
        Self { accepted: [current, previous], decoy }
    }

    /// The password that this is the proof of by `mysql_native_password`.
    pub fn native(&self, proof: &[u8], nonce: &[u8; NONCE]) -> Option<&'a Secret> {
        self.find(|password| proofs_equal(&native_proof(password, nonce), proof))
    }

    /// Whether this is the proof of `caching_sha2_password`.
    pub fn caching_sha2(&self, proof: &[u8], nonce: &[u8; NONCE]) -> bool {
        self.find(|password| proofs_equal(&sha2_proof(password, nonce), proof)).is_some()
    }

    /// Whether this is the password itself.
    pub fn password(&self, given: &[u8]) -> bool {
        self.find(|password| passwords_equal(password, given)).is_some()
    }

    /// Whether the user needs no password.
    pub fn no_password(&self) -> bool {
        self.accepted.iter().flatten().any(|secret| secret.expose().is_empty())
    }

    /// An empty password is proven by an empty proof and by nothing else.
    fn find(&self, check: impl Fn(&[u8]) -> bool) -> Option<&'a Secret> {
        let mut found = None;
        for secret in self.accepted {
            let real = secret.filter(|secret| !secret.expose().is_empty());
            if check(secret.unwrap_or(self.decoy).expose()) {
                found = found.or(real);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE_20: [u8; NONCE] = *b"abcdefghijklmnopqrst";

    fn proofs(password: &[u8]) -> ([u8; 20], [u8; 32]) {
        (native_proof(password, &NONCE_20), sha2_proof(password, &NONCE_20))
    }

    #[test]
    fn the_current_and_the_previous_password_are_accepted_and_no_other() {
        let (current, previous) = (Secret::new("current"), Secret::new("previous"));
        let decoy = Secret::new("decoy");
        for (verifier, accepted) in [
            (Verifier::new(Some(&current), None, &decoy), &["current"][..]),
            (Verifier::new(Some(&current), Some(&previous), &decoy), &["current", "previous"]),
            (Verifier::new(None, None, &decoy), &[]),
        ] {
            for password in ["current", "previous", "decoy", ""] {
                let right = accepted.contains(&password);
                let (native, sha2) = proofs(password.as_bytes());
                let proven = verifier.native(&native, &NONCE_20);
                assert_eq!(proven.is_some(), right, "{password}");
                assert!(proven.is_none_or(|secret| secret.expose() == password.as_bytes()));
                assert_eq!(verifier.caching_sha2(&sha2, &NONCE_20), right, "{password}");
                assert_eq!(verifier.password(password.as_bytes()), right, "{password}");
                assert!(verifier.native(&native[..19], &NONCE_20).is_none());
                assert!(!verifier.caching_sha2(&sha2, &[7; NONCE]));
            }
            assert!(!verifier.no_password());
        }
    }

    #[test]
    fn an_empty_password_is_proven_by_nothing() {
        let (empty, decoy) = (Secret::new(""), Secret::new("decoy"));
        let verifier = Verifier::new(Some(&empty), None, &decoy);
        let (native, sha2) = proofs(b"");
        assert!(verifier.no_password());
        assert!(verifier.native(&native, &NONCE_20).is_none());
        assert!(!verifier.caching_sha2(&sha2, &NONCE_20));
        assert!(!verifier.password(b""));
    }
}
