use std::io::{Read, Write};
use std::net::TcpStream as Plain;

use prometheus::{IntCounter, Registry};
use tokio::sync::watch;

use super::*;
use crate::admin::door::{Door, Keys};
use crate::admin::{Guard, Readiness, Reloads, health, metrics};
use crate::config::{LogConfig, LogFormat, SlowConfig, SlowText};
use crate::failover::events::{Events, What};
use crate::runtime::logging::{self, Style};

struct Fixture {
    server: AdminServer,
    readiness: watch::Sender<Readiness>,
    registry: Registry,
    events: Arc<Events>,
}

fn start() -> Fixture {
    let registry = Registry::new();
    let readiness = watch::Sender::new(Readiness::Starting);
    let events = Events::new(10);
    let level = "info".parse().unwrap();
    let slow = SlowConfig { from: None, text: SlowText::Masked };
    let config = LogConfig { format: LogFormat::Text, level, slow };
    let (_, log) = logging::subscriber(&config, Style::Plain, std::io::sink).unwrap();
    let pages = Pages::new(
        registry.clone(),
        readiness.subscribe(),
        events.clone(),
        Control::new(Vec::new(), Reloads::channel().0),
        Guard::default(),
        log,
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    Fixture {
        server: AdminServer::start(listener, pages, None).unwrap(),
        readiness,
        registry,
        events,
    }
}

impl Fixture {
    fn ask(&self, request: &str) -> (String, String) {
        let mut stream = Plain::connect(self.server.address()).unwrap();
        write!(stream, "{request} HTTP/1.1\r\nHost: millpond\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    }
}

#[test]
fn readiness_follows_the_process() {
    let admin = start();
    let steps = [
        (Readiness::Starting, "http/1.1 503", "starting\n"),
        (Readiness::Ready, "http/1.1 200", "ready\n"),
        (Readiness::Draining, "http/1.1 503", "draining\n"),
    ];
    for (readiness, status, body) in steps {
        admin.readiness.send_replace(readiness);
        for path in ["/readyz", "/ready", "/readyz?verbose"] {
            let (head, answer) = admin.ask(&format!("GET {path}"));
            assert!(head.starts_with(status), "{head}");
            assert_eq!(answer, body);
        }
        let (head, answer) = admin.ask("GET /healthz");
        assert!(head.starts_with("http/1.1 200"), "alive all along: {head}");
        assert_eq!(answer, "ok\n");
    }
}

#[test]
fn metrics_come_from_the_registry_that_was_given() {
    let admin = start();
    metrics::register(&admin.registry).unwrap();
    let counter = IntCounter::new("millpond_test_total", "A test.").unwrap();
    admin.registry.register(Box::new(counter.clone())).unwrap();
    counter.inc_by(3);
    let (head, body) = admin.ask("GET /metrics");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("\nmillpond_test_total 3\n"), "{body}");
    let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
    let version = env!("CARGO_PKG_VERSION");
    let build =
        format!("millpond_build_info{{arch=\"{arch}\",os=\"{os}\",version=\"{version}\"}} 1\n");
    assert!(body.contains(&build), "{body}");
    assert!(body.contains("process_resident_memory_bytes "), "{body}");
}

#[test]
fn events_are_told_by_number_and_service() {
    let admin = start();
    for service in ["orders", "users", "orders"] {
        admin.events.add(&service.into(), 3, What::Joined("db:3306".into()));
    }
    let (head, body) = admin.ask("GET /events?service=orders&after=1");
    assert!(head.contains("content-type: application/json"), "{head}");
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(told["events"].as_array().map(Vec::len), Some(1), "{body}");
    assert_eq!(told["events"][0]["number"], 3);
    assert_eq!(told["events"][0]["event"], "joined");
    let (head, _) = admin.ask("GET /events?after=yesterday");
    assert!(head.starts_with("http/1.1 400"), "{head}");
}

#[test]
fn other_requests_are_refused() {
    let admin = start();
    let (head, _) = admin.ask("GET /secrets");
    assert!(head.starts_with("http/1.1 404"), "{head}");
    let (head, _) = admin.ask("POST /metrics");
    assert!(head.starts_with("http/1.1 405") && head.contains("allow: get, head"), "{head}");
    let (head, _) = admin.ask("GET /pause");
    assert!(head.starts_with("http/1.1 405") && head.contains("allow: post"), "{head}");
    let (head, _) = admin.ask("POST /pause");
    assert!(head.starts_with("http/1.1 404"), "{head}");
    let (head, body) = admin.ask("HEAD /healthz");
    assert!(head.starts_with("http/1.1 200") && body.is_empty(), "{head}");
}

#[test]
fn silent_and_broken_clients_do_not_keep_others_from_an_answer() {
    let admin = start();
    let silent: Vec<_> = (0..MOST_CONNECTIONS / 2)
        .map(|_| Plain::connect(admin.server.address()).unwrap())
        .collect();
    let mut broken = Plain::connect(admin.server.address()).unwrap();
    broken.write_all(&[0; 100]).unwrap();
    assert_eq!(admin.ask("GET /healthz").1, "ok\n");
    drop(silent);
}

#[test]
fn it_stops_when_it_is_dropped() {
    let admin = start();
    let address = admin.server.address();
    drop(admin);
    assert!(Plain::connect(address).is_err());
}

#[tokio::test]
async fn its_end_is_noticed() {
    let Fixture { mut server, .. } = start();
    let alive = tokio::time::timeout(Duration::from_millis(20), server.ended()).await;
    assert!(alive.is_err(), "it runs");
    server.stop.cancel();
    server.ended().await;
    server.ended().await;
}

#[test]
fn the_health_command_understands_the_answers() {
    let admin = start();
    let door = Door::at(admin.server.address(), Keys::default()).unwrap();
    assert_eq!(health::ask(&door, health::Probe::Alive), Ok(()));
    let starting = health::ask(&door, health::Probe::Ready).unwrap_err();
    assert_eq!(starting.to_string(), "503: starting");
    admin.readiness.send_replace(Readiness::Ready);
    assert_eq!(health::ask(&door, health::Probe::Ready), Ok(()));
    drop(admin);
    let gone = health::ask(&door, health::Probe::Alive).unwrap_err();
    assert_eq!(gone, health::Unhealthy::Unreachable(io::ErrorKind::ConnectionRefused));
}

#[test]
fn an_address_that_means_everywhere_is_asked_on_this_machine() {
    for (listen, asked) in [
        ("0.0.0.0:9306", "127.0.0.1:9306"),
        ("[::]:9306", "[::1]:9306"),
        ("10.0.0.1:9306", "10.0.0.1:9306"),
    ] {
        assert_eq!(
            Door::at(listen.parse().unwrap(), Keys::default()).unwrap().address(),
            asked.parse().unwrap()
        );
    }
}
