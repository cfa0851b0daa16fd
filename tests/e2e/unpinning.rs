//! Sessions whose statements may have done anything: what they have is asked of the server.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};

use crate::pins::run;
use crate::support::accounts::APP;
use crate::support::flavor::Flavor;
use crate::support::millpond::{Millpond, Settings};
use crate::support::server::Server;
use crate::support::servers;

/// `ER_TOO_MANY_USER_CONNECTIONS`: no connection became free in time.
const NONE_FREE: u16 = 1203;

/// Whoever waits for the only connection waits this long.
const POOL: &str = "max_size = 1\nborrow_timeout = \"300ms\"\n";

/// Made by the user itself, so that Millpond reads them: text that is built when they run may do
/// anything.
const SEEN: [&str; 4] = [
    "CREATE PROCEDURE dyn (s TEXT) BEGIN SET @dyn = s; PREPARE dyn FROM @dyn; EXECUTE dyn; \
     DEALLOCATE PREPARE dyn; END",
    "CREATE PROCEDURE prepares () BEGIN SET @left = 'SELECT 7'; PREPARE left_one FROM @left; END",
    "CREATE FUNCTION harmless () RETURNS INT DETERMINISTIC RETURN 3",
    "CREATE TABLE numbered (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
];

/// Made by another, so that it does not.
const HIDDEN: [&str; 3] = [
    "CREATE PROCEDURE app.hidden_nothing () BEGIN DECLARE n INT; SELECT 1 INTO n; END",
    "CREATE PROCEDURE app.hidden_variable () SELECT 6 INTO @hidden",
    "CREATE PROCEDURE app.hidden_fails () BEGIN SELECT 8 INTO @failed; \
     SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END",
];

/// A server that tells what sessions hold, and one with the routines.
async fn prepare(server: &Server, tells: bool) {
    let mut admin = server.admin().await;
    run(&mut admin, &["CREATE ROLE reader", "GRANT reader TO app", "GRANT RELOAD ON *.* TO app"])
        .await;
    match (tells, server.flavor) {
        (false, _) => {}
        (true, Flavor::MySql) => {
            run(&mut admin, &["GRANT SELECT ON performance_schema.* TO app"]).await;
        }
        (true, Flavor::MariaDb) => {
            run(&mut admin, &["INSTALL SONAME 'metadata_lock_info'"]).await;
        }
    }
    run(&mut admin, &HIDDEN).await;
    let mut maker = server.connect(&APP, Some("app")).await.unwrap();
    run(&mut maker, &SEEN).await;
    maker.disconnect().await.unwrap();
    admin.disconnect().await.unwrap();
}

fn millpond(server: &Server) -> Millpond {
    Millpond::start(server, &Settings { pool: POOL.to_owned(), ..Settings::default() })
}

/// Whether another session gets the only connection.
async fn is_free(other: &mut Conn) -> bool {
    match other.query_drop("SELECT id FROM numbered WHERE id = 0").await {
        Ok(()) => true,
        Err(Error::Server(error)) if error.code == NONE_FREE => false,
        Err(error) => panic!("{error}"),
    }
}

/// The present value of a metric's series.
fn metric(millpond: &Millpond, name: &str, labels: &[&str]) -> u64 {
    let page = millpond.page("/metrics");
    let line = page.lines().find(|line| {
        line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label))
    });
    line.and_then(|line| line.rsplit_once(' ')).map_or(0, |(_, value)| value.parse().unwrap())
}

