//! What Millpond takes its connections to hold, compared with what the server says that they do.
//!
//! Millpond tells at each give-back what it knows (`millpond::backend::account` at the level `trace`). A
//! connection that nobody uses has to have just that: the same database, character sets and session
//! variables, no user variable and no prepared statement of which Millpond does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::Value;
use tokio::time::sleep;

use super::support::accounts::APP;
use super::support::flavor::Flavor;
use super::support::millpond::Millpond;
use super::support::server::Server;

/// What has Millpond tell.
pub(crate) const TOLD: [&str; 2] =
    ["MILLPOND__LOG__LEVEL", "info,millpond::backend::account=trace"];

/// How often the same difference may be seen in a row: Millpond still cleans up behind the last
/// sessions. Not so often that connections are replaced meanwhile, with what they have.
const LOOKS: usize = 20;

/// What each connection of the application's user has, by the server's number of it.
const DATABASES: &str = "SELECT PROCESSLIST_ID, IFNULL(PROCESSLIST_DB, '') \
     FROM performance_schema.threads WHERE PROCESSLIST_USER = 'app'";
const USER_VARIABLES: &str = "SELECT h.PROCESSLIST_ID, v.VARIABLE_NAME \
     FROM performance_schema.user_variables_by_thread v JOIN performance_schema.threads h \
     ON h.THREAD_ID = v.THREAD_ID WHERE h.PROCESSLIST_USER = 'app'";
/// By name, or by number for those without. (MySQL finds none where none is asked for `IS NULL`.)
const STATEMENTS: &str = "SELECT h.PROCESSLIST_ID, IFNULL(CONCAT('name ', s.STATEMENT_NAME), \
     CAST(s.STATEMENT_ID AS CHAR)) \
     FROM performance_schema.prepared_statements_instances s JOIN performance_schema.threads h \
     ON h.THREAD_ID = s.OWNER_THREAD_ID WHERE h.PROCESSLIST_USER = 'app'";

/// Of MariaDB's, nobody but the session itself can see its variables.
const VARIABLES: &str = "SELECT h.PROCESSLIST_ID, CONCAT(v.VARIABLE_NAME, '=', IFNULL(v.VARIABLE_VALUE, '')) \
     FROM performance_schema.variables_by_thread v JOIN performance_schema.threads h \
     ON h.THREAD_ID = v.THREAD_ID WHERE h.PROCESSLIST_USER = 'app'";

/// Variables that are no settings, that Millpond says for itself, or that it keeps apart.
const OTHERS: &[&str] = &[
    "character_set_",
    "collation_",
    "error_count",
    "gtid_",
    "insert_id",
    "original_",
    "proxy_user",
    "pseudo_thread_id",
    "rand_seed",
    "session_track_",
    "statement_id",
    "timestamp",
    "warning_count",
];

type Sets = BTreeMap<u32, BTreeSet<String>>;

/// What one Millpond has told so far.
#[derive(Default)]
pub(crate) struct Accounts {
    /// By the server's number of the connection, what it said last.
    told: BTreeMap<u32, Value>,
    /// How much of its log was read for that, in bytes.
    read: usize,
    /// Whether any connection was compared yet.
    compared: bool,
}

