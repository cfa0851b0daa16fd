//! What each sort of statement is found to do.

mod details;
mod kinds;
mod marks;
mod random;
mod sole;

use super::*;
use crate::session::server::{Flavor, ServerVersion};

fn dialect(flavor: Flavor) -> Dialect {
    let number = match flavor {
        Flavor::MySql => (9, 7, 4),
        Flavor::MariaDb => (10, 11, 19),
    };
    Dialect::new(&ServerVersion { flavor, number, text: String::new() })
}

fn mysql(sql: &str) -> Analysis {
    analyze(sql.as_bytes(), &dialect(Flavor::MySql), &Catalogue::new())
}

fn mariadb(sql: &str) -> Analysis {
    analyze(sql.as_bytes(), &dialect(Flavor::MariaDb), &Catalogue::new())
}

/// With several statements allowed.
fn several(sql: &str) -> Analysis {
    let dialect = Dialect { multi_statements: true, ..dialect(Flavor::MySql) };
    analyze(sql.as_bytes(), &dialect, &Catalogue::new())
}

fn actions(analysis: &Analysis) -> Vec<Action> {
    analysis.actions().map(|placed| placed.action.clone()).collect()
}

fn name(text: &str) -> ObjectName {
    match text.split_once('.') {
        Some((database, name)) => ObjectName { database: Some(database.into()), name: name.into() },
        None => ObjectName { database: None, name: text.into() },
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
