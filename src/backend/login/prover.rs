//! What a client says to prove that it knows the password: no I/O.
//!
//! A server may ask for another plugin at any time; each goes through its own steps:
//!
//! ```text
//! native, ed25519, clear      proof -> verdict
//! caching_sha2                proof -> 03 -> verdict
//!                             proof -> 04 -> password (TLS) | 02 -> key -> password by RSA
//! sha256                      password (TLS) | 01 -> key -> password by RSA
//! ```

use zeroize::Zeroizing;

use super::LoginError;
use crate::config::secret::Secret;
use crate::session::server::Flavor;
use crate::wire::auth::{self, ED25519_NONCE, NONCE, Plugin};
use crate::wire::fault::Fault;
use crate::wire::greeting::{
    AUTH_MORE_HEADER, AUTH_SWITCH_HEADER, AuthSwitchRequest, FAST_AUTH_OK, FULL_AUTH, Greeting,
    REQUEST_KEY, REQUEST_KEY_SHA256,
};

/// Whether others can read what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Encrypted,
    Plain,
}

/// What to do about a server's packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Send this as a packet.
    Send(Zeroizing<Vec<u8>>),
    /// Nothing but read on.
    Wait,
}

/// What the plugin's next packet has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    /// An answer to the fast proof of `caching_sha2_password`.
    FastVerdict,
    /// The server's public key.
    Key,
    /// Nothing: the server says yes or no.
    Verdict,
}

/// One login's dialogue.
pub(super) struct Prover<'a> {
    secret: &'a Secret,
    channel: Channel,
    plugin: Plugin,
    nonce: [u8; NONCE],
    expects: Expects,
}

impl<'a> Prover<'a> {
    /// Begins, with what goes into the response to the greeting: a proof by the server's default
    /// plugin. Passwords themselves are not sent before the server has asked for them.
    pub(super) fn new(
        secret: &'a Secret,
        channel: Channel,
        greeting: &Greeting<'_>,
        flavor: Flavor,
    ) -> (Self, Zeroizing<Vec<u8>>) {
        let greeted = Plugin::from_name(greeting.plugin);
        let plugin = match (greeted, flavor) {
            (Some(plugin @ (Plugin::CachingSha2 | Plugin::Native | Plugin::Sha256)), _) => plugin,
            // The server will switch to what the account wants.
            (_, Flavor::MariaDb) => Plugin::Native,
            (_, Flavor::MySql) => Plugin::CachingSha2,
        };
        let nonce = greeting.nonce;
        let mut prover = Self { secret, channel, plugin, nonce, expects: Expects::Verdict };
        let proof = match plugin {
            _ if greeted != Some(plugin) => Zeroizing::default(),
            Plugin::Native => prover.native(),
            Plugin::CachingSha2 => prover.caching_sha2(),
            // Over TLS too: whether the account is for this plugin is not known yet.
            _ if secret.expose().is_empty() => Zeroizing::default(),
            _ => {
                prover.expects = Expects::Key;
                Zeroizing::new(vec![REQUEST_KEY_SHA256])
            }
        };
        (prover, proof)
    }

    /// The plugin of the last proof.
    pub(super) fn plugin(&self) -> Plugin {
        self.plugin
    }

    /// Goes on with a packet that is neither OK nor ERR.
    pub(super) fn react(&mut self, packet: &[u8]) -> Result<Reaction, LoginError> {
        match packet.split_first() {
            Some((&AUTH_SWITCH_HEADER, _)) => {
                self.switch(&AuthSwitchRequest::parse(packet)?).map(Reaction::Send)
            }
            Some((&AUTH_MORE_HEADER, data)) => self.more(data),
            _ => Err(Fault::Unexpected { expected: "a step of the login" }.into()),
        }
    }

    fn switch(
        &mut self,
        request: &AuthSwitchRequest<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, LoginError> {
        self.plugin = Plugin::from_name(request.plugin).ok_or_else(|| {
            let old = request.plugin.is_empty().then_some(&b"mysql_old_password"[..]);
            let name = String::from_utf8_lossy(old.unwrap_or(request.plugin));
            LoginError::UnknownPlugin(name.into_owned())
        })?;
        self.expects = Expects::Verdict;
        let bad_nonce = |_| Fault::BadValue("length of the nonce");
        match self.plugin {
            Plugin::ClearPassword => return self.password(),
            Plugin::Ed25519 => {
                let nonce: &[u8; ED25519_NONCE] = request.nonce.try_into().map_err(bad_nonce)?;
                let signature = auth::ed25519_signature(self.secret.expose(), nonce);
                return Ok(Zeroizing::new(signature.to_vec()));
            }
            Plugin::CachingSha2 | Plugin::Native | Plugin::Sha256 => {}
        }
        self.nonce = request.nonce.try_into().map_err(bad_nonce)?;
        match self.plugin {
            Plugin::Native => Ok(self.native()),
            Plugin::CachingSha2 => Ok(self.caching_sha2()),
            _ if self.channel == Channel::Encrypted => self.password(),
            _ if self.secret.expose().is_empty() => Ok(auth::closed_password(b"")),
            _ => {
                self.expects = Expects::Key;
                Ok(Zeroizing::new(vec![REQUEST_KEY_SHA256]))
            }
        }
    }

    fn more(&mut self, data: &[u8]) -> Result<Reaction, LoginError> {
        match (self.expects, data) {
            (Expects::FastVerdict, &[FAST_AUTH_OK]) => {
                self.expects = Expects::Verdict;
                Ok(Reaction::Wait)
            }
            (Expects::FastVerdict, &[FULL_AUTH]) if self.channel == Channel::Encrypted => {
                self.expects = Expects::Verdict;
                self.password().map(Reaction::Send)
            }
            (Expects::FastVerdict, &[FULL_AUTH]) => {
                self.expects = Expects::Key;
                Ok(Reaction::Send(Zeroizing::new(vec![REQUEST_KEY])))
            }
            (Expects::Key, key) => {
                self.expects = Expects::Verdict;
                let sealed = auth::encrypt_password(self.secret.expose(), &self.nonce, key)?;
                Ok(Reaction::Send(Zeroizing::new(sealed)))
            }
            _ => Err(Fault::Unexpected { expected: "a verdict on the password" }.into()),
        }
    }

    fn native(&self) -> Zeroizing<Vec<u8>> {
        let password = self.secret.expose();
        if password.is_empty() {
            return Zeroizing::default();
        }
        Zeroizing::new(auth::native_proof(password, &self.nonce).to_vec())
    }

    fn caching_sha2(&mut self) -> Zeroizing<Vec<u8>> {
        let password = self.secret.expose();
        if password.is_empty() {
            return Zeroizing::default();
        }
        self.expects = Expects::FastVerdict;
        Zeroizing::new(auth::sha2_proof(password, &self.nonce).to_vec())
    }

    /// The password itself, where nobody else can read it.
    fn password(&self) -> Result<Zeroizing<Vec<u8>>, LoginError> {
        match self.channel {
            Channel::Encrypted => Ok(auth::closed_password(self.secret.expose())),
            Channel::Plain => Err(LoginError::Unsafe),
        }
    }
}
