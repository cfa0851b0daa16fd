//! The part of the handshake that is about the password.
//!
//! ```text
//! response ─┬─ plugin and proof fit ─────────────┬─ check ─┬─ native, clear: verdict
//!           └─ else: switch (FE) ── proof ───────┘         └─ caching_sha2 ─┬─ right: 01 03
//!                                                    wrong: 01 04, password ┘
//! ```
//! The password comes in clear under TLS, otherwise encrypted with Millpond's RSA key. It is asked
//! for although the answer is known: that is what a server does whose cache has no such user, and a
//! client whose proof was wrong would be surprised by anything else.

use super::certified::Certified;
use super::claim::{Claim, GuestOrUser};
use super::trial::Trial;
use super::{GreetContext, GreetError, MAX_PACKET, fresh_nonce};
use crate::config::secret::Secret;
use crate::credentials::verify::Verifier;
use crate::frontend::peer::Peer;
use crate::frontend::told::Told;
use crate::frontend::users::User;
use crate::net::packet::PacketStream;
use crate::wire::auth::{NONCE, Plugin, mask, server_proof};
use crate::wire::capability::Capabilities;
use crate::wire::fault::Fault;
use crate::wire::greeting::{
    AUTH_MORE_HEADER, AuthSwitchRequest, FAST_AUTH_OK, FULL_AUTH, REQUEST_KEY,
};
use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

/// Who a client says it is, and its first proof.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The user's name.
    pub user: &'a [u8],
    /// The plugin that made the proof; `None` for a client that knows no plugins.
    pub plugin: Option<&'a [u8]>,
    /// The proof.
    pub proof: &'a [u8],
}

impl std::fmt::Debug for Attempt<'_> {
    /// Without the proof, which in some plugins is the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt")
            .field("user", &self.user.escape_ascii().to_string())
            .finish_non_exhaustive()
    }
}

/// What came of an attempt.
pub(super) struct Proven {
    /// The user, if the proof was right.
    user: Option<GuestOrUser>,
    name: String,
    with_password: bool,
    server_proof: Vec<u8>,
}

impl Proven {
    /// The user, and what the OK has to say; or the denial that a server would write.
    pub(super) fn admit(self, host: &str) -> Result<(GuestOrUser, Vec<u8>), GreetError> {
        let Self { user, name, with_password, server_proof } = self;
        match user {
            Some(user) => Ok((user, server_proof)),
            None => {
                let told = Told::access_denied(&shown(&name), host, with_password);
                Err(GreetError::Denied(told))
            }
        }
    }
}

fn shown(name: &str) -> String {
    name.chars().take(SHOWN_NAME).collect()
}

/// How much of a name servers put into their message.
const SHOWN_NAME: usize = 48;

/// A client and the passwords it may prove.
pub(super) struct Dialogue<'a, S> {
    packets: &'a mut PacketStream<S>,
    context: &'a GreetContext,
    encrypted: bool,
    nonce: [u8; NONCE],
    peer: &'a Peer,
    certificate: Option<&'a [u8]>,
}

/// The connection on which a client proves who it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// Whether it is under TLS.
    pub(super) encrypted: bool,
    /// The nonce of its greeting.
    pub(super) nonce: [u8; NONCE],
    /// Where it comes from.
    pub(super) peer: &'a Peer,
    /// The certificate that the client has shown, in DER.
    pub(super) certificate: Option<&'a [u8]>,
}

/// What is done about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// The proof is one of this plugin.
    Check(Plugin),
    /// The client is asked for a proof of this plugin.
    Switch(Plugin),
}

/// Whether a proof was right, and whether there was any.
struct Verdict {
    right: bool,
    with_password: bool,
    /// What the client is told in return; mostly nothing.
    server_proof: Vec<u8>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Dialogue<'a, S> {
    pub(super) fn new(
        packets: &'a mut PacketStream<S>,
        context: &'a GreetContext,
        place: Place<'a>,
    ) -> Self {
        let Place { encrypted, nonce, peer, certificate } = place;
        Self { packets, context, encrypted, nonce, peer, certificate }
    }

    /// Judges the response to a greeting.
    pub(super) async fn prove(self, attempt: &Attempt<'_>) -> Result<Proven, GreetError> {
        let plan = plan(attempt, self.context.plugin, self.encrypted);
        self.carry_out(plan, attempt).await
    }

    /// Judges a `COM_CHANGE_USER`: both servers ask for a proof again, whatever came with it.
    pub(super) async fn prove_again(self, attempt: &Attempt<'_>) -> Result<Proven, GreetError> {
        let plan = match plan(attempt, self.context.plugin, self.encrypted) {
            Plan::Check(plugin) if attempt.plugin.is_some() => Plan::Switch(plugin),
            plan => plan,
        };
        self.carry_out(plan, attempt).await
    }

