//! Servers that come and go while Millpond runs: behind a name that moves, in a group that elects,
//! in a cluster or a table that says so.

use super::load::{count, eventually, first_after, load, table, writer_changes};
use crate::support::accounts::APP;
use crate::support::dns::{Dns, NAME};
use crate::support::flavor::Flavor;
use crate::support::group::Group;
use crate::support::millpond::{Millpond, Settings};
use crate::support::pair::Pair;
use crate::support::server::Server;
use crate::support::{ports, servers};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use std::time::Duration;
use tokio::time::{Instant, sleep};

fn settings(provider: &str, endpoints: &str, backend: &str) -> Settings {
    let variable = |name: &str, value: &str| {
        (format!("MILLPOND__SERVICES__TEST__BACKEND__{name}"), value.to_owned())
    };
    Settings {
        pool: "max_size = 5\nborrow_timeout = \"25s\"\n".to_owned(),
        backend: backend.to_owned(),
        environment: vec![variable("PROVIDER", provider), variable("ENDPOINTS", endpoints)],
        ..Settings::default()
    }
}

/// Behind a name that leads to the writer only.
fn by_name(pair: &Pair, provider: &str) -> (Dns, Millpond) {
    let dns = Dns::start(pair.writer.host);
    let endpoints = format!("{NAME}:{}", pair.writer.port);
    let resolver = format!("resolver = \"127.0.0.1:{}\"\n", dns.port);
    let millpond = Millpond::start(&pair.writer, &settings(provider, &endpoints, &resolver));
    (dns, millpond)
}

#[test]
fn a_name_that_moves_to_the_promoted_server_takes_the_clients_along() {
    servers::each_pair_of(Pair::start_at_one_port, async |pair| {
        let (dns, millpond) = by_name(pair, "dns");
        table(pair, &millpond).await;
        let load = load(&millpond).await;
        sleep(Duration::from_millis(300)).await;
        pair.writer.kill();
        sleep(Duration::from_millis(200)).await;
        pair.promote().await;
        // Where a cloud's name is, minutes may pass.
        sleep(Duration::from_millis(300)).await;
        dns.move_to(pair.replica.host);
        let moved = Instant::now();
        let promoted = || writer_changes(&millpond).last().is_some_and(|why| why == "promoted");
        eventually("a new writer", promoted).await;
        sleep(Duration::from_millis(300)).await;
        let all = load.check(&pair.replica).await;
        eprintln!(
            "{}: first write {:?} after the name moved; {} acknowledged, {} unknown",
            pair.writer.flavor,
            first_after(&all, moved),
            count(&all, |w| w.acknowledged.len()),
            count(&all, |w| w.unknown.len()),
        );
        // A busy machine may see both at once.
        let mut reasons = writer_changes(&millpond);
        reasons.retain(|reason| reason != "unreachable");
        assert_eq!(reasons, ["found", "promoted"]);
        let metrics = millpond.page("/metrics");
        assert!(metrics.contains("=127.0.0.2\""), "the new server is shown");
        assert!(!metrics.contains("=127.0.0.1\""), "the server that went is shown no more");
        let events = millpond.page("/events?service=test");
        assert!(events.contains("\"joined\"") && events.contains("\"left\""), "{events}");
    });
}

