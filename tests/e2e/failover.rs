//! Writers that die, hang or are demoted, under load: no client loses its connection, nothing that
//! was acknowledged is lost, nothing runs twice.

use super::load::{
    WRITERS, Way, count, eventually, first_after, left_behind, load, settings, settings_for, table,
    writer_changes,
};
use crate::support::accounts::APP;
use crate::support::flavor::Flavor;
use crate::support::millpond::Millpond;
use crate::support::pair::Pair;
use crate::support::relay::{Link, Relay};
use crate::support::server::Cable;
use crate::support::{island, ports, servers, testbed};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[test]
fn a_killed_writer_costs_a_pause_and_no_connection() {
    servers::each_pair(async |pair| {
        let millpond = Millpond::start(&pair.writer, &settings(pair));
        table(pair, &millpond).await;
        let mut idle = millpond.connect(&APP, Some("app")).await.expect("to connect");
        idle.query_drop("SET @mine = 'kept'").await.expect("a variable");
        idle.query_drop("SELECT 1").await.expect("a statement");
        let mut open = millpond.connect(&APP, Some("app")).await.expect("to connect");
        open.query_drop("BEGIN").await.expect("a transaction");
        open.query_drop("INSERT INTO rows_of_load (id) VALUES (0)").await.expect("a row");
        let load = load(&millpond).await;
        sleep(Duration::from_millis(500)).await;
        pair.writer.kill();
        sleep(Duration::from_millis(200)).await;
        let promoted = pair.promote().await;
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
        // The transaction is gone, and the client is told, on the same connection.
        let commit = open.query_drop("COMMIT").await;
        assert!(matches!(commit, Err(Error::Server(_))), "{commit:?}");
        let row: Option<u64> =
            open.query_first("SELECT id FROM rows_of_load WHERE id = 0").await.expect("a look");
        assert_eq!(row, None);
        let one: Option<u8> = idle.query_first("SELECT 1").await.expect("an idle client goes on");
        assert_eq!(one, Some(1));
        // A busy machine may see both at once.
        let mut reasons = writer_changes(&millpond);
        reasons.retain(|reason| reason != "unreachable");
        assert_eq!(reasons, ["found", "promoted"]);
    });
}

#[test]
fn a_demotion_in_place_costs_no_error_outside_transactions() {
    servers::each_pair(async |pair| {
        let millpond = Millpond::start(&pair.writer, &settings(pair));
        table(pair, &millpond).await;
        let load = load(&millpond).await;
        sleep(Duration::from_millis(300)).await;
        let begun = Instant::now();
        pair.demote().await;
        sleep(Duration::from_millis(100)).await;
        let promoted = pair.promote().await;
        sleep(Duration::from_millis(700)).await;
        let all = load.check(&pair.replica).await;
        eprintln!(
            "{}: {:?} from the demotion to the first write, {:?} of it after the promotion",
            pair.writer.flavor,
            promoted.duration_since(begun) + first_after(&all, promoted),
            first_after(&all, promoted),
        );
        assert_eq!(count(&all, |w| w.unknown.len()), 0);
        for written in &all {
            // In the middle of a transaction, the server's refusal is the client's.
            let refused = usize::from(written.way == Way::Transaction);
            let (way, all) = (written.way, &written.refused);
            assert!(all.len() <= refused, "{all:?} refused ({way:?})");
        }
    });
}

#[test]
fn a_writer_that_hangs_is_given_up_and_not_believed_when_it_comes_back() {
    servers::each_pair(async |pair| {
        let millpond = Millpond::start(&pair.writer, &settings(pair));
        table(pair, &millpond).await;
        let load = load(&millpond).await;
        sleep(Duration::from_millis(300)).await;
        pair.writer.signal("STOP");
        sleep(Duration::from_millis(200)).await;
        let promoted = pair.promote().await;
        sleep(Duration::from_secs(2)).await;
        // It comes back, and still claims to be the writer.
        pair.writer.signal("CONT");
        sleep(Duration::from_millis(500)).await;
        let all = load.check(&pair.replica).await;
        eprintln!(
            "{}: first write {:?} after the promotion; {} unknown, {} refused",
            pair.writer.flavor,
            first_after(&all, promoted),
            count(&all, |w| w.unknown.len()),
            count(&all, |w| w.refused.len()),
        );
        assert!(millpond.page("/metrics").contains("role=\"unknown\""), "the rival is not used");
        left_behind(&all, &pair.writer, &pair.replica).await;
    });
}

