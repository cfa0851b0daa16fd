//! What lets a session go from connection to connection, and what makes it keep one.

use std::collections::BTreeSet;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row};

use crate::support::accounts::APP;
use crate::support::flavor::Flavor;
use crate::support::millpond::{Millpond, Settings};
use crate::support::server::Server;
use crate::support::servers;

/// The reasons other than transactions for which sessions have kept their connections.
pub(crate) fn pinned(millpond: &Millpond) -> Vec<String> {
    let page = millpond.page("/metrics");
    let counted = page.lines().filter(|line| line.starts_with("millpond_session_pins_total{"));
    counted
        .filter(|line| !line.contains("reason=\"transaction\"") && !line.ends_with(" 0"))
        .map(str::to_owned)
        .collect()
}

pub(crate) async fn run(client: &mut Conn, statements: &[&str]) {
    for sql in statements {
        client.query_drop(*sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// Makes a view that tells the server's own number of the connection, which a client's text does not.
/// By the user itself: another's might not be read, and would pin.
pub(crate) async fn see_backends(server: &Server, view: &str) {
    let mut maker = server.connect(&APP, Some("app")).await.unwrap();
    let create = format!("CREATE OR REPLACE VIEW {view} AS SELECT CONNECTION_ID() AS id");
    maker.query_drop(create).await.unwrap();
    maker.disconnect().await.unwrap();
}

fn code(outcome: Result<(), Error>) -> Option<u16> {
    match outcome {
        Ok(()) => None,
        Err(Error::Server(error)) => Some(error.code),
        Err(error) => panic!("{error}"),
    }
}

/// The one who alters a database finds it altered wherever its next statement runs.
#[test]
fn an_altered_database_is_seen_on_every_connection() {
    const SEE: &str = "SELECT id, @@character_set_database FROM app.backend_of_altered";
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        run(
            &mut admin,
            &[
                "DROP DATABASE IF EXISTS altered",
                "CREATE DATABASE altered CHARACTER SET latin1",
                "CREATE TABLE altered.t (a INT)",
                "GRANT ALL ON altered.* TO 'app'@'%'",
            ],
        )
        .await;
        see_backends(server, "backend_of_altered").await;
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let mut a = millpond.connect(&APP, Some("altered")).await.unwrap();
        let mut b = millpond.connect(&APP, Some("altered")).await.unwrap();
        let (mut seen, mut backends) = (BTreeSet::new(), BTreeSet::new());
        for turn in 0..6 {
            // Both connections are in use, by turns: here the first of the two, there the second.
            let (first, second) = if turn % 2 == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
            run(first, &["BEGIN"]).await;
            run(second, &["BEGIN"]).await;
            run(&mut b, &["COMMIT"]).await;
            let row: Option<(u64, String)> = a.query_first(SEE).await.unwrap();
            let (backend, charset) = row.unwrap();
            run(&mut a, &["COMMIT"]).await;
            if turn == 1 {
                // The one who alters it need not even name it.
                run(&mut a, &["ALTER DATABASE CHARACTER SET greek"]).await;
            } else if turn > 1 {
                seen.insert(charset);
                backends.insert(backend);
            }
        }
        assert_eq!(backends.len(), 2, "{}", server.flavor);
        assert_eq!(seen, BTreeSet::from(["greek".to_owned()]), "{}", server.flavor);
        assert_eq!(pinned(&millpond), Vec::<String>::new());
        run(&mut admin, &["DROP DATABASE altered"]).await;
    });
}

/// A connection is reset so that a session does not see another's variables: what it has there
/// itself stays with it.
#[test]
fn hiding_anothers_variables_loses_nothing_of_ones_own() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        run(
            &mut admin,
            &[
                "DROP TABLE IF EXISTS app.hiding",
                "CREATE TABLE app.hiding (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
            ],
        )
        .await;
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let mut a = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut b = millpond.connect(&APP, Some("app")).await.unwrap();
        run(&mut b, &["SET @x = 1"]).await;
        run(&mut a, &["SET @own = 'mine'", "INSERT INTO hiding (v) VALUES (1)"]).await;
        let id = a.last_insert_id();
        let foreign: Option<(Option<u8>,)> = a.query_first("SELECT @x").await.unwrap();
        assert_eq!(foreign, Some((None,)), "{}", server.flavor);
        let own: Option<(Option<u64>, String)> =
            a.query_first("SELECT LAST_INSERT_ID(), @own").await.unwrap();
        assert_eq!(own, Some((id, "mine".to_owned())), "{}", server.flavor);
        let of_b: Option<u8> = b.query_first("SELECT @x").await.unwrap();
        assert_eq!(of_b, Some(1));
    });
}