#[test]
fn a_name_moves_only_to_a_server_that_says_that_it_writes() {
    servers::each_pair_of(Pair::start_at_one_port, async |pair| {
        let (dns, millpond) = by_name(pair, "auto");
        table(pair, &millpond).await;
        let mut client = millpond.connect(&APP, Some("app")).await.expect("to connect");
        client.query_drop("SET @mine = 'kept'").await.expect("a variable");
        client.query_drop("SELECT 1").await.expect("a statement");
        dns.move_to(pair.replica.host);
        eventually("the new address", || {
            millpond.page("/metrics").contains("=127.0.0.2\",service=\"test\"} 1")
        })
        .await;
        client
            .query_drop("INSERT INTO rows_of_load VALUES (1, 0)")
            .await
            .expect("the old one writes");
        assert_eq!(writer_changes(&millpond), ["found"], "the name alone is not believed");
        // Both claim to write now; the name decides.
        pair.promote().await;
        eventually("the move", || writer_changes(&millpond).len() == 2).await;
        assert_eq!(writer_changes(&millpond), ["found", "moved"]);
        let at: Option<(String, String)> =
            client.query_first("SELECT @@bind_address, @mine").await.expect("the same client");
        assert_eq!(at, Some(("127.0.0.2".to_owned(), "kept".to_owned())));
        let mut old = pair.writer.admin().await;
        client
            .query_drop("INSERT INTO rows_of_load VALUES (2, 0)")
            .await
            .expect("the new one writes");
        let rows: Option<u8> =
            old.query_first("SELECT COUNT(*) FROM app.rows_of_load").await.expect("a count");
        assert_eq!(rows, Some(1), "nothing is written to the former writer any more");
    });
}

/// Inserts until a row is acknowledged; the connection to Millpond has to stay.
async fn insert(client: &mut Conn, id: u64) -> Duration {
    let begun = Instant::now();
    while let Err(error) = client.query_drop(format!("INSERT INTO chosen VALUES ({id})")).await {
        let Error::Server(error) = error else { panic!("the client lost Millpond: {error}") };
        if error.code == 1062 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{error}");
        sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}

#[test]
fn a_group_that_elects_another_primary_takes_the_clients_along() {
    if !servers::available().contains(&Flavor::MySql) {
        return;
    }
    let group: &'static Group = Box::leak(Box::new(Group::start()));
    servers::runtime().block_on(async {
        let [first, others @ ..] = group.servers.as_slice() else { panic!("three servers") };
        // One endpoint is enough: the group tells of the others.
        let endpoint = format!("127.0.0.1:{}", first.port);
        let millpond = Millpond::start(first, &settings("group_replication", &endpoint, ""));
        let mut client = millpond.connect(&APP, Some("app")).await.expect("to connect");
        client.query_drop("CREATE TABLE chosen (id BIGINT PRIMARY KEY)").await.expect("a table");
        insert(&mut client, 1).await;
        let metrics = || millpond.page("/metrics");
        eventually("all members", || metrics().matches("role=\"reader\"").count() == 3).await;

        first.kill();
        let waited = insert(&mut client, 2).await;
        let primary = Group::primary(&others[0]).await.expect("a primary");
        let seen: Option<u16> = client.query_first("SELECT @@port").await.expect("the same client");
        assert_eq!(seen, Some(primary));
        eprintln!("the group elected and took a write {waited:?} after the kill");

        // One of three has no majority: it may not write, whatever it says.
        let (dying, left) = match others {
            [one, other] if one.port == primary => (one, other),
            [one, other] => (other, one),
            _ => panic!("two servers"),
        };
        dying.signal("STOP");
        eventually("the loss", || {
            writer_changes(&millpond).last().is_some_and(|reason| reason == "unreachable")
        })
        .await;
        sleep(Duration::from_secs(2)).await;
        let last = writer_changes(&millpond);
        assert_eq!(last.last().map(String::as_str), Some("unreachable"), "{last:?}");
        assert!(left.crash().is_none(), "the last member lives");
        dying.signal("CONT");
        insert(&mut client, 3).await;
        let rows: Option<u8> =
            client.query_first("SELECT COUNT(*) FROM chosen").await.expect("the same client");
        assert_eq!(rows, Some(3), "every acknowledged row is there");
    });
    group.servers.iter().for_each(|server| server.kill());
}

/// A statement that has to wait while `hold` is in force, and is answered after `release`.
async fn waits(millpond: &Millpond, server: &Server, hold: &str, release: &str) {
    let changes = writer_changes(millpond).len();
    let mut admin = server.admin().await;
    let mut client = millpond.connect(&APP, Some("app")).await.expect("to connect");
    client.query_drop("DO 1").await.expect("a statement");
    admin.query_drop(hold).await.expect("to hold");
    eventually("the hold", || writer_changes(millpond).len() == changes + 1).await;
    let waiting = tokio::spawn(async move { client.query_drop("DO 2").await });
    sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "it is told something while there is no writer");
    admin.query_drop(release).await.expect("to release");
    waiting.await.expect("a task").expect("an answer after the wait");
    let last = writer_changes(millpond).split_off(changes);
    assert_eq!(last, ["demoted", "returned"]);
}

