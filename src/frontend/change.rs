//! `COM_RESET_CONNECTION` and `COM_CHANGE_USER`: the session starts anew, the connection stays.

use super::borrow::Borrowed;
use super::client::{Client, Stop};
use super::failure::Sent;
use super::greet::{Attempt, ChangeProof, GreetError, reauthenticate};
use super::guests::Guest;
use super::told::Told;
use super::users::User;
use super::welcome::{login_environment, pool_key, unusable_charset};
use crate::backend::connection::Resets;
use crate::backend::dialogue::{Content, Question};
use crate::net::buffer::ReadBuffer;
use crate::net::packet::{PacketStream, Parts};
use crate::session::need::Leftover;
use crate::session::pin::{Holds, PinReason};
use crate::session::server::Flavor;
use crate::session::state::{Environment, LoginRole, Role};
use crate::session::treatment::{PoolMode, Treatment};
use crate::wire::capability::Capabilities;
use crate::wire::command::ChangeUser;
use bytes::BytesMut;
use std::sync::Arc;

/// What becomes of a role that a reset of the connection leaves in force, as MariaDB's does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RoleThen {
    /// The session keeps it, and with it the connection.
    Stays,
    /// It goes with the connection.
    Goes,
}

/// What becomes of the connection of a session that is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeaseThen {
    /// The session keeps it.
    Kept,
    /// It is for others.
    Given,
}

/// What a session is to have after a change of the user.
struct Wanted {
    collation: Option<u16>,
    database: Option<Vec<u8>>,
    role: Role,
    treatment: Option<Arc<Treatment>>,
}

impl Client {
    /// `COM_RESET_CONNECTION`
    pub(super) async fn reset_session(&mut self, sequence: u8) -> Result<(), Stop> {
        if !self.bring_found_rows(sequence).await? {
            return Ok(());
        }
        let role_stays = self.session.pins.has(PinReason::Role);
        let then = match self.session.pool_mode() {
            PoolMode::Transaction => LeaseThen::Given,
            PoolMode::Session | PoolMode::Dedicated => LeaseThen::Kept,
        };
        if !self.clean_lease(RoleThen::Stays, then, sequence).await? {
            return Ok(());
        }
        if !self.start_over(role_stays) {
            return Ok(());
        }
        self.put_ok(sequence.wrapping_add(1));
        Ok(())
    }

    /// MariaDB clears a session before it looks who it is to be of, and then leaves it to who had it
    /// (measured). The client has been told.
    async fn begin_anew(&mut self, sequence: u8) -> Result<(), Stop> {
        let role_stays = self.session.pins.has(PinReason::Role);
        if self.clean_lease(RoleThen::Stays, LeaseThen::Given, sequence).await? {
            self.start_over(role_stays);
        }
        Ok(())
    }

    /// Gives the session what a reset leaves. False while nothing is known of the server.
    fn start_over(&mut self, role_stays: bool) -> bool {
        let Some(learned) = self.service.learned() else { return false };
        let fresh = login_environment(&learned, self.capabilities, None);
        let found_rows = self.session.residue.found_rows;
        let multi_statements = self.session.environment.multi_statements;
        self.session.reset(&learned.server.version, &learned.baseline, &fresh);
        // A reset leaves these two (measured), and so does a change of the user.
        self.session.residue.found_rows = found_rows;
        self.session.set_multi_statements(multi_statements);
        if role_stays {
            self.session.pins.put(PinReason::Role, Holds::Yes);
        }
        true
    }

    /// Resets the backend connection that the session has, if it has one. False when that failed
    /// and the client has been told.
    async fn clean_lease(
        &mut self,
        role: RoleThen,
        then: LeaseThen,
        sequence: u8,
    ) -> Result<bool, Stop> {
        if let Some(deposit) = self.deposit.take()
            && let Some(lease) = deposit.take_back()
        {
            lease.release();
        }
        if self.lease.is_none() {
            self.severed = false;
            return Ok(true);
        }
        let trackers_off = self.session.pins.has(PinReason::SessionTrack);
        let role_stays = self.session.pins.has(PinReason::Role);
        let Some(lease) = &mut self.lease else { return Ok(true) };
        let connection = lease.connection();
        if role_stays && role == RoleThen::Stays {
            connection.traces.role = Leftover::None;
        }
        if connection.resets == Resets::BeforeLogin {
            // A session of the pool is to have what a login gives.
            self.session.pins.clear();
            self.sever();
            return Ok(true);
        }
        if let Err(error) = connection.reset().await {
            tracing::debug!(%error, "a backend connection could not be reset");
            self.session.pins.clear();
            self.connection_failed(sequence, Sent::Nothing)?;
            return Ok(false);
        }
        if trackers_off {
            // What database it has now was not reported.
            let asked = connection.ask(&[Question::Query(b"SELECT DATABASE() LIMIT 1")]).await;
            if let Ok([reply]) = asked.as_deref()
                && let Content::Rows(answer) = &reply.content
            {
                let database = answer.first_row.first().cloned().flatten();
                let environment = Arc::make_mut(&mut connection.environment);
                environment.database = database.map(Into::into);
                Arc::make_mut(&mut self.session.environment).database =
                    connection.environment.database.clone();
            }
        }
        if role_stays && role == RoleThen::Stays {
            connection.traces.role = Leftover::Present;
            return Ok(true);
        }
        if then == LeaseThen::Kept {
            return Ok(true);
        }
        let dedicated = self.session.is_dedicated();
        let thread_free = self.entry.handle().gives();
        if !thread_free {
            self.entry.handle().kills_settled().await;
        }
        if let Some(lease) = self.lease.take() {
            // MariaDB keeps a role over every reset: such a connection is not used again.
            match (role_stays, dedicated) {
                (true, _) => lease.discard(),
                (false, true) => lease.retire(),
                (false, false) => lease.release(),
            }
        }
        Ok(true)
    }

