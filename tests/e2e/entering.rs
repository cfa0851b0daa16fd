//! Databases that a session cannot enter any more when its turn on a connection comes.

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::raw::reply::Raw;
use crate::support::server::Server;
use crate::support::servers;
use mysql_async::prelude::Queryable;

async fn database(server: &Server, name: &str) {
    let mut admin = server.admin().await;
    for sql in [
        format!("CREATE DATABASE {name}"),
        format!("CREATE TABLE {name}.rows_of (v INT)"),
        format!("CREATE PROCEDURE {name}.adds() INSERT INTO rows_of VALUES (7)"),
        format!("GRANT ALL ON {name}.* TO 'app'@'%'"),
    ] {
        admin.query_drop(&sql).await.expect(&sql);
    }
}

async fn rows(server: &Server, name: &str) -> u64 {
    let mut admin = server.admin().await;
    admin.query_first(format!("SELECT COUNT(*) FROM {name}.rows_of")).await.unwrap().unwrap()
}

async fn value(client: &mut Raw, sql: &str) -> Option<String> {
    client.query(sql).await.unwrap().must(sql).value()
}

/// What is written there must not be written into the database that the connection was in for
/// somebody else, and every client is told what the server says.
#[test]
fn nothing_is_written_elsewhere_when_a_database_cannot_be_entered_any_more() {
    const TAKEN: &[&str] =
        &["DROP DATABASE entered_one", "REVOKE ALL ON entered_one.* FROM 'app'@'%'"];
    const SAID: &[&str] = &[
        "INSERT INTO rows_of VALUES (1)",
        "CALL adds()",
        "SET @a = 1; INSERT INTO rows_of VALUES (2)",
        "CREATE TABLE more (v INT)",
        "SELECT COUNT(*) FROM rows_of",
    ];
    servers::both_async(async |server| {
        let pool = "max_size = 1\n".to_owned();
        let millpond = Millpond::start(server, &Settings { pool, ..Settings::default() });
        for (taken, said) in TAKEN.iter().flat_map(|taken| SAID.iter().map(move |s| (taken, s))) {
            database(server, "entered_one").await;
            database(server, "entered_other").await;
            let at = |name: &str| Login { database: Some(name.to_owned()), ..Login::of(&APP) };
            let mut one = at("entered_one").at(millpond.port).await.unwrap();
            let mut other = at("entered_other").at(millpond.port).await.unwrap();
            for _ in 0..2 {
                assert_eq!(value(&mut one, "SELECT DATABASE()").await.unwrap(), "entered_one");
                assert_eq!(value(&mut other, "SELECT DATABASE()").await.unwrap(), "entered_other");
            }
            server.admin().await.query_drop(*taken).await.unwrap();
            let (code, text) = one.query(said).await.unwrap().error().expect(said);
            let which = format!("{} {taken:?} {said:?} {code} {text}", server.flavor);
            assert!([1044, 1049].contains(&code), "{which}");
            assert_eq!(rows(server, "entered_other").await, 0, "{which}");
            assert_eq!(value(&mut other, "SELECT DATABASE()").await.unwrap(), "entered_other");
            let mut admin = server.admin().await;
            admin.query_drop("DROP DATABASE IF EXISTS entered_one").await.unwrap();
            admin.query_drop("DROP DATABASE entered_other").await.unwrap();
        }
    });
}
