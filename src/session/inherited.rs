//! What a session takes over from the global values when it begins.
//!
//! `SET GLOBAL` changes nothing for those that are there. So connections that began before it are
//! not for sessions that begin after it, and a session that began before it brings its own values
//! to connections that began after it.

use super::statement::{Action, Analysis, Marks, Scope};

/// Variables whose value a session brings along: anybody may set them for a session, on both
/// servers where they are known.
pub const CARRIED: &[&str] = &[
    "autocommit",
    "character_set_server",
    "collation_server",
    "completion_type",
    "cte_max_recursion_depth",
    "default_storage_engine",
    "default_tmp_storage_engine",
    "default_week_format",
    "div_precision_increment",
    "eq_range_index_dive_limit",
    "explicit_defaults_for_timestamp",
    "foreign_key_checks",
    "group_concat_max_len",
    "innodb_lock_wait_timeout",
    "innodb_strict_mode",
    "interactive_timeout",
    "join_buffer_size",
    "lc_messages",
    "lc_time_names",
    "lock_wait_timeout",
    "long_query_time",
    "low_priority_updates",
    "max_error_count",
    "max_execution_time",
    "max_heap_table_size",
    "max_join_size",
    "max_length_for_sort_data",
    "max_seeks_for_key",
    "max_sort_length",
    "max_sp_recursion_depth",
    "max_statement_time",
    "net_read_timeout",
    "net_write_timeout",
    "old_mode",
    "optimizer_search_depth",
    "optimizer_switch",
    "sort_buffer_size",
    "sql_auto_is_null",
    "sql_big_selects",
    "sql_mode",
    "sql_notes",
    "sql_quote_show_create",
    "sql_safe_updates",
    "sql_select_limit",
    "sql_warnings",
    "system_versioning_alter_history",
    "time_zone",
    "tmp_table_size",
    "transaction_isolation",
    "transaction_read_only",
    "tx_isolation",
    "tx_read_only",
    "unique_checks",
    "updatable_views_with_limit",
    "wait_timeout",
];

/// Others that sessions take over, but cannot be given later.
const INHERITED: &[&str] = &[
    "binlog_format",
    "character_set_client",
    "character_set_connection",
    "character_set_results",
    "collation_connection",
    "init_connect",
    "local_infile",
    "max_allowed_packet",
    "net_buffer_length",
    "query_cache_type",
    "sql_log_bin",
];

/// All of them.
pub fn names() -> impl Iterator<Item = &'static str> {
    CARRIED.iter().chain(INHERITED).copied()
}

/// Whether sessions that begin after this statement begin with other values than those before.
pub fn changes(analysis: &Analysis) -> bool {
    if !analysis.marks.has(Marks::SET_GLOBAL) {
        return false;
    }
    let names = analysis.actions().iter().filter_map(|placed| match &placed.action {
        Action::SetVariable { scope: Scope::Global | Scope::Persist, name, .. } => Some(&**name),
        _ => None,
    });
    let mut others = true;
    for name in names {
        others = false;
        let is = |known: &&str| known.as_bytes() == name;
        if CARRIED.iter().any(is) || INHERITED.iter().any(is) {
            return true;
        }
    }
    // Such as SET GLOBAL TRANSACTION.
    others
}

#[cfg(test)]
mod tests {
    use crate::session::catalogue::Catalogue;
    use crate::session::server::ServerVersion;
    use crate::session::statement::{Dialect, analyze};

    #[test]
    fn what_sessions_begin_with_is_told_from_what_is_the_servers_own() {
        let dialect = Dialect::new(&ServerVersion::parse(b"10.11.6-MariaDB"), b"", "utf8mb4");
        let changes =
            |sql: &str| super::changes(&analyze(sql.as_bytes(), &dialect, &Catalogue::default()));
        for sql in [
            "SET GLOBAL sql_mode = 'ANSI'",
            "SET @@GLOBAL.max_allowed_packet = 67108864",
            "SET @a = 1, GLOBAL general_log = 1, time_zone = 'SYSTEM'",
            "SET GLOBAL TRANSACTION ISOLATION LEVEL READ COMMITTED",
        ] {
            assert!(changes(sql), "{sql}");
        }
        for sql in ["SET GLOBAL general_log = 1", "SET sql_mode = 'ANSI'", "SELECT 1"] {
            assert!(!changes(sql), "{sql}");
        }
    }
}