    /// `COM_CHANGE_USER`
    pub(super) async fn change_user(&mut self, payload: &[u8], sequence: u8) -> Result<(), Stop> {
        let change = ChangeUser::parse(payload, self.capabilities)?;
        let database = (!change.database.is_empty()).then(|| change.database.to_vec());
        let collation = change.collation;
        let attempt = Attempt { user: change.user, plugin: change.plugin, proof: change.proof };
        let (proven, sequence) = self.prove_again(attempt, sequence).await;
        let (user, guest) = match proven {
            Ok(proven) => proven,
            Err(error) => {
                if let Some(told) = error.told() {
                    self.put_error(sequence.wrapping_add(1), &told);
                    let denied = matches!(error, GreetError::Denied(_));
                    if denied && self.session.dialect.flavor == Flavor::MariaDb {
                        return self.begin_anew(sequence).await;
                    }
                }
                return Err(match error {
                    GreetError::Io(error) | GreetError::Tls(error) => Stop::Client(error),
                    GreetError::Fault(fault) => Stop::Fault(fault),
                    GreetError::Denied(_)
                    | GreetError::Blocked(_)
                    | GreetError::Old(_)
                    | GreetError::Unavailable(_) => Stop::Denied,
                });
            }
        };
        if user.name != self.user {
            let limit = self.service.limits().of(&user.name).clients;
            match self.service.seats.take(&user.name, limit) {
                Ok(seat) => self.seat = seat,
                Err(limit) => {
                    let told = Told::too_many_clients_of(&user.name, limit);
                    self.put_error(sequence.wrapping_add(1), &told);
                    return Err(Stop::Denied);
                }
            }
        }
        if !self.bring_found_rows(sequence).await? {
            return Ok(());
        }
        // MariaDB lets the same user keep it, and any other, who does not get it here.
        let same = user.name == self.user;
        let role = if same { RoleThen::Stays } else { RoleThen::Goes };
        let Some(kept) = self.role_kept(same, sequence).await? else { return Ok(()) };
        if !self.clean_lease(role, LeaseThen::Given, sequence).await? {
            return Ok(());
        }
        // The former user's connection is back by now.
        let _before = std::mem::replace(&mut self.guest, guest.map(Box::new));
        let wanted = Wanted { collation, database, role: kept, treatment: user.treatment };
        self.become_user(user.name, wanted, sequence).await
    }

    /// The role after a change to `same` user: MariaDB leaves what was set, where no default role
    /// takes its place (measured). `None` when the client has been told that it cannot be known.
    async fn role_kept(&mut self, same: bool, sequence: u8) -> Result<Option<Role>, Stop> {
        let role = self.session.environment.role.clone();
        if !same || role == Role::Login || self.session.dialect.flavor == Flavor::MySql {
            return Ok(Some(Role::Login));
        }
        if self.borrow(sequence).await? == Borrowed::No {
            return Ok(None);
        }
        let Some(lease) = &mut self.lease else { return Ok(None) };
        let replaced = matches!(lease.connection().baseline.role, LoginRole::Named(_));
        Ok(Some(if replaced { Role::Login } else { role }))
    }

    /// Asks for `FOUND_ROWS()`, which outlives a reset, where only the connection knows it. False
    /// when the client has been told that there is none.
    async fn bring_found_rows(&mut self, sequence: u8) -> Result<bool, Stop> {
        if !self.session.residue.found_rows.is_on_backend() {
            return Ok(true);
        }
        if self.borrow(sequence).await? == Borrowed::No {
            return Ok(false);
        }
        let still = self.session.residue.found_rows.is_on_backend();
        if still && let Some(lease) = &mut self.lease {
            let question = Question::Query(b"SELECT FOUND_ROWS() LIMIT 1");
            let Ok(replies) = lease.connection().ask(&[question]).await else {
                return self.connection_failed(sequence, Sent::Nothing).map(|()| false);
            };
            for reply in replies {
                if let Content::Rows(answer) = reply.content {
                    self.session.residue.found_rows_are(&answer);
                }
            }
        }
        Ok(true)
    }

