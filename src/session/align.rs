//! What has to be said to a backend connection so that it has what a session wants.
//!
//! A pure function of two [`Environment`]s. The statements are put in front of the client's command
//! in the order in which they cannot undo each other: option, role, database, `SET NAMES`,
//! variables.

use super::literal::{put_identifier, put_string, put_variable};
use super::state::{
    Baseline, Environment, LoginRole, MultiStatements, Names, ResultsCollation, Role,
    SeparateCharsets, Variables, same,
};
use std::sync::Arc;

/// One command of an alignment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Restore {
    /// `COM_INIT_DB`
    InitDb(Box<[u8]>),
    /// `COM_SET_OPTION`
    SetOption(SetOption),
    /// `COM_QUERY` with a SET.
    Query(Vec<u8>),
}

impl Restore {
    /// Whether it can fail although it has succeeded before with the same server and user: a
    /// database may have been dropped, a role or a privilege taken away, by whoever.
    pub fn may_fail(&self) -> bool {
        match self {
            Self::InitDb(_) => true,
            Self::SetOption(_) => false,
            Self::Query(sql) => sql.starts_with(SET_ROLE),
        }
    }
}

const SET_ROLE: &[u8] = b"SET ROLE ";

/// The argument of `COM_SET_OPTION`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SetOption {
    /// `MYSQL_OPTION_MULTI_STATEMENTS_ON`
    MultiStatementsOn = 0,
    /// `MYSQL_OPTION_MULTI_STATEMENTS_OFF`
    MultiStatementsOff = 1,
}

/// How a connection gets from what it has to what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alignment {
    /// Nothing differs.
    Exact,
    /// These commands bring it about.
    Replay(Vec<Restore>),
    /// No command can: the connection must be logged in again without a database
    /// (`COM_CHANGE_USER`), and aligned after that.
    LoginAgain,
}

/// Compares what a connection has with what a session wants.
pub fn align(have: &Arc<Environment>, want: &Arc<Environment>, baseline: &Baseline) -> Alignment {
    if same(have, want) {
        return Alignment::Exact;
    }
    if needs_login(have, want) {
        return Alignment::LoginAgain;
    }
    let mut steps = Vec::new();
    if have.multi_statements != want.multi_statements {
        steps.push(Restore::SetOption(match want.multi_statements {
            MultiStatements::On => SetOption::MultiStatementsOn,
            MultiStatements::Off => SetOption::MultiStatementsOff,
        }));
    }
    let mut names = have.names != want.names || have.separate_charsets != want.separate_charsets;
    if have.role != want.role {
        // What it may enter and set may depend on it.
        let role = set_role(&want.role, baseline);
        if !role.is_ascii() {
            let read = match want.role {
                Role::Login => b"SET NAMES 'utf8mb4'".to_vec(),
                Role::Set(_) => set_names(&want.names),
            };
            steps.push(Restore::Query(read));
            names = true;
        }
        steps.push(Restore::Query(role));
    }
    if let Some(database) = &want.database
        && have.database != want.database
    {
        if !database.is_ascii() && (names || !reads_utf8(have)) {
            // The server takes the name to be in the client's character set; it told it in UTF-8.
            steps.push(Restore::Query(b"SET NAMES 'utf8mb4'".to_vec()));
            names = true;
        }
        steps.push(Restore::InitDb(database.clone()));
    }
    let mut variables = Vec::new();
    put_variables(&mut variables, have, want, baseline);
    names |= !variables.is_empty() && has_wide_literals(have);
    let mut set = Vec::new();
    if names {
        steps.push(Restore::Query(set_names(&want.names)));
        if let Some(separate) = &want.separate_charsets {
            put_separate_charsets(&mut set, separate, &want.names);
        }
    }
    if !set.is_empty() && !variables.is_empty() {
        set.push(b',');
    }
    set.extend_from_slice(&variables);
    if !set.is_empty() {
        steps.push(Restore::Query([b"SET ", &set[..]].concat()));
    }
    Alignment::Replay(steps)
}

/// Whether no command can bring about what is wanted: none leaves a database for none.
pub fn needs_login(have: &Environment, want: &Environment) -> bool {
    want.database.is_none() && have.database.is_some()
}

fn set_names(names: &Names) -> Vec<u8> {
    let mut sql = b"SET NAMES ".to_vec();
    match &names.charset {
        None => sql.extend_from_slice(b"DEFAULT"),
        Some(charset) => {
            put_string(&mut sql, charset.as_bytes());
            if let Some(collation) = &names.collation {
                sql.extend_from_slice(b" COLLATE ");
                put_string(&mut sql, collation.as_bytes());
            }
        }
    }
    sql
}