    async fn carry_out(mut self, plan: Plan, attempt: &Attempt<'_>) -> Result<Proven, GreetError> {
        let name = user_name(attempt.user);
        let trial = Trial::begin(self.context, &self.peer.host, &name)?;
        // Something is compared also where there is no such user.
        let decoy = Secret::new(fresh_nonce()?);
        let mut claim = Claim::new(self.context, &name, decoy);
        let certified = match claim.user() {
            Some(user) => Certified::judge(user, self.certificate, &self.peer.host),
            None => Certified::PasswordToo,
        };
        let judged = match plan {
            _ if certified == Certified::Alone => Ok(self.vouched_for(plan, attempt.proof)),
            Plan::Check(plugin) => self.check(plugin, attempt.proof, &mut claim).await,
            Plan::Switch(plugin) => {
                let plugin = self.most_telling(plugin, &claim);
                let proof = self.switch(plugin).await?;
                self.check(plugin, &proof, &mut claim).await
            }
        };
        let Verdict { right, with_password, server_proof } = match judged {
            Err(error @ GreetError::Unavailable(_)) => {
                trial.came_to_nothing();
                return Err(error);
            }
            judged => judged?,
        };
        let may_come = |user: &User| {
            right
                && certified != Certified::No
                && (self.encrypted || !user.tls_only)
                && comes_from_there(user, self.peer)
        };
        let user = claim.proven().filter(|proven| may_come(&proven.user));
        match user {
            Some(_) => trial.succeeded()?,
            None => drop(trial),
        }
        Ok(Proven { user, name, with_password, server_proof })
    }

    /// The plugin to ask for, where the password itself may tell more than a proof of it.
    fn most_telling(&self, plugin: Plugin, claim: &Claim<'_>) -> Plugin {
        match (plugin, self.encrypted) {
            (Plugin::Native, true) if claim.is_told_more_by_itself() => Plugin::ClearPassword,
            (Plugin::Native, false) if claim.is_told_more_by_itself() => Plugin::CachingSha2,
            _ => plugin,
        }
    }

    /// The client need not prove a password: it hears what a client hears whose proof was right.
    fn vouched_for(&mut self, plan: Plan, proof: &[u8]) -> Verdict {
        if plan == Plan::Check(Plugin::CachingSha2) && !matches!(proof, [] | [0]) {
            self.packets.put(&[AUTH_MORE_HEADER, FAST_AUTH_OK]);
        }
        Verdict { right: true, with_password: false, server_proof: Vec::new() }
    }

    /// Asks for a proof by this plugin. The nonce stays: so do servers, and MariaDB's library does
    /// not look at another one when it changes the user.
    async fn switch(&mut self, plugin: Plugin) -> Result<Zeroizing<Vec<u8>>, GreetError> {
        let request = AuthSwitchRequest { plugin: plugin.name().as_bytes(), nonce: &self.nonce };
        self.packets.put_with(|out| request.encode(out));
        self.answer().await
    }

    /// Sends what was put and reads the client's answer.
    async fn answer(&mut self) -> Result<Zeroizing<Vec<u8>>, GreetError> {
        self.packets.flush().await?;
        let mut answer = self.packets.read(MAX_PACKET).await?;
        let kept = Zeroizing::new(answer.to_vec());
        // It may have been a password.
        answer.fill(0);
        Ok(kept)
    }

    async fn check(
        &mut self,
        plugin: Plugin,
        proof: &[u8],
        claim: &mut Claim<'_>,
    ) -> Result<Verdict, GreetError> {
        if matches!(proof, [] | [0]) {
            let right = claim.no_password();
            return Ok(Verdict { right, with_password: false, server_proof: Vec::new() });
        }
        let mut server_proof = Vec::new();
        let right = match plugin {
            Plugin::CachingSha2 => self.caching_sha2(proof, claim).await?,
            Plugin::ClearPassword => {
                let password = opened(proof).unwrap_or(proof);
                self.password(password, claim).await?
            }
            _ if proof.len() != NATIVE_PROOF => return Err(Fault::BadValue("proof").into()),
            _ => {
                let nonce = self.nonce;
                let secret = claim.check(|verifier| verifier.native(proof, &nonce).cloned()).await;
                let telling = self.most_telling(plugin, claim);
                if secret.is_none() && telling != plugin {
                    let proof = self.switch(telling).await?;
                    return Box::pin(self.check(telling, &proof, claim)).await;
                }
                server_proof =
                    secret.as_ref().and_then(|s| self.server_proof(s)).unwrap_or_default();
                secret.is_some()
            }
        };
        Ok(Verdict { right, with_password: true, server_proof })
    }

    /// Judges a password, or what comes in its place.
    async fn password(&self, given: &[u8], claim: &mut Claim<'_>) -> Result<bool, GreetError> {
        // In a box: few logins come this far, and it would take more room than all the rest.
        let asking = Box::pin(claim.password(given, self.encrypted));
        asking.await.map_err(GreetError::Unavailable)
    }

