//! What sessions leave on Millpond's connections, by the servers' own account.
//!
//! When all sessions have ended, an administrator looks at each of the connections: nothing there may
//! hold a lock, a transaction or a temporary table, whoever had it. Variables, warnings and statements
//! may stay behind, as Millpond knows of them ([`super::accounts`]): a session that begins then must see
//! none, on whichever connection it is.

use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::time::{Instant, sleep};

use super::CONNECTIONS;
use super::compare;
use super::side;
use super::support::flavor::Flavor;
use super::support::raw::reply::Reply;
use super::support::server::Server;

/// What MariaDB needs in order to tell.
pub(crate) const SETTINGS: &[&str] = &[
    "max_connections=400",
    "performance_schema=ON",
    "performance_schema_instrument='wait/lock/metadata/sql/mdl=ON'",
];

/// How long connections may take to be cleaned after their sessions.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is on the connections of the application's user; those of Millpond are the only ones.
const HELD: &[(&str, &str)] = &[
    (
        "lock",
        "SELECT CONCAT_WS(' ', l.OBJECT_TYPE, l.OBJECT_SCHEMA, l.OBJECT_NAME, l.LOCK_TYPE) \
         FROM performance_schema.metadata_locks l JOIN performance_schema.threads h \
         ON h.THREAD_ID = l.OWNER_THREAD_ID WHERE h.PROCESSLIST_USER = 'app'",
    ),
    (
        "transaction",
        "SELECT CONCAT(x.trx_id, ' ', x.trx_state) FROM information_schema.innodb_trx x \
         JOIN performance_schema.threads h ON h.PROCESSLIST_ID = x.trx_mysql_thread_id \
         WHERE h.PROCESSLIST_USER = 'app'",
    ),
];

/// The name of a temporary table in MySQL's storage has its connection's number in it.
const TEMPORARY: &str = "SELECT t.NAME FROM information_schema.innodb_temp_table_info t \
     JOIN performance_schema.threads h \
     ON t.NAME LIKE CONCAT('#sql%\\_', LOWER(HEX(h.PROCESSLIST_ID)), '\\_%') \
     WHERE h.PROCESSLIST_USER = 'app'";

/// All user variables that any of the connections has.
const VARIABLES: &str = "SELECT DISTINCT v.VARIABLE_NAME \
     FROM performance_schema.user_variables_by_thread v JOIN performance_schema.threads h \
     ON h.THREAD_ID = v.THREAD_ID WHERE h.PROCESSLIST_USER = 'app'";

/// What a session that begins finds.
const FOUND: &[&str] = &[
    "SHOW WARNINGS",
    "SELECT LAST_INSERT_ID(), @@identity, @@insert_id, @@warning_count, @@error_count",
    "EXECUTE ps",
    "EXECUTE p2",
    "SELECT DATABASE(), CURRENT_ROLE(), @@autocommit, @@time_zone, @@sql_mode",
    "SHOW SESSION VARIABLES WHERE Variable_name NOT IN ('timestamp', 'pseudo_thread_id', \
     'rand_seed1', 'rand_seed2', 'statement_id') AND Variable_name NOT LIKE '%gtid%'",
    "SELECT x FROM tt, tt2",
    "SAVEPOINT oracle",
    "ROLLBACK TO SAVEPOINT s1",
];

/// On MariaDB, a new session may see the warnings of an earlier user of the server's thread.
const CLEAR: &str = "SELECT 1 FROM (SELECT 1) x";

/// Kinds of sessions that have connections of their own, by the numbers of [`side::login`].
const KINDS: [usize; 3] = [0, 2, 3];

/// Looks at all connections behind this port, once nobody uses them.
pub(crate) async fn look(server: &'static Server, port: u16) -> Result<(), String> {
    let mut admin = server.admin().await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let held = held(&mut admin, server.flavor).await;
        if held.is_empty() {
            break;
        }
        if Instant::now() > deadline {
            return Err(format!("left behind by all sessions: {}\n", held.join(", ")));
        }
        // A session's end is not the end of what Millpond does for it.
        sleep(Duration::from_millis(20)).await;
    }
    let names: Vec<String> = admin.query(VARIABLES).await.expect(VARIABLES);
    admin.disconnect().await.ok();
    let names = names.iter().map(|name| format!(", @`{}`", name.replace('`', "``")));
    let variables = format!("SELECT 1{}", names.collect::<String>());
    let sequences = (server.flavor == Flavor::MariaDb).then(|| {
        let name = |name| format!("LASTVAL({}0.{name})", compare::THROUGH);
        format!("SELECT {}, {}", name("sd"), name("se"))
    });
    let made = [Some(&*variables), sequences.as_deref()];
    for question in FOUND.iter().copied().chain(made.into_iter().flatten()) {
        for kind in KINDS {
            let right = said(kind, server.port, &[CLEAR, question]).await?;
            // On each connection in turn, by a session that says nothing else.
            for _ in 0..CONNECTIONS {
                let seen = said(kind, port, &[question]).await?;
                if right.packets != seen.packets {
                    return Err(format!(
                        "a new session says {question}\n  right: {right:?}\n  seen: {seen:?}\n"
                    ));
                }
            }
        }
    }
    Ok(())
}

/// What the connections hold that nobody uses, of which there is to be nothing.
async fn held(admin: &mut Conn, flavor: Flavor) -> Vec<String> {
    let mut held = Vec::new();
    let temporary = (flavor == Flavor::MySql).then_some(("temporary table", TEMPORARY));
    for (what, query) in HELD.iter().copied().chain(temporary) {
        let found: Vec<String> = admin.query(query).await.expect(query);
        held.extend(found.iter().map(|found| format!("a {what}: {found}")));
    }
    held
}

/// The answer to the last thing that a new session says.
async fn said(kind: usize, port: u16, statements: &[&str]) -> Result<Reply, String> {
    let failed = |error| format!("a new session cannot say {statements:?}: {error}\n");
    let mut raw = side::login(kind, "app").at(port).await.map_err(failed)?;
    let mut reply = Reply::default();
    for statement in statements {
        reply = raw.query(statement).await.map_err(failed)?;
    }
    raw.quit().await;
    Ok(reply.without_foresight())
}
