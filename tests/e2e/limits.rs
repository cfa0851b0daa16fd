//! Limits, and what clients are told at them.

use crate::support::accounts::{APP, OTHER};
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::servers;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use mysql_common::constants::CapabilityFlags;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn code(result: Result<impl Sized, Error>) -> (u16, String) {
    match result {
        Err(Error::Server(error)) => (error.code, error.message),
        Err(error) => panic!("not an error of a server: {error}"),
        Ok(_) => panic!("no error"),
    }
}

async fn block(millpond: &Millpond) -> Conn {
    let mut holder = millpond.connect(&APP, Some("app")).await.unwrap();
    holder.query_drop("BEGIN").await.unwrap();
    holder.query_drop("SELECT 1 FROM information_schema.tables LIMIT 1").await.unwrap();
    holder
}

#[test]
fn a_statement_that_waits_too_long_is_told_why() {
    servers::both_async(async |server| {
        let settings = Settings {
            pool: "max_size = 1\nborrow_timeout = \"300ms\"\n".into(),
            ..Settings::default()
        };
        let millpond = Millpond::start(server, &settings);
        let mut other = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut holder = block(&millpond).await;
        let (code, text) = code(other.query_drop("SELECT 1").await);
        assert_eq!(code, 1203);
        assert!(text.contains("borrow_timeout"), "{text}");
        holder.query_drop("COMMIT").await.unwrap();
        // The connection stays usable.
        let one: Option<u8> = other.query_first("SELECT 1").await.unwrap();
        assert_eq!(one, Some(1));
    });
}

#[test]
fn one_client_too_many_is_told_so() {
    servers::both_async(async |server| {
        let settings = Settings { service: "max_clients = 1\n".into(), ..Settings::default() };
        let millpond = Millpond::start(server, &settings);
        // Whoever looked whether Millpond is up may not have been counted out yet.
        let mut only = millpond.connect(&APP, Some("app")).await;
        for _ in 0..100 {
            if only.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            only = millpond.connect(&APP, Some("app")).await;
        }
        let only = only.unwrap();
        let (code, text) = code(millpond.connect(&APP, Some("app")).await);
        assert_eq!(code, 1040);
        assert!(text.contains("max_clients"), "{text}");
        only.disconnect().await.unwrap();
    });
}

#[test]
fn a_client_that_goes_away_while_it_waits_leaves_the_queue() {
    servers::both_async(async |server| {
        let settings = Settings {
            pool: "max_size = 1\nborrow_timeout = \"60s\"\n".into(),
            ..Settings::default()
        };
        let millpond = Millpond::start(server, &settings);
        let mut impatient = millpond.connect(&APP, Some("app")).await.unwrap();
        let holder = block(&millpond).await;
        let waiting = tokio::spawn(async move { impatient.query_drop("SELECT 1").await });
        waited_for(&millpond, "millpond_pool_waiting", 1).await;
        waiting.abort();
        waited_for(&millpond, "millpond_pool_waiting", 0).await;
        holder.disconnect().await.unwrap();
    });
}

/// Settings for the user `app`, in a section of its own behind the others.
fn for_app(millpond: &Millpond, lines: &str) {
    let section = format!("[services.test.users.{}]\n", APP.name);
    millpond.edit(|text| text.replace(&section, &format!("{section}{lines}")));
    reload(millpond);
}

fn reload(millpond: &Millpond) {
    let (status, done) = tokio::task::block_in_place(|| millpond.order("/reload", &[]));
    assert_eq!(status, 200, "{done}");
}

#[test]
fn a_user_has_so_many_clients_and_others_are_not_held_up() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::default());
        let only = millpond.connect(&APP, Some("app")).await.unwrap();
        for_app(&millpond, "max_clients = 1\n");
        let (number, text) = code(millpond.connect(&APP, Some("app")).await);
        assert_eq!(number, 1226, "{text}");
        assert!(text.contains("'app'") && text.contains("max_clients"), "{text}");
        let mut other = millpond.connect(&OTHER, None).await.unwrap();
        // Another way to become one too many.
        let changed = other
            .change_user(
                mysql_async::ChangeUserOpts::new()
                    .with_user(Some(APP.name.to_owned()))
                    .with_pass(Some(APP.password.to_owned())),
            )
            .await;
        assert_eq!(code(changed).0, 1226);
        only.disconnect().await.unwrap();
        waited_for(&millpond, "millpond_sessions", 0).await;
        millpond.connect(&APP, Some("app")).await.unwrap();
        let metrics = millpond.page("/metrics");
        let told = "{service=\"test\",trouble=\"too_many_clients_of_user\"} 2\n";
        assert!(metrics.contains(told), "{metrics}");
    });
}

