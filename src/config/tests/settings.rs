//! Settings of a service that are wrong each by itself, and what is said of each.

use super::refused::refusals;

/// Settings that are wrong, and the refusal of each, in the service `orders` of [`LEAST`].
const WRONG: &[(&str, &str)] = &[
    // Types and ranges.
    (
        "pool.max_size = \"lots\"",
        "pool.max_size = \"lots\": expected a number of connections from 1 to 100000, or a share \
         of the server's max_connections from \"1%\" to \"100%\"",
    ),
    (
        "pool.max_size = 0",
        "pool.max_size = 0: expected a number of connections from 1 to 100000, or a share of the \
         server's max_connections from \"1%\" to \"100%\"",
    ),
    (
        "pool.max_size = \"101%\"",
        "pool.max_size = \"101%\": expected a number of connections from 1 to 100000, or a share \
         of the server's max_connections from \"1%\" to \"100%\"",
    ),
    (
        "pool.max_size = \"20\"",
        "pool.max_size = \"20\": expected a number of connections from 1 to 100000, or a share of \
         the server's max_connections from \"1%\" to \"100%\"",
    ),
    ("pool.min_idle = -1", "pool.min_idle = -1: expected a whole number from 0 to 100000"),
    (
        "pool.parallel_connects = 2.5",
        "pool.parallel_connects = 2.5: expected a whole number from 1 to 1000",
    ),
    (
        "pool.borrow_timeout = 5",
        "pool.borrow_timeout = 5: expected a duration from 1ms to 1h, such as \"5s\" or \"250ms\"",
    ),
    (
        "pool.borrow_timeout = \"0\"",
        "pool.borrow_timeout = \"0\": expected a duration from 1ms to 1h, such as \"5s\" or \
         \"250ms\"",
    ),
    (
        "pool.max_idle_time = \"10ms\"",
        "pool.max_idle_time = \"10ms\": expected a duration from 1s to 30d, such as \"30m\", or \
         \"0\" for none",
    ),
    ("pool.init_query = 1", "pool.init_query = 1: expected text"),
    ("pool.max_waiting = 0", "pool.max_waiting = 0: expected a whole number from 1 to 1000000"),
    (
        "max_packet = \"64MB\"",
        "max_packet = \"64MB\": expected a size from 1KiB to 1GiB, such as \"64KiB\"",
    ),
    (
        "max_client_buffer = 65536",
        "max_client_buffer = 65536: expected a size from 16KiB to 64MiB, such as \"64KiB\"",
    ),
    ("max_clients = true", "max_clients = true: expected a whole number from 1 to 1000000"),
    (
        "proxy_protocol_from = [\"10.0.0.1/8\"]",
        "proxy_protocol_from = [\"10.0.0.1/8\"]: expected addresses or networks such as \
         \"10.0.0.0/8\"",
    ),
    (
        "max_connects_per_second = 0",
        "max_connects_per_second = 0: expected a whole number from 1 to 1000000",
    ),
    (
        "idle_transaction_timeout = \"1ms\"",
        "idle_transaction_timeout = \"1ms\": expected a duration from 100ms to 365d, such as \
         \"30m\", or \"0\" for none",
    ),
    (
        "users.app.max_transaction_time = 5",
        "users.app.max_transaction_time = 5: expected a duration from 100ms to 365d, such as \
         \"30m\", or \"0\" for none",
    ),
    (
        "users.app.max_clients = 0",
        "users.app.max_clients = 0: expected a whole number from 1 to 1000000",
    ),
    (
        "server_version = \"newest\"",
        "server_version = \"newest\": expected \"auto\", or a version such as \"8.4.3\" or \
         \"10.11.6-MariaDB\"",
    ),
    (
        "reader_listen = \"localhost:3307\"",
        "reader_listen = \"localhost:3307\": expected an IP address and a port, such as \
         \"127.0.0.1:3306\" or \"[::1]:3306\"",
    ),
    ("tls = \"on\"", "tls: expected a section, [services.orders.tls]"),
    (
        "tls.mode = \"verify-ca\"",
        "tls.mode = \"verify-ca\": expected \"disabled\", \"preferred\" or \"required\"",
    ),
    (
        "backend.tls.mode = \"on\"",
        "backend.tls.mode = \"on\": expected \"disabled\", \"preferred\", \"required\", \
         \"verify-ca\" or \"verify-identity\"",
    ),
    (
        "backend.provider = \"magic\"",
        "backend.provider = \"magic\": expected \"static\", \"dns\", \"aurora\", \"rds_cluster\", \
         \"group_replication\", \"galera\" or \"auto\"",
    ),
    (
        "backend.instance_host = \"xyz.rds\"",
        "backend.instance_host = \"xyz.rds\": expected a host name with ? for the instance, as \
         \"?.xyz.eu-west-1.rds.amazonaws.com\"",
    ),
    (
        "backend.proxy_protocol = \"v3\"",
        "backend.proxy_protocol = \"v3\": expected \"off\", \"v1\" or \"v2\"",
    ),
    (
        "failover.resolve_interval = \"1ms\"",
        "failover.resolve_interval = \"1ms\": expected a duration from 100ms to 10m, such \
         as \"5s\" or \"250ms\"",
    ),
    (
        "backend.hidden_triggers = \"yes\"",
        "backend.hidden_triggers = \"yes\": expected \"pin\" or \"trust\"",
    ),
    (
        "failover.lost_statement_error = \"retry\"",
        "failover.lost_statement_error = \"retry\": expected \"lost\" or \"deadlock\"",
    ),
    (
        "failover.flap_limit = 1000",
        "failover.flap_limit = 1000: expected a whole number from 0 to 100",
    ),
    (
        "failover.sleep_after = \"10ms\"",
        "failover.sleep_after = \"10ms\": expected a duration from 1s to 1d, such as \"30m\", or \
         \"0\" for none",
    ),
    (
        "users.app.pool_mode = \"statement\"",
        "users.app.pool_mode = \"statement\": expected \"transaction\", \"session\" or \"dedicated\"",
    ),
    (
        "users.app.ignore_variables = [\"time zone\"]",
        "users.app.ignore_variables = [\"time zone\"]: expected names of session variables and, \
         with an @, of user variables, such as \"time_zone\" or \"@trace_id\"",
    ),
    (
        "users.app.ignore_variables = [\"Sql_Mode\"]",
        "users.app.ignore_variables = [\"Sql_Mode\"]: what is read and answered depends on \
         sql_mode: expected other variables",
    ),
    ("users.app.require_tls = \"yes\"", "users.app.require_tls = \"yes\": expected true or false"),
    // Unknown keys: their values are not repeated, they may be passwords.
    ("pool.max_sise = 20", "pool.max_sise: unknown key; did you mean `max_size`?"),
    ("pools.max_size = 20", "pools: unknown key; did you mean `pool`?"),
    ("users.app.pasword = \"x\"", "users.app.pasword: unknown key; did you mean `password`?"),
    (
        "users.app.host = \"%\"",
        "users.app.host: unknown key; known here: password, secret, require_tls, allow_from, max_clients, \
         max_backend_connections, max_waiting, idle_client_timeout, idle_transaction_timeout, \
         max_transaction_time, database_user, certificate, pool_mode, ignore_variables, login, token",
    ),
    // Impossible combinations.
    ("pool.min_idle = 21", "pool.min_idle = 21: more than max_size = 20: expected at most 20"),
    (
        "reader_listen = \"127.0.0.1:3306\"",
        "reader_listen = \"127.0.0.1:3306\": the port is taken by services.orders.listen: \
         expected another port",
    ),
    (
        "reader_listen = \"0.0.0.0:9306\"",
        "admin.listen = \"127.0.0.1:9306\": the port is taken by services.orders.reader_listen: \
         expected another port",
    ),
    ("tls.certificate = \"c.pem\"", "tls.key: missing: expected the private key of `certificate`"),
    (
        "backend.tls.key = \"k.pem\"",
        "backend.tls.certificate: missing: expected the certificate that `key` is for",
    ),
    (
        "users.app.secret = \"main:app\"",
        "users.app.secret: no such store: expected a section [secrets.<store>] for it",
    ),
    (
        "users.other.require_tls = false",
        "users.other.secret: missing: expected \"store:key\", or `password` for trying out",
    ),
    (
        "users.other.secret = \"hunter3\"",
        "users.other.secret: expected the name of a store and of a secret in it, as \"store:key\"",
    ),
    ("users.other.password = \"\"", "users.other.password: expected text that is not empty"),
    (
        "backend.monitor_user = \"ap\"",
        "backend.monitor_user = \"ap\": no such user: expected one of app",
    ),
];

#[test]
fn a_wrong_setting_is_refused_by_name() {
    for (setting, refusal) in WRONG {
        let text = format!(
            "[services.orders]\n{setting}\nlisten = \"127.0.0.1:3306\"\n\
             backend.endpoints = [\"db:3306\"]\nusers.app.password = \"hunter2\"\n"
        );
        let path = if refusal.starts_with("admin.") { "" } else { "services.orders." };
        let found = refusals(&text, &[]);
        assert!(found.contains(&format!("{path}{refusal}")), "{setting}:\n{}", found.join("\n"));
        assert!(!found.join("\n").contains("hunter"), "{setting} shows a password");
    }
}
