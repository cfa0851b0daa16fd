//! What Millpond has to know of a server before it can stand in for it.

pub use crate::session::server::NameCase;

use crate::session::server::ServerVersion;
use std::collections::HashMap;

/// A server of a service. Never used again for another one while the process lives: a name that
/// moves to another address becomes another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u32);

/// Facts about one server, learned at the first login and shared by all its connections.
#[derive(Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// The version, as the server's greeting says it.
    pub version: ServerVersion,
    /// `max_connections`
    pub max_connections: u32,
    /// `max_prepared_stmt_count`
    pub max_prepared_statements: u32,
    /// `character_set_server` and `collation_server`: what a login with an unknown collation gets.
    pub default_names: (Box<str>, Box<str>),
    /// Collations by number: character set and collation.
    pub collations: HashMap<u16, (Box<str>, Box<str>)>,
    /// The trackers that a session has which asked for none.
    pub trackers: TrackerDefaults,
    /// `lower_case_table_names` is not 0: names of tables are compared without case.
    pub names_ignore_case: NameCase,
    /// What it calls clients of its own machine.
    pub hosts: HostNames,
}

impl ServerInfo {
    /// The number of `collation_server`, which the server's greeting names.
    pub fn default_collation(&self) -> Option<u16> {
        let default = |(_, names): &(&u16, &(Box<str>, Box<str>))| names.1 == self.default_names.1;
        self.collations.iter().find(default).map(|(id, _)| *id)
    }
}

/// `skip_name_resolve`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HostNames {
    /// Clients on the loopback address are `localhost`.
    #[default]
    Resolved,
    /// Clients have addresses only.
    Skipped,
}

/// The global values of the session tracking variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackerDefaults {
    /// `session_track_schema`
    pub schema: bool,
    /// `session_track_state_change`
    pub state_change: bool,
    /// `session_track_transaction_info` is not OFF, and shows states, or also characteristics.
    pub transaction: TransactionTracking,
    /// `session_track_gtids` is not OFF.
    pub gtids: bool,
    /// `session_track_system_variables`, in lower case; `*` is all.
    pub system_variables: Vec<Box<str>>,
}

/// `session_track_transaction_info`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TransactionTracking {
    /// `OFF`
    #[default]
    Off,
    /// `STATE`
    State,
    /// `CHARACTERISTICS`
    Characteristics,
}

impl TrackerDefaults {
    /// Reads the defaults from the server's global variables.
    pub fn from_globals<'a>(global: impl Fn(&str) -> Option<&'a str>) -> Self {
        let on = |name| global(name).is_some_and(|v| matches!(v, "ON" | "1"));
        Self {
            schema: on("session_track_schema"),
            state_change: on("session_track_state_change"),
            transaction: match global("session_track_transaction_info") {
                Some("STATE") => TransactionTracking::State,
                Some("CHARACTERISTICS") => TransactionTracking::Characteristics,
                _ => TransactionTracking::Off,
            },
            gtids: global("session_track_gtids").is_some_and(|v| v != "OFF"),
            system_variables: global("session_track_system_variables")
                .unwrap_or_default()
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(|name| name.to_ascii_lowercase().into())
                .collect(),
        }
    }

    /// Whether a client that set up nothing is told of changes of this variable.
    pub fn shows_variable(&self, name: &[u8]) -> bool {
        self.system_variables
            .iter()
            .any(|shown| &**shown == "*" || shown.as_bytes().eq_ignore_ascii_case(name))
    }
}
