//! What each sort of statement is found to do.

mod details;
mod kinds;
mod marks;
mod random;
mod sequences;
mod sole;

use super::*;
use crate::session::server::{Flavor, ServerVersion};

fn dialect(flavor: Flavor) -> Dialect {
    let number = match flavor {
        Flavor::MySql => (9, 7, 4),
        Flavor::MariaDb => (10, 11, 19),
    };
    let version = ServerVersion { flavor, number, text: String::new() };
    Dialect { multi_statements: false, ..Dialect::new(&version, b"", "utf8mb4") }
}

fn mysql(sql: &str) -> Analysis {
    analyze(sql.as_bytes(), &dialect(Flavor::MySql), &Catalogue::empty())
}

fn mariadb(sql: &str) -> Analysis {
    analyze(sql.as_bytes(), &dialect(Flavor::MariaDb), &Catalogue::empty())
}

/// With several statements allowed.
fn several(sql: &str) -> Analysis {
    let dialect = Dialect { multi_statements: true, ..dialect(Flavor::MySql) };
    analyze(sql.as_bytes(), &dialect, &Catalogue::empty())
}

fn actions(analysis: &Analysis) -> Vec<Action> {
    analysis.actions().iter().map(|placed| placed.action.clone()).collect()
}

fn bytes(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

fn name(text: &str) -> ObjectName {
    match text.split_once('.') {
        Some((database, name)) => ObjectName { database: Some(bytes(database)), name: bytes(name) },
        None => ObjectName { database: None, name: bytes(text) },
    }
}

/// The variables as `name` or `name=` if it may be written.
fn variables(analysis: &Analysis) -> Vec<String> {
    let shown = |variable: &UserVariable| {
        let sign = if variable.access == Access::Write { "=" } else { "" };
        format!("{}{sign}", String::from_utf8_lossy(&variable.name))
    };
    analysis.user_variables().iter().map(shown).collect()
}
