//! `KILL`, which names clients by Millpond's numbers and reaches what servers know by their own.

use super::failover::reads_at;
use super::load;
use crate::support::accounts::{ADMIN, APP, OTHER};
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::{ports, server, servers};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::time::Duration;
use tokio::time::timeout;

/// A client's number is Millpond's, and a KILL of it reaches the statement wherever it runs.
#[test]
fn a_kill_finds_the_statement() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let mut victim = millpond.connect(&APP, Some("app")).await.unwrap();
        let id: Option<u32> = victim.query_first("SELECT CONNECTION_ID()").await.unwrap();
        let id = id.unwrap();
        assert_eq!(id, victim.id());
        let sleeping = tokio::spawn(async move {
            let slept: Result<Option<u8>, _> = victim.query_first("SELECT SLEEP(30)").await;
            let alive: Option<u8> = victim.query_first("SELECT 1").await.unwrap();
            (slept, alive)
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut killer = millpond.connect(&APP, Some("app")).await.unwrap();
        killer.query_drop(format!("KILL QUERY {id}")).await.unwrap();
        let (slept, alive) = timeout(Duration::from_secs(20), sleeping).await.unwrap().unwrap();
        // MySQL lets SLEEP return 1, MariaDB fails it.
        assert!(slept.is_err() || slept.unwrap() == Some(1));
        assert_eq!(alive, Some(1));
        let unknown = killer.query_drop("KILL 1073700000").await.unwrap_err();
        assert!(unknown.to_string().contains("1094"), "{unknown}");
    });
}

/// Who kills itself hears what a server would say, and is gone, or goes on.
#[test]
fn a_session_can_kill_itself() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        for sql in
            ["KILL QUERY CONNECTION_ID()", "KILL CONNECTION_ID()", "KILL QUERY {}", "KILL {}"]
        {
            let mut seen = Vec::new();
            for port in [server.port, millpond.port] {
                let mut client = Login::of(&APP).at(port).await.unwrap();
                let sql = sql.replace("{}", &client.connection_id.to_string());
                let told = client.query(&sql).await.unwrap().error();
                let then = client.query("SELECT 7").await.ok().and_then(|reply| reply.value());
                seen.push((told, then));
            }
            assert_eq!(seen[0], seen[1], "{}: {sql}", server.flavor);
        }
    });
}

/// Nothing of an idle client is on the server, which is asked all the same whether one user may kill
/// another.
#[test]
fn an_idle_client_is_killed_by_who_may_kill_it() {
    servers::both_async(async |server| {
        let mut settings = Settings::with_pool_of(2);
        settings.other =
            format!("[services.test.users.{}]\npassword = \"{}\"\n", ADMIN.name, ADMIN.password);
        let millpond = Millpond::start(server, &settings);
        let mut victim = millpond.connect(&APP, Some("app")).await.unwrap();
        victim.query_drop("SELECT 1").await.unwrap();
        let id = victim.id();
        let mut other = millpond.connect(&OTHER, None).await.unwrap();
        for sql in [format!("KILL {id}"), format!("KILL QUERY {id}")] {
            let denied = other.query_drop(&sql).await.unwrap_err().to_string();
            let expected = format!("You are not owner of thread {id}");
            assert!(denied.contains("1095") && denied.contains(&expected), "{denied}");
        }
        let mut admin = millpond.connect(&ADMIN, None).await.unwrap();
        admin.query_drop(format!("KILL QUERY {id}")).await.unwrap();
        let alive: Option<u8> = victim.query_first("SELECT 1").await.unwrap();
        assert_eq!(alive, Some(1), "{}", server.flavor);
        admin.query_drop(format!("KILL {id}")).await.unwrap();
        victim.query_drop("SELECT 1").await.unwrap_err();
        let gone = admin.query_drop(format!("KILL {id}")).await.unwrap_err().to_string();
        assert!(gone.contains(&format!("Unknown thread id: {id}")), "{gone}");
    });
}

/// Each server counts its connections for itself.
#[test]
fn a_kill_goes_to_the_server_that_the_statement_runs_on() {
    servers::each_pair(async |pair| {
        let mut settings = load::settings(pair);
        let port = ports::free();
        settings.service = format!("reader_listen = \"127.0.0.1:{port}\"\n");
        let millpond = Millpond::start(&pair.writer, &settings);
        load::table(pair, &millpond).await;
        let mut victim = Conn::new(server::options(port, &APP, Some("app"))).await.unwrap();
        reads_at(&mut victim, pair.replica.port).await;
        let id = victim.id();
        let sleeping = tokio::spawn(async move {
            let _: Result<Option<u8>, _> = victim.query_first("SELECT SLEEP(60)").await;
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut killer = millpond.connect(&APP, Some("app")).await.unwrap();
        killer.query_drop(format!("KILL QUERY {id}")).await.unwrap();
        timeout(Duration::from_secs(20), sleeping).await.expect("the statement to end").unwrap();
    });
}
