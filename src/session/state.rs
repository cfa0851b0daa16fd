//! The restorable part of a session: what can be put in place on any backend connection.
//!
//! Two values of [`Environment`] meet at every statement: the one that the client's session wants
//! and the one that a backend connection has. They are shared by `Arc`, so that the common case,
//! a session that comes back to a connection of its own kind, is one comparison of pointers.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

/// The value of a system variable in the text form in which the server reports it.
pub type Value = Box<[u8]>;

/// A session's system variables that were reported to differ from the login's, sorted by name.
///
/// Names are lower case. A variable that is absent has its baseline value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables(Vec<(Box<str>, Value)>);

impl Variables {
    /// The value of `name`, if it was ever reported.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let at = self.0.binary_search_by(|(n, _)| (**n).cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// Records a reported value.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        match self.0.binary_search_by(|(n, _)| (**n).cmp(name)) {
            Ok(at) => self.0[at].1 = value.into(),
            Err(at) => self.0.insert(at, (name.into(), value.into())),
        }
    }

    /// Forgets `name`: it has its baseline value again.
    pub fn remove(&mut self, name: &str) {
        if let Ok(at) = self.0.binary_search_by(|(n, _)| (**n).cmp(name)) {
            self.0.remove(at);
        }
    }

    /// All reported variables, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(n, v)| (&**n, &**v))
    }

    /// Whether no variable was reported.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `SET NAMES`, as the client wrote it: the form matters, because the collation chosen here shows
/// in the metadata of results although no variable holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The character set; `None` is `DEFAULT`.
    pub charset: Option<Box<str>>,
    /// The collation, where one was given.
    pub collation: Option<Box<str>>,
}

impl Names {
    /// Those of all logins of Millpond's.
    pub fn of_login() -> Self {
        let (charset, collation) = Baseline::LOGIN_NAMES;
        Self { charset: Some(charset.into()), collation: Some(collation.into()) }
    }
}

/// Character set variables that were set one by one after `SET NAMES`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SeparateCharsets {
    /// `character_set_client`
    pub client: Box<str>,
    /// `character_set_results`; `None` is NULL.
    pub results: Option<Box<str>>,
    /// Where the collation of results comes from, which no variable holds.
    pub results_collation: ResultsCollation,
    /// `collation_connection`, which decides `character_set_connection`.
    pub connection_collation: Box<str>,
}

/// What decides the collation that the columns of results are said to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResultsCollation {
    /// The last `SET NAMES`, or the handshake.
    OfNames,
    /// The character set of results, which was set by itself.
    OfCharset,
}

/// The active role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Role {
    /// As after login.
    #[default]
    Login,
    /// As the last `SET ROLE` said; the text behind these two words.
    Set(Box<[u8]>),
}

/// Everything about a session that can be restored on another backend connection by statements
/// whose outcome is known beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The current database.
    pub database: Option<Box<[u8]>>,
    /// The last `SET NAMES` (or what the handshake did).
    pub names: Names,
    /// Character set variables set on top of `names`.
    pub separate_charsets: Option<SeparateCharsets>,
    /// Session variables.
    pub variables: Variables,
    /// The multi-statement option.
    pub multi_statements: MultiStatements,
    /// The active role.
    pub role: Role,
}

/// Whether `COM_QUERY` may hold several statements: `COM_SET_OPTION` and the capability flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultiStatements {
    /// Several statements are a syntax error.
    Off,
    /// Several statements are run in turn.
    On,
}

impl Environment {
    /// The environment of a connection that has just logged in with this collation.
    pub fn at_login(charset: &str, collation: &str) -> Self {
        Self {
            database: None,
            names: Names { charset: Some(charset.into()), collation: Some(collation.into()) },
            separate_charsets: None,
            variables: Variables::default(),
            multi_statements: MultiStatements::Off,
            role: Role::Login,
        }
    }

    /// The character set in which the client's statements are written.
    pub fn client_charset(&self) -> Option<&str> {
        match &self.separate_charsets {
            Some(separate) => Some(&separate.client),
            None => self.names.charset.as_deref(),
        }
    }
}

