//! How the sessions of a user are treated where that is not as usual.

/// How long a session keeps a backend connection once it has one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PoolMode {
    /// For a transaction, or as long as state holds it that cannot be moved.
    #[default]
    Transaction,
    /// Until the client leaves; the connection is then cleaned for others.
    Session,
    /// As [`Self::Session`], cleaned in front of it, too, and closed behind it.
    Dedicated,
}

/// What is configured for the sessions of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Treatment {
    /// How long they keep connections.
    pub pool_mode: PoolMode,
    /// Variables whose setting is neither followed nor a reason to keep a connection, in lower
    /// case; user variables begin with `@`.
    pub ignored: Vec<Box<str>>,
}

impl Treatment {
    /// Whether this is how sessions are treated anyway.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the setting of this system variable is to be overlooked.
    pub fn ignores(&self, name: &str) -> bool {
        self.ignored.iter().any(|ignored| ignored.eq_ignore_ascii_case(name))
    }

    /// Whether this user variable, named without its `@`, is to be overlooked.
    pub fn ignores_user_variable(&self, name: &[u8]) -> bool {
        let names = self.ignored.iter().filter_map(|ignored| ignored.strip_prefix('@'));
        names.into_iter().any(|ignored| ignored.as_bytes().eq_ignore_ascii_case(name))
    }
}

/// Whether the setting of this variable may be overlooked: not where Millpond would then read
/// statements otherwise than the server does.
pub fn may_ignore(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !matches!(
        &*name,
        "autocommit" | "sql_mode" | "sql_auto_is_null" | "default_collation_for_utf8mb4"
    ) && !name.starts_with("character_set_")
        && !name.starts_with("collation_")
        && !name.starts_with("session_track_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_servers_do() {
        let ignored = vec!["time_zone".into(), "@trace_id".into()];
        let treatment = Treatment { ignored, ..Treatment::default() };
        assert!(treatment.ignores("TIME_ZONE") && !treatment.ignores("trace_id"));
        assert!(treatment.ignores_user_variable(b"Trace_ID"));
        assert!(!treatment.ignores_user_variable(b"time_zone"));
        assert!(!treatment.is_usual() && Treatment::default().is_usual());
    }

    #[test]
    fn what_decides_how_a_text_is_read_is_never_overlooked() {
        for name in ["SQL_MODE", "character_set_client", "collation_connection", "autocommit"] {
            assert!(!may_ignore(name), "{name}");
        }
        assert!(may_ignore("time_zone") && may_ignore("@x"));
    }
}
