//! What the current database is to a text.

use super::Analysis;
use super::details::{Action, Scope};
use super::kind::StatementKind;
use super::marks::Marks;
use memchr::memmem::find;

/// What the current database is to a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DatabaseUse {
    /// It may mean something else in another one.
    #[default]
    Minded,
    /// It does the same whatever it is, and binds the session to nothing.
    Unminded,
    /// It is replaced by another, whatever it was.
    Entered,
}

/// Settings that clients make before they enter a database, and that no session is bound by.
const SETTINGS: &[&str] = &[
    "autocommit",
    "foreign_key_checks",
    "group_concat_max_len",
    "innodb_lock_wait_timeout",
    "interactive_timeout",
    "lock_wait_timeout",
    "max_execution_time",
    "max_statement_time",
    "net_read_timeout",
    "net_write_timeout",
    "sql_mode",
    "sql_notes",
    "sql_safe_updates",
    "sql_select_limit",
    "sql_warnings",
    "time_zone",
    "unique_checks",
    "wait_timeout",
];

/// Looks at a text that was read. Only what many clients say first is known to mind nothing.
pub(super) fn database_use(sql: &[u8], analysis: &Analysis) -> DatabaseUse {
    if analysis.count != 1 || analysis.reads_tables {
        return DatabaseUse::Minded;
    }
    // `SET autocommit = 1` would end a transaction, in which no session is that minds nothing.
    let sets = Marks::SET_NAMES | Marks::SET_VARIABLE | Marks::ENDS_TRANSACTION;
    let blind = match analysis.kind {
        StatementKind::Use if analysis.marks.is_empty() => return DatabaseUse::Entered,
        StatementKind::Select => analysis.marks == Marks::PURE_READ,
        StatementKind::Set => {
            analysis.marks.without(sets).is_empty()
                && analysis.actions().iter().all(|placed| is_setting(&placed.action))
        }
        _ => false,
    };
    if blind && !calls(sql) && !mentions_database(sql) {
        DatabaseUse::Unminded
    } else {
        DatabaseUse::Minded
    }
}

fn is_setting(action: &Action) -> bool {
    match action {
        Action::SetNames { .. } => true,
        Action::SetVariable { scope: Scope::Session | Scope::Next, name, .. } => {
            SETTINGS.iter().any(|setting| setting.as_bytes() == &**name)
        }
        _ => false,
    }
}

/// Whether a function may be called: one server's own may on the other be stored in a database.
fn calls(sql: &[u8]) -> bool {
    sql.contains(&b'(')
}

/// Whether something is named that is about the current database, such as
/// `@@character_set_database` or `@@collation_database`.
fn mentions_database(sql: &[u8]) -> bool {
    let lower = sql.to_ascii_lowercase();
    find(&lower, b"database").is_some() || find(&lower, b"schema").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::catalogue::Catalogue;
    use crate::session::lexer::Dialect;
    use crate::session::server::ServerVersion;
    use crate::session::statement::analyze;

    #[test]
    fn what_may_mean_something_else_elsewhere_minds() {
        use DatabaseUse::{Entered, Minded, Unminded};
        let dialect = Dialect::new(&ServerVersion::parse(b"10.11.6-MariaDB"), b"", "utf8mb4");
        for (sql, expected) in [
            ("SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_520_ci'", Unminded),
            ("SELECT @@SESSION.sql_mode", Unminded),
            ("SET SESSION sql_mode='ANSI', autocommit=1", Unminded),
            ("SET SESSION sql_mode=CONCAT(@@sql_mode, ',ANSI')", Minded),
            ("SELECT @@version_comment LIMIT 1", Unminded),
            ("SELECT @@autocommit, 1 + 1", Unminded),
            ("SELECT NVL(1, 2)", Minded),
            ("USE shop", Entered),
            ("SELECT 1 FROM t", Minded),
            ("SELECT f()", Minded),
            ("SELECT DATABASE()", Minded),
            ("SELECT schema()", Minded),
            ("SELECT @@character_set_database", Minded),
            ("SET CHARACTER SET latin1", Minded),
            ("SET sql_mode = (SELECT m FROM modes)", Minded),
            ("SET timestamp = 5", Minded),
            ("SET @a = 5", Minded),
            ("SET GLOBAL sql_mode = ''", Minded),
            ("SELECT NEXTVAL(s)", Minded),
            ("SELECT 1; SELECT 2", Minded),
            ("SHOW VARIABLES", Minded),
            ("BEGIN", Minded),
        ] {
            let analysis = analyze(sql.as_bytes(), &dialect, &Catalogue::default());
            assert_eq!(analysis.database, expected, "{sql} {:?}", analysis.marks);
        }
    }
}