impl Accounts {
    /// Compares all connections behind `millpond` that nobody uses.
    pub(crate) async fn compare(
        &mut self,
        server: &Server,
        millpond: &Millpond,
    ) -> Result<(), String> {
        let mut admin = server.admin().await;
        let (mut last, mut seen) = (Vec::new(), 0);
        loop {
            self.listen(millpond);
            let (compared, mut differences) = differences(server, &self.told, &mut admin).await;
            self.compared |= compared > 0;
            if !self.compared {
                // After a KILL or the like, there may be only new ones, of which nothing was told yet.
                // That there never is one means that nothing is compared at all.
                differences.push("Millpond tells of no connection that the server has".to_owned());
            }
            seen = if differences == last { seen + 1 } else { 0 };
            if differences.is_empty() || seen > LOOKS {
                admin.disconnect().await.ok();
                let told = differences.join("\n  ");
                let same = differences.is_empty().then_some(());
                return same.ok_or(format!("not as Millpond has it:\n  {told}\n"));
            }
            last = differences;
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn listen(&mut self, millpond: &Millpond) {
        let log = millpond.log();
        let Some(end) = log.rfind('\n') else { return };
        for line in log.get(self.read..end).unwrap_or_default().lines() {
            if let Some((_, holds)) = line.split_once(" holds=") {
                let holds: Value = serde_json::from_str(holds).expect("what a connection holds");
                let thread = holds["thread"].as_u64().expect("its number");
                self.told.insert(u32::try_from(thread).expect("a small number"), holds);
            }
        }
        self.read = end;
    }
}

async fn differences(
    server: &Server,
    told: &BTreeMap<u32, Value>,
    admin: &mut Conn,
) -> (usize, Vec<String>) {
    let mut found = Vec::new();
    let databases = sets(admin, DATABASES).await;
    let user_variables = sets(admin, USER_VARIABLES).await;
    let statements = sets(admin, STATEMENTS).await;
    let variables = match server.flavor {
        Flavor::MariaDb => Sets::new(),
        Flavor::MySql => sets(admin, VARIABLES).await,
    };
    let fresh = fresh(server, admin).await;
    let compared = databases.keys().filter(|thread| told.contains_key(thread)).count();
    for (thread, database) in &databases {
        // Those of the other Millpond are not told of here.
        let Some(holds) = told.get(thread) else { continue };
        let named = |what: &str| -> BTreeSet<String> {
            let names = holds[what].as_array().expect(what).iter();
            names.map(|name| name.as_str().map_or(name.to_string(), str::to_owned)).collect()
        };
        let names = named("text_statements").into_iter().map(|name| format!("name {name}"));
        let own_statements = named("statements").into_iter().chain(names).collect();
        let own = BTreeSet::from([holds["database"].as_str().unwrap_or_default().to_owned()]);
        if *database != own {
            found.push(format!("{thread} is in {database:?}, not in {own:?}"));
        }
        for (what, has, own, exact) in [
            ("user variables", &user_variables, named("user_variables"), false),
            ("statements", &statements, own_statements, true),
        ] {
            let has = has.get(thread).cloned().unwrap_or_default();
            if !has.is_subset(&own) || exact && has != own {
                found.push(format!("{thread} has {what} {has:?}, not {own:?}"));
            }
        }
        for variable in variables.get(thread).into_iter().flatten() {
            let (name, value) = variable.split_once('=').expect("a value");
            let expected = expected(holds, name, &fresh);
            if expected.as_ref().is_some_and(|expected| expected != value) {
                found.push(format!("{thread} has {name} = {value}, not {expected:?}"));
            }
        }
    }
    (compared, found)
}

/// The value that Millpond takes a variable to have, if it says so.
fn expected(holds: &Value, name: &str, fresh: &BTreeMap<String, String>) -> Option<String> {
    // The character sets as `SET NAMES` made them, unless they were set apart: those of the client and
    // of results, and the collation of the connection.
    let names = |at: usize| holds["names"][at].as_str().map(str::to_owned);
    let apart = holds["separate_charsets"].as_array();
    let apart = |at: usize| apart.map(|apart| apart[at].as_str().unwrap_or_default().to_owned());
    match name {
        "character_set_client" => apart(0).or_else(|| names(0)),
        "character_set_results" => apart(1).or_else(|| names(0)),
        "collation_connection" => apart(2).or_else(|| names(1)),
        "last_insert_id" | "identity" => holds["last_insert_id"].as_u64().map(|id| id.to_string()),
        _ if OTHERS.iter().any(|start| name.starts_with(start)) => None,
        _ => {
            let set = holds["variables"][name].as_str().map(str::to_owned);
            // What not even a session has that has said nothing, is empty.
            Some(set.or_else(|| fresh.get(name).cloned()).unwrap_or_default())
        }
    }
}

/// The variables of a session that has said nothing.
async fn fresh(server: &Server, admin: &mut Conn) -> BTreeMap<String, String> {
    if server.flavor == Flavor::MariaDb {
        return BTreeMap::new();
    }
    let client = server.connect(&APP, None).await.expect("a session");
    let own = sets(admin, VARIABLES).await.remove(&client.id()).unwrap_or_default();
    client.disconnect().await.ok();
    own.iter()
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

async fn sets(admin: &mut Conn, query: &str) -> Sets {
    let rows: Vec<(u32, String)> = admin.query(query).await.expect(query);
    let mut sets = Sets::new();
    for (thread, name) in rows {
        sets.entry(thread).or_default().insert(name);
    }
    sets
}