#[test]
fn a_user_has_so_many_backend_connections() {
    servers::both_async(async |server| {
        let settings = Settings {
            pool: "max_size = 3\nborrow_timeout = \"300ms\"\n".into(),
            ..Settings::default()
        };
        let millpond = Millpond::start(server, &settings);
        for_app(&millpond, "max_backend_connections = 1\n");
        // A driver asks something when it connects.
        let mut second = millpond.connect(&APP, None).await.unwrap();
        let mut holder = block(&millpond).await;
        let (number, text) = code(second.query_drop("SELECT 1").await);
        assert_eq!(number, 1226, "{text}");
        assert!(text.contains("max_backend_connections"), "{text}");
        let mut other = millpond.connect(&OTHER, None).await.unwrap();
        other.query_drop("SELECT 1").await.unwrap();
        millpond.edit(|text| {
            text.replace("max_backend_connections = 1", "max_backend_connections = 2")
        });
        reload(&millpond);
        second.query_drop("SELECT 1").await.unwrap();
        holder.query_drop("COMMIT").await.unwrap();
        waited_for(&millpond, "millpond_borrow_failures_total", 1).await;
    });
}

/// Connections of two kinds, which no session of the other can use, count together.
#[test]
fn a_user_has_so_many_backend_connections_whatever_kind_they_are_of() {
    servers::both_async(async |server| {
        let settings = Settings {
            pool: "max_size = 5\nborrow_timeout = \"1s\"\n".into(),
            ..Settings::default()
        };
        let millpond = Millpond::start(server, &settings);
        for_app(&millpond, "max_backend_connections = 1\n");
        let mut plain = Login::of(&APP).at(millpond.port).await.unwrap();
        let mut login = Login::of(&APP);
        login.capabilities |= CapabilityFlags::CLIENT_FOUND_ROWS;
        let mut other = login.at(millpond.port).await.unwrap();
        for _ in 0..3 {
            for (holder, waiter) in [(&mut plain, &mut other)] {
                holder.query("BEGIN").await.unwrap().must("BEGIN");
                holder.query("SELECT 1").await.unwrap().must("SELECT 1");
                let refused = waiter.query("SELECT 1").await.unwrap();
                let (number, text) = refused.error().expect("no connection is left");
                assert_eq!(number, 1226, "{text}");
                assert!(text.contains("max_backend_connections"), "{text}");
                holder.query("COMMIT").await.unwrap().must("COMMIT");
                // The idle one of the other kind makes room.
                waiter.query("SELECT 1").await.unwrap().must("SELECT 1");
            }
            std::mem::swap(&mut plain, &mut other);
        }
        millpond.edit(|text| {
            text.replace("max_backend_connections = 1", "max_backend_connections = 2")
        });
        reload(&millpond);
        plain.query("BEGIN").await.unwrap().must("BEGIN");
        plain.query("SELECT 1").await.unwrap().must("SELECT 1");
        other.query("SELECT 1").await.unwrap().must("SELECT 1");
    });
}

#[test]
fn an_address_that_connects_too_often_is_told_so() {
    servers::one_async(async |server| {
        let millpond = Millpond::start(server, &Settings::default());
        millpond.edit(|text| {
            text.replace(
                "[services.test.backend]",
                "max_connects_per_second = 1\n[services.test.backend]",
            )
        });
        reload(&millpond);
        let mut refused = None;
        for _ in 0..50 {
            match millpond.connect(&APP, Some("app")).await {
                Ok(client) => drop(client),
                error => {
                    refused = Some(code(error));
                    break;
                }
            }
        }
        let (number, text) = refused.expect("a refusal");
        assert_eq!(number, 1129, "{text}");
        assert!(text.contains("max_connects_per_second"), "{text}");
        // From elsewhere, and a moment later, it is as ever.
        let elsewhere = Login { from: Ipv4Addr::new(127, 0, 0, 9), ..Login::of(&APP) };
        elsewhere.at(millpond.port).await.unwrap();
        let mut again = millpond.connect(&APP, Some("app")).await;
        for _ in 0..20 {
            if again.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            again = millpond.connect(&APP, Some("app")).await;
        }
        again.unwrap();
    });
}

/// Waits until a metric, summed over its labels, has a value.
async fn waited_for(millpond: &Millpond, metric: &str, value: u64) {
    for _ in 0..400 {
        let page = millpond.page("/metrics");
        let sum: f64 = page
            .lines()
            .filter(|line| line.starts_with(&format!("{metric}{{")))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        if sum as u64 == value {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{metric} did not become {value}");
}

#[test]
fn users_that_share_a_servers_connections_wait_in_one_queue() {
    servers::both_async(async |server| {
        let settings = Settings {
            pool: "max_size = 2\nborrow_timeout = \"20s\"\n".into(),
            ..Settings::default()
        };
        let millpond = Millpond::start(server, &settings);
        let stop = Arc::new(AtomicBool::new(false));
        // One user never lets go of what there is by itself: its own clients wait for it.
        let mut crowd = Vec::new();
        for number in 0..12_u32 {
            let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
            let stop = stop.clone();
            crowd.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    client.query_drop(format!("SET @mine = {number}")).await.unwrap();
                    let mine: Option<u32> = client.query_first("SELECT @mine").await.unwrap();
                    assert_eq!(mine, Some(number));
                }
            }));
        }
        // The other one gets its turns all the same.
        for _ in 0..10 {
            let mut rare = millpond.connect(&OTHER, Some("app")).await.unwrap();
            rare.query_drop("BEGIN").await.unwrap();
            let one: Option<u8> = rare.query_first("SELECT 1").await.unwrap();
            assert_eq!(one, Some(1));
            rare.query_drop("COMMIT").await.unwrap();
            rare.disconnect().await.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        for client in crowd {
            client.await.expect("no error in the crowd");
        }
    });
}
