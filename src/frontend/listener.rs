//! Accepts clients, and turns away those that may not come.

use super::client::Client;
use super::incident::Concerned;
use super::outcome::Left;
use super::peer::{Peer, identify};
use super::serve::serve;
use super::service::{Admission, Service};
use super::told::Told;
use super::welcome::{Place, Visit};
use crate::net::packet::PacketStream;
use crate::router::Access;
use crate::runtime::Law;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

/// The pause after an accept that failed for want of file descriptors or memory.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Whether a socket has the options of the listener that it came from (Linux's tcp(7)): three calls
/// fewer for each client.
const INHERITED: bool = cfg!(target_os = "linux");

/// Accepts clients, who come for `access`, until the process stops.
pub async fn listen(service: Arc<Service>, listener: TcpListener, access: Access) {
    let stopping = service.tasks.stop_signal().clone();
    if INHERITED && let Err(error) = configure(&listener) {
        tracing::warn!(service = &*service.name, %error, "a listener could not be configured");
    }
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, address)) => {
                service.metrics.received.inc();
                let admitted = service.admit();
                let arrival = Arrival { tcp, address: address.ip(), access };
                let arriving = Box::pin(arrive(service.clone(), arrival, admitted));
                service.tasks.spawn("client", Law::Mortal, attend(service.clone(), arriving));
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

/// Serves a client from its first byte to its last.
///
/// Each step is in a box of its own, so that a client that is waited for, or served, holds no memory
/// for the steps that it has behind it.
async fn attend(
    service: Arc<Service>,
    arriving: Pin<Box<impl Future<Output = Result<Visit<TcpStream>, Left>> + Send>>,
) {
    let left = match come_in(&service, arriving).await {
        Ok(client) => Box::pin(serve(client)).await,
        Err(left) => left,
    };
    service.metrics.left(left);
}

/// Brings a client from its first byte to where it is served, or learns why it is not.
async fn come_in(
    service: &Arc<Service>,
    arriving: Pin<Box<impl Future<Output = Result<Visit<TcpStream>, Left>> + Send>>,
) -> Result<Box<Client>, Left> {
    let visit = arriving.await?;
    let visit = Box::pin(visit.greeted(service)).await?;
    let visit = Box::pin(visit.introduced(service)).await?;
    Box::pin(visit.let_in(service)).await
}

/// Finds out who it is, or turns it away.
async fn arrive(
    service: Arc<Service>,
    arrival: Arrival,
    admitted: Option<Admission>,
) -> Result<Visit<TcpStream>, Left> {
    let Arrival { mut tcp, address, access } = arrival;
    let limits = service.limits().clone();
    let since = Instant::now();
    let deadline = since + limits.handshake_timeout;
    let peer = match identify(&service, &mut tcp, address, deadline).await {
        Ok(peer) => peer,
        Err(unidentified) => {
            let Some(told) = unidentified.told() else { return Err(Left::Disconnected) };
            turn_away(&service, tcp, &told).await;
            return Err(Left::NoProxyHeader);
        }
    };
    if let Some(limit) = limits.connects_per_second
        && !service.rates.admits(peer.address, limit, Instant::now())
    {
        turn_away(&service, tcp, &Told::too_often(&peer.host, limit)).await;
        return Err(Left::TooOften);
    }
    let Some(admission) = admitted else {
        let told = Told::too_many_clients(&service.name, limits.max_clients);
        turn_away(&service, tcp, &told).await;
        return Err(Left::Refused);
    };
    if let Err(blocked) = blocked(&service, &peer) {
        turn_away(&service, tcp, &blocked).await;
        return Err(Left::Blocked);
    }
    if !INHERITED && configure(&tcp).is_err() {
        return Err(Left::Disconnected);
    }
    let Some(learned) = service.wait_learned(deadline).await else {
        turn_away(&service, tcp, &Told::no_server(limits.handshake_timeout.as_millis())).await;
        return Err(Left::Refused);
    };
    let entry = service.registry.enter(&service.name);
    let place = Place { entry, peer, admission, access, learned };
    Ok(Visit { stage: tcp, place, since, deadline })
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

/// Why clients from there are not even greeted.
fn blocked(service: &Service, peer: &Peer) -> Result<(), Told> {
    let host = &*peer.host;
    let greeting = service.greeting();
    let greets = greeting.lasting.throttle.greets(&greeting.login_limits, host, Instant::now());
    greets.map_err(|blocked| Told::blocked(blocked, "", host))
}

/// Has every client's segments sent at once, and clients noticed that vanish without a word.
fn configure(socket: &impl AsFd) -> io::Result<()> {
    let keepalive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60));
    let socket = socket2::SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive)
}