impl Environment {
    /// After what time of idleness the session wants its connection closed, if it said so.
    pub fn wait_timeout(&self) -> Option<Duration> {
        self.variables.get("wait_timeout").and_then(seconds)
    }
}

/// The value of a variable that is a whole number of seconds.
fn seconds(value: &[u8]) -> Option<Duration> {
    let seconds: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// Whether two environments are the same; almost always decided by the pointers alone.
pub fn same(a: &Arc<Environment>, b: &Arc<Environment>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

/// Makes one of two equal environments: whichever pairs meet, all come to hold the same one, and
/// from then on [`same`] compares pointers.
pub fn unite(a: &mut Arc<Environment>, b: &mut Arc<Environment>) {
    match Arc::as_ptr(a).cmp(&Arc::as_ptr(b)) {
        Ordering::Less => b.clone_from(a),
        Ordering::Equal => {}
        Ordering::Greater => a.clone_from(b),
    }
}

/// The session variables of a connection right after its login, by name.
///
/// Shared between the connections of a pool that logged in under the same global values.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    values: std::collections::HashMap<Box<str>, Value>,
    /// What `wait_timeout` says: each borrower of a connection asks for it.
    wait_timeout: Option<Duration>,
    /// The role right after login.
    pub role: LoginRole,
}

/// The role that a login gives, and how a session returns to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LoginRole {
    /// `SET ROLE DEFAULT` returns to it, on MySQL.
    #[default]
    Default,
    /// None, on MariaDB.
    None,
    /// The user's default role, on MariaDB, which has no other statement for it than its name.
    Named(Box<[u8]>),
}

impl Baseline {
    /// Builds a baseline from the rows of `SHOW SESSION VARIABLES`. Values that change by
    /// themselves are left out, so that two logins give equal baselines.
    pub fn from_rows<'a>(rows: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let steady = rows.filter(|(name, _)| !VOLATILE.contains(name));
        let lower = |name: &str| name.to_ascii_lowercase().into();
        let values = steady.map(|(name, value)| (lower(name), value.into())).collect();
        let mut baseline = Self { values, wait_timeout: None, role: LoginRole::default() };
        baseline.wait_timeout = baseline.get("wait_timeout").and_then(seconds);
        baseline
    }

    /// After what time of idleness the server closes a connection.
    pub fn wait_timeout(&self) -> Option<Duration> {
        self.wait_timeout
    }

    /// What a session's names are where they are not those of its login, which was with
    /// [`Self::LOGIN_NAMES`]: the server decides them for all.
    pub fn names_of_server(&self) -> Option<SeparateCharsets> {
        let text = |name| std::str::from_utf8(self.get(name)?).ok();
        let (client, collation) = (text("character_set_client")?, text("collation_connection")?);
        let results = text("character_set_results").filter(|results| !results.is_empty());
        let (charset, login_collation) = Self::LOGIN_NAMES;
        if (client, results, collation) == (charset, Some(charset), login_collation) {
            return None;
        }
        Some(SeparateCharsets {
            client: client.into(),
            results: results.map(Into::into),
            results_collation: ResultsCollation::OfNames,
            connection_collation: collation.into(),
        })
    }

    /// Whether those are what this server makes of [`Self::LOGIN_NAMES`] alone: newer ones of MariaDB
    /// have another default collation of a character set than clients know, and take the one for the
    /// other (`character_set_collations`).
    pub fn maps_login_collation(&self) -> bool {
        let (charset, _) = Self::LOGIN_NAMES;
        let maps = self.get("character_set_collations").is_some_and(|maps| !maps.is_empty());
        let said = self.get("init_connect").is_some_and(|said| !said.is_empty());
        maps && !said && self.get("character_set_client") == Some(charset.as_bytes())
    }

    /// The character set and the collation of all logins.
    pub const LOGIN_NAMES: (&str, &str) = ("utf8mb4", "utf8mb4_general_ci");

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value that `name` had after login.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.values.get(name).map(|value| &**value)
    }
}

