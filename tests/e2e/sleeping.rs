//! Databases that stop when nobody needs them, and start when somebody connects.

use super::load::{eventually, writer_changes};
use crate::support::accounts::APP;
use crate::support::doorman::Doorman;
use crate::support::millpond::{Millpond, Settings};
use crate::support::server::Server;
use crate::support::servers;
use mysql_async::prelude::Queryable;
use std::time::Duration;
use tokio::time::{Instant, sleep};

fn settings(doorman: &Doorman, provider: &str) -> Settings {
    let variable =
        |name: &str, value: &str| (format!("MILLPOND__SERVICES__TEST__{name}"), value.to_owned());
    let endpoint = format!("127.0.0.1:{}", doorman.port);
    Settings {
        // Shorter than the start of a server takes: that has a limit of its own.
        pool: "max_size = 5\nmin_idle = 2\nborrow_timeout = \"500ms\"\n".to_owned(),
        environment: vec![
            variable("BACKEND__ENDPOINTS", &endpoint),
            variable("BACKEND__PROVIDER", provider),
            variable("FAILOVER__SLEEP_AFTER", "1s"),
            variable("FAILOVER__RESUME_TIMEOUT", "1m"),
        ],
        ..Settings::default()
    }
}

#[test]
fn who_waits_in_vain_for_a_database_to_wake_is_told_by_which_setting() {
    servers::both_private(&[], async |server: &'static Server| {
        let variable = |name: &str, value: &str| {
            (format!("MILLPOND__SERVICES__TEST__{name}"), value.to_owned())
        };
        let settings = Settings {
            environment: vec![
                variable("BACKEND__PROVIDER", "auto"),
                variable("FAILOVER__SLEEP_AFTER", "1s"),
                variable("FAILOVER__RESUME_TIMEOUT", "2s"),
            ],
            ..Settings::default()
        };
        let millpond = Millpond::start(server, &settings);
        let mut client = millpond.connect(&APP, Some("app")).await.expect("to connect");
        client.query_drop("DO 1").await.expect("a statement");
        let asleep = "millpond_asleep{service=\"test\"} 1";
        eventually("the sleep", || millpond.page("/metrics").contains(asleep)).await;
        server.stop();
        let error = client.query_drop("DO 2").await.expect_err("nobody is there");
        let mysql_async::Error::Server(error) = error else { panic!("{error}") };
        assert_eq!((error.code, error.state.as_str()), (1429, "08S01"), "{error}");
        assert!(error.message.contains("ms: resume_timeout)"), "{error}");
    });
}

#[test]
fn a_database_that_nobody_needs_may_stop_and_the_next_statement_has_it_started() {
    servers::both_private(&[], async |server: &'static Server| {
        for provider in ["static", "auto"] {
            let doorman = Doorman::before(server).await;
            let millpond = Millpond::start(server, &settings(&doorman, provider));
            let mut client = millpond.connect(&APP, Some("app")).await.expect("to connect");
            client.query_drop("SET @mine = 'kept'").await.expect("a variable");
            client.query_drop("CREATE TABLE IF NOT EXISTS slept (a INT)").await.expect("a table");
            // An open transaction keeps it awake.
            client.query_drop("BEGIN").await.expect("a transaction");
            client.query_drop("INSERT INTO slept VALUES (1)").await.expect("a row");
            sleep(Duration::from_millis(2_500)).await;
            assert!(doorman.is_open(), "the database is in use");
            client.query_drop("COMMIT").await.expect("a commit");
            // The client stays, and says nothing; nobody is connected to the database any more.
            eventually("the stop of the database", || !doorman.is_open()).await;
            assert!(millpond.page("/metrics").contains("millpond_asleep{service=\"test\"} 1"));
            // Neither probes, nor warm connections, nor the reading of stored code start it.
            sleep(Duration::from_millis(1_500)).await;
            assert!(!doorman.is_open(), "something woke the database");
            let begun = Instant::now();
            let mut others = Vec::new();
            for _ in 0..3 {
                let mut other = millpond.connect(&APP, Some("app")).await.expect("to connect");
                others.push(tokio::spawn(async move { other.query_drop("DO 1").await }));
            }
            let mine: Option<String> =
                client.query_first("SELECT @mine").await.expect("no error, only a wait");
            assert_eq!(mine.as_deref(), Some("kept"));
            for other in others {
                other.await.expect("a task").expect("no error, only a wait");
            }
            eprintln!("{}, {provider}: {:?} to wake up", server.flavor, begun.elapsed());
            let metrics = millpond.page("/metrics");
            assert!(metrics.contains("millpond_asleep{service=\"test\"} 0"));
            assert!(metrics.contains("millpond_resume_seconds_count{service=\"test\"} 1"));
            let events = millpond.page("/events?service=test");
            assert!(events.contains("\"asleep\"") && events.contains("\"woken\""), "{events}");
            assert_eq!(
                writer_changes(&millpond).first().map(String::as_str),
                (provider == "auto").then_some("found")
            );
            doorman.leave_open().await;
        }
    });
}
