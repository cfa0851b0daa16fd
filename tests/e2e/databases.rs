//! Sessions that are in no database.
//!
//! Many clients set up their session first and enter a database then. What they say until then minds
//! no database, and runs on a connection that is in one.

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::raw::reply::{Expect, Raw, Reply};
use crate::support::server::Server;
use crate::support::servers;
use mysql_async::prelude::Queryable;
use mysql_common::constants::CapabilityFlags;

const INIT_DB: u8 = 2;

async fn two_databases(server: &Server) {
    let mut admin = server.admin().await;
    for sql in [
        "CREATE DATABASE IF NOT EXISTS app",
        "CREATE DATABASE IF NOT EXISTS app_other",
        "CREATE TABLE IF NOT EXISTS app.of_app (v INT)",
        "CREATE TABLE IF NOT EXISTS app_other.of_app (v INT)",
    ] {
        admin.query_drop(sql).await.expect(sql);
    }
    admin.disconnect().await.ok();
}

/// Says this as a client that is in no database; a text in front of which is a `\` is a database to
/// enter by command.
async fn say(client: &mut Raw, text: &str) -> Reply {
    match text.strip_prefix('\\') {
        Some(database) => {
            let command = [&[INIT_DB][..], database.as_bytes()].concat();
            client.command(&command, Expect::One).await.unwrap()
        }
        None => client.query(text).await.unwrap(),
    }
}

/// What WordPress and other applications of PHP's mysqli do cost a login to the server for each of
/// their connections: a connection that is in a database cannot leave it.
#[test]
fn clients_that_enter_a_database_later_share_connections() {
    servers::both_async(async |server| {
        two_databases(server).await;
        let pool = "max_size = 1\n".to_owned();
        let millpond = Millpond::start(server, &Settings { pool, ..Settings::default() });
        let nowhere = Login { database: None, ..Login::of(&APP) };
        let mut threads = Vec::new();
        for database in ["app", "app_other", "app", "app", "app_other"] {
            let mut client = nowhere.at(millpond.port).await.unwrap();
            for sql in [
                "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_520_ci'",
                "SELECT @@SESSION.sql_mode",
                "SET SESSION sql_mode='NO_ENGINE_SUBSTITUTION'",
            ] {
                say(&mut client, sql).await.must(sql);
            }
            say(&mut client, &format!("\\{database}")).await.must("COM_INIT_DB");
            let at = say(&mut client, "SELECT DATABASE()").await.value();
            assert_eq!(at.as_deref(), Some(database), "{}", server.flavor);
            // Beside that name, it is the server's own number.
            let sql = "SELECT CONNECTION_ID() FROM information_schema.processlist LIMIT 1";
            threads.push(say(&mut client, sql).await.value().unwrap());
            client.quit().await;
        }
        assert!(
            threads.iter().all(|thread| *thread == threads[0]),
            "{} {threads:?}",
            server.flavor
        );
    });
}

/// Whatever connection it has, the session is in no database until it enters one.
#[test]
fn a_session_in_no_database_is_in_none_on_any_connection() {
    const TALKS: &[&[&str]] = &[
        &[
            "SET NAMES utf8mb4",
            "SELECT DATABASE()",
            "SELECT * FROM of_app",
            "SELECT 1",
            "\\app",
            "SELECT DATABASE()",
        ],
        &[
            "SET sql_mode = 'nonsense'",
            "SELECT DATABASE()",
            "SET sql_mode = ''",
            "INSERT INTO of_app VALUES (1)",
        ],
        &[
            "SELECT @@sql_mode",
            "\\app_nowhere",
            "SELECT DATABASE()",
            "SELECT 5",
            "USE app",
            "SELECT * FROM of_app",
        ],
        &["SELECT 1", "USE app", "SELECT DATABASE()", "USE app", "SELECT DATABASE()"],
        &["SELECT 1", "USE app_other", "SELECT DATABASE()", "SELECT * FROM of_app"],
        &["SET autocommit = 0", "SELECT 1", "SELECT DATABASE()", "SELECT * FROM of_app"],
        &[
            "SET SESSION sql_mode = 'ANSI'",
            "BEGIN",
            "INSERT INTO of_app VALUES (2)",
            "SELECT 6",
            "COMMIT",
        ],
        &[
            "SELECT @@character_set_database",
            "SHOW VARIABLES LIKE 'collation_database'",
            "SELECT SCHEMA()",
        ],
        &[
            "SET NAMES nonsense",
            "SHOW WARNINGS",
            "SELECT DATABASE()",
            "SELECT 7",
            "SELECT DATABASE()",
        ],
        &[
            "SELECT @@sql_mode",
            "SELECT ROW_COUNT()",
            "SELECT FOUND_ROWS()",
            "USE app",
            "SELECT * FROM of_app",
        ],
    ];
    servers::both_async(async |server| {
        two_databases(server).await;
        for hand_over in ["always", "when-needed"] {
            let pool = format!("max_size = 1\nhand_over = \"{hand_over}\"\n");
            let millpond = Millpond::start(server, &Settings { pool, ..Settings::default() });
            for capabilities in [Login::of(&APP).capabilities, tracking()] {
                let nowhere = Login { database: None, capabilities, ..Login::of(&APP) };
                // The only connection is in a database.
                Login { capabilities, ..Login::of(&APP) }
                    .at(millpond.port)
                    .await
                    .unwrap()
                    .query("SELECT * FROM of_app")
                    .await
                    .unwrap()
                    .must("SELECT");
                for talk in TALKS {
                    // The order of trackers is the server's mood, as is what MySQL says of transactions.
                    if capabilities == tracking() && talk[0] != "SELECT 1" {
                        continue;
                    }
                    let mut direct = nowhere.at(server.port).await.unwrap();
                    let mut through = nowhere.at(millpond.port).await.unwrap();
                    for text in *talk {
                        let expected = say(&mut direct, text).await;
                        let got = say(&mut through, text).await;
                        assert_eq!(got, expected, "{} {hand_over} {talk:?} {text}", server.flavor);
                    }
                    direct.quit().await;
                    through.quit().await;
                }
            }
        }
    });
}

fn tracking() -> CapabilityFlags {
    Login::of(&APP).capabilities | CapabilityFlags::CLIENT_SESSION_TRACK
}
