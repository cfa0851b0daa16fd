//! Brings a client in that was just accepted: greeting, proof, database.

use super::cancel::Entry;
use super::change::multi_statements;
use super::client::{Client, Stop};
use super::greet::{GreetError, Greeted, Meeting, greet};
use super::incident::Concerned;
use super::limits::Seat;
use super::outcome::Left;
use super::peer::Peer;
use super::repetition::{Repetition, Undone};
use super::serve::{leave, seconds};
use super::service::{Admission, Learned, Service};
use super::told::Told;
use crate::backend::server::{ServerId, ServerInfo};
use crate::net::channel::Channel;
use crate::net::compressed::Compressed;
use crate::net::stream::Stream;
use crate::pool::PoolKey;
use crate::router::Access;
use crate::session::model::Session;
use crate::session::state::{Environment, Names, SeparateCharsets};
use crate::wire::capability::Capabilities;
use crate::wire::frame::put_packet_with;
use crate::wire::reply::{OkKind, OkPacket, Tracker, put_tracker};
use bytes::BytesMut;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// A client on its way in, and how far it is.
pub(super) struct Visit<S> {
    pub(super) stage: S,
    pub(super) place: Place,
    pub(super) since: Instant,
    pub(super) deadline: Instant,
}

/// What a client has before it has logged in.
pub(super) struct Place {
    pub(super) entry: Entry,
    pub(super) peer: Arc<Peer>,
    pub(super) admission: Admission,
    pub(super) access: Access,
    pub(super) learned: Arc<Learned>,
}

impl Visit<TcpStream> {
    /// Greets the client.
    pub(super) async fn greeted(self, service: &Service) -> Result<Visit<Meeting>, Left> {
        let Self { stage: tcp, place, since, deadline } = self;
        let greeting = greet(Stream::Plain(tcp), service.greet_context(), place.entry.handle().id);
        match timeout_at(deadline, greeting).await {
            Ok(Ok(stage)) => Ok(Visit { stage, place, since, deadline }),
            Ok(Err(error)) => Err(not_introduced(service, &place.peer.host, &error)),
            Err(_) => Err(Left::HandshakeTimeout),
        }
    }
}

impl Visit<Meeting> {
    /// Waits for the client to say who it is, and has it prove that.
    pub(super) async fn introduced(self, service: &Service) -> Result<Visit<Greeted>, Left> {
        let Self { stage: mut meeting, place, since, deadline } = self;
        // What thousands wait in at a time has no room for what comes when they answer.
        let answering = timeout_at(deadline, meeting.answering()).await;
        let greeted = match answering {
            Ok(Ok(())) => {
                let introduction = meeting.introduced(place.peer.clone());
                Box::pin(timeout_at(deadline, introduction)).await
            }
            Ok(Err(error)) => Ok(Err(error.into())),
            Err(late) => Err(late),
        };
        match greeted {
            Ok(Ok(stage)) => Ok(Visit { stage, place, since, deadline }),
            Ok(Err(error)) => Err(not_introduced(service, &place.peer.host, &error)),
            Err(_) => Err(Left::HandshakeTimeout),
        }
    }
}

impl Visit<Greeted> {
    /// Finishes the login of a client that has proven who it is.
    pub(super) async fn let_in(self, service: &Arc<Service>) -> Result<Box<Client>, Left> {
        let Self { stage: greeted, place, since, deadline: _ } = self;
        let learned = place.learned.clone();
        let database = greeted.database.clone();
        let server_proof = greeted.server_proof.clone();
        let sequence = greeted.sequence.wrapping_sub(1);
        let refused = unusable_charset(&learned, greeted.collation);
        let user = greeted.user.name.clone();
        let seat = match service.seats.take(&user, service.limits().of(&user).clients) {
            Ok(seat) => seat,
            Err(limit) => {
                return Err(no_seat(service, greeted, place.entry.handle().id, limit).await);
            }
        };
        let client = client(service.clone(), greeted, place, seat).ok_or(Left::Denied)?;
        let mut client = Box::new(client);
        if let Some(told) = refused {
            client.put_error(sequence.wrapping_add(1), &told);
            return Err(leave(client, Stop::Denied).await);
        }
        match client.enter_database(database, sequence).await {
            Ok(true) => {
                put_login_ok(&mut client, sequence, &learned, &server_proof);
                match client.channel.flush().await {
                    Ok(()) => {
                        client.channel.begin_compression();
                        logged_in(&client, since);
                        Ok(client)
                    }
                    Err(error) => Err(leave(client, Stop::Client(error)).await),
                }
            }
            Ok(false) => Err(leave(client, Stop::Denied).await),
            Err(stop) => Err(leave(client, stop).await),
        }
    }
}