/// Whether what this connection is told is read as UTF-8.
fn reads_utf8(have: &Environment) -> bool {
    matches!(have.client_charset(), Some("utf8mb4" | "utf8mb3" | "utf8"))
}

/// Whether this connection takes string literals to have several bytes for each letter. Both servers
/// then know no storage engine by its name, for one (measured).
fn has_wide_literals(have: &Environment) -> bool {
    let collation = have.separate_charsets.as_ref().map(|separate| &*separate.connection_collation);
    collation.is_some_and(|name| {
        ["ucs2_", "utf16_", "utf16le_", "utf32_"].iter().any(|wide| name.starts_with(wide))
    })
}

/// The assignments of all variables that differ.
fn put_variables(sql: &mut Vec<u8>, have: &Environment, want: &Environment, baseline: &Baseline) {
    for (name, value) in want.variables.iter() {
        let had = have.variables.get(name).or_else(|| baseline.get(name));
        if had != Some(value) {
            put_assignment(sql, name, value);
        }
    }
    put_baseline_values(sql, &have.variables, &want.variables, baseline);
}

/// What a former session set and this one did not goes back to its value at login.
fn put_baseline_values(sql: &mut Vec<u8>, have: &Variables, want: &Variables, baseline: &Baseline) {
    for (name, value) in have.iter() {
        if want.get(name).is_some() {
            continue;
        }
        match baseline.get(name) {
            Some(original) if original == value => {}
            Some(original) => put_assignment(sql, name, original),
            None => {
                put_left_side(sql, name);
                sql.extend_from_slice(b"DEFAULT");
            }
        }
    }
}

/// What follows `SET NAMES`. The character set of results is left as that made it, where it is the
/// same: setting it would change the collation that results are said to have.
fn put_separate_charsets(sql: &mut Vec<u8>, separate: &SeparateCharsets, names: &Names) {
    put_assignment(sql, "character_set_client", separate.client.as_bytes());
    let as_named = separate.results == names.charset
        && separate.results_collation == ResultsCollation::OfNames;
    match &separate.results {
        Some(_) if as_named => {}
        Some(charset) => put_assignment(sql, "character_set_results", charset.as_bytes()),
        None => {
            put_left_side(sql, "character_set_results");
            sql.extend_from_slice(b"NULL");
        }
    }
    put_assignment(sql, "collation_connection", separate.connection_collation.as_bytes());
}

fn put_assignment(sql: &mut Vec<u8>, name: &str, value: &[u8]) {
    put_left_side(sql, name);
    put_variable(sql, value);
}

fn put_left_side(sql: &mut Vec<u8>, name: &str) {
    if !sql.is_empty() {
        sql.push(b',');
    }
    sql.extend_from_slice(b"@@SESSION.");
    put_identifier(sql, name.as_bytes());
    sql.push(b'=');
}

