//! What operators do: hold statements, leave servers alone, switch over. No client meets an error.

use super::failover::reads_at;
use super::load::{count, load, settings, table, writer_changes};
use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::relay::{Link, Relay};
use crate::support::{ports, servers};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Gives an order; the status and the body.
async fn order(millpond: &Millpond, order: &str) -> (u16, String) {
    tokio::task::block_in_place(|| millpond.order(order, &[]))
}

async fn connections(server: &crate::support::server::Server) -> u64 {
    let mut admin = server.admin().await;
    let own = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'app' \
               AND command <> 'Binlog Dump'";
    admin.query_first(own).await.expect("a count").expect("a row")
}

/// A server takes a moment to notice that a connection was closed.
async fn only_the_probes_own_is_left(server: &crate::support::server::Server) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while connections(server).await != 1 {
        assert!(Instant::now() < deadline, "more than the probe's own is left");
        sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_planned_switchover_costs_no_error_and_no_transaction() {
    servers::each_pair(async |pair| {
        let millpond = Millpond::start(&pair.writer, &settings(pair));
        table(pair, &millpond).await;
        let load = load(&millpond).await;
        sleep(Duration::from_millis(300)).await;
        let begun = Instant::now();
        let (status, answer) = order(&millpond, "/switchover?service=test&deadline=10s").await;
        assert_eq!(status, 200, "{answer}");
        let drained = begun.elapsed();
        pair.demote().await;
        pair.promote().await;
        sleep(Duration::from_millis(700)).await;
        let all = load.check(&pair.replica).await;
        eprintln!(
            "{}: drained in {drained:?}, the longest pause {:?}, the promotion included",
            pair.writer.flavor,
            all.iter().map(super::load::Written::longest_pause).max().unwrap_or_default(),
        );
        assert_eq!(count(&all, |w| w.unknown.len() + w.refused.len()), 0);
        // The demotion and the promotion may be seen at once.
        let mut reasons = writer_changes(&millpond);
        reasons.retain(|reason| reason != "demoted");
        assert_eq!(reasons, ["found", "promoted"]);
        let events = millpond.page("/events");
        assert!(events.contains("\"reason\":\"fulfilled\""), "{events}");
    });
}

#[test]
fn a_pause_holds_what_is_new_until_the_resumption_and_leaves_no_connection() {
    servers::each_pair(async |pair| {
        let millpond = Millpond::start(&pair.writer, &settings(pair));
        table(pair, &millpond).await;
        let load = load(&millpond).await;
        sleep(Duration::from_millis(200)).await;
        let (status, answer) = order(&millpond, "/pause").await;
        assert_eq!(status, 200, "{answer}");
        only_the_probes_own_is_left(&pair.writer).await;
        let metrics = millpond.page("/metrics");
        let standing = "millpond_standing_orders{order=\"pause\",service=\"test\"} 1";
        assert!(metrics.contains(standing), "{metrics}");
        sleep(Duration::from_millis(300)).await;
        // Nobody came in the meantime.
        only_the_probes_own_is_left(&pair.writer).await;
        assert_eq!(order(&millpond, "/resume").await.0, 200);
        sleep(Duration::from_millis(200)).await;
        let all = load.check(&pair.writer).await;
        assert_eq!(count(&all, |w| w.unknown.len() + w.refused.len()), 0);
        let paused = Duration::from_millis(300);
        assert!(all.iter().all(|written| written.longest_pause() >= paused), "all were held");
    });
}

#[test]
fn an_order_that_is_not_fulfilled_in_time_is_undone() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let mut open = millpond.connect(&APP, Some("app")).await.expect("to connect");
        open.query_drop("BEGIN").await.expect("a transaction");
        open.query_drop("SELECT 1").await.expect("a statement");
        let (status, why) = order(&millpond, "/pause?deadline=200ms").await;
        assert_eq!(status, 504, "{why}");
        assert!(why.starts_with("1 connections were still in use"), "{why}");
        // Nothing is held any more.
        let mut other = millpond.connect(&APP, Some("app")).await.expect("to connect");
        other.query_drop("SELECT 1").await.expect("a statement");
        // The transaction may end while the order waits for it.
        let ending = async {
            sleep(Duration::from_millis(100)).await;
            open.query_drop("COMMIT").await.expect("a commit");
        };
        let (answer, ()) = tokio::join!(
            tokio::task::spawn_blocking({
                let port = millpond.admin_port;
                move || crate::support::http::order(port, "/pause?deadline=20s&limit=1s", &[])
            }),
            ending
        );
        assert_eq!(answer.expect("an answer").0, 200);
        // The order ends by itself.
        other.query_drop("SELECT 1").await.expect("a statement that was held");
        let events = millpond.page("/events");
        assert!(events.contains("\"reason\":\"expired\""), "{events}");
    });
}