/// Ends the handshake of a client whose user has too many already.
async fn no_seat(service: &Service, greeted: Greeted, client: u32, limit: usize) -> Left {
    let Greeted { stream, mut output, mut sequence, user, .. } = greeted;
    let concerned = Concerned { user: &user.name, client };
    let told = Told::too_many_clients_of(&user.name, limit);
    service.metrics.incidents.note(&told, concerned).put(&mut output, &mut sequence);
    let mut channel = Channel::new(stream, &[]);
    channel.output = output;
    // The client may be gone already.
    let _ = timeout(Duration::from_secs(1), channel.flush()).await;
    Left::Refused
}

/// Logs why a handshake did not succeed.
fn not_introduced(service: &Service, host: &str, error: &GreetError) -> Left {
    let refused = matches!(
        error,
        GreetError::Denied(_) | GreetError::Blocked(_) | GreetError::Unavailable(_)
    );
    match error.told().filter(|_| refused) {
        Some(told) => tracing::info!(
            service = &*service.name,
            host,
            code = told.code,
            error = &*String::from_utf8_lossy(&told.message),
            "a login was refused"
        ),
        None => tracing::debug!(service = &*service.name, %error, "a handshake failed"),
    }
    match error {
        GreetError::Blocked(_) => Left::Blocked,
        GreetError::Unavailable(_) => Left::Refused,
        GreetError::Denied(_) => Left::Denied,
        GreetError::Fault(_) | GreetError::Old(_) => Left::Fault,
        GreetError::Tls(_) => Left::Tls,
        GreetError::Io(_) => Left::Disconnected,
    }
}

/// Counts a login that began at `started`.
fn logged_in(client: &Client, started: Instant) {
    let metrics = &client.service.metrics;
    let transport = client.channel.stream.transport() as usize;
    metrics.login_seconds[transport].observe(started.elapsed().as_secs_f64());
}

/// The pool for a user with these capabilities.
pub(super) fn pool_key(server: ServerId, user: &Arc<str>, capabilities: Capabilities) -> PoolKey {
    PoolKey {
        server,
        user: user.clone(),
        found_rows: capabilities.has(Capabilities::FOUND_ROWS),
        local_files: capabilities.has(Capabilities::LOCAL_FILES),
        extended_metadata: capabilities.has(Capabilities::MARIADB_EXTENDED_METADATA),
    }
}

fn client(service: Arc<Service>, greeted: Greeted, place: Place, seat: Seat) -> Option<Client> {
    let Place { entry, peer, admission, access, learned } = place;
    let Greeted {
        stream,
        input,
        output,
        user,
        guest,
        capabilities,
        collation,
        nonce,
        compression,
        ..
    } = greeted;
    let server = service.first_server(access);
    let pool = service.pool(&pool_key(server, &user.name, capabilities))?;
    *entry.handle().user.lock() = user.name.clone();
    entry.handle().idle_since(seconds());
    let environment = login_environment(&learned, capabilities, Some(collation));
    let mut session = Session::new(environment, &learned.server.version, &learned.baseline);
    session.treatment = user.treatment;
    let counted_pins = service.metrics.pins.session_of(&user.name, stream.transport());
    let stream = match compression {
        Some(algorithm) => Stream::Compressed(Box::new(Compressed::new(stream, algorithm))),
        None => stream,
    };
    let mut channel = Channel::new(stream, &input);
    channel.output = output;
    Some(Client {
        limits: service.known_limits(),
        service,
        access,
        // The first statement looks where to go.
        routed: 0,
        moved: false,
        pool,
        channel,
        capabilities,
        session,
        entry,
        user: user.name,
        guest: guest.map(Box::new),
        peer,
        nonce,
        lease: None,
        deposit: None,
        again: None,
        repetition: Repetition::default(),
        undone: Undone::default(),
        severed: false,
        waited: 0,
        catalogue_changed: false,
        globals_changed: false,
        counted_pins,
        cut: None,
        admission,
        seat,
    })
}

