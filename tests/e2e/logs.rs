//! The log: an id for each error, slow statements, levels that change.

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::servers;
use mysql_async::Error;
use mysql_async::prelude::Queryable;
use serde_json::Value;
use std::time::Duration;

const JSON: &str = "[log]\nformat = \"json\"\n";

/// The events of the log with this message.
fn events(millpond: &Millpond, message: &str) -> Vec<Value> {
    let log = millpond.log();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["message"] == message).collect()
}

async fn awaited(millpond: &Millpond, message: &str) -> Vec<Value> {
    awaited_times(millpond, message, 1).await
}

/// The lines with this message, once there are so many.
async fn awaited_times(millpond: &Millpond, message: &str, times: usize) -> Vec<Value> {
    for _ in 0..200 {
        let found = events(millpond, message);
        if found.len() >= times {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never logged: {message}\n{}", millpond.log());
}

#[test]
fn an_error_has_an_id_that_finds_its_line_and_a_flood_of_it_is_one_line() {
    servers::both_async(async |server| {
        let settings = Settings {
            pool: "max_size = 1\nborrow_timeout = \"20ms\"\n".into(),
            other: JSON.into(),
            ..Settings::default()
        };
        let millpond = Millpond::start(server, &settings);
        let mut other = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut holder = millpond.connect(&APP, Some("app")).await.unwrap();
        holder.query_drop("BEGIN").await.unwrap();
        holder.query_drop("SELECT 1 FROM information_schema.tables LIMIT 1").await.unwrap();
        let mut ids = Vec::new();
        for _ in 0..10 {
            let Err(Error::Server(error)) = other.query_drop("SELECT 1").await else {
                panic!("there is no connection for it");
            };
            assert_eq!(error.code, 1203);
            let (_, id) = error.message.rsplit_once(" [").expect("an id");
            ids.push(id.trim_end_matches(']').to_owned());
        }
        // More than one only if the machine was so slow that it took many seconds.
        ids.dedup();
        let lines = awaited(&millpond, "a client was told an error").await;
        let logged: Vec<_> = lines.iter().map(|line| line["id"].as_str().unwrap()).collect();
        assert_eq!(logged, ids, "one line for each id");
        assert_eq!(lines[0]["trouble"], "borrow_timeout");
        assert_eq!(lines[0]["user"], APP.name);
        let counted =
            "millpond_client_errors_total{service=\"test\",trouble=\"borrow_timeout\"} 10";
        assert!(millpond.page("/metrics").contains(counted));
        holder.query_drop("COMMIT").await.unwrap();

        // What the server says is said in its words.
        let Err(Error::Server(own)) = other.query_drop("SELECT nothing_there").await else {
            panic!("there is no such column");
        };
        assert!(!own.message.ends_with(']'), "{}", own.message);
    });
}

#[test]
fn a_slow_statement_is_logged_without_its_literals() {
    servers::both_async(async |server| {
        let other = format!("{JSON}slow_statement = \"50ms\"\n");
        let millpond = Millpond::start(server, &Settings { other, ..Settings::with_pool_of(2) });
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("SELECT SLEEP(0.2), 'secret' /* hidden */").await.unwrap();
        let line = awaited(&millpond, "slow statement").await.remove(0);
        assert_eq!(line["statement"], "SELECT SLEEP(?), ?");
        assert_eq!((&line["command"], &line["user"]), (&"Query".into(), &APP.name.into()));
        assert!(line["seconds"].as_f64() >= Some(0.2), "{line}");
        assert!(line["waited_seconds"].as_f64() < line["seconds"].as_f64(), "{line}");

        client.exec_drop("SELECT SLEEP(?), 'other'", (0.2,)).await.unwrap();
        let lines = awaited_times(&millpond, "slow statement", 2).await;
        assert_eq!(lines[1]["statement"], "SELECT SLEEP(?), ?");
        assert_eq!(lines[1]["command"], "StmtExecute");
        let log = millpond.log();
        assert!(!log.contains("secret") && !log.contains("hidden"), "{log}");
    });
}

#[test]
fn a_slow_statement_is_logged_in_full_when_that_is_asked_for() {
    servers::one_async(async |server| {
        let asked = "slow_statement = \"50ms\"\nslow_statement_text = \"full\"\n";
        let other = format!("{JSON}{asked}");
        let millpond = Millpond::start(server, &Settings { other, ..Settings::with_pool_of(2) });
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("SELECT SLEEP(0.1), 'shown'").await.unwrap();
        let line = awaited(&millpond, "slow statement").await.remove(0);
        assert_eq!(line["statement"], "SELECT SLEEP(0.1), 'shown'");
    });
}

#[test]
fn levels_change_while_it_runs() {
    servers::one_async(async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        assert_eq!(millpond.page("/log"), "info\n");
        let directives = "warn,millpond::frontend=debug";
        let (status, level) = millpond.order(&format!("/log?level={directives}"), &[]);
        assert_eq!((status, level), (200, format!("{directives}\n")));
        // Says goodbye before it has said who it is: worth a line to those who want all.
        drop(std::net::TcpStream::connect(("127.0.0.1", millpond.port)).unwrap());
        for _ in 0..200 {
            if millpond.log().contains("a handshake failed") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        assert!(millpond.log().contains("a handshake failed"), "{}", millpond.log());
        let (status, why) = millpond.order("/log?level=loud", &[]);
        assert_eq!(status, 400);
        assert!(why.contains("error, warn, info, debug or trace"), "{why}");
        assert_eq!(millpond.page("/log"), format!("{directives}\n"));
        let (status, _) = millpond.order("/log?level=trace", &["Origin: http://elsewhere"]);
        assert_eq!(status, 403);
    });
}
