//! The configuration is read again while clients come and go. No client meets an error.

use crate::support::accounts::{self, APP};
use crate::support::millpond::{Millpond, Settings};
use crate::support::{server, servers};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const CLIENTS: u64 = 64;

/// Asks for a reload; the status and the body.
async fn reload(millpond: &Millpond) -> (u16, String) {
    tokio::task::block_in_place(|| millpond.order("/reload", &[]))
}

/// Connects, works and leaves, over and over; gives how often.
async fn churn(port: u16, number: u64, stop: Arc<AtomicBool>) -> Result<u64, Error> {
    let mut times = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut client = Conn::new(server::options(port, &APP, Some("app"))).await?;
        client.query_drop(format!("SET @mine = {number}")).await?;
        client.query_drop("BEGIN").await?;
        let mine: Option<u64> = client.query_first("SELECT @mine").await?;
        assert_eq!(mine, Some(number));
        client.query_drop("COMMIT").await?;
        client.disconnect().await?;
        times += 1;
    }
    Ok(times)
}

#[test]
fn reloads_under_churn_cost_no_error() {
    servers::both_async(async |server| {
        let settings = Settings {
            pool: "max_size = 4\nborrow_timeout = \"60s\"\n".into(),
            ..Settings::default()
        };
        let millpond = Millpond::start(server, &settings);
        let other = accounts::ordinary(server.flavor).into_iter().find(|a| a.name != APP.name);
        let other = other.expect("another user");
        let mut stayed = millpond.connect(&other, None).await.expect("to connect");
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| tokio::spawn(churn(millpond.port, number, stop.clone())))
            .collect();

        // One that is wrong in the end changes nothing, not even what is right in it.
        millpond.edit(|text| text.replace("max_size = 4", "max_size = 9\nmin_idel = 1"));
        let (status, why) = reload(&millpond).await;
        assert_eq!(status, 422, "{why}");
        assert!(why.contains("services.test.pool.min_idel"), "{why}");
        assert!(allowed(&millpond, 4).await);

        let section = format!("[services.test.users.{}]", other.name);
        let listen = format!("listen = \"127.0.0.1:{}\"", millpond.port);
        for (from, to) in [(9, 2), (2, 6)] {
            millpond.edit(|text| {
                text.replace(&format!("max_size = {from}\n"), &format!("max_size = {to}\n"))
                    .replace("min_idel = 1\n", "")
                    .replace(&section, "[services.test.users.nobody]")
                    .replace(&listen, "listen = \"127.0.0.1:1\"")
            });
            let (status, done) = reload(&millpond).await;
            assert_eq!(status, 200, "{done}");
            assert!(done.contains("services.test.pool.max_size"), "{done}");
            assert!(done.contains("\"needs_restart\":[\"services.test.listen\"]"), "{done}");
            assert!(allowed(&millpond, to).await);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        // Who was removed may not come any more; who is here stays.
        match millpond.connect(&other, None).await {
            Err(Error::Server(error)) => assert_eq!(error.code, 1045),
            outcome => panic!("not refused: {outcome:?}"),
        }

        // A signal does the same.
        millpond.edit(|text| text.replace("[services.test.users.nobody]", &section));
        millpond.signal("HUP");
        for _ in 0..400 {
            if millpond.log().matches("configuration reloaded").count() == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }

        stop.store(true, Ordering::Relaxed);
        let mut times = 0;
        for client in clients {
            times += client.await.expect("no panic").expect("no error");
        }
        stayed.query_drop("SELECT 1").await.expect("a statement of one who stayed");
        millpond.connect(&other, None).await.expect("a user who came back");
        assert!(times >= CLIENTS, "only {times}");
    });
}

/// Waits until the pool may have this many connections.
async fn allowed(millpond: &Millpond, size: usize) -> bool {
    let metric = format!("millpond_backend_connections_allowed{{service=\"test\"}} {size}\n");
    for _ in 0..200 {
        if tokio::task::block_in_place(|| millpond.page("/metrics")).contains(&metric) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    false
}