/// What neither Millpond nor the server can read has done nothing.
#[test]
fn a_text_that_no_server_reads_keeps_no_connection() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        run(&mut client, &["SET @kept = 7"]).await;
        for sql in ["SELEC 1", "this is no statement", "§", "frobnicate @kept, 'x'"] {
            assert_eq!(code(client.query_drop(sql).await), Some(1064), "{sql}");
        }
        let kept: Option<u8> = client.query_first("SELECT @kept").await.unwrap();
        assert_eq!((kept, pinned(&millpond)), (Some(7), Vec::new()), "{}", server.flavor);
        // What has run in front of it may have done anything.
        let failed = client.query_drop("SET @kept = 8; SELEC 1").await;
        assert_eq!(code(failed), Some(1064));
        let kept: Option<u8> = client.query_first("SELECT @kept").await.unwrap();
        assert_eq!(kept, Some(8), "{}", server.flavor);
    });
}

/// The number of the error that both end with, or both not.
async fn both(direct: &mut Conn, through: &mut Conn, sql: &str) -> Option<u16> {
    let right = code(direct.query_drop(sql).await);
    assert_eq!(code(through.query_drop(sql).await), right, "{sql}");
    right
}

/// What is said of the next transaction is for the one who said it, on whatever connection.
#[test]
fn the_next_transaction_is_its_sessions_own() {
    // `ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION`
    const READ_ONLY: Option<u16> = Some(1792);
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        run(
            &mut admin,
            &["DROP TABLE IF EXISTS app.next_one", "CREATE TABLE app.next_one (v INT)"],
        )
        .await;
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let mut direct = server.connect(&APP, Some("app")).await.unwrap();
        let mut a = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut b = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut refused = 0;
        for sql in [
            // A transaction that goes on by itself must not begin when words are cleared away.
            "SET completion_type = 1",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SET TRANSACTION READ ONLY",
            "INSERT INTO next_one VALUES (1)",
            "INSERT INTO next_one VALUES (2)",
            "SELECT * FROM nosuch",
            "INSERT INTO next_one VALUES (3)",
            "SELECT * FROM next_one",
            "INSERT INTO next_one VALUES (4)",
            "SET TRANSACTION READ ONLY",
            "DO 1",
            "SELECT 1",
            "START TRANSACTION",
            "INSERT INTO next_one VALUES (5)",
            "COMMIT AND NO CHAIN",
            "INSERT INTO next_one VALUES (6)",
            "SET TRANSACTION READ ONLY",
            "SET SESSION TRANSACTION READ WRITE",
            "INSERT INTO next_one VALUES (7)",
            "SET TRANSACTION READ ONLY",
            "SELECT @x := 1",
        ] {
            refused += usize::from(both(&mut direct, &mut a, sql).await == READ_ONLY);
            // Between any two statements the only connection is another's, unless it is held.
            if sql != "START TRANSACTION" && !sql.ends_with("(5)") {
                run(&mut b, &["INSERT INTO next_one VALUES (8)", "SET @x = 5"]).await;
            }
        }
        assert!(refused > 1, "{}", server.flavor);
        assert_eq!(pinned(&millpond), Vec::<String>::new(), "{}", server.flavor);
        // Whoever leaves takes it along.
        a.disconnect().await.unwrap();
        run(&mut b, &["INSERT INTO next_one VALUES (9)"]).await;
        // It is not over after a look at all variables, for which trackers are switched off.
        let mut c = millpond.connect(&APP, Some("app")).await.unwrap();
        run(&mut direct, &["COMMIT AND NO CHAIN"]).await;
        for look in ["SHOW VARIABLES LIKE 'tx%'", "SELECT * FROM information_schema.user_variables"]
        {
            both(&mut direct, &mut b, "SET TRANSACTION READ ONLY").await;
            both(&mut direct, &mut b, look).await;
            both(&mut direct, &mut b, "DO 1").await;
            // Of anything but SHOW it is not known.
            if look.starts_with("SHOW") {
                run(&mut c, &["INSERT INTO next_one VALUES (10)"]).await;
            }
            both(&mut direct, &mut b, "INSERT INTO next_one VALUES (11)").await;
            both(&mut direct, &mut b, "COMMIT AND NO CHAIN").await;
            run(&mut c, &["INSERT INTO next_one VALUES (12)"]).await;
        }
    });
}