/// The statement that makes this the session's role.
pub fn set_role(role: &Role, baseline: &Baseline) -> Vec<u8> {
    let mut sql = SET_ROLE.to_vec();
    match role {
        Role::Login => match &baseline.role {
            LoginRole::Default => sql.extend_from_slice(b"DEFAULT"),
            LoginRole::None => sql.extend_from_slice(b"NONE"),
            LoginRole::Named(name) => put_identifier(&mut sql, name),
        },
        Role::Set(text) => sql.extend_from_slice(text),
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment::at_login("utf8mb4", "utf8mb4_general_ci")
    }

    fn baseline() -> Baseline {
        Baseline::from_rows([("sql_mode", &b"STRICT"[..]), ("autocommit", b"ON")].into_iter())
    }

    fn steps(have: Environment, want: Environment) -> Vec<String> {
        said(align(&Arc::new(have), &Arc::new(want), &baseline()))
    }

    fn said(alignment: Alignment) -> Vec<String> {
        match alignment {
            Alignment::Exact => vec![],
            Alignment::LoginAgain => vec!["login again".into()],
            Alignment::Replay(steps) => steps
                .into_iter()
                .map(|step| match step {
                    Restore::InitDb(db) => format!("use {}", String::from_utf8_lossy(&db)),
                    Restore::SetOption(option) => format!("{option:?}"),
                    Restore::Query(sql) => String::from_utf8_lossy(&sql).into_owned(),
                })
                .collect(),
        }
    }

    #[test]
    fn equal_environments_need_nothing() {
        assert!(steps(environment(), environment()).is_empty());
    }

    #[test]
    fn what_differs_is_said_in_an_order_that_undoes_nothing() {
        let mut want = environment();
        want.database = Some(b"shop"[..].into());
        want.multi_statements = MultiStatements::On;
        want.names = Names { charset: Some("latin1".into()), collation: None };
        want.variables.set("sql_mode", b"ANSI");
        want.role = Role::Set(b"`r`@`%`"[..].into());
        assert_eq!(
            steps(environment(), want),
            [
                "MultiStatementsOn",
                "SET ROLE `r`@`%`",
                "use shop",
                "SET NAMES 'latin1'",
                "SET @@SESSION.`sql_mode`='ANSI'",
            ]
        );
    }

    #[test]
    fn what_another_session_set_goes_back_to_its_value_at_login() {
        let mut have = environment();
        have.variables.set("sql_mode", b"ANSI");
        have.variables.set("autocommit", b"ON");
        have.variables.set("some_plugin_variable", b"5");
        assert_eq!(
            steps(have, environment()),
            ["SET @@SESSION.`some_plugin_variable`=DEFAULT,@@SESSION.`sql_mode`='STRICT'"]
        );
    }

    #[test]
    fn a_database_cannot_be_left_without_a_new_login() {
        let mut have = environment();
        have.database = Some(b"shop"[..].into());
        assert_eq!(steps(have, environment()), ["login again"]);
    }

    #[test]
    fn a_name_beyond_ascii_is_said_in_utf8_whatever_the_connection_reads() {
        let mut have = environment();
        have.names = Names { charset: Some("latin1".into()), collation: None };
        let mut want = have.clone();
        want.database = Some("bä".as_bytes().into());
        assert_eq!(
            steps(have.clone(), want.clone()),
            ["SET NAMES 'utf8mb4'", "use bä", "SET NAMES 'latin1'"]
        );
        have.names = environment().names;
        want.names = environment().names;
        assert_eq!(steps(have, want), ["use bä"]);
    }

    #[test]
    fn the_role_of_the_login_is_named_where_no_other_statement_returns_to_it() {
        let (mut have, want) = (environment(), environment());
        have.role = Role::Set(b"other"[..].into());
        for (role, expected) in [
            (LoginRole::Default, &["SET ROLE DEFAULT"][..]),
            (LoginRole::None, &["SET ROLE NONE"]),
            (LoginRole::Named(b"a`b"[..].into()), &["SET ROLE `a``b`"]),
            (
                LoginRole::Named("é".as_bytes().into()),
                &[
                    "SET NAMES 'utf8mb4'",
                    "SET ROLE `é`",
                    "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci'",
                ],
            ),
        ] {
            let mut baseline = baseline();
            baseline.role = role;
            let aligned = align(&Arc::new(have.clone()), &Arc::new(want.clone()), &baseline);
            assert_eq!(said(aligned), expected);
        }
    }

    #[test]
    fn values_are_never_read_as_wide_literals() {
        let mut have = environment();
        have.separate_charsets = Some(SeparateCharsets {
            client: "utf8mb4".into(),
            results: Some("utf8mb4".into()),
            results_collation: ResultsCollation::OfNames,
            connection_collation: "ucs2_general_ci".into(),
        });
        let mut want = have.clone();
        want.variables.set("sql_mode", b"ANSI");
        assert_eq!(
            steps(have, want),
            [
                "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci'",
                "SET @@SESSION.`character_set_client`='utf8mb4',\
                 @@SESSION.`collation_connection`='ucs2_general_ci',\
                 @@SESSION.`sql_mode`='ANSI'"
            ]
        );
    }

    #[test]
    fn separate_charsets_come_after_the_names_that_they_change() {
        let mut want = environment();
        want.separate_charsets = Some(SeparateCharsets {
            client: "latin1".into(),
            results: None,
            results_collation: ResultsCollation::OfCharset,
            connection_collation: "utf8mb4_bin".into(),
        });
        assert_eq!(
            steps(environment(), want.clone()),
            [
                "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci'",
                "SET @@SESSION.`character_set_client`='latin1',\
                 @@SESSION.`character_set_results`=NULL,\
                 @@SESSION.`collation_connection`='utf8mb4_bin'"
            ]
        );
        assert_eq!(
            steps(want, environment()),
            ["SET NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci'"]
        );
    }
}
