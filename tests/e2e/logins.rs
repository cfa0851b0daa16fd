//! How many logins may fail, and where they are computed.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::accounts::{APP, OTHER};
use crate::support::flavor::Flavor;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::{Encrypted, Login, Plugin};
use crate::support::server::Server;
use crate::support::servers;

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// What a login is told: `None` when it succeeds.
async fn told(millpond: &Millpond, login: Login) -> Option<String> {
    match login.at(millpond.port).await {
        Ok(client) => {
            client.quit().await;
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

fn wrong(from: Ipv4Addr) -> Login {
    Login { password: "wrong".into(), from, ..Login::of(&APP) }
}

/// A server that shows clients by their addresses, whose names it does not look for.
fn nameless() -> &'static Server {
    let flavor = servers::available()[0];
    Box::leak(Box::new(Server::start(flavor, &["skip_name_resolve=1"])))
}

#[test]
fn failed_logins_are_limited_by_user_and_address() {
    let server = nameless();
    servers::runtime().block_on(async {
        let settings = Settings {
            service: "login_limits = { failures_per_user = 3, failures_per_address = 6, \
                      window = \"1h\", block_for = \"5s\" }\n"
                .into(),
            ..Settings::with_pool_of(2)
        };
        let millpond = Millpond::start(server, &settings);
        // Each plugin counts, and an attempt that is left in the middle.
        for plugin in [Plugin::CachingSha2, Plugin::Native, Plugin::Clear] {
            let encrypted = Encrypted::Yes;
            let told = told(&millpond, Login { plugin, encrypted, ..wrong(HERE) }).await;
            assert!(told.unwrap().starts_with("1045: "), "{plugin:?}");
        }
        let right = Login::of(&APP);
        let refused = told(&millpond, right.clone()).await.expect("a refusal");
        let expected = "3955: Access denied for user 'app'@'127.0.0.1'. Account is blocked for 5 \
                        seconds (";
        assert!(refused.starts_with(expected), "{refused}");
        // The user from elsewhere, and others from here.
        assert_eq!(told(&millpond, Login { from: ELSEWHERE, ..right.clone() }).await, None);
        assert_eq!(told(&millpond, Login::of(&OTHER)).await, None);
        // Names of nobody count for the address.
        for name in ["nobody", "somebody", "anybody"] {
            let stranger = Login { user: name.into(), ..wrong(HERE) };
            assert!(told(&millpond, stranger).await.unwrap().starts_with("1045: "));
        }
        let stranger = Login { user: "new".into(), ..wrong(HERE) };
        let refused = told(&millpond, stranger).await.expect("a refusal");
        let expected = "1129: Host '127.0.0.1' is blocked because of many failed logins; it is \
                        unblocked in ";
        assert!(refused.starts_with(expected), "{refused}");
        assert_eq!(told(&millpond, Login::of(&OTHER)).await, None, "it was here before");
        // Time lifts it.
        let patience = Instant::now() + Duration::from_secs(60);
        while let Some(refused) = told(&millpond, right.clone()).await {
            assert!(refused.starts_with("3955") || refused.starts_with("1129"), "{refused}");
            assert!(Instant::now() < patience, "{refused}");
            sleep(Duration::from_millis(200)).await;
        }
        let metrics = millpond.page("/metrics");
        let blocked = "millpond_client_connections_closed_total{reason=\"blocked\"";
        assert!(metrics.contains(blocked), "{metrics}");
        let log = millpond.log();
        assert_eq!(log.matches("too many failed logins").count(), 2, "{log}");
    });
    server.kill();
}

#[test]
fn an_address_of_which_nobody_is_known_is_not_even_greeted() {
    let server = nameless();
    servers::runtime().block_on(async {
        let settings = Settings {
            service: "login_limits.failures_per_address = 2\n".into(),
            ..Settings::with_pool_of(2)
        };
        let millpond = Millpond::start(server, &settings);
        for _ in 0..2 {
            assert!(told(&millpond, wrong(ELSEWHERE)).await.unwrap().starts_with("1045"));
        }
        let refused = Login { from: ELSEWHERE, ..Login::of(&APP) }.at(millpond.port).await.err();
        let refused = refused.expect("a refusal");
        // In place of the greeting: no proof was asked for.
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "{refused}");
        assert!(refused.to_string().starts_with("1129: Host '127.0.0.2'"), "{refused}");
        assert_eq!(told(&millpond, Login::of(&APP)).await, None);
    });
    server.kill();
}

/// The processor time of each thread by its name, in the kernel's ticks.
fn processor_time(pid: u32) -> Vec<(String, u64)> {
    let folder = PathBuf::from(format!("/proc/{pid}/task"));
    let tasks = fs::read_dir(folder).expect("the process").map(|task| task.unwrap().path());
    tasks
        .map(|task| {
            let stat = fs::read_to_string(task.join("stat")).expect("a thread");
            let (head, rest) = stat.rsplit_once(')').expect("a name in parentheses");
            let name = head.split_once('(').expect("a name").1.to_owned();
            let fields: Vec<&str> = rest.split_whitespace().collect();
            let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
            (name, ticks(11) + ticks(12))
        })
        .collect()
}

#[test]
fn a_storm_of_logins_is_computed_on_threads_of_its_own() {
    servers::both_async(async |server| {
        if server.flavor == Flavor::MariaDb {
            // TLS costs the same whatever is behind.
            return;
        }
        let settings = Settings {
            other: "[runtime]\nthreads = 1\nlogin_threads = 2\n".into(),
            ..Settings::with_pool_of(2)
        };
        let millpond = Millpond::start(server, &settings);
        let mut held = Login::of(&APP).at(millpond.port).await.expect("to log in");
        let storm = (0..16).map(|_| {
            let port = millpond.port;
            tokio::spawn(async move {
                for _ in 0..25 {
                    let login = Login { encrypted: Encrypted::Yes, ..Login::of(&APP) };
                    login.at(port).await.expect("to log in").quit().await;
                }
            })
        });
        let storm: Vec<_> = storm.collect();
        // Statements go on meanwhile.
        let mut statements = 0;
        while storm.iter().any(|client| !client.is_finished()) {
            held.query("SELECT 1").await.expect("a reply").must("SELECT 1");
            statements += 1;
        }
        for client in storm {
            client.await.expect("a client of the storm");
        }
        assert!(statements > 0);
        let times = processor_time(millpond.pid());
        let of = |name: &str| -> u64 {
            times.iter().filter(|(thread, _)| thread == name).map(|(_, ticks)| ticks).sum()
        };
        let serving = of("tokio-rt-worker");
        assert_eq!(times.iter().filter(|(thread, _)| thread == "logins").count(), 2, "{times:?}");
        // TLS is the most of it: without threads of its own it would be the serving thread's.
        assert!(of("logins") > 0, "{times:?}");
        eprintln!("ticks: logins {}, serving {serving}, {statements} statements", of("logins"));
    });
}
