//! Character sets that change how servers are to be talked to.

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::server::Server;
use crate::support::servers;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

/// Two connections, handed over after every statement that lets it.
fn millpond(server: &Server) -> Millpond {
    let pool = "max_size = 2\nmin_idle = 2\nhand_over = \"always\"\n".to_owned();
    Millpond::start(server, &Settings { pool, ..Settings::default() })
}

/// The client's next statement finds the connection that it had taken, and gets another.
async fn move_on(client: &mut Conn, other: &mut Conn) {
    other.query_drop("BEGIN").await.unwrap();
    client.query_drop("DO 1").await.unwrap();
    other.query_drop("COMMIT").await.unwrap();
}

async fn text(client: &mut Conn, sql: &str) -> String {
    let value: Option<Option<String>> = client.query_first(sql).await.unwrap();
    value.flatten().unwrap_or_else(|| "NULL".to_owned())
}

/// MariaDB writes what its trackers report in the character set of the current database, and in
/// such as these not as its protocol says.
#[test]
fn a_session_goes_on_in_a_database_whose_letters_are_wide() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        let millpond = millpond(server);
        for charset in ["ucs2", "utf16", "utf32"] {
            let name = format!("app_{charset}");
            admin.query_drop(format!("DROP DATABASE IF EXISTS {name}")).await.unwrap();
            admin
                .query_drop(format!("CREATE DATABASE {name} CHARACTER SET {charset}"))
                .await
                .unwrap();
            let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
            let mut other = millpond.connect(&APP, Some("app")).await.unwrap();
            client.query_drop(format!("USE {name}")).await.unwrap();
            client.query_drop("SET sql_mode = 'ANSI_QUOTES', @mine = 'b'").await.unwrap();
            for _ in 0..4 {
                move_on(&mut client, &mut other).await;
                assert_eq!(text(&mut client, "SELECT DATABASE()").await, name);
                assert_eq!(text(&mut client, "SELECT @@sql_mode").await, "ANSI_QUOTES");
                assert_eq!(text(&mut client, "SELECT @mine").await, "b");
            }
            let level = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE";
            client.query_drop(level).await.unwrap();
            client.query_drop("BEGIN").await.unwrap();
            client.query_drop("COMMIT").await.unwrap();
            client.query_drop("USE app").await.unwrap();
            for _ in 0..4 {
                move_on(&mut client, &mut other).await;
                assert_eq!(text(&mut client, "SELECT DATABASE()").await, "app");
            }
        }
    });
}

/// Both servers reset the database's character set to their own, and stay in the database.
#[test]
fn a_database_keeps_its_character_set_on_a_connection_that_was_cleared() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        admin.query_drop("DROP DATABASE IF EXISTS app_greek").await.unwrap();
        admin.query_drop("CREATE DATABASE app_greek CHARACTER SET greek").await.unwrap();
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let mut client = millpond.connect(&APP, Some("app_greek")).await.unwrap();
        let mut other = millpond.connect(&APP, Some("app_greek")).await.unwrap();
        other.query_drop("SET @foreign = 1").await.unwrap();
        client.query_drop("ALTER DATABASE CHARACTER SET latin2").await.unwrap();
        assert_eq!(text(&mut other, "SELECT @foreign").await, "1");
        // What the other has there must not be seen.
        let shown = "SHOW SESSION VARIABLES LIKE 'character_set_database'";
        let row: Option<(String, String)> = client.query_first(shown).await.unwrap();
        assert_eq!(row.unwrap().1, "latin2");
    });
}

/// A server takes the name in `COM_INIT_DB` to be in the client's character set.
#[test]
fn a_database_beyond_ascii_is_found_from_any_character_set() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        admin.query_drop("CREATE DATABASE IF NOT EXISTS `app_\u{e4}`").await.unwrap();
        let millpond = millpond(server);
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut other = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("SET NAMES latin1").await.unwrap();
        client.query_drop(&b"USE `app_\xe4`"[..]).await.unwrap();
        for _ in 0..4 {
            move_on(&mut client, &mut other).await;
            let hex = text(&mut client, "SELECT HEX(CONVERT(DATABASE() USING utf8mb4))").await;
            assert_eq!(hex, "6170705FC3A4");
            assert_eq!(text(&mut client, "SELECT @@character_set_client").await, "latin1");
        }
        // One that comes in there finds it, whatever the connection read before.
        for _ in 0..4 {
            let mut late = millpond.connect(&APP, Some("app_\u{e4}")).await.unwrap();
            let hex = text(&mut late, "SELECT HEX(CONVERT(DATABASE() USING utf8mb4))").await;
            assert_eq!(hex, "6170705FC3A4");
            late.disconnect().await.unwrap();
            client.query_drop("DO 2").await.unwrap();
        }
    });
}

