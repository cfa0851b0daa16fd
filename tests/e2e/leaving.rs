//! Clients that vanish.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tokio::time::{sleep, timeout};

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::raw::reply::Expect;
use crate::support::server::Server;
use crate::support::servers;

/// Long enough for any test machine, and much shorter than any time-out of the server.
const SOON: Duration = Duration::from_secs(5);

async fn table(server: &Server, name: &str) {
    let mut admin = server.admin().await;
    for sql in [
        format!("DROP TABLE IF EXISTS app.{name}"),
        format!("CREATE TABLE app.{name} (id INT PRIMARY KEY, n INT NOT NULL)"),
        format!("INSERT INTO app.{name} VALUES (1, 0)"),
    ] {
        admin.query_drop(&sql).await.expect(&sql);
    }
    admin.disconnect().await.ok();
}

#[test]
fn a_client_that_dies_in_a_transaction_has_it_rolled_back() {
    servers::both_async(|server| async move {
        table(server, "dies").await;
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let login = Login::of(&APP);
        let mut dying = login.at(millpond.port).await.expect("to log in");
        for sql in ["BEGIN", "UPDATE dies SET n = 100 WHERE id = 1"] {
            dying.query(sql).await.expect(sql).must(sql);
        }
        drop(dying);
        // The row is locked until the transaction is gone.
        let mut next = login.at(millpond.port).await.expect("to log in");
        let sql = "UPDATE dies SET n = n + 1 WHERE id = 1";
        let updated = timeout(SOON, next.query(sql)).await.expect("the lock to go at once");
        updated.expect("a reply").must(sql);
        let reply = next.query("SELECT n FROM dies").await.expect("a reply");
        assert_eq!(reply.value().as_deref(), Some("1"));
    });
}

/// A server alone would look after its client only in the first and the last of these.
#[test]
fn a_client_that_dies_while_it_reads_has_that_ended_and_its_transaction_rolled_back() {
    servers::both_async(|server| async move {
        table(server, "reading").await;
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let login = Login::of(&APP);
        let mut holder = login.at(millpond.port).await.expect("to log in");
        holder.query("DO GET_LOCK('dies', 1)").await.expect("a reply").must("a lock");
        for (n, read) in [
            "SELECT SLEEP(600)",
            "SELECT BENCHMARK(1000000000000, SHA2('a', 256))",
            "SELECT GET_LOCK('dies', 600)",
        ]
        .into_iter()
        .enumerate()
        {
            let mut dying = login.at(millpond.port).await.expect("to log in");
            for sql in ["BEGIN", "UPDATE reading SET n = 100 WHERE id = 1"] {
                dying.query(sql).await.expect(sql).must(sql);
            }
            dying.packets.send(0, &[b"\x03", read.as_bytes()].concat()).await.expect("to send");
            sleep(Duration::from_millis(200)).await;
            drop(dying);
            let mut next = login.at(millpond.port).await.expect("to log in");
            let sql = "UPDATE reading SET n = n + 1 WHERE id = 1";
            let updated = timeout(2 * SOON, next.query(sql)).await.expect(read);
            updated.expect("a reply").must(sql);
            let reply = next.query("SELECT n FROM reading").await.expect("a reply");
            assert_eq!(reply.value(), Some((n + 1).to_string()), "{}: {read}", server.flavor);
        }
        let page = millpond.page("/metrics");
        assert!(page.contains("millpond_abandoned_reads_total{service=\"test\"} 3"), "{page}");
    });
}

#[test]
fn a_client_that_dies_while_it_writes_has_that_finished() {
    servers::both_async(|server| async move {
        table(server, "writing").await;
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let login = Login::of(&APP);
        let mut dying = login.at(millpond.port).await.expect("to log in");
        let sql = b"\x03UPDATE writing SET n = n + 1 + SLEEP(1) WHERE id = 1";
        dying.packets.send(0, sql).await.expect("to send");
        sleep(Duration::from_millis(200)).await;
        drop(dying);
        let mut next = login.at(millpond.port).await.expect("to log in");
        let sql = "UPDATE writing SET n = n + 1 WHERE id = 1";
        next.query(sql).await.expect("a reply").must(sql);
        let reply = next.query("SELECT n FROM writing").await.expect("a reply");
        assert_eq!(reply.value().as_deref(), Some("2"), "{}", server.flavor);
    });
}

#[test]
fn a_client_that_leaves_the_queue_never_runs_its_statement() {
    servers::both_async(|server| async move {
        table(server, "queue").await;
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let login = Login::of(&APP);
        let mut holder = login.at(millpond.port).await.expect("to log in");
        holder.query("BEGIN").await.expect("a reply").must("BEGIN");
        let mut leaving = login.at(millpond.port).await.expect("to log in");
        leaving.packets.send(0, b"\x03INSERT INTO queue VALUES (2, 2)").await.expect("to send");
        sleep(Duration::from_millis(200)).await;
        let mut waiting = login.at(millpond.port).await.expect("to log in");
        waiting.packets.send(0, b"\x03SELECT COUNT(*) FROM queue").await.expect("to send");
        sleep(Duration::from_millis(200)).await;
        drop(leaving);
        sleep(Duration::from_millis(200)).await;
        holder.query("COMMIT").await.expect("a reply").must("COMMIT");
        let reply = timeout(SOON, waiting.reply(Expect::Results)).await.expect("its turn");
        assert_eq!(reply.expect("a reply").value().as_deref(), Some("1"));
        sleep(Duration::from_millis(200)).await;
        let reply = holder.query("SELECT COUNT(*) FROM queue").await.expect("a reply");
        assert_eq!(reply.value().as_deref(), Some("1"));
    });
}

#[test]
fn those_who_wait_are_served_in_order() {
    servers::both_async(|server| async move {
        table(server, "queue_order").await;
        let mut admin = server.admin().await;
        admin
            .query_drop(
                "CREATE OR REPLACE TABLE app.queue_order (id INT AUTO_INCREMENT PRIMARY KEY, who INT)",
            )
            .await
            .or(admin.query_drop("DROP TABLE app.queue_order").await)
            .expect("a table");
        let create = "CREATE TABLE IF NOT EXISTS app.queue_order (id INT AUTO_INCREMENT PRIMARY KEY, who INT)";
        admin.query_drop(create).await.expect("a table");
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let login = Login::of(&APP);
        let mut holder = login.at(millpond.port).await.expect("to log in");
        holder.query("BEGIN").await.expect("a reply").must("BEGIN");
        let mut waiting = Vec::new();
        for who in 0..10 {
            let mut client = login.at(millpond.port).await.expect("to log in");
            let sql = format!("\x03INSERT INTO queue_order (who) VALUES ({who})");
            client.packets.send(0, sql.as_bytes()).await.expect("to send");
            waiting.push(client);
            sleep(Duration::from_millis(50)).await;
        }
        holder.query("COMMIT").await.expect("a reply").must("COMMIT");
        for client in &mut waiting {
            client.reply(Expect::Results).await.expect("a reply").must("INSERT");
        }
        let order: Vec<u32> =
            admin.query("SELECT who FROM app.queue_order ORDER BY id").await.expect("the order");
        assert_eq!(order, (0..10).collect::<Vec<_>>());
    });
}
