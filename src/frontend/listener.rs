//! Accepts clients, and brings each from its first byte to the serving loop.

use super::cancel::Entry;
use super::change::multi_statements;
use super::client::{Client, Stop};
use super::failure::{Repetition, Undone};
use super::greet::{GreetError, Greeted, greet};
use super::incident::Concerned;
use super::limits::Seat;
use super::outcome::Left;
use super::peer::{Peer, identify};
use super::serve::{leave, seconds, serve};
use super::service::{Admission, Learned, Service};
use super::told::Told;
use crate::backend::server::ServerId;
use crate::net::channel::Channel;
use crate::net::compressed::Compressed;
use crate::net::packet::PacketStream;
use crate::net::stream::Stream;
use crate::pool::PoolKey;
use crate::router::Access;
use crate::runtime::Law;
use crate::session::model::Session;
use crate::session::state::{Environment, Names};
use crate::wire::capability::Capabilities;
use crate::wire::frame::put_packet_with;
use crate::wire::reply::{OkKind, OkPacket, Tracker, put_tracker};
use bytes::BytesMut;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

/// The pause after an accept that failed for want of file descriptors or memory.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Accepts clients, who come for `access`, until the process stops.
pub async fn listen(service: Arc<Service>, listener: TcpListener, access: Access) {
    let stopping = service.tasks.stop_signal().clone();
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, address)) => {
                service.metrics.received.inc();
                let admitted = service.admit();
                let service = service.clone();
                let tasks = service.tasks.clone();
                // Each step is in a box of its own, so that a client that is served holds no
                // memory for the handshake that it has behind it.
                tasks.spawn("client", Law::Mortal, async move {
                    let arrival = Arrival { tcp, address: address.ip(), access };
                    let left = match Box::pin(arrive(&service, arrival, admitted)).await {
                        Ok(left) => left,
                        Err(client) => Box::pin(serve(client)).await,
                    };
                    service.metrics.left(left);
                });
            }
            Err(error) => {
                tracing::warn!(service = &*service.name, %error, "a client could not be accepted");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

/// A connection that was just accepted.
struct Arrival {
    tcp: TcpStream,
    address: IpAddr,
    access: Access,
}

/// Finds out who it is, and lets it in or turns it away; gives it, in the error position, when it
/// is to be served.
async fn arrive(
    service: &Arc<Service>,
    arrival: Arrival,
    admitted: Option<Admission>,
) -> Result<Left, Box<Client>> {
    let Arrival { mut tcp, address, access } = arrival;
    let limits = service.limits().clone();
    let limit = limits.handshake_timeout;
    let deadline = Instant::now() + limit;
    let peer = match identify(service, &mut tcp, address, deadline).await {
        Ok(peer) => peer,
        Err(unidentified) => {
            let Some(told) = unidentified.told() else { return Ok(Left::Disconnected) };
            turn_away(service, tcp, &told).await;
            return Ok(Left::NoProxyHeader);
        }
    };
    if let Some(limit) = limits.connects_per_second
        && !service.rates.admits(peer.address, limit, Instant::now())
    {
        turn_away(service, tcp, &Told::too_often(&peer.host, limit)).await;
        return Ok(Left::TooOften);
    }
    let Some(admission) = admitted else {
        let told = Told::too_many_clients(&service.name, limits.max_clients);
        turn_away(service, tcp, &told).await;
        return Ok(Left::Refused);
    };
    if let Err(blocked) = blocked(service, &peer) {
        turn_away(service, tcp, &blocked).await;
        return Ok(Left::Blocked);
    }
    let entry = service.registry.enter(&service.name);
    let place = Place { entry, peer, admission, access };
    Box::pin(welcome(service.clone(), tcp, place, deadline, limit)).await
}

/// Sends an error in place of a greeting, as servers do.
async fn turn_away(service: &Service, tcp: TcpStream, told: &Told) {
    let nobody = Concerned { user: &"".into(), client: 0 };
    let told = service.metrics.incidents.note(told, nobody);
    let mut packets = PacketStream::new(tcp);
    packets.put(&told.first_payload());
    // The client may be gone already.
    let _ = timeout(Duration::from_secs(1), packets.flush()).await;
}

/// Greets a client; gives it, in the error position, when it is to be served.
async fn welcome(
    service: Arc<Service>,
    tcp: TcpStream,
    place: Place,
    deadline: Instant,
    limit: Duration,
) -> Result<Left, Box<Client>> {
    if configure(&tcp).is_err() {
        return Ok(Left::Disconnected);
    }
    let Some(learned) = service.wait_learned(deadline).await else {
        Box::pin(turn_away(&service, tcp, &Told::no_server(limit.as_millis()))).await;
        return Ok(Left::Refused);
    };
    let context = service.greet_context();
    let greeting = greet(Stream::Plain(tcp), context, place.entry.handle().id, place.peer.clone());
    let greeted = match tokio::time::timeout_at(deadline, greeting).await {
        Ok(Ok(greeted)) => greeted,
        Ok(Err(error)) => return Ok(not_greeted(&service, &place.peer.host, &error)),
        Err(_) => return Ok(Left::HandshakeTimeout),
    };
    // A box of its own for the same reason as above: not yet needed while the client is waited for.
    Box::pin(let_in(service, learned, greeted, place, deadline - limit)).await
}

/// Finishes the login of a client that has proven who it is and began to come at `since`; gives it, in
/// the error position, when it is to be served.
async fn let_in(
    service: Arc<Service>,
    learned: Arc<Learned>,
    greeted: Greeted,
    place: Place,
    since: Instant,
) -> Result<Left, Box<Client>> {
    let database = greeted.database.clone();
    let server_proof = greeted.server_proof.clone();
    let sequence = greeted.sequence.wrapping_sub(1);
    let refused = unusable_charset(&learned, greeted.collation);
    let user = greeted.user.name.clone();
    let seat = match service.seats.take(&user, service.limits().of(&user).clients) {
        Ok(seat) => seat,
        Err(limit) => return Ok(no_seat(&service, greeted, place.entry.handle().id, limit).await),
    };
    let Some(client) = client(service, greeted, place, seat, &learned) else {
        return Ok(Left::Denied);
    };
    let mut client = Box::new(client);
    if let Some(told) = refused {
        client.put_error(sequence.wrapping_add(1), &told);
        return Ok(leave(client, Stop::Denied).await);
    }
    match client.enter_database(database, sequence).await {
        Ok(true) => {
            put_login_ok(&mut client, sequence, &learned, &server_proof);
            match client.channel.flush().await {
                Ok(()) => {
                    client.channel.begin_compression();
                    logged_in(&client, since);
                    Err(client)
                }
                Err(error) => Ok(leave(client, Stop::Client(error)).await),
            }
        }
        Ok(false) => Ok(leave(client, Stop::Denied).await),
        Err(stop) => Ok(leave(client, stop).await),
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

/// Why clients from there are not even greeted.
fn blocked(service: &Service, peer: &Peer) -> Result<(), Told> {
    let host = &*peer.host;
    let greeting = service.greeting();
    let greets = greeting.lasting.throttle.greets(&greeting.login_limits, host, Instant::now());
    greets.map_err(|blocked| Told::blocked(blocked, "", host))
}

/// Logs why a handshake did not succeed.
fn not_greeted(service: &Service, host: &str, error: &GreetError) -> Left {
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

fn configure(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60));
    socket2::SockRef::from(tcp).set_tcp_keepalive(&keepalive)
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

/// What a client has before it has logged in.
struct Place {
    entry: Entry,
    peer: Arc<Peer>,
    admission: Admission,
    access: Access,
}

fn client(
    service: Arc<Service>,
    greeted: Greeted,
    place: Place,
    seat: Seat,
    learned: &Learned,
) -> Option<Client> {
    let Place { entry, peer, admission, access } = place;
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
    let environment = login_environment(learned, capabilities, Some(collation));
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
