//! Clusters whose nodes fail under load, and tell of one another.

use super::load::{
    WRITERS, arrival, count, eventually, first_after, load, settings_by, table, writer_changes,
};
use crate::support::accounts::APP;
use crate::support::aurora::{self, Nature, STATUS};
use crate::support::flavor::Flavor;
use crate::support::galera::{self, Cluster};
use crate::support::millpond::{Millpond, hosts_missing};
use crate::support::server::Server;
use crate::support::{ports, servers, testbed};
use mysql_async::prelude::Queryable;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[test]
fn a_node_of_a_galera_cluster_that_dies_under_load_loses_nothing() {
    if !servers::available().contains(&Flavor::MariaDb) {
        return;
    }
    if let Some(why) = galera::missing() {
        return testbed::skip("a Galera cluster", why);
    }
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start()));
    servers::runtime().block_on(async {
        // One endpoint is enough: the cluster tells of the others.
        let first = &cluster.nodes[0];
        let endpoint = format!("127.0.0.1:{}", first.port);
        let millpond = Millpond::start(first, &settings_by("galera", endpoint, ""));
        let mut client = millpond.connect(&APP, Some("app")).await.expect("to connect");
        let table = "CREATE TABLE rows_of_load (n BIGINT AUTO_INCREMENT PRIMARY KEY, id BIGINT)";
        client.query_drop(table).await.expect("a table");
        let readers = || millpond.page("/metrics").matches("role=\"reader\"").count();
        eventually("all nodes", || readers() == 3).await;
        let load = load(&millpond).await;
        sleep(Duration::from_millis(500)).await;
        let port: Option<u16> = client.query_first("SELECT @@port").await.expect("the writer");
        let writer = cluster.at(port.expect("a row"));
        let killed = Instant::now();
        writer.kill();
        eventually("another writer", || writer_changes(&millpond).len() > 1).await;
        let port: Option<u16> = client.query_first("SELECT @@port").await.expect("a new writer");
        assert_ne!(port, Some(writer.port));
        // The cluster takes its time to give the dead node up, and commits nothing until then.
        client.query_drop("INSERT INTO rows_of_load (id) VALUES (0)").await.expect("a write");
        sleep(Duration::from_millis(500)).await;
        let all = load.check(cluster.at(port.expect("a row"))).await;
        eprintln!(
            "first write {:?} after the kill; {} acknowledged, {} unknown, {} refused",
            first_after(&all, killed),
            count(&all, |w| w.acknowledged.len()),
            count(&all, |w| w.unknown.len()),
            count(&all, |w| w.refused.len()),
        );
        assert!(count(&all, |w| w.unknown.len()) <= WRITERS as usize, "one in flight for each");
        let changes = writer_changes(&millpond);
        assert_eq!(changes.last().map(String::as_str), Some("promoted"), "{changes:?}");
    });
    cluster.nodes.iter().for_each(|node| node.kill());
}

#[test]
fn an_aurora_cluster_tells_of_its_instances_and_fails_over_under_load() {
    if let Some(why) = hosts_missing() {
        return testbed::skip("instances of Aurora, which have names", why);
    }
    servers::each_pair(async |pair| {
        let port = ports::free();
        let [one, two, three] = [1, 2, 3].map(|last| Ipv4Addr::new(127, 0, 0, last));
        aurora::prepare(pair).await;
        aurora::instance((one, port), "one", &pair.writer, Nature::AsItsServer).await;
        aurora::instance((two, port), "two", &pair.replica, Nature::AsItsServer).await;
        aurora::instance((three, port), "three", &pair.replica, Nature::Reader).await;
        aurora::report(&pair.writer, "one", "MASTER_SESSION_ID", 0).await;
        aurora::report(&pair.writer, "two", "5a3f", 0).await;
        // What is long gone, and what is no instance at all.
        aurora::report(&pair.writer, "gone", "5a40", -3_600).await;
        aurora::report(&pair.writer, "no/host at all", "MASTER_SESSION_ID", -7_200).await;
        aurora::report(&pair.writer, "", "5a41", 0).await;
        let backend = "instance_host = \"?.aurora.test\"\ntls = { mode = \"disabled\" }\n";
        let mut settings = settings_by("aurora", format!("db.aurora.test:{port}"), backend);
        // The cluster's own name, and those of the instances.
        settings.hosts = vec![
            ("db.aurora.test", one),
            ("one.aurora.test", one),
            ("two.aurora.test", two),
            ("three.aurora.test", three),
        ];
        let millpond = Millpond::start(&pair.writer, &settings);
        table(pair, &millpond).await;
        let is = |server: &str, role: &str| {
            let server = format!("server=\"{server}.aurora.test:{port}\"");
            let line = format!("{{role=\"{role}\",{server},service=\"test\"}} 1");
            millpond.page("/metrics").contains(&line)
        };
        eventually("the reader", || is("two", "reader")).await;
        assert!(!is("three", "reader") && !millpond.page("/metrics").contains("gone."));
        // A reader joins.
        aurora::report(&pair.writer, "three", "5a42", 0).await;
        eventually("the reader that joins", || is("three", "reader")).await;
        let load = load(&millpond).await;
        sleep(Duration::from_millis(300)).await;
        pair.writer.kill();
        sleep(Duration::from_millis(200)).await;
        let promoted = pair.promote().await;
        // The former writer's row is still there, and older; another is plain wrong.
        aurora::report(&pair.replica, "two", "MASTER_SESSION_ID", 1).await;
        aurora::report(&pair.replica, "three", "MASTER_SESSION_ID", -60).await;
        sleep(Duration::from_secs(1)).await;
        let all = load.check(&pair.replica).await;
        eprintln!(
            "{}: first write {:?} after the promotion; {} acknowledged, {} unknown, {} refused",
            pair.writer.flavor,
            first_after(&all, promoted),
            count(&all, |w| w.acknowledged.len()),
            count(&all, |w| w.unknown.len()),
            count(&all, |w| w.refused.len()),
        );
        assert!(count(&all, |w| w.unknown.len()) <= WRITERS as usize, "one in flight for each");
        assert!(is("two", "writer") && is("three", "reader"), "{}", millpond.page("/events"));
        // An instance that the table does not list any more is let go.
        let mut admin = pair.replica.admin().await;
        let row = format!("DELETE FROM {STATUS} WHERE SERVER_ID = 'three'");
        admin.query_drop(row).await.expect("no row");
        let metrics = || millpond.page("/metrics");
        eventually("the end of the reader", || !metrics().contains("three.aurora.test")).await;
    });
}

