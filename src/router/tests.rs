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
        share: Share::FULL,
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

/// How many of a thousand new sessions read where, with nobody busy.
fn spread(servers: &Snapshot, preferences: &Preferences) -> [usize; 3] {
    let mut spread = [0; 3];
    let mut source = fastrand::Rng::with_seed(7);
    for _ in 0..1_000 {
        let random = |n: usize| source.usize(..n);
        let Route::To(id) = route(servers, Access::Read, preferences, NONE, |_| 0, random) else {
            panic!("held");
        };
        spread[id.0 as usize] += 1;
    }
    spread
}

#[test]
fn a_reader_that_is_back_gets_a_growing_share() {
    let mut servers = snapshot();
    servers.servers.truncate(3);
    let wanted = preferences(None);
    let mut before = 0;
    for percent in [10, 30, 50, 70, 90] {
        servers.servers[2].share = Share::of_percent(percent);
        let [writer, other, back] = spread(&servers, &wanted);
        assert!(back > before && back < other && writer == 0, "{percent} %: {back} and {other}");
        before = back;
    }
    // Alone, it shares with the writer.
    servers.servers.remove(1);
    servers.servers[1].share = Share::of_percent(10);
    let [writer, _, back] = spread(&servers, &wanted);
    assert!(back > 50 && writer > back, "{writer} and {back}");
    let wait = Preferences { without_readers: WithoutReaders::Wait, ..wanted };
    assert_eq!(spread(&servers, &wait)[2], 1_000, "nobody else may be read from");
}

#[test]
fn a_reader_that_is_held_out_is_used_only_where_there_is_no_other() {
    let mut servers = snapshot();
    servers.servers.truncate(3);
    let mut wanted = preferences(None);
    servers.servers[2].share = Share::NONE;
    assert_eq!(spread(&servers, &wanted), [0, 1_000, 0]);
    assert_eq!(read(&servers, &wanted, ServerId(2)), Route::To(ServerId(1)), "it is left");
    servers.servers[1].share = Share::NONE;
    assert_eq!(spread(&servers, &wanted), [1_000, 0, 0]);
    servers.writer = Writer::Awaited;
    let [writer, one, two] = spread(&servers, &wanted);
    assert!(writer == 0 && one > 300 && two > 300, "{one} and {two}");
    wanted.without_readers = WithoutReaders::Wait;
    servers.writer = Writer::Confirmed(ServerId(0));
    assert_eq!(read(&servers, &wanted, ServerId(2)), Route::To(ServerId(2)));
}
