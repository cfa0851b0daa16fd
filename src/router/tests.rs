use super::*;
use crate::config::Endpoint;
use crate::failover::orders::Orders;
use std::sync::Arc;

fn server(id: u32, role: Role, zone: &str, lag: Option<u64>) -> ServerState {
    ServerState {
        id: ServerId(id),
        endpoint: Arc::new(Endpoint { host: "h".into(), port: 1, zone: Some(zone.into()) }),
        address: None,
        role,
        health: Health::Up,
        lag: lag.map(Duration::from_secs),
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        settled: false,
        epoch: 1,
        writer: Writer::Confirmed(ServerId(0)),
        orders: Orders::default(),
        servers: vec![
            server(0, Role::Writer, "a", None),
            server(1, Role::Reader, "a", Some(0)),
            server(2, Role::Reader, "b", Some(1)),
            server(3, Role::Reader, "b", Some(60)),
            server(4, Role::Reader, "b", None),
        ],
    }
}

fn preferences(zone: Option<&str>) -> Preferences {
    Preferences {
        zone: zone.map(str::to_owned),
        max_lag: Some(Duration::from_secs(10)),
        without_readers: WithoutReaders::Writer,
    }
}

const NONE: ServerId = ServerId(99);

fn read(snapshot: &Snapshot, preferences: &Preferences, current: ServerId) -> Route {
    let mut at = 0;
    route(
        snapshot,
        Access::Read,
        preferences,
        current,
        |id| id.0 as usize,
        |n| {
            at += 1;
            at % n
        },
    )
}

#[test]
fn writes_go_to_the_confirmed_writer_or_wait() {
    let mut known = snapshot();
    let go = |s: &Snapshot| route(s, Access::Write, &preferences(None), NONE, |_| 0, |_| 0);
    assert_eq!(go(&known), Route::To(ServerId(0)));
    known.writer = Writer::Awaited;
    assert_eq!(go(&known), Route::Hold);
}

#[test]
fn readers_in_the_own_zone_come_first_and_laggards_never() {
    assert_eq!(read(&snapshot(), &preferences(Some("a")), NONE), Route::To(ServerId(1)));
    assert_eq!(read(&snapshot(), &preferences(Some("b")), NONE), Route::To(ServerId(2)));
    // Without a zone: the less busy of two of those that keep up.
    assert_eq!(read(&snapshot(), &preferences(None), NONE), Route::To(ServerId(1)));
}

#[test]
fn a_session_stays_with_its_reader_while_that_is_usable() {
    let mut servers = snapshot();
    assert_eq!(read(&servers, &preferences(Some("a")), ServerId(2)), Route::To(ServerId(2)));
    servers.servers[2].health = Health::Down;
    assert_eq!(read(&servers, &preferences(Some("a")), ServerId(2)), Route::To(ServerId(1)));
}

#[test]
fn without_readers_it_is_the_writer_or_waiting_as_configured() {
    let mut servers = snapshot();
    servers.servers.truncate(1);
    let mut wanted = preferences(None);
    assert_eq!(read(&servers, &wanted, NONE), Route::To(ServerId(0)));
    wanted.without_readers = WithoutReaders::Wait;
    assert_eq!(read(&servers, &wanted, NONE), Route::Hold);
}