/// Statements prepared by text are found under their names on any connection, and nobody else's.
#[test]
fn text_statements_follow_their_session() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        run(
            &mut admin,
            &[
                "DROP TABLE IF EXISTS app.by_text",
                "CREATE TABLE app.by_text (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20))",
            ],
        )
        .await;
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let mut direct = server.connect(&APP, Some("app")).await.unwrap();
        let mut a = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut b = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut tied = false;
        for sql in [
            "SET @v = 'one', sql_mode = 'ANSI_QUOTES'",
            "PREPARE p FROM 'INSERT INTO \"by_text\" (v) VALUES (?)'",
            "PREPARE `Q` FROM 'SELECT id, v FROM by_text WHERE v = ?'",
            "SET sql_mode = ''",
            "EXECUTE p USING @v",
            "EXECUTE p USING @v",
            "EXECUTE q USING @v",
            "EXECUTE nosuch",
            "BEGIN",
            "EXECUTE p USING @v",
            "ROLLBACK",
            "PREPARE q FROM 'SELEC'",
            "EXECUTE q",
            "DEALLOCATE PREPARE q",
            "DROP TABLE by_text",
            "EXECUTE p USING @v",
            "DEALLOCATE PREPARE p",
            "EXECUTE p USING @v",
            "DROP PREPARE p",
            "CREATE TABLE by_text (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20))",
            "PREPARE p FROM 'SELECT v FROM by_text'",
        ] {
            // The table is one for both.
            let shared = ["DROP TABLE", "CREATE TABLE"].iter().any(|verb| sql.starts_with(verb));
            let right = if shared { Ok(Vec::new()) } else { direct.query::<Row, _>(sql).await };
            let seen = a.query::<Row, _>(sql).await;
            let plain = |rows: Result<Vec<Row>, Error>| match rows {
                Ok(rows) => {
                    Ok(rows.iter().map(|row| row.get::<String, _>("v")).collect::<Vec<_>>())
                }
                Err(Error::Server(error)) => Err((error.code, error.message)),
                Err(error) => panic!("{sql}: {error}"),
            };
            let (right, seen) = (plain(right), plain(seen));
            let more = sql.starts_with("EXECUTE q") && right.is_ok();
            assert!(seen == right || more, "{}: {sql}: {right:?} {seen:?}", server.flavor);
            // MySQL's keeps the types of what it was executed with, so it keeps its connection.
            match sql {
                "EXECUTE p USING @v" if seen.is_ok() => tied = server.flavor == Flavor::MySql,
                "DEALLOCATE PREPARE p" => tied = false,
                _ => {}
            }
            if tied {
                assert_eq!(pinned(&millpond).len(), 1, "{sql}");
            } else if sql != "BEGIN" && !sql.starts_with("EXECUTE p") {
                // Another's of the same name, and one that is left.
                run(&mut b, &["PREPARE p FROM 'DO 0'", "PREPARE nosuch FROM 'DO 0'"]).await;
                run(&mut b, &["PREPARE q FROM 'SELECT 5'", "DEALLOCATE PREPARE q"]).await;
            }
        }
        let pins = usize::from(server.flavor == Flavor::MySql);
        assert_eq!(pinned(&millpond).len(), pins, "{}", server.flavor);
        // What reads variables when it is prepared stays where it is.
        run(&mut a, &["PREPARE r FROM 'SELECT @v'", "DO 1"]).await;
        assert!(pinned(&millpond)[0].contains("text_statement"), "{:?}", pinned(&millpond));
        run(&mut a, &["DEALLOCATE PREPARE r"]).await;
        run(&mut b, &["EXECUTE p"]).await;
    });
}