/// Variables that differ from connection to connection, or by the moment, without anybody's SET.
const VOLATILE: &[&str] = &[
    "error_count",
    "external_user",
    "gtid_binlog_pos",
    "gtid_binlog_state",
    "gtid_current_pos",
    "gtid_executed",
    "gtid_slave_pos",
    "identity",
    "insert_id",
    "last_gtid",
    "last_insert_id",
    "proxy_user",
    "pseudo_thread_id",
    "rand_seed1",
    "rand_seed2",
    "statement_id",
    "timestamp",
    "warning_count",
];

/// Whether this variable differs from connection to connection, or by the moment, without anybody's
/// SET.
pub fn is_volatile(name: &str) -> bool {
    VOLATILE.contains(&name)
}

/// The four variables that [`Environment::names`] and [`Environment::separate_charsets`] stand for.
pub fn is_charset_variable(name: &str) -> bool {
    matches!(
        name,
        "character_set_client"
            | "character_set_connection"
            | "character_set_results"
            | "collation_connection"
    )
}

/// Variables that the server reports but that are no state of the session to restore: some are
/// set by Millpond itself, some only tell what happened.
pub fn is_report_only(name: &str) -> bool {
    name.starts_with("session_track_")
        || matches!(
            name,
            "statement_id"
                | "last_gtid"
                | "last_insert_id"
                | "identity"
                | "character_set_database"
                | "collation_database"
                | "error_count"
                | "warning_count"
        )
}

/// Variables whose value cannot be read back or moved to another connection; a session that has
/// set one keeps its backend connection until it is consumed or reset.
pub fn is_immovable(name: &str) -> bool {
    matches!(
        name,
        "gtid_next"
            | "gtid_seq_no"
            | "insert_id"
            | "pseudo_replica_mode"
            | "pseudo_slave_mode"
            | "pseudo_thread_id"
            | "rand_seed1"
            | "rand_seed2"
            | "timestamp"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_decides_names_or_has_another_default_collation() {
        let baseline = |client: &'static str, collation: &'static str, maps: &'static str| {
            let rows = [
                ("character_set_client", client),
                ("character_set_results", client),
                ("collation_connection", collation),
                ("character_set_collations", maps),
                ("init_connect", ""),
            ];
            Baseline::from_rows(rows.into_iter().map(|(name, value)| (name, value.as_bytes())))
        };
        assert_eq!(baseline("utf8mb4", "utf8mb4_general_ci", "").names_of_server(), None);
        let latin = baseline("latin1", "latin1_swedish_ci", "utf8mb4=utf8mb4_uca1400_ai_ci");
        let decided = latin.names_of_server().unwrap();
        assert_eq!(
            (&*decided.client, &*decided.connection_collation),
            ("latin1", "latin1_swedish_ci")
        );
        assert!(!latin.maps_login_collation(), "it disregards the login's");
        let newer = baseline("utf8mb4", "utf8mb4_uca1400_ai_ci", "utf8mb4=utf8mb4_uca1400_ai_ci");
        assert!(newer.names_of_server().is_some() && newer.maps_login_collation());
        assert!(!baseline("utf8mb4", "utf8mb4_unicode_ci", "").maps_login_collation());
    }

    #[test]
    fn variables_stay_sorted_and_equal_whatever_the_order_of_setting() {
        let mut a = Variables::default();
        a.set("sql_mode", b"ANSI");
        a.set("autocommit", b"OFF");
        let mut b = Variables::default();
        b.set("autocommit", b"ON");
        b.set("autocommit", b"OFF");
        b.set("sql_mode", b"ANSI");
        assert_eq!(a, b);
        assert_eq!(a.get("autocommit"), Some(&b"OFF"[..]));
        b.remove("autocommit");
        assert_eq!(b.get("autocommit"), None);
        assert!(!b.is_empty());
    }

    #[test]
    fn baselines_of_two_logins_are_equal_but_for_what_changes_by_itself() {
        let rows =
            |stamp: &'static [u8]| [("timestamp", stamp), ("SQL_MODE", &b"ANSI"[..])].into_iter();
        let (a, b) = (Baseline::from_rows(rows(b"1")), Baseline::from_rows(rows(b"2")));
        assert_eq!(a, b);
        assert_eq!(a.get("sql_mode"), Some(&b"ANSI"[..]));
    }
}
