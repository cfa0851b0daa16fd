//! Passwords that change every second, and not one login that fails.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::support::accounts::{ADMIN, APP};
use crate::support::flavor::Flavor;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::{Encrypted, Login, Plugin};
use crate::support::server::Server;
use crate::support::servers;

/// How the server and the store change.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    /// The store first: for a moment it has a password that the server does not know.
    StoreFirst,
    /// The server first, and the former password is no more.
    ServerFirst,
    /// The server first, and it goes on to take the former password (MySQL only).
    Retain,
}

const USER: &str = "turner";
const WORKERS: usize = 6;
const CHANGES: u32 = 10;

fn write(store: &Path, password: &str) {
    // At once, as a Kubernetes mount changes: nobody reads half a file.
    let next = store.with_extension("next");
    fs::write(&next, format!("turner = \"{password}\"\n")).expect("to write");
    fs::rename(next, store).expect("to rename");
}

async fn rotate(server: &'static Server, order: Order) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("secrets.toml");
    let mut admin = server.connect(&ADMIN, None).await.expect("an administrator");
    admin.query_drop(format!("DROP USER IF EXISTS '{USER}'@'%'")).await.expect("to drop");
    let create = format!("CREATE USER '{USER}'@'%' IDENTIFIED BY 'password-0'");
    admin.query_drop(create).await.expect("to create");
    admin.query_drop(format!("GRANT ALL ON app.* TO '{USER}'@'%'")).await.expect("to grant");
    write(&store, "password-0");
    let settings = Settings {
        other: format!(
            "[services.test.users.{USER}]\nsecret = \"main:turner\"\n[secrets.main]\n\
             kind = \"file\"\npath = \"{}\"\nreplace_over = \"500ms\"\n",
            store.display()
        ),
        ..Settings::with_pool_of(4)
    };
    let millpond = Arc::new(Millpond::start(server, &settings));
    let password = Arc::new(Mutex::new("password-0".to_owned()));
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let workers: Vec<_> = (0..WORKERS)
        .map(|number| {
            let (port, password) = (millpond.port, password.clone());
            let (stop, done) = (stop.clone(), done.clone());
            tokio::spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let password = password.lock().clone();
                    match visit(port, &password, number).await {
                        Ok(()) => drop(done.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => failures.push(format!("{password}: {error}")),
                    }
                }
                failures
            })
        })
        .collect();
    for change in 1..=CHANGES {
        sleep(Duration::from_secs(1)).await;
        let next = format!("password-{change}");
        let retain = if order == Order::Retain { " RETAIN CURRENT PASSWORD" } else { "" };
        let alter = format!("ALTER USER '{USER}'@'%' IDENTIFIED BY '{next}'{retain}");
        if order == Order::StoreFirst {
            write(&store, &next);
            sleep(Duration::from_millis(100)).await;
        }
        admin.query_drop(alter).await.expect("to change the password");
        sleep(Duration::from_millis(50)).await;
        write(&store, &next);
        // Clients hear of it at no particular moment.
        sleep(Duration::from_millis(u64::from(change) * 37 % 300)).await;
        *password.lock() = next;
    }
    sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);
    let mut failures = Vec::new();
    for worker in workers {
        failures.extend(worker.await.expect("a worker"));
    }
    let log = millpond.log();
    assert!(failures.is_empty(), "{order:?}: {failures:#?}\n{log}");
    let done = done.load(Ordering::Relaxed);
    eprintln!("{}, {order:?}: {done} sessions, {CHANGES} changes, no failure", server.flavor);
    assert!(done > 100, "only {done} sessions");
    let metrics = millpond.page("/metrics");
    let changed = "outcome=\"changed\",secret=\"turner\",store=\"main\"}";
    let line = metrics.lines().find(|line| line.contains(changed)).expect("a metric");
    let count: u32 = line.rsplit(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    assert!(count > CHANGES / 2, "{line}");
    assert!(metrics.contains("millpond_secret_age_seconds{secret=\"turner\""), "{metrics}");
    assert!(!log.contains("password-") && !metrics.contains("password-"), "a secret is shown");
}

/// One session: in a transaction, so that connections are held over changes.
async fn visit(port: u16, password: &str, number: usize) -> Result<(), String> {
    let plugin = [Plugin::CachingSha2, Plugin::Native, Plugin::Clear][number % 3];
    let encrypted = if number.is_multiple_of(2) { Encrypted::Yes } else { Encrypted::No };
    let login = Login {
        user: USER.to_owned(),
        password: password.to_owned(),
        plugin,
        encrypted,
        ..Login::of(&APP)
    };
    let mut client = login.at(port).await.map_err(|error| format!("login: {error}"))?;
    for sql in ["SELECT 1", "BEGIN", "SELECT CURRENT_USER()", "COMMIT"] {
        let reply = client.query(sql).await.map_err(|error| format!("{sql}: {error}"))?;
        if let Some(error) = reply.error() {
            return Err(format!("{sql}: {error:?}"));
        }
    }
    client.quit().await;
    sleep(Duration::from_millis(5)).await;
    Ok(())
}

#[test]
fn the_store_changes_first() {
    servers::both_private(&[], |server| rotate(server, Order::StoreFirst));
}

#[test]
fn the_server_changes_first() {
    servers::both_private(&[], |server| rotate(server, Order::ServerFirst));
}

#[test]
fn the_server_keeps_the_former_password() {
    servers::both_private(&[], |server| async move {
        if server.flavor == Flavor::MySql {
            rotate(server, Order::Retain).await;
        }
    });
}

/// A client with a wrong password waits for the store, but not for long, and hears what a server
/// would say; a stranger is not told apart.
#[test]
fn a_wrong_password_is_refused_in_time() {
    servers::both_async(|server| async move {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("secrets.toml");
        write(&store, "right");
        let other = format!(
            "[services.test.users.{USER}]\nsecret = \"main:turner\"\n\
             [secrets.main]\nkind = \"file\"\npath = \"{}\"\n",
            store.display()
        );
        let settings = Settings { other, ..Settings::with_pool_of(4) };
        let millpond = Millpond::start(server, &settings);
        for user in [USER, "stranger"] {
            let begun = Instant::now();
            let login =
                Login { user: user.to_owned(), password: "wrong".into(), ..Login::of(&APP) };
            let refusal = login.at(millpond.port).await.err().expect("a refusal");
            assert!(refusal.to_string().starts_with("1045: Access denied for user"), "{refusal}");
            assert!(begun.elapsed() < Duration::from_secs(4), "{user}: {:?}", begun.elapsed());
        }
    });
}