/// Neither server knows a storage engine whose name is a literal in one of these.
#[test]
fn values_come_along_under_wide_literals() {
    servers::both_async(async |server| {
        let millpond = millpond(server);
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut other = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("SET default_storage_engine = 'MEMORY'").await.unwrap();
        client.query_drop("SET character_set_connection = ucs2").await.unwrap();
        other.query_drop("SET default_storage_engine = 'InnoDB'").await.unwrap();
        other.query_drop("SET character_set_connection = ucs2").await.unwrap();
        for _ in 0..4 {
            move_on(&mut client, &mut other).await;
            assert_eq!(text(&mut client, "SELECT @@default_storage_engine").await, "MEMORY");
            assert_eq!(text(&mut client, "SELECT CHARSET('a')").await, "ucs2");
            assert_eq!(text(&mut other, "SELECT @@default_storage_engine").await, "InnoDB");
        }
    });
}

/// What only the connection has, and nothing can bring along.
#[test]
fn settings_that_make_a_connection_remember_keep_it() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        admin.query_drop("DROP TABLE IF EXISTS app.remembered").await.unwrap();
        admin
            .query_drop("CREATE TABLE app.remembered (id INT AUTO_INCREMENT PRIMARY KEY)")
            .await
            .unwrap();
        let millpond = millpond(server);
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut other = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("SET sql_auto_is_null = 1").await.unwrap();
        for id in 1..4 {
            client.query_drop("INSERT INTO remembered VALUES (NULL)").await.unwrap();
            other.query_drop("BEGIN").await.unwrap();
            let found: Option<u32> =
                client.query_first("SELECT id FROM remembered WHERE id IS NULL").await.unwrap();
            other.query_drop("COMMIT").await.unwrap();
            assert_eq!(found, Some(id));
        }
        client.query_drop("SET sql_auto_is_null = 0").await.unwrap();
        client.query_drop("SET optimizer_trace = 'enabled=on'").await.unwrap();
        client.query_drop("SELECT COUNT(*) FROM remembered").await.unwrap();
        move_off(&mut other).await;
        let traced = "SELECT QUERY FROM information_schema.OPTIMIZER_TRACE";
        assert!(text(&mut client, traced).await.contains("COUNT(*)"));
        client.query_drop("SET optimizer_trace = 'enabled=off'").await.unwrap();
        assert!(text(&mut client, traced).await.contains("COUNT(*)"));
        client.disconnect().await.unwrap();
        // The trace of another is nobody's, on whatever connection.
        let mut third = millpond.connect(&APP, Some("app")).await.unwrap();
        for _ in 0..4 {
            third.query_drop("BEGIN").await.unwrap();
            assert_eq!(text(&mut third, traced).await, "NULL");
            assert_eq!(text(&mut other, traced).await, "NULL");
            third.query_drop("COMMIT").await.unwrap();
        }
    });
}

/// Uses all connections that are free.
async fn move_off(other: &mut Conn) {
    for _ in 0..4 {
        other.query_drop("BEGIN").await.unwrap();
        other.query_drop("COMMIT").await.unwrap();
    }
}

/// The profiles of a session, which MariaDB keeps over a reset, are for nobody else to read.
#[test]
fn profiles_are_of_their_own_session() {
    servers::both_async(async |server| {
        let millpond = millpond(server);
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut other = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("SET profiling = 1").await.unwrap();
        client.query_drop("SELECT 'of one session'").await.unwrap();
        move_off(&mut other).await;
        let profiled = async |client: &mut Conn| -> Vec<String> {
            let rows: Vec<Row> = client.query("SHOW PROFILES").await.unwrap();
            rows.into_iter().map(|row| row.get::<String, _>(2).unwrap()).collect()
        };
        client.query_drop("SET profiling = 0").await.unwrap();
        assert_eq!(profiled(&mut client).await, ["SELECT 'of one session'"], "{}", server.flavor);
        client.disconnect().await.unwrap();
        let mut third = millpond.connect(&APP, Some("app")).await.unwrap();
        for _ in 0..4 {
            third.query_drop("BEGIN").await.unwrap();
            assert!(profiled(&mut third).await.is_empty(), "{}", server.flavor);
            assert!(profiled(&mut other).await.is_empty(), "{}", server.flavor);
            third.query_drop("COMMIT").await.unwrap();
        }
    });
}
