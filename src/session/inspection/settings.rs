//! Session variables that are not what a session is taken to have.

use super::{Row, Untold, text};
use crate::session::state::{
    Baseline, Environment, is_charset_variable, is_immovable, is_report_only, is_volatile,
};
use std::collections::BTreeMap;

/// The most variables that are asked for once more.
const MOST: usize = 64;

/// What differs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Variables of which the server has to be made to report the value.
    pub silent: Vec<Box<[u8]>>,
    /// Whether a character set may be another.
    pub charsets: bool,
    /// Whether that of results is.
    pub results: bool,
    /// Whether one was set that cannot be moved to another connection.
    pub immovable: bool,
}

/// Compares all session variables with what they are taken to be, on the connection of this number.
pub(super) fn compare(
    rows: &[Row<'_>],
    environment: &Environment,
    baseline: &Baseline,
    thread: u32,
) -> Result<Settings, Untold> {
    let mut found = Settings::default();
    let mut charsets = BTreeMap::new();
    for row in rows {
        let variable = text(row, 0).ok_or(Untold::Unreadable)?.to_ascii_lowercase();
        let value = row.get(1).copied().flatten().unwrap_or_default();
        if is_charset_variable(&variable) {
            charsets.insert(variable, String::from_utf8_lossy(value).into_owned());
        } else if is_immovable(&variable) {
            let usual = match &*variable {
                "pseudo_thread_id" => value == thread.to_string().as_bytes(),
                "gtid_seq_no" | "insert_id" => value == b"0",
                // These tell nothing here.
                "rand_seed1" | "rand_seed2" | "timestamp" => true,
                _ => baseline.get(&variable) == Some(value),
            };
            found.immovable |= !usual;
        } else if !is_report_only(&variable) && !is_volatile(&variable) {
            let expected = environment.variables.get(&variable).or_else(|| baseline.get(&variable));
            if expected != Some(value) {
                found.silent.push(variable.into_bytes().into());
            }
        }
    }
    // A session that wants to see no rows sees none here.
    if rows.is_empty() || found.silent.len() > MOST {
        return Err(Untold::Unreadable);
    }
    (found.charsets, found.results) = differ(&charsets, environment)?;
    Ok(found)
}

/// Whether the character sets, and that of results, are others than the environment's. One that is only
/// called otherwise counts as another: it is then asked for.
fn differ(
    has: &BTreeMap<String, String>,
    environment: &Environment,
) -> Result<(bool, bool), Untold> {
    let get = |name: &str| has.get(name).map(String::as_str).ok_or(Untold::Unreadable);
    let client = get("character_set_client")?;
    let results = get("character_set_results")?;
    let collation = get("collation_connection")?;
    if let Some(own) = &environment.separate_charsets {
        let other_results = own.results.as_deref().unwrap_or_default() != results;
        let other = *own.client != *client || *own.connection_collation != *collation;
        return Ok((other || other_results, other_results));
    }
    let Some(charset) = environment.names.charset.as_deref() else { return Ok((true, false)) };
    let same = |name: &str| match charset.eq_ignore_ascii_case("utf8") {
        true => matches!(name, "utf8" | "utf8mb3"),
        false => charset.eq_ignore_ascii_case(name),
    };
    let usual = match &environment.names.collation {
        Some(own) => own.eq_ignore_ascii_case(collation),
        None => {
            let behind = collation.strip_prefix(&*charset.to_ascii_lowercase());
            matches!(behind, Some("_general_ci" | "_0900_ai_ci" | "_swedish_ci" | "_uca1400_ai_ci"))
        }
    };
    let other_results = !same(results);
    Ok((other_results || !same(client) || !usual, other_results))
}
