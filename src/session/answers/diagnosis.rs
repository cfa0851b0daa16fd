//! `GET DIAGNOSTICS`, said with what the session knows: a `SET` of the same user variables to values
//! of the same types and collations (measured on both servers).

use crate::session::model::Session;
use crate::session::residue::{CapturedResult, Diagnostics};
use crate::session::server::Flavor;
use crate::session::statement::{ConditionItem, Diagnosis, StatementItem};
use crate::wire::cursor::Cursor;
use crate::wire::resultset::ColumnDefinition;

/// How a `GET DIAGNOSTICS` is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Diagnosed {
    /// By this statement.
    Set(Vec<u8>),
    /// There is no condition of this number: the server adds that to those that there are.
    NoSuchCondition,
    /// The session does not know it all.
    Unknown,
}

/// One row of `SHOW WARNINGS`.
struct Condition<'a> {
    code: u16,
    message: &'a [u8],
}

impl<'a> Condition<'a> {
    fn parse(row: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(row);
        let _level = cursor.text_value().ok()??;
        let code = std::str::from_utf8(cursor.text_value().ok()??).ok()?.parse().ok()?;
        let message = cursor.text_value().ok()??;
        Some(Self { code, message })
    }
}

/// What the session knows of its last statement.
pub fn diagnosed(session: &Session, wanted: &Diagnosis<'_>) -> Diagnosed {
    let none = CapturedResult::default();
    let captured = match &session.residue.diagnostics {
        Diagnostics::None => &none,
        Diagnostics::Captured(captured) => captured,
        Diagnostics::OnBackend | Diagnostics::Lost => return Diagnosed::Unknown,
    };
    let mut sql = Vec::new();
    let mut put = |variable: &[u8], value: Vec<u8>| {
        sql.extend_from_slice(if sql.is_empty() { b"SET " } else { b"," });
        sql.extend_from_slice(variable);
        sql.push(b'=');
        sql.extend_from_slice(&value);
    };
    match wanted {
        Diagnosis::Statement(items) => {
            for (variable, item) in items {
                put(
                    variable,
                    match item {
                        StatementItem::Number => unsigned(captured.rows.len()),
                        StatementItem::RowCount => session.residue.row_count.to_string().into(),
                    },
                );
            }
        }
        Diagnosis::Condition { number, items } => {
            let row = number.checked_sub(1).and_then(|at| usize::try_from(at).ok());
            let Some(row) = row.and_then(|at| captured.rows.get(at)) else {
                return Diagnosed::NoSuchCondition;
            };
            let Some(condition) = Condition::parse(row) else { return Diagnosed::Unknown };
            if !condition.message.is_ascii() && !is_utf8(captured) {
                return Diagnosed::Unknown;
            }
            for (variable, item) in items {
                put(variable, value(session, &condition, *item));
            }
        }
    }
    Diagnosed::Set(sql)
}

fn value(session: &Session, condition: &Condition<'_>, item: ConditionItem) -> Vec<u8> {
    let flavor = session.dialect.flavor;
    let state = session.residue.sqlstate(condition.code, flavor);
    match item {
        ConditionItem::Number => unsigned(condition.code),
        ConditionItem::MessageText => text(condition.message, flavor),
        ConditionItem::Sqlstate => text(&state, flavor),
        ConditionItem::Origin if flavor == Flavor::MySql => {
            text(if is_standard(&state) { b"ISO 9075" } else { b"MySQL" }, flavor)
        }
        ConditionItem::Name | ConditionItem::Origin => text(b"", flavor),
    }
}

/// Whether the standard defines the class of a state.
fn is_standard(state: &[u8; 5]) -> bool {
    matches!(state[0], b'0'..=b'4' | b'A'..=b'H') && matches!(state[1], b'0'..=b'9' | b'A'..=b'Z')
}

/// Whether the rows are in UTF-8.
fn is_utf8(captured: &CapturedResult) -> bool {
    // Rows of Millpond's own come without columns.
    captured.columns.iter().all(|column| {
        let collation = ColumnDefinition::parse(column).map(|column| column.collation);
        matches!(collation, Ok(33 | 45 | 46 | 63 | 83 | 192..=247 | 255..=323))
    })
}

fn unsigned(value: impl std::fmt::Display) -> Vec<u8> {
    format!("CAST({value} AS UNSIGNED)").into()
}

/// A text in the character set that servers have for names and messages.
fn text(value: &[u8], flavor: Flavor) -> Vec<u8> {
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    match flavor {
        Flavor::MariaDb => format!("_utf8mb3 x'{hex}' COLLATE utf8mb3_general_ci").into(),
        // MySQL warns wherever that set is named; its version is in it.
        Flavor::MySql => format!("CONCAT(LEFT(VERSION(),0),_utf8mb4 x'{hex}')").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::residue::LastError;
    use crate::session::server::ServerVersion;
    use crate::session::state::{Baseline, Environment};
    use std::sync::Arc;

    fn diagnosis(sql: &str) -> Diagnosed {
        let environment = Arc::new(Environment::at_login("utf8mb4", "utf8mb4_general_ci"));
        let version = ServerVersion::parse(b"9.7.0");
        let mut session = Session::new(environment, &version, &Baseline::default());
        session.residue.row_count = -1;
        session.residue.failed(LastError { code: 1644, sqlstate: *b"45001" }, Flavor::MySql);
        let rows = [&b"\x07Warning\x041292\x02no"[..], b"\x05Error\x041644\x03boo"];
        let rows = rows.into_iter().map(Box::from).collect();
        let captured = CapturedResult { columns: Vec::new(), rows };
        session.residue.diagnostics = Diagnostics::Captured(Box::new(captured));
        let wanted = Diagnosis::parse(sql.as_bytes(), &session.dialect).unwrap();
        diagnosed(&session, &wanted)
    }

    #[test]
    fn what_is_known_is_set() {
        let set = |sql: &str| Diagnosed::Set(sql.into());
        assert_eq!(
            diagnosis("GET DIAGNOSTICS @n = NUMBER, @`r c` = ROW_COUNT"),
            set("SET @n=CAST(2 AS UNSIGNED),@`r c`=-1")
        );
        assert_eq!(
            diagnosis("GET DIAGNOSTICS CONDITION 1 @s = RETURNED_SQLSTATE, @m = MESSAGE_TEXT"),
            set("SET @s=CONCAT(LEFT(VERSION(),0),_utf8mb4 x'3232303037'),\
                 @m=CONCAT(LEFT(VERSION(),0),_utf8mb4 x'6e6f')")
        );
        assert_eq!(
            diagnosis("GET DIAGNOSTICS CONDITION 2 @s = RETURNED_SQLSTATE, @e = MYSQL_ERRNO"),
            set("SET @s=CONCAT(LEFT(VERSION(),0),_utf8mb4 x'3435303031'),\
                 @e=CAST(1644 AS UNSIGNED)")
        );
    }

    #[test]
    fn what_there_is_not_is_left_to_the_server() {
        for number in ["0", "3"] {
            let sql = format!("GET DIAGNOSTICS CONDITION {number} @s = MYSQL_ERRNO");
            assert_eq!(diagnosis(&sql), Diagnosed::NoSuchCondition);
        }
    }
}
