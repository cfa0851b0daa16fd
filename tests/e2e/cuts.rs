//! Transactions that take too long: rolled back at once, told at the next statement, and nothing
//! else of the session is lost.

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::server::Server;
use crate::support::servers;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use std::time::Duration;

fn settings(lines: &str) -> Settings {
    Settings { service: format!("{lines}\n"), ..Settings::with_pool_of(2) }
}

fn refusal(result: Result<impl Sized, Error>) -> (u16, String, String) {
    match result {
        Err(Error::Server(error)) => (error.code, error.state, error.message),
        Err(error) => panic!("not an error of a server: {error}"),
        Ok(_) => panic!("no error"),
    }
}

/// A table of this test's own, with one row, seen directly on the server.
async fn table(server: &Server, name: &str) -> Conn {
    let mut direct = server.connect(&APP, Some("app")).await.unwrap();
    direct.query_drop(format!("DROP TABLE IF EXISTS {name}")).await.unwrap();
    direct.query_drop(format!("CREATE TABLE {name} (a INT PRIMARY KEY, b INT)")).await.unwrap();
    direct.query_drop(format!("INSERT INTO {name} VALUES (1, 0)")).await.unwrap();
    direct.query_drop("SET SESSION innodb_lock_wait_timeout = 30").await.unwrap();
    direct
}

#[test]
fn an_idle_transaction_is_rolled_back_at_once_and_told_of() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &settings("idle_transaction_timeout = \"400ms\""));
        let mut direct = table(server, "cut_idle").await;
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("SET @mine = 'kept', SESSION sql_mode = 'ANSI_QUOTES'").await.unwrap();
        client.query_drop("CREATE TEMPORARY TABLE tt (a INT)").await.unwrap();
        client.query_drop("BEGIN").await.unwrap();
        client.query_drop("UPDATE cut_idle SET b = 1").await.unwrap();
        // Waits for the row's lock, which is free while the client still says nothing.
        direct.query_drop("UPDATE cut_idle SET b = b + 10").await.unwrap();
        let (code, state, text) = refusal(client.query_drop("UPDATE cut_idle SET b = 2").await);
        assert_eq!((code, &*state), (3101, "40000"), "{text}");
        assert!(text.contains("idle_transaction_timeout"), "{text}");
        // The statement was not run, and everything else is as it was.
        let seen: Option<(u32, String, String)> =
            client.query_first("SELECT b, @mine, @@sql_mode FROM cut_idle").await.unwrap();
        let (b, mine, mode) = seen.unwrap();
        assert_eq!((b, &*mine), (10, "kept"));
        assert!(mode.contains("ANSI_QUOTES"), "{mode}");
        client.query_drop("INSERT INTO tt VALUES (1)").await.unwrap();
        // Nobody who is not in a transaction is meant.
        tokio::time::sleep(Duration::from_millis(900)).await;
        client.query_drop("DROP TEMPORARY TABLE tt").await.unwrap();
        client.query_drop("UPDATE cut_idle SET b = 3").await.unwrap();
        let metrics = millpond.page("/metrics");
        let cut =
            "millpond_transactions_cut_total{reason=\"idle\",service=\"test\",user=\"app\"} 1\n";
        assert!(metrics.contains(cut), "{metrics}");
        client.disconnect().await.unwrap();
    });
}

#[test]
fn a_transaction_that_is_too_long_is_interrupted() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &settings("max_transaction_time = \"700ms\""));
        let mut direct = table(server, "cut_long").await;
        direct.query_drop("INSERT INTO cut_long VALUES (2, 0)").await.unwrap();
        direct.query_drop("BEGIN").await.unwrap();
        direct.query_drop("UPDATE cut_long SET b = 7 WHERE a = 2").await.unwrap();
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("BEGIN").await.unwrap();
        client.query_drop("UPDATE cut_long SET b = 1 WHERE a = 1").await.unwrap();
        // It waits for the row that the other one has, far beyond the limit.
        let stuck = client.query_drop("UPDATE cut_long SET b = 1 WHERE a = 2").await;
        let (code, _, text) = refusal(stuck);
        assert_eq!(code, 3024, "{text}");
        assert!(text.contains("max_transaction_time"), "{text}");
        direct.query_drop("COMMIT").await.unwrap();
        let rows: Vec<u32> = client.query("SELECT b FROM cut_long ORDER BY a").await.unwrap();
        assert_eq!(rows, [0, 7]);
        // Many short statements do not keep it open either.
        client.query_drop("BEGIN").await.unwrap();
        let mut told = None;
        for _ in 0..200 {
            match client.query_drop("UPDATE cut_long SET b = b + 1 WHERE a = 1").await {
                Ok(()) => tokio::time::sleep(Duration::from_millis(20)).await,
                error => {
                    told = Some(refusal(error).0);
                    break;
                }
            }
        }
        assert_eq!(told, Some(3024));
        let b: Option<u32> =
            client.query_first("SELECT b FROM cut_long WHERE a = 1").await.unwrap();
        assert_eq!(b, Some(0));
        // Outside a transaction a statement may take as long as it likes.
        client.query_drop("DO SLEEP(1.2)").await.unwrap();
        client.disconnect().await.unwrap();
    });
}

#[test]
fn a_distributed_transaction_ends_with_its_connection() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &settings("idle_transaction_timeout = \"300ms\""));
        let mut direct = table(server, "cut_xa").await;
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("XA START 'cut'").await.unwrap();
        client.query_drop("UPDATE cut_xa SET b = 1").await.unwrap();
        direct.query_drop("UPDATE cut_xa SET b = b + 10").await.unwrap();
        let (code, _, text) = refusal(client.query_drop("XA END 'cut'").await);
        assert_eq!(code, 3101, "{text}");
        assert!(client.query_drop("SELECT 1").await.is_err());
        let b: Option<u32> = direct.query_first("SELECT b FROM cut_xa").await.unwrap();
        assert_eq!(b, Some(10));
    });
}

#[test]
fn a_users_own_limits_come_before_the_services() {
    servers::one_async(async |server| {
        let millpond = Millpond::start(server, &settings("idle_transaction_timeout = \"200ms\""));
        table(server, "cut_own").await;
        let section = format!("[services.test.users.{}]\n", APP.name);
        let own = "idle_transaction_timeout = \"0\"\nidle_client_timeout = \"1s\"\n";
        millpond.edit(|text| text.replace(&section, &format!("{section}{own}")));
        let (status, done) = tokio::task::block_in_place(|| millpond.order("/reload", &[]));
        assert_eq!(status, 200, "{done}");
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("BEGIN").await.unwrap();
        client.query_drop("UPDATE cut_own SET b = 1").await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        client.query_drop("COMMIT").await.unwrap();
        let idle = "millpond_client_connections_closed_total{reason=\"idle\",service=\"test\"} 1\n";
        for _ in 0..400 {
            if millpond.page("/metrics").contains(idle) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the client was never told to go");
    });
}