    /// What MariaDB's clients want to hear of a certificate that they cannot check.
    fn server_proof(&self, secret: &Secret) -> Option<Vec<u8>> {
        let tls = self.context.tls.as_ref().filter(|_| self.encrypted)?;
        let mariadb = !self.context.capabilities.has(Capabilities::LONG_PASSWORD);
        mariadb.then(|| server_proof(secret.expose(), &self.nonce, tls.fingerprint()))
    }

    async fn caching_sha2(
        &mut self,
        proof: &[u8],
        claim: &mut Claim<'_>,
    ) -> Result<bool, GreetError> {
        if proof.len() != SHA2_PROOF {
            return Ok(false);
        }
        let nonce = self.nonce;
        let fast = |verifier: &Verifier<'_>| verifier.caching_sha2(proof, &nonce).then_some(());
        if claim.check(fast).await.is_some() {
            // Goes out with the OK, or whatever else the caller has to say.
            self.packets.put(&[AUTH_MORE_HEADER, FAST_AUTH_OK]);
            return Ok(true);
        }
        self.packets.put(&[AUTH_MORE_HEADER, FULL_AUTH]);
        let answer = self.answer().await?;
        if self.encrypted {
            let Some(password) = opened(&answer) else { return Ok(false) };
            return self.password(password, claim).await;
        }
        let sealed = if answer.as_slice() == [REQUEST_KEY] { self.sealed().await? } else { answer };
        let Some(mut password) = self.context.lasting.rsa.open(&sealed).await else {
            return Ok(false);
        };
        mask(&mut password, &self.nonce);
        let Some(password) = opened(&password) else { return Ok(false) };
        self.password(password, claim).await
    }

    /// Hands out the public key and reads what was encrypted with it.
    async fn sealed(&mut self) -> Result<Zeroizing<Vec<u8>>, GreetError> {
        let Some(key) = self.context.lasting.rsa.public().await else {
            return Ok(Zeroizing::default());
        };
        self.packets.put_with(|out: &mut BytesMut| {
            out.put_u8(AUTH_MORE_HEADER);
            out.put_slice(key.as_bytes());
        });
        self.answer().await
    }
}

/// Whether a user who has proven the password may come from there.
fn comes_from_there(user: &User, peer: &Peer) -> bool {
    let may = user.may_come_from(peer);
    if !may {
        tracing::info!(
            user = &*user.name,
            host = &*peer.host,
            "refused: not from this address (allow_from)"
        );
    }
    may
}

/// How a client comes to a proof that can be checked.
pub(super) fn plan(attempt: &Attempt<'_>, greeted: Plugin, encrypted: bool) -> Plan {
    let Some(name) = attempt.plugin else { return Plan::Check(Plugin::Native) };
    match (Plugin::from_name(name), attempt.proof.len()) {
        // A client whose own default is not what the greeting names has not used its nonce, and
        // says so by an empty proof.
        (Some(plugin @ (Plugin::CachingSha2 | Plugin::Native)), 0) if plugin != greeted => {
            Plan::Switch(plugin)
        }
        (Some(plugin @ (Plugin::CachingSha2 | Plugin::Native)), _) => Plan::Check(plugin),
        (Some(Plugin::ClearPassword), 0) if encrypted => Plan::Switch(Plugin::ClearPassword),
        (Some(Plugin::ClearPassword), _) if encrypted => Plan::Check(Plugin::ClearPassword),
        (Some(Plugin::ClearPassword | Plugin::Sha256), _) => Plan::Switch(Plugin::CachingSha2),
        // The other plugins of a library tell what else it has.
        (Some(Plugin::Ed25519), _) => Plan::Switch(Plugin::Native),
        (None, _) if name.starts_with(b"authentication_") => Plan::Switch(Plugin::CachingSha2),
        (None, _) if MARIADB_PLUGINS.contains(&name) => Plan::Switch(Plugin::Native),
        // Names none: only the proof tells.
        (None, NATIVE_PROOF) if name.is_empty() => Plan::Check(Plugin::Native),
        (None, SHA2_PROOF) if name.is_empty() => Plan::Check(Plugin::CachingSha2),
        (None, _) => Plan::Switch(greeted),
    }
}

/// Plugins of libraries that surely have `mysql_native_password`: MariaDB's, and the oldest.
const MARIADB_PLUGINS: [&[u8]; 4] =
    [b"auth_gssapi_client", b"dialog", b"mysql_old_password", b"parsec"];
const NATIVE_PROOF: usize = 20;
const SHA2_PROOF: usize = 32;

/// A user's name as servers read it: without the quotes that some put around it.
fn user_name(raw: &[u8]) -> String {
    let bare = match raw {
        [b'\'', bare @ .., b'\''] => bare,
        _ => raw,
    };
    String::from_utf8_lossy(bare).into_owned()
}

/// A password without the NUL that closes it.
fn opened(closed: &[u8]) -> Option<&[u8]> {
    match closed {
        [password @ .., 0] => Some(password),
        _ => None,
    }
}
