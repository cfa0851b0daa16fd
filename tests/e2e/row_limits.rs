//! Limits of rows, a server's and a session's, cut off nothing that Millpond itself asks.

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::servers;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

const LIMITS: &str = "SELECT @@sql_select_limit, @@sql_big_selects, @@max_join_size, \
                      @@default_storage_engine, @@wait_timeout LIMIT 1";

type Row = (u64, bool, u64, String, u64);

/// Stored code that none but a reader of the whole list knows.
async fn create_functions(client: &mut Conn, prefix: &str) {
    for number in 0..4 {
        let sql = format!(
            "CREATE FUNCTION {prefix}{number}() RETURNS INT DETERMINISTIC \
             BEGIN SET @{prefix}{number} = 1; RETURN 1; END"
        );
        client.query_drop(format!("DROP FUNCTION IF EXISTS {prefix}{number}")).await.unwrap();
        client.query_drop(sql).await.unwrap();
    }
}

/// What the function sets is its caller's, and nobody else's.
async fn expect_no_leak(millpond: &Millpond, client: &mut Conn, prefix: &str, case: &str) {
    let mut other = millpond.connect(&APP, Some("app")).await.unwrap();
    for number in 0..4 {
        let name = format!("{prefix}{number}");
        client.query_drop(format!("SET @r = {name}()")).await.unwrap();
        let sql = format!("SELECT @{name} LIMIT 1");
        let foreign: Option<Option<u8>> = other.query_first(&sql).await.unwrap();
        assert_eq!(foreign, Some(None), "{name} {case}");
        let own: Option<Option<u8>> = client.query_first(&sql).await.unwrap();
        assert_eq!(own, Some(Some(1)), "{name} {case}");
    }
    other.disconnect().await.unwrap();
}

/// All was refused by a server whose default is that a statement gives ten rows, or looks at a hundred:
/// the list of variables was cut off, or could not be had.
#[test]
fn a_servers_own_limits_of_rows_are_its_clients() {
    servers::both_private(&["log_bin_trust_function_creators=1"], |server| async move {
        let mut admin = server.admin().await;
        admin.query_drop("USE app").await.unwrap();
        create_functions(&mut admin, "of_all_").await;
        for limits in ["sql_select_limit = 3", "sql_select_limit = 0", "max_join_size = 5"] {
            for default in ["sql_select_limit", "max_join_size"] {
                let sql = format!("SET GLOBAL {default} = DEFAULT");
                admin.query_drop(sql).await.unwrap();
            }
            admin.query_drop(format!("SET GLOBAL {limits}")).await.unwrap();
            let case = format!("{} {limits}", server.flavor);
            let millpond = Millpond::start(server, &Settings::with_pool_of(2));
            let mut direct = server.connect(&APP, Some("app")).await.unwrap();
            let mut through = millpond.connect(&APP, Some("app")).await.unwrap();
            for sql in ["DO 1", "SET sql_select_limit = 7", "SET sql_select_limit = DEFAULT"] {
                direct.query_drop(sql).await.unwrap();
                through.query_drop(sql).await.unwrap();
                let right: Option<Row> = direct.query_first(LIMITS).await.unwrap();
                let seen: Option<Row> = through.query_first(LIMITS).await.unwrap();
                assert_eq!(seen, right, "{case} {sql}");
            }
            let rows = "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4";
            let right: Vec<u8> = direct.query(rows).await.unwrap();
            let seen: Vec<u8> = through.query(rows).await.unwrap();
            assert_eq!(seen, right, "{case}");
            expect_no_leak(&millpond, &mut through, "of_all_", &case).await;
        }
    });
}

/// The list of stored code is read on a connection that another session has used: its limit is not that
/// list's.
#[test]
fn a_sessions_limit_of_rows_is_its_own() {
    servers::both_private(&["log_bin_trust_function_creators=1"], |server| async move {
        for (number, setting) in
            ["sql_select_limit = 1", "max_join_size = 1", "NAMES latin1"].iter().enumerate()
        {
            let case = format!("{} {setting}", server.flavor);
            let millpond = Millpond::start(server, &Settings::with_pool_of(2));
            let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
            client.query_drop(format!("SET {setting}")).await.unwrap();
            let prefix = format!("of_one_{number}_");
            create_functions(&mut client, &prefix).await;
            expect_no_leak(&millpond, &mut client, &prefix, &case).await;
        }
    });
}