#[test]
fn a_table_of_rds_that_is_stale_or_garbage_misleads_nobody_under_load() {
    servers::each_pair(async |pair| {
        let mut admin = pair.writer.admin().await;
        let number = async |server: &Server| -> u32 {
            let number = server.admin().await.query_first("SELECT @@server_id").await;
            number.expect("a number").expect("a row")
        };
        let (one, two) = (number(&pair.writer).await, number(&pair.replica).await);
        let (first, second) = (pair.writer.port, pair.replica.port);
        let gone = ports::free();
        for statement in [
            "CREATE TABLE mysql.rds_topology (id VARCHAR(64), endpoint VARCHAR(255), port VARCHAR(16))",
            "GRANT SELECT ON mysql.rds_topology TO 'app'@'%'",
            // One that is long gone, and rubbish.
            &format!(
                "INSERT INTO mysql.rds_topology VALUES ('{one}', '127.0.0.1', '{first}'), \
                 ('{two}', '127.0.0.1', '{second}'), ('77', '127.0.0.1', '{gone}'), \
                 ('', 'no host/at all', '-1'), (NULL, NULL, 'x'), ('8', '127.0.0.1', '99999')"
            ),
        ] {
            admin.query_drop(statement).await.expect("the table");
        }
        arrival(pair, "mysql.rds_topology");
        let endpoint = format!("127.0.0.1:{first}");
        let millpond =
            Millpond::start(&pair.writer, &settings_by("rds_cluster", endpoint.clone(), ""));
        table(pair, &millpond).await;
        let is = |port: u16, role: &str| {
            let server = format!("server=\"127.0.0.1:{port}\"");
            let line = format!("{{role=\"{role}\",{server},service=\"test\"}} 1");
            millpond.page("/metrics").contains(&line)
        };
        eventually("the reader", || is(second, "reader")).await;
        let load = load(&millpond).await;
        // Who is another server than the table says is not used; a table that says nothing takes
        // nobody away.
        let wrong = format!("UPDATE mysql.rds_topology SET id = '99' WHERE port = '{second}'");
        admin.query_drop(wrong).await.expect("a wrong table");
        eventually("no reader", || !is(second, "reader")).await;
        let right = format!("UPDATE mysql.rds_topology SET id = '{two}' WHERE port = '{second}'");
        admin.query_drop(right).await.expect("a right table");
        eventually("the reader again", || is(second, "reader")).await;
        for wrong in [
            "UPDATE mysql.rds_topology SET endpoint = REPEAT('/', 200), port = '-1'",
            "DELETE FROM mysql.rds_topology",
        ] {
            admin.query_drop(wrong).await.expect("a wrong table");
            sleep(Duration::from_millis(1_500)).await;
            assert!(is(second, "reader"), "{}", millpond.page("/events"));
        }
        let right =
            format!("INSERT INTO mysql.rds_topology VALUES ('{two}', '127.0.0.1', '{second}')");
        admin.query_drop(right).await.expect("a right table");
        // From now on it is as it was when the writer died: nobody tells of another one.
        pair.writer.kill();
        sleep(Duration::from_millis(200)).await;
        let promoted = pair.promote().await;
        eventually("another writer", || is(second, "writer")).await;
        let mut admin = pair.replica.admin().await;
        for wrong in [
            format!("UPDATE mysql.rds_topology SET id = '{one}', port = '{first}'"),
            "DROP TABLE mysql.rds_topology".to_owned(),
        ] {
            admin.query_drop(wrong).await.expect("a wrong table");
            sleep(Duration::from_millis(1_500)).await;
            assert!(is(second, "writer"), "{}", millpond.page("/events"));
        }
        let all = load.check(&pair.replica).await;
        eprintln!(
            "{}: first write {:?} after the promotion; {} acknowledged, {} unknown, {} refused",
            pair.writer.flavor,
            first_after(&all, promoted),
            count(&all, |w| w.acknowledged.len()),
            count(&all, |w| w.unknown.len()),
            count(&all, |w| w.refused.len()),
        );
        assert!(count(&all, |w| w.unknown.len()) <= WRITERS as usize, "one in flight for each");
        let mut changes = writer_changes(&millpond);
        changes.retain(|reason| reason != "unreachable");
        assert_eq!(changes, ["found", "promoted"]);
    });
}