    async fn become_user(
        &mut self,
        user: Arc<str>,
        wanted: Wanted,
        sequence: u8,
    ) -> Result<(), Stop> {
        let Wanted { collation, database, role, treatment } = wanted;
        let key = pool_key(self.pool.key().server, &user, self.capabilities);
        let (Some(pool), Some(learned)) = (self.service.pool(&key), self.service.learned()) else {
            let told = Told::access_denied(&user, &self.peer.host, true);
            self.put_error(sequence.wrapping_add(1), &told);
            return Err(Stop::Denied);
        };
        self.pool = pool;
        *self.entry.handle().user.lock() = user.clone();
        self.counted_pins =
            self.service.metrics.pins.session_of(&user, self.channel.stream.transport());
        self.user = user;
        let capabilities = match learned.server.version.flavor {
            Flavor::MySql => self.capabilities,
            // A change of the user does without what these did at login (measured).
            Flavor::MariaDb => self
                .capabilities
                .without(Capabilities::IGNORE_SPACE)
                .without(Capabilities::INTERACTIVE),
        };
        let mut environment = login_environment(&learned, capabilities, collation);
        if role != Role::Login {
            Arc::make_mut(&mut environment).role = role;
        }
        if let Some(told) = collation.and_then(|id| unusable_charset(&learned, id)) {
            self.put_error(sequence.wrapping_add(1), &told);
            return Err(Stop::Denied);
        }
        let version = &learned.server.version;
        let found_rows = self.session.residue.found_rows;
        let multi_statements = self.session.environment.multi_statements;
        self.session = crate::session::model::Session::new(environment, version, &learned.baseline);
        self.session.treatment = treatment;
        self.session.residue.found_rows = found_rows;
        self.session.set_multi_statements(multi_statements);
        if self.lease.is_some() {
            self.session.pins.put(PinReason::Role, Holds::Yes);
        }
        if self.enter_database(database, sequence).await? {
            self.put_ok(sequence.wrapping_add(1));
        }
        Ok(())
    }

    /// Makes this the session's database, after the server has agreed. False when it has not, and
    /// the client was told.
    pub(super) async fn enter_database(
        &mut self,
        database: Option<Vec<u8>>,
        sequence: u8,
    ) -> Result<bool, Stop> {
        let Some(database) = database else { return Ok(true) };
        let step = crate::session::align::Restore::InitDb(database.clone().into());
        let before = self.session.environment.clone();
        let environment = Arc::make_mut(&mut self.session.environment);
        environment.database = Some(database.into());
        self.session.login = self.session.environment.clone();
        let pool = self.pool.clone();
        let is_proven = || pool.proven.all(std::slice::from_ref(&step));
        if is_proven() {
            return Ok(true);
        }
        // Thousands may come at a time, of whom one has to ask, and the others need not wait where there
        // is room for a command's work.
        let _turn = pool.proven.turn(&step).await;
        if is_proven() {
            return Ok(true);
        }
        Box::pin(self.try_database(before, sequence)).await
    }

    /// Enters the session's database now; puts it back to what it had `before` if that is refused.
    async fn try_database(&mut self, before: Arc<Environment>, sequence: u8) -> Result<bool, Stop> {
        if self.borrow(sequence).await? == Borrowed::No {
            return Ok(false);
        }
        let entered = self.align_now(&Default::default(), sequence).await?;
        if !entered {
            self.session.environment = before.clone();
            self.session.login = before;
            return Ok(false);
        }
        self.conclude().await?;
        Ok(true)
    }

    /// The dialogue about the password, on the client's channel. Also gives the number of its last
    /// packet.
    async fn prove_again(
        &mut self,
        attempt: Attempt<'_>,
        sequence: u8,
    ) -> (Result<(User, Option<Guest>), GreetError>, u8) {
        let context = self.service.greet_context();
        let encrypted = self.channel.stream.is_tls();
        let certificate = self.channel.stream.client_certificate().map(<[u8]>::to_vec);
        let input = BytesMut::from(self.channel.input.filled());
        self.channel.input.consume(input.len());
        let mut packets = PacketStream::from_parts(Parts {
            stream: &mut self.channel.stream,
            input,
            output: std::mem::take(&mut self.channel.output),
            sequence: sequence.wrapping_add(1),
        });
        let certificate = certificate.as_deref();
        let change = ChangeProof { attempt, encrypted, nonce: self.nonce, certificate };
        let proven = reauthenticate(&mut packets, &context, change, &self.peer).await;
        let Parts { input, output, sequence, .. } = packets.into_parts();
        self.channel.input = ReadBuffer::with(&input);
        self.channel.output = output;
        (proven, sequence.wrapping_sub(1))
    }
}

/// Whether a client may send several statements in one command.
pub(super) fn multi_statements(
    capabilities: Capabilities,
) -> crate::session::state::MultiStatements {
    use crate::session::state::MultiStatements;
    if capabilities.has(Capabilities::MULTI_STATEMENTS) {
        MultiStatements::On
    } else {
        MultiStatements::Off
    }
}