/// Waits until sessions are pinned for this reason, or none is: the client has its answer before the
/// server is asked.
async fn pinned(millpond: &Millpond, reason: &str, sessions: u64) {
    let label = format!("reason=\"{reason}\"");
    for _ in 0..400 {
        if metric(millpond, "millpond_sessions_pinned", &[&label]) == sessions {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never {sessions} by {reason}:\n{}", millpond.page("/metrics"));
}

#[test]
fn a_routine_that_leaves_nothing_keeps_nothing() {
    servers::both_private(&[], async |server| {
        prepare(server, true).await;
        let millpond = millpond(server);
        let mut a = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut b = millpond.connect(&APP, Some("app")).await.unwrap();
        let calls = [
            "CALL dyn('SELECT 1')",
            "CALL hidden_nothing()",
            "CALL dyn('INSERT INTO numbered (v) VALUES (1)')",
            "CALL dyn('DO harmless()')",
        ];
        for (turn, call) in calls.into_iter().enumerate() {
            run(&mut a, &[call]).await;
            assert!(is_free(&mut b).await, "{} {call}: {}", server.flavor, millpond.log());
            let checks = metric(&millpond, "millpond_pin_checks_total", &["unpinned"]);
            assert_eq!(checks, turn as u64 + 1, "{} {call}", server.flavor);
        }
        // What is known to be harmless is not asked about, nor what came before.
        run(&mut a, &["SELECT harmless()", "SELECT 1", "BEGIN", "COMMIT"]).await;
        assert_eq!(metric(&millpond, "millpond_pin_checks_total", &["unpinned"]), 4);
        // Nor can a text that is none have done anything.
        assert!(a.query_drop("foo 'bar").await.is_err());
        run(&mut a, &["SELECT 1"]).await;
        assert!(is_free(&mut b).await, "{}: {}", server.flavor, millpond.log());
        assert_eq!(metric(&millpond, "millpond_pin_checks_total", &["unpinned"]), 4);
        // Without autocommit, a transaction's end is also the end of what it began.
        run(&mut a, &["SET autocommit = 0", "CALL dyn('SELECT v FROM numbered')"]).await;
        assert!(!is_free(&mut b).await, "{}", server.flavor);
        run(&mut a, &["COMMIT"]).await;
        assert!(is_free(&mut b).await, "{}: {}", server.flavor, millpond.log());
    });
}

#[test]
fn what_a_hidden_routine_sets_follows_its_session() {
    servers::both_private(&[], async |server| {
        prepare(server, true).await;
        let millpond = millpond(server);
        let mut a = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut b = millpond.connect(&APP, Some("app")).await.unwrap();
        run(&mut a, &["SET @x = 1", "CALL dyn('SELECT 5 INTO @x')", "CALL hidden_variable()"])
            .await;
        assert!(a.query_drop("CALL hidden_fails()").await.is_err());
        run(&mut a, &["CALL dyn('SET @@time_zone = ''+03:00'', @@lc_time_names = ''it_IT''')"])
            .await;
        run(&mut a, &["CALL dyn('INSERT INTO numbered (v) VALUES (2)')"]).await;
        run(&mut a, &["CALL dyn('SET ROLE reader')"]).await;
        const SEE: &str = "SELECT CONCAT_WS('|', @x, @hidden, @failed, @@time_zone, \
                           @@lc_time_names, LAST_INSERT_ID(), CURRENT_ROLE())";
        for _ in 0..2 {
            // It takes the connection, and marks what it has itself.
            let other: Option<String> = b.query_first(SEE).await.unwrap();
            let seen = other.unwrap();
            let (_, role) = seen.rsplit_once('|').unwrap();
            assert!(!role.contains("reader") && !seen.contains("it_IT"), "{seen}");
            run(&mut b, &["SET @x = 'other', @hidden = 'other', @failed = NULL"]).await;
            let own: Option<String> = a.query_first(SEE).await.unwrap();
            let own = own.unwrap();
            assert!(own.starts_with("5|6|8|+03:00|it_IT|1|"), "{} {own}", server.flavor);
            assert!(own.contains("reader"), "{} {own}", server.flavor);
        }
        let checks = metric(&millpond, "millpond_pin_checks_total", &["unpinned"]);
        assert!(checks > 4, "{} {checks}", server.flavor);
    });
}

/// What was done, what holds the connection then, and what ends that.
const KEPT: [(Option<Flavor>, &str, &str, Option<&str>); 10] = [
    (None, "CALL dyn('CREATE TEMPORARY TABLE tt (a INT)')", "temporary_table", None),
    (
        None,
        "CALL dyn('CREATE TEMPORARY TABLE tt ENGINE=MEMORY AS SELECT 1 AS a')",
        "temporary_table",
        None,
    ),
    (None, "CALL dyn('DO GET_LOCK(''l'', 1)')", "user_lock", Some("DO RELEASE_LOCK('l')")),
    (
        None,
        "CALL dyn('DO GET_LOCK(''l'', 1)')",
        "user_lock",
        Some("CALL dyn('DO RELEASE_LOCK(''l'')')"),
    ),
    (None, "CALL prepares()", "text_statement", Some("DEALLOCATE PREPARE left_one")),
    (None, "CALL dyn('SET @@timestamp = 5')", "immovable_variable", None),
    (None, "CALL dyn('SET @@rand_seed1 = 5')", "immovable_variable", None),
    (None, "CALL dyn('FLUSH TABLES WITH READ LOCK')", "read_lock", Some("UNLOCK TABLES")),
    (
        Some(Flavor::MariaDb),
        "CALL dyn('HANDLER numbered OPEN')",
        "handler",
        Some("HANDLER numbered CLOSE"),
    ),
    (
        Some(Flavor::MariaDb),
        "CALL dyn('LOCK TABLES numbered WRITE')",
        "table_lock",
        Some("UNLOCK TABLES"),
    ),
];

#[test]
fn what_cannot_be_moved_keeps_its_session_where_it_is() {
    servers::both_private(&[], async |server| {
        prepare(server, true).await;
        let millpond = millpond(server);
        let mut a = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut b = millpond.connect(&APP, Some("app")).await.unwrap();
        for (flavor, does, reason, end) in KEPT {
            if flavor.is_some_and(|flavor| flavor != server.flavor) {
                continue;
            }
            run(&mut a, &[does]).await;
            pinned(&millpond, reason, 1).await;
            assert!(!is_free(&mut b).await, "{} {does}", server.flavor);
            // Nor does it end by itself.
            run(&mut a, &["SELECT 1"]).await;
            assert!(!is_free(&mut b).await, "{} {does}", server.flavor);
            match end {
                Some(end) => run(&mut a, &[end]).await,
                None => assert!(a.reset().await.unwrap()),
            }
            assert!(
                is_free(&mut b).await,
                "{} {does}: {}",
                server.flavor,
                millpond.page("/metrics")
            );
            pinned(&millpond, reason, 0).await;
            run(&mut a, &["SELECT 1"]).await;
        }
    });
}

#[test]
fn a_server_that_does_not_tell_leaves_the_pin_as_it_was() {
    servers::both_private(&[], async |server| {
        prepare(server, false).await;
        let millpond = millpond(server);
        let mut a = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut b = millpond.connect(&APP, Some("app")).await.unwrap();
        run(&mut a, &["CALL dyn('SELECT 1')"]).await;
        pinned(&millpond, "impure_routine", 1).await;
        assert!(!is_free(&mut b).await, "{}", server.flavor);
        run(&mut a, &["CALL hidden_nothing()"]).await;
        // It is asked once, and then not for a while.
        assert_eq!(metric(&millpond, "millpond_pin_checks_total", &["refused"]), 1);
        let remedy = match server.flavor {
            Flavor::MySql => "GRANT SELECT ON performance_schema.* to monitor_user",
            Flavor::MariaDb => "INSTALL SONAME 'metadata_lock_info'",
        };
        assert_eq!(millpond.log().matches(remedy).count(), 1, "{}", millpond.log());
        assert!(a.reset().await.unwrap());
        assert!(is_free(&mut b).await, "{}", server.flavor);
    });
}