#[test]
fn a_drained_reader_is_left_by_its_sessions_without_an_error() {
    servers::each_pair(async |pair| {
        let mut settings = settings(pair);
        let port = ports::free();
        settings.service = format!("reader_listen = \"127.0.0.1:{port}\"\n");
        let millpond = Millpond::start(&pair.writer, &settings);
        table(pair, &millpond).await;
        let options = crate::support::server::options(port, &APP, Some("app"));
        let mut reader = Conn::new(options).await.expect("to connect");
        reader.query_drop("SET @mine = 'kept'").await.expect("a variable");
        reads_at(&mut reader, pair.replica.port).await;
        let server = format!("127.0.0.1:{}", pair.replica.port);
        let (status, answer) = order(&millpond, &format!("/drain?server={server}")).await;
        assert_eq!(status, 200, "{answer}");
        only_the_probes_own_is_left(&pair.replica).await;
        let at: Option<(u16, String)> =
            reader.query_first("SELECT @@port, @mine").await.expect("a port");
        assert_eq!(at, Some((pair.writer.port, "kept".to_owned())));
        assert_eq!(order(&millpond, &format!("/resume?server={server}")).await.0, 200);
        reads_at(&mut reader, pair.replica.port).await;
        let (status, why) = order(&millpond, "/drain?server=nowhere:1").await;
        assert_eq!(status, 404, "{why}");
    });
}

#[test]
fn orders_need_the_token_where_there_is_one() {
    servers::both_async(async |server| {
        let token = ("MILLPOND__ADMIN__CONTROL_TOKEN".to_owned(), "sesame".to_owned());
        let settings = Settings { environment: vec![token], ..Settings::with_pool_of(2) };
        let millpond = Millpond::start(server, &settings);
        assert_eq!(millpond.order("/pause", &[]).0, 401);
        assert_eq!(millpond.order("/pause", &["Authorization: Bearer simsim"]).0, 401);
        assert_eq!(millpond.order("/pause", &["Authorization: Bearer sesame"]).0, 200);
        assert_eq!(millpond.order("/resume", &["Authorization: Bearer sesame"]).0, 200);
        assert!(!millpond.log().contains("sesame"));
    });
}

#[test]
fn a_reader_that_comes_and_goes_is_held_out_and_let_in_again() {
    servers::each_pair(async |pair| {
        let replica = Relay::to(pair.replica.port).await;
        let endpoints = format!("127.0.0.1:{},127.0.0.1:{}", pair.writer.port, replica.port);
        let mut settings = settings(pair);
        settings.environment[0].1 = endpoints;
        for (key, value) in [("FLAP_LIMIT", "2"), ("FLAP_HOLD", "8s"), ("SLOW_START", "1s")] {
            let key = format!("MILLPOND__SERVICES__TEST__FAILOVER__{key}");
            settings.environment.push((key, value.to_owned()));
        }
        let port = ports::free();
        settings.service = format!("reader_listen = \"127.0.0.1:{port}\"\n");
        let millpond = Millpond::start(&pair.writer, &settings);
        let server = format!("server=\"127.0.0.1:{}\",service=\"test\"}}", replica.port);
        let shows = async |metric: &str, value: &str| {
            let line = format!("{metric}{{{server} {value}\n");
            let deadline = Instant::now() + Duration::from_secs(60);
            while !millpond.page("/metrics").contains(&line) {
                assert!(Instant::now() < deadline, "never {line}{}", millpond.page("/events"));
                sleep(Duration::from_millis(20)).await;
            }
        };
        let at = async || {
            let options = crate::support::server::options(port, &APP, Some("app"));
            let mut reader = Conn::new(options).await.expect("to connect");
            let port: Option<u16> = reader.query_first("SELECT @@port").await.expect("a port");
            port.expect("a row")
        };
        // How far it is behind may take another moment to be known.
        let reads_at_replica = async || {
            let deadline = Instant::now() + Duration::from_secs(60);
            while at().await != pair.replica.port {
                assert!(Instant::now() < deadline, "never read from {}", millpond.page("/events"));
                sleep(Duration::from_millis(20)).await;
            }
        };
        shows("millpond_server_share", "1").await;
        reads_at_replica().await;
        for _ in 0..2 {
            replica.set(Link::Down);
            shows("millpond_server_up", "0").await;
            replica.set(Link::Up);
            shows("millpond_server_up", "1").await;
        }
        shows("millpond_server_downs_total", "2").await;
        let events = || millpond.page("/events?service=test");
        assert!(events().contains("\"held_out\""), "{}", events());
        // It answers, and is not read from.
        assert_eq!(at().await, pair.writer.port);
        shows("millpond_server_share", "1").await;
        assert!(events().contains("\"let_in\""), "{}", events());
        reads_at_replica().await;
    });
}
