//! What Millpond takes a connection to hold, told so that it can be compared with what the server says
//! of it: by a test that looks for what sessions leave behind, or by whoever looks for a mistake.
//!
//! Names are told, and the values of system variables; those of user variables are not.

use super::connection::Connection;
use serde_json::{Value, json};

/// The log's module for it: nothing is told, or computed, but at its level `trace`.
const TARGET: &str = "millpond::backend::account";

/// Tells what a connection that nobody uses any more holds.
#[inline]
pub fn tell(connection: &Connection) {
    if tracing::enabled!(target: TARGET, tracing::Level::TRACE) {
        tracing::trace!(target: TARGET, holds = %holds(connection), "a connection was given back");
    }
}

fn holds(connection: &Connection) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let Connection { environment, traces, .. } = connection;
    let variables = environment.variables.iter();
    let variables: serde_json::Map<_, _> =
        variables.map(|(name, value)| (name.to_owned(), text(value).into())).collect();
    let separate = environment.separate_charsets.as_ref();
    let separate = separate.map(|s| json!([s.client, s.results, s.connection_collation]));
    json!({
        "thread": connection.thread_id,
        "database": environment.database.as_deref().map(text),
        "names": [environment.names.charset, environment.names.collation],
        "separate_charsets": separate,
        "variables": variables,
        "user_variables": traces.variables.keys().map(|name| text(name)).collect::<Vec<_>>(),
        "last_insert_id": traces.last_insert_id,
        "text_statements": traces.text_statements.names().map(text).collect::<Vec<_>>(),
        "statements": connection.statements.numbers().collect::<Vec<_>>(),
    })
}