/// A role goes with its session, and no other session has it; nor is it ever without the one that its
/// login gave it.
#[test]
fn a_role_follows_its_session() {
    const SEE: &str = "SELECT CURRENT_ROLE()";
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        let default = match server.flavor {
            Flavor::MariaDb => "SET DEFAULT ROLE first_role FOR 'app'@'%'",
            Flavor::MySql => "SET DEFAULT ROLE first_role TO 'app'@'%'",
        };
        let nothing = match server.flavor {
            Flavor::MariaDb => "SET DEFAULT ROLE NONE FOR 'app'@'%'",
            Flavor::MySql => "SET DEFAULT ROLE NONE TO 'app'@'%'",
        };
        run(
            &mut admin,
            &[
                "DROP ROLE IF EXISTS first_role, other_role",
                "CREATE ROLE first_role, other_role",
                "GRANT first_role TO 'app'@'%'",
                "GRANT other_role TO 'app'@'%'",
                "DROP DATABASE IF EXISTS of_role",
                "CREATE DATABASE of_role",
                "GRANT ALL ON of_role.* TO other_role",
            ],
        )
        .await;
        for setting in [nothing, default] {
            run(&mut admin, &[setting]).await;
            let millpond = Millpond::start(server, &Settings::with_pool_of(1));
            let mut direct = server.connect(&APP, Some("app")).await.unwrap();
            let mut a = millpond.connect(&APP, Some("app")).await.unwrap();
            let mut b = millpond.connect(&APP, Some("app")).await.unwrap();
            let of_login: Option<Option<String>> = direct.query_first(SEE).await.unwrap();
            for sql in [
                "SET ROLE other_role",
                "USE of_role",
                "SET ROLE nosuch",
                "USE app",
                "SET ROLE NONE",
            ] {
                both(&mut direct, &mut a, sql).await;
                let of_b: Option<Option<String>> = b.query_first(SEE).await.unwrap();
                assert_eq!(of_b, of_login, "{}: {sql}", server.flavor);
                let right: Option<Option<String>> = direct.query_first(SEE).await.unwrap();
                let seen: Option<Option<String>> = a.query_first(SEE).await.unwrap();
                assert_eq!(seen, right, "{}: {sql}", server.flavor);
            }
            // A reset leaves it, and a change of the user as the server has it.
            for change in [false, true] {
                run(&mut direct, &["SET ROLE other_role"]).await;
                run(&mut a, &["SET ROLE other_role"]).await;
                run(&mut b, &["DO 1"]).await;
                for client in [&mut direct, &mut a] {
                    if change {
                        client.change_user(Default::default()).await.unwrap();
                    } else {
                        client.reset().await.unwrap();
                    }
                }
                let right: Option<Option<String>> = direct.query_first(SEE).await.unwrap();
                let seen: Option<Option<String>> = a.query_first(SEE).await.unwrap();
                assert_eq!(seen, right, "{}: change {change}", server.flavor);
            }
            assert_eq!(pinned(&millpond), Vec::<String>::new(), "{}", server.flavor);
            a.disconnect().await.unwrap();
            let of_b: Option<Option<String>> = b.query_first(SEE).await.unwrap();
            assert_eq!(of_b, of_login, "{}", server.flavor);
        }
        run(&mut admin, &[nothing, "DROP ROLE first_role, other_role"]).await;
        run(&mut admin, &["DROP DATABASE of_role"]).await;
    });
}