#[test]
fn a_link_that_swallows_everything_is_given_up() {
    servers::each_pair(async |pair| {
        let (writer, replica) =
            (Relay::to(pair.writer.port).await, Relay::to(pair.replica.port).await);
        let millpond = Millpond::start(&pair.writer, &settings_for([&writer, &replica]));
        table(pair, &millpond).await;
        let load = load(&millpond).await;
        sleep(Duration::from_millis(300)).await;
        writer.set(Link::Swallows);
        sleep(Duration::from_millis(200)).await;
        let promoted = pair.promote().await;
        sleep(Duration::from_secs(2)).await;
        // It can be reached again, and still claims to be the writer: there are two.
        writer.set(Link::Up);
        sleep(Duration::from_millis(1_500)).await;
        let all = load.check(&pair.replica).await;
        eprintln!(
            "{}: first write {:?} after the promotion; {} unknown, {} refused",
            pair.writer.flavor,
            first_after(&all, promoted),
            count(&all, |w| w.unknown.len()),
            count(&all, |w| w.refused.len()),
        );
        assert!(count(&all, |w| w.unknown.len()) <= WRITERS as usize, "one in flight for each");
        // Whether the promotion or the end of the patience comes first is chance.
        let mut changes = writer_changes(&millpond);
        changes.retain(|reason| reason != "unreachable");
        assert_eq!(changes, ["found", "promoted"]);
        let rival = format!(
            "millpond_server_role{{role=\"unknown\",server=\"127.0.0.1:{}\",service=\"test\"}} 1",
            writer.port
        );
        assert!(millpond.page("/metrics").contains(&rival), "the rival is not used");
        left_behind(&all, &pair.writer, &pair.replica).await;
    });
}