#[test]
fn a_topology_table_of_rds_holds_statements_in_a_switchover_and_may_be_garbage() {
    servers::both_private(&[], async |server| {
        let mut admin = server.admin().await;
        for statement in [
            "CREATE TABLE mysql.rds_topology (id VARCHAR(64), endpoint VARCHAR(255), port INT, \
             role VARCHAR(64), status VARCHAR(64), version VARCHAR(16))",
            "GRANT SELECT ON mysql.rds_topology TO 'app'@'%'",
            // Itself, one that is not there, and rubbish.
            &format!(
                "INSERT INTO mysql.rds_topology VALUES \
                 ('db-1', '127.0.0.1', {}, 'BLUE_GREEN_DEPLOYMENT_SOURCE', 'AVAILABLE', '1.0'), \
                 ('db-2', '127.0.0.1', {}, 'BLUE_GREEN_DEPLOYMENT_TARGET', 'AVAILABLE', '1.0'), \
                 ('', 'no host/at all', -1, NULL, NULL, NULL), (NULL, NULL, NULL, 'x', 'x', 'x')",
                server.port,
                ports::free()
            ),
        ] {
            admin.query_drop(statement).await.expect("the table");
        }
        for provider in ["rds_cluster", "auto"] {
            let endpoint = format!("127.0.0.1:{}", server.port);
            let millpond = Millpond::start(server, &settings(provider, &endpoint, ""));
            waits(
                &millpond,
                server,
                "UPDATE mysql.rds_topology SET status = 'SWITCHOVER_IN_PROGRESS'",
                "UPDATE mysql.rds_topology SET status = 'AVAILABLE'",
            )
            .await;
            assert_eq!(millpond.page("/metrics").matches("role=\"unknown\"").count(), 2);
        }
    });
}

#[test]
fn a_galera_node_that_is_not_synced_is_not_written_to() {
    let library = "/usr/lib/galera/libgalera_smm.so";
    if !servers::available().contains(&Flavor::MariaDb) {
        return;
    }
    if !std::path::Path::new(library).is_file() {
        let why = "galera-4 is not installed; tests/testbed/install servers does that";
        return crate::support::testbed::skip("Galera", why);
    }
    let options = format!(
        "wsrep_provider_options=\"gmcast.listen_addr=tcp://127.0.0.1:{};ist.recv_addr=127.0.0.1:{}\"",
        ports::free(),
        ports::free()
    );
    let settings_of_node = [
        "wsrep_on=ON",
        "wsrep_cluster_address=gcomm://",
        "wsrep_node_address=127.0.0.1",
        "binlog_format=ROW",
        "innodb_autoinc_lock_mode=2",
        &format!("wsrep_provider={library}"),
        &options,
    ];
    let node = Server::start(Flavor::MariaDb, &settings_of_node);
    servers::runtime().block_on(async {
        for provider in ["galera", "auto"] {
            let endpoint = format!("127.0.0.1:{}", node.port);
            let millpond = Millpond::start(&node, &settings(provider, &endpoint, ""));
            let (hold, release) = ("SET GLOBAL wsrep_desync = ON", "SET GLOBAL wsrep_desync = OFF");
            waits(&millpond, &node, hold, release).await;
        }
    });
    node.kill();
}