/// What a session has after its login: a server derives it from the handshake's collation and
/// from some of the capabilities.
pub(super) fn login_environment(
    learned: &Learned,
    capabilities: Capabilities,
    collation: Option<u16>,
) -> Arc<Environment> {
    let server = &learned.server;
    let names = collation.and_then(|id| server.collations.get(&id));
    let (charset, collation) = names.unwrap_or(&server.default_names);
    let mut environment = Environment::at_login(charset, collation);
    environment.names =
        Names { charset: Some(charset.clone()), collation: Some(collation.clone()) };
    environment.multi_statements = multi_statements(capabilities);
    let baseline = &learned.baseline;
    if let Some(decided) = baseline.names_of_server()
        && (!baseline.maps_login_collation() || environment.names == Names::of_login())
    {
        decide_names(&mut environment, decided, server);
    }
    if capabilities.has(Capabilities::IGNORE_SPACE) {
        let mode = baseline.get("sql_mode").unwrap_or_default();
        let separator: &[u8] = if mode.is_empty() { b"" } else { b"," };
        environment.variables.set("sql_mode", &[mode, separator, b"IGNORE_SPACE"].concat());
    }
    if capabilities.has(Capabilities::INTERACTIVE)
        && let Some(timeout) = baseline.get("interactive_timeout")
        && baseline.get("wait_timeout") != Some(timeout)
    {
        environment.variables.set("wait_timeout", timeout);
    }
    Arc::new(environment)
}

/// The server has names of its own for every session.
fn decide_names(environment: &mut Environment, decided: SeparateCharsets, server: &ServerInfo) {
    let collation = &decided.connection_collation;
    let charset = server.collations.values().find(|(_, known)| known == collation);
    let one = charset.is_some_and(|(charset, _)| {
        *charset == decided.client && decided.results.as_ref() == Some(charset)
    });
    if one {
        environment.names =
            Names { charset: Some(decided.client), collation: Some(decided.connection_collation) };
    } else {
        environment.separate_charsets = Some(decided);
    }
}

/// What a client is told whose collation is of a character set that statements cannot be in.
pub(super) fn unusable_charset(learned: &Learned, collation: u16) -> Option<Told> {
    let (charset, _) = learned.server.collations.get(&collation)?;
    matches!(&**charset, "ucs2" | "utf16" | "utf16le" | "utf32")
        .then(|| Told::unusable_charset(charset))
}

/// The OK that ends the handshake; it tells of the database where the client tracks that.
fn put_login_ok(client: &mut Client, sequence: u8, learned: &Learned, info: &[u8]) {
    let mut trackers = BytesMut::new();
    if learned.server.trackers.schema
        && let Some(database) = &client.session.environment.database
    {
        put_tracker(&mut trackers, &Tracker::Schema(database));
    }
    let status = client.session.status;
    let ok = OkPacket { status, info, state_changes: &trackers, ..OkPacket::default() };
    let mut sequence = sequence.wrapping_add(1);
    let capabilities = client.capabilities;
    put_packet_with(&mut client.channel.output, &mut sequence, |out| {
        ok.encode(OkKind::Ok, capabilities, out);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle client costs is this, its socket and its place in the registry.
    #[test]
    fn a_client_is_small() {
        assert!(size_of::<Client>() <= 608, "{} bytes", size_of::<Client>());
    }
}
