//! Many sessions on few connections, each with its mark on everything that a session can hold: no
//! session ever sees another's mark, and none misses its own.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use tokio::task::JoinSet;

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::servers;

/// Sessions at once.
const SESSIONS: u32 = 24;
/// Connections that they share.
const CONNECTIONS: u32 = 4;
/// How often each goes through everything.
const ROUNDS: u32 = 4;

/// What a session says, and what it then has to see; `§` is its mark, a number.
const MARKS: &[(&str, &str, &str)] = &[
    ("SET @mark = §, @other = 'of §'", "SELECT @mark, @other", "§ of §"),
    ("SELECT § INTO @mark", "SELECT @mark + 0", "§"),
    ("SET group_concat_max_len = §", "SELECT @@group_concat_max_len", "§"),
    ("SELECT LAST_INSERT_ID(§)", "SELECT LAST_INSERT_ID()", "§"),
    ("SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'of §'", "SHOW WARNINGS", "Warning 1642 of §"),
    ("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'of §'", "SHOW ERRORS", "Error 1644 of §"),
    ("SET lc_time_names = 'de_DE'", "SELECT DATE_FORMAT('2020-05-01', '%M')", "Mai"),
    ("SET lc_time_names = 'en_US'", "SELECT DATE_FORMAT('2020-05-01', '%M')", "May"),
    ("BEGIN", "SELECT COUNT(*) FROM marked WHERE mark <> §", "0"),
    ("INSERT INTO marked VALUES (§)", "SELECT mark FROM marked", "§"),
    ("ROLLBACK", "SELECT COUNT(*) FROM marked", "0"),
    ("CREATE TEMPORARY TABLE own AS SELECT § AS mark", "SELECT mark FROM own", "§"),
    ("DROP TEMPORARY TABLE own", "SELECT COUNT(*) FROM marked", "0"),
    ("PREPARE p FROM 'SELECT §'", "EXECUTE p", "§"),
    ("DEALLOCATE PREPARE p", "SELECT @mark", "§"),
    ("SELECT GET_LOCK('of §', 0)", "SELECT IS_FREE_LOCK('of §')", "0"),
    ("SELECT RELEASE_LOCK('of §')", "SELECT IS_FREE_LOCK('of §')", "1"),
    ("DO 1", "SELECT ROW_COUNT()", "0"),
    ("SELECT 1 UNION SELECT 2 UNION SELECT §", "SELECT FOUND_ROWS()", "3"),
    ("DO 1", "SELECT ROW_COUNT() + 5, IF(FOUND_ROWS() > 0, 'found', '')", "5 found"),
    ("SELECT 1 UNION SELECT §", "SELECT CONCAT(FOUND_ROWS(), ROW_COUNT()), ROW_COUNT()", "2-1 -1"),
    ("SIGNAL SQLSTATE '45001' SET MESSAGE_TEXT = 'of §'", "SELECT @@error_count * 7", "7"),
    ("SIGNAL SQLSTATE '45001' SET MESSAGE_TEXT = 'of §'", "SHOW WARNINGS LIMIT 0, 1", ERROR),
    (
        "GET DIAGNOSTICS CONDITION 1 @told = MESSAGE_TEXT, @state = RETURNED_SQLSTATE",
        "SELECT @told, @state",
        "of § 45001",
    ),
    // A statement with a table, without which MariaDB does not clear the past.
    ("SELECT mark, § FROM marked", "SELECT @told, @state", "of § 45001"),
    ("GET DIAGNOSTICS @told = NUMBER, @state = ROW_COUNT", "SELECT @told, @state", "0 -1"),
];

const ERROR: &str = "Error 1644 of §";

#[test]
fn no_session_sees_the_mark_of_another() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        for sql in ["DROP TABLE IF EXISTS app.marked", "CREATE TABLE app.marked (mark INT)"] {
            admin.query_drop(sql).await.unwrap();
        }
        for hand_over in ["always", "when-needed"] {
            let pool = format!(
                "max_size = {CONNECTIONS}\nhand_over = \"{hand_over}\"\nborrow_timeout = \"1m\"\n"
            );
            let settings = Settings { pool, ..Settings::default() };
            let millpond = Millpond::start(server, &settings);
            let mut sessions = JoinSet::new();
            for number in 0..SESSIONS {
                let client = millpond.connect(&APP, Some("app")).await.unwrap();
                sessions.spawn(session(client, 1000 + number));
            }
            for outcome in sessions.join_all().await {
                outcome.unwrap_or_else(|wrong| panic!("{}, {hand_over}: {wrong}", server.flavor));
            }
        }
    });
}

/// Goes through all marks from a place of its own, and looks at what it should have in between.
async fn session(mut client: Conn, mark: u32) -> Result<(), String> {
    let own = |text: &str| text.replace('§', &mark.to_string());
    for sql in ["SET @mark = §", "SET group_concat_max_len = §"] {
        client.query_drop(own(sql)).await.map_err(|error| error.to_string())?;
    }
    for round in 0..ROUNDS {
        for (say, ask, expected) in MARKS {
            // The error is what SHOW ERRORS is to show.
            let _ = client.query_drop(own(say)).await;
            if (mark + round).is_multiple_of(3) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let seen = see(&mut client, &own(ask)).await?;
            if seen != own(expected) {
                return Err(format!("{mark} says {say}, asks {ask}, and sees {seen}"));
            }
        }
        let all = see(&mut client, "SELECT @mark, @@group_concat_max_len").await?;
        if all != own("§ §") {
            return Err(format!("{mark} sees {all} at the end of a round"));
        }
    }
    client.disconnect().await.map_err(|error| error.to_string())
}

/// All rows as one text.
async fn see(client: &mut Conn, sql: &str) -> Result<String, String> {
    let rows: Vec<Row> = client.query(sql).await.map_err(|error| format!("{sql}: {error}"))?;
    let mut values = Vec::new();
    for row in rows {
        for value in row.unwrap() {
            values.push(match value {
                mysql_async::Value::Bytes(text) => String::from_utf8_lossy(&text).into_owned(),
                other => other.as_sql(true),
            });
        }
    }
    Ok(values.join(" "))
}