#[test]
fn a_blackholed_link_between_hosts_is_given_up() {
    if let Some(why) = island::missing() {
        return testbed::skip("a blackholed link between hosts", why);
    }
    servers::each_pair_of(Pair::start_on_island, async |pair| {
        let millpond = Millpond::start(&pair.writer, &settings(pair));
        table(pair, &millpond).await;
        let load = load(&millpond).await;
        sleep(Duration::from_millis(300)).await;
        pair.writer.set_cable(Cable::Cut);
        sleep(Duration::from_millis(200)).await;
        let promoted = pair.promote().await;
        sleep(Duration::from_secs(2)).await;
        // It can be reached again, and still claims to be the writer: there are two.
        pair.writer.set_cable(Cable::Whole);
        sleep(Duration::from_millis(1_500)).await;
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

#[test]
fn both_servers_gone_and_back_cost_a_pause() {
    servers::each_pair(async |pair| {
        let mut settings = settings(pair);
        settings.pool = "max_size = 5\nborrow_timeout = \"90s\"\n".to_owned();
        let millpond = Millpond::start(&pair.writer, &settings);
        table(pair, &millpond).await;
        // What is committed is in the file, so that the death of the process loses none of it.
        let mut admin = pair.writer.admin().await;
        let durable = "SET GLOBAL innodb_flush_log_at_trx_commit = 2";
        admin.query_drop(durable).await.expect("a setting");
        let load = load(&millpond).await;
        sleep(Duration::from_millis(300)).await;
        pair.writer.kill();
        pair.replica.kill();
        sleep(Duration::from_millis(700)).await;
        // The second one does not know any more that it is a replica: it claims to write, too.
        tokio::task::block_in_place(|| pair.writer.start_again());
        eventually("the writer's return", || {
            writer_changes(&millpond).last().is_some_and(|reason| reason == "returned")
        })
        .await;
        tokio::task::block_in_place(|| pair.replica.start_again());
        sleep(Duration::from_millis(1_500)).await;
        let all = load.check(&pair.writer).await;
        assert!(count(&all, |w| w.unknown.len()) <= WRITERS as usize, "one in flight for each");
        for written in &all {
            // An open transaction is lost; everything else waited.
            let lost = usize::from(written.way == Way::Transaction);
            assert!(written.refused.len() <= lost, "{:?} ({:?})", written.refused, written.way);
        }
        assert_eq!(writer_changes(&millpond), ["found", "unreachable", "returned"]);
    });
}

#[test]
fn a_replica_that_lags_is_left_by_its_sessions_and_taken_up_again() {
    servers::each_pair(async |pair| {
        let mut settings = settings(pair);
        let port = ports::free();
        settings.service = format!("reader_listen = \"127.0.0.1:{port}\"\n");
        let millpond = Millpond::start(&pair.writer, &settings);
        table(pair, &millpond).await;
        let options = crate::support::server::options(port, &APP, Some("app"));
        let mut reader = Conn::new(options).await.expect("to connect");
        // Ready is who has found a writer.
        reads_at(&mut reader, pair.replica.port).await;
        let replica = if pair.replica.flavor == Flavor::MySql { "REPLICA" } else { "SLAVE" };
        for (order, at) in [("STOP", pair.writer.port), ("START", pair.replica.port)] {
            let mut admin = pair.replica.admin().await;
            admin.query_drop(format!("{order} {replica} SQL_THREAD")).await.expect("an order");
            reads_at(&mut reader, at).await;
        }
    });
}

/// Reads on one connection until it is stopped; what it sees never becomes less.
async fn read_on(mut reader: Conn, at: Arc<AtomicU16>, stop: Arc<AtomicBool>) {
    let mut seen = 0;
    while !stop.load(Ordering::Relaxed) {
        let look = "SELECT @@port, COUNT(*) FROM rows_of_load";
        let found: Option<(u16, u64)> = reader.query_first(look).await.expect("a look");
        let (port, rows) = found.expect("a row");
        assert!(rows >= seen, "{rows} rows at {port} after {seen}: the session went back in time");
        seen = rows;
        at.store(port, Ordering::Relaxed);
        sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn sessions_that_read_leave_a_replica_that_lags_under_load_and_never_go_back_in_time() {
    servers::each_pair(async |pair| {
        let mut settings = settings(pair);
        let port = ports::free();
        settings.service = format!("reader_listen = \"127.0.0.1:{port}\"\n");
        let lag = "MILLPOND__SERVICES__TEST__FAILOVER__READER_MAX_LAG".to_owned();
        settings.environment.push((lag, "1s".to_owned()));
        let millpond = Millpond::start(&pair.writer, &settings);
        table(pair, &millpond).await;
        let load = load(&millpond).await;
        let stop = Arc::new(AtomicBool::new(false));
        let mut readers = Vec::new();
        for _ in 0..4 {
            let options = crate::support::server::options(port, &APP, Some("app"));
            let reader = Conn::new(options).await.expect("to connect");
            let at = Arc::new(AtomicU16::new(0));
            readers.push((at.clone(), tokio::spawn(read_on(reader, at, stop.clone()))));
        }
        let mut admin = pair.replica.admin().await;
        let words = match pair.replica.flavor {
            Flavor::MySql => ["REPLICA SQL_THREAD", "REPLICATION SOURCE TO SOURCE_DELAY"],
            Flavor::MariaDb => ["SLAVE", "MASTER TO MASTER_DELAY"],
        };
        let [replica, delay] = words;
        for (seconds, expected) in
            [(0, pair.replica.port), (4, pair.writer.port), (0, pair.replica.port)]
        {
            for order in [
                format!("STOP {replica}"),
                format!("CHANGE {delay}={seconds}"),
                format!("START {replica}"),
            ] {
                admin.query_drop(order).await.expect("an order");
            }
            let all = || readers.iter().all(|(at, _)| at.load(Ordering::Relaxed) == expected);
            eventually("all readers elsewhere", all).await;
        }
        stop.store(true, Ordering::Relaxed);
        for (_, reader) in readers {
            reader.await.expect("a reader");
        }
        let all = load.check(&pair.writer).await;
        assert_eq!(count(&all, |w| w.unknown.len() + w.refused.len()), 0);
        let moves = "millpond_reader_moves_total{outcome=\"caught_up\",service=\"test\"}";
        assert!(millpond.page("/metrics").contains(moves));
    });
}

#[test]
fn a_session_that_reads_never_goes_back_in_time() {
    servers::each_pair(async |pair| {
        let mut settings = settings(pair);
        let port = ports::free();
        settings.service = format!("reader_listen = \"127.0.0.1:{port}\"\n");
        // Any reader will do, however far behind.
        let lag = "MILLPOND__SERVICES__TEST__FAILOVER__READER_MAX_LAG".to_owned();
        settings.environment.push((lag, "0".to_owned()));
        let millpond = Millpond::start(&pair.writer, &settings);
        table(pair, &millpond).await;
        let look = "SELECT @@port, COUNT(*) FROM rows_of_load";
        let options = crate::support::server::options(port, &APP, Some("app"));
        let mut reader = Conn::new(options).await.expect("to connect");
        let replica = if pair.replica.flavor == Flavor::MySql { "REPLICA" } else { "SLAVE" };
        let mut admin = pair.replica.admin().await;
        admin.query_drop(format!("STOP {replica} SQL_THREAD")).await.expect("to stop");
        reads_at(&mut reader, pair.replica.port).await;
        let mut writer = millpond.connect(&APP, Some("app")).await.expect("to connect");
        writer.query_drop("INSERT INTO rows_of_load (id) VALUES (1)").await.expect("a row");
        let seen: Option<(u16, u64)> = reader.query_first(look).await.expect("a look");
        assert_eq!(seen, Some((pair.replica.port, 0)), "the replica does not have it");
        let server = format!("127.0.0.1:{}", pair.replica.port);
        let order = |order: &str| {
            let order = format!("/{order}?server={server}");
            tokio::task::block_in_place(|| millpond.order(&order, &[]).0)
        };
        assert_eq!(order("drain"), 200);
        let seen: Option<(u16, u64)> = reader.query_first(look).await.expect("a look");
        assert_eq!(seen, Some((pair.writer.port, 1)));
        assert_eq!(order("resume"), 200);
        // The replica is the only reader again, and without what this session has seen.
        for _ in 0..5 {
            let seen: Option<(u16, u64)> = reader.query_first(look).await.expect("a look");
            assert_eq!(seen, Some((pair.writer.port, 1)));
            sleep(Duration::from_millis(100)).await;
        }
        admin.query_drop(format!("START {replica} SQL_THREAD")).await.expect("to start");
        let mut at = 0;
        for _ in 0..200 {
            let seen: Option<(u16, u64)> = reader.query_first(look).await.expect("a look");
            let (port, rows) = seen.expect("a row");
            assert_eq!(rows, 1, "the session went back in time");
            at = port;
            if at == pair.replica.port {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(at, pair.replica.port, "it reads there again");
    });
}

/// How far a reader is behind may take another moment to be known than that it is there, and on
/// a busy machine a probe may come too late.
pub(super) async fn reads_at(reader: &mut Conn, port: u16) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let at: Option<u16> = reader.query_first("SELECT @@port").await.expect("a port");
        if at == Some(port) {
            return;
        }
        assert!(Instant::now() < deadline, "it reads at {at:?}, not at {port}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn reading_sessions_go_to_readers_and_move_on_when_one_dies() {
    servers::each_pair(async |pair| {
        let mut settings = settings(pair);
        let port = ports::free();
        settings.service = format!("reader_listen = \"127.0.0.1:{port}\"\n");
        let millpond = Millpond::start(&pair.writer, &settings);
        table(pair, &millpond).await;
        let options = crate::support::server::options(port, &APP, Some("app"));
        let mut reader = Conn::new(options).await.expect("to connect");
        reads_at(&mut reader, pair.replica.port).await;
        let refused = reader.query_drop("INSERT INTO rows_of_load (id) VALUES (7)").await;
        assert!(matches!(refused, Err(Error::Server(error)) if error.code == 1290));
        pair.replica.kill();
        // No reader is left: the writer reads.
        let at: Option<u16> = reader.query_first("SELECT @@port").await.expect("a port");
        assert_eq!(at, Some(pair.writer.port));
    });
}
