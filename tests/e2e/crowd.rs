//! Two thousand clients over a pool of twenty.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

use crate::support::accounts::APP;
use crate::support::limits;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::server::Server;
use crate::support::servers;

const CLIENTS: u32 = 2000;
const TRANSACTIONS: u32 = 3;
const POOL: u64 = 20;
/// Millpond's own: one to look after the server, one to read its stored code.
const SUPERVISOR: u64 = 2;

/// All clients connect at once, each adds to a row of its own and to one of a few rows they share.
#[test]
fn two_thousand_clients_over_a_pool_of_twenty() {
    limits::raise_open_files();
    servers::both_private(&["max_connections=100"], |server| async move {
        prepare(server).await;
        let settings = Settings {
            // They all wait for each other's locks and for the processor of a test machine.
            pool: format!("max_size = {POOL}\nborrow_timeout = \"2m\"\n"),
            ..Settings::default()
        };
        let millpond = Millpond::start(server, &settings);
        let mut clients = JoinSet::new();
        for id in 0..CLIENTS {
            clients.spawn(one_client(millpond.port, id));
        }
        let failures: Vec<String> =
            clients.join_all().await.into_iter().filter_map(Result::err).collect();
        assert!(
            failures.is_empty(),
            "{} of {CLIENTS} clients failed, the first: {:?}\n{}",
            failures.len(),
            &failures[..failures.len().min(5)],
            millpond.log()
        );
        check(server).await;
    });
}

async fn prepare(server: &Server) {
    let mut admin = server.admin().await;
    for sql in [
        "CREATE TABLE app.own (id INT PRIMARY KEY, n INT NOT NULL)",
        "CREATE TABLE app.shared (id INT PRIMARY KEY, n INT NOT NULL)",
        "INSERT INTO app.shared VALUES (0, 0), (1, 0), (2, 0), (3, 0)",
        "SET SESSION cte_max_recursion_depth = 10000",
        "SET SESSION max_recursive_iterations = 10000",
    ] {
        // Each of the last two is known to one of the servers.
        let done = admin.query_drop(sql).await;
        assert!(done.is_ok() || sql.starts_with("SET"), "{sql}: {done:?}");
    }
    let rows = format!(
        "INSERT INTO app.own WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n \
         WHERE i < {}) SELECT i, 0 FROM n",
        CLIENTS - 1
    );
    admin.query_drop(rows).await.expect("rows");
    // Newer MariaDB has two kinds of it, and the short form flushes the session's.
    if admin.query_drop("FLUSH GLOBAL STATUS").await.is_err() {
        admin.query_drop("FLUSH STATUS").await.expect("to reset the counters");
    }
    admin.disconnect().await.ok();
}

async fn one_client(port: u16, id: u32) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("client {id}: {error}");
    let mut client = Login::of(&APP).at(port).await.map_err(failed)?;
    for _ in 0..TRANSACTIONS {
        for sql in [
            "BEGIN".to_owned(),
            format!("UPDATE own SET n = n + 1 WHERE id = {id}"),
            format!("UPDATE shared SET n = n + 1 WHERE id = {}", id % 4),
            format!("SELECT n FROM own WHERE id = {id}"),
            "COMMIT".to_owned(),
        ] {
            let reply = client.query(&sql).await.map_err(failed)?;
            if let Some(error) = reply.error() {
                return Err(format!("client {id}: {sql}: {error:?}"));
            }
        }
    }
    client.quit().await;
    Ok(())
}

async fn check(server: &Server) {
    let peak = server.status("Max_used_connections").await;
    let mut admin = server.admin().await;
    let sums = "SELECT SUM(n), MIN(n), MAX(n), (SELECT SUM(n) FROM app.shared) FROM app.own";
    let sums: Option<(u32, u32, u32, u32)> = admin.query_first(sums).await.expect("sums");
    admin.disconnect().await.ok();
    let all = CLIENTS * TRANSACTIONS;
    assert_eq!(sums, Some((all, TRANSACTIONS, TRANSACTIONS, all)), "{}", server.flavor);
    // One more: the administrator's own, by which this is asked.
    eprintln!("{}: at most {peak} connections", server.flavor);
    assert!(peak <= POOL + SUPERVISOR + 1, "{}: {peak} connections", server.flavor);
}

/// Clients that come, ask one question and leave, over and over, with no pause between them.
#[test]
fn clients_that_come_and_go() {
    servers::both_async(|server| async move {
        let settings = Settings::with_pool_of(5);
        let millpond = Millpond::start(server, &settings);
        let mut workers = JoinSet::new();
        for worker in 0..20u32 {
            let port = millpond.port;
            workers.spawn(async move {
                for n in 0..25 {
                    let mut client = Login::of(&APP).at(port).await.expect("to log in");
                    let sum = worker * 1000 + n;
                    let reply = client.query(&format!("SELECT {sum}")).await.expect("a reply");
                    assert_eq!(reply.value(), Some(sum.to_string()));
                    match n % 3 {
                        0 => client.quit().await,
                        // Without a word.
                        1 => drop(client),
                        // In the middle of a reply that nobody will read.
                        _ => {
                            let sql = b"\x03SELECT REPEAT('x', 100000)";
                            client.packets.send(0, sql).await.expect("to send");
                        }
                    }
                }
            });
        }
        let all = tokio::time::timeout(Duration::from_secs(60), workers.join_all()).await;
        assert!(all.is_ok(), "some wait for ever\n{}", millpond.log());
    });
}
