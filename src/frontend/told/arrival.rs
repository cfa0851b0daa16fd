//! What clients are told that are not let in.

use super::Told;
use crate::credentials::throttle::{Blocked, Whose};

impl Told {
    /// `ER_CON_COUNT_ERROR`: the front end's `max_clients` is reached.
    pub fn too_many_clients(service: &str, limit: usize) -> Self {
        let text = format!(
            "Too many connections (Millpond service '{service}' accepts at most {limit} clients: \
             max_clients)"
        );
        Self::owned(1040, b"08004", text).trouble("too_many_clients")
    }

    /// `ER_USER_LIMIT_REACHED`: the user has as many clients as it may.
    pub fn too_many_clients_of(user: &str, limit: usize) -> Self {
        let text = format!(
            "User '{user}' has exceeded the 'max_clients' resource (current value: {limit})"
        );
        Self::owned(1226, b"42000", text).trouble("too_many_clients_of_user")
    }

    /// `ER_HOST_IS_BLOCKED`: too many connections from one address within a second.
    pub fn too_often(host: &str, limit: u32) -> Self {
        let text = format!(
            "Host '{host}' is blocked for the moment because it connects too often (at most \
             {limit} times a second: max_connects_per_second)"
        );
        Self::owned(1129, b"HY000", text).trouble("too_often")
    }

    /// The database behind has not been reached since Millpond's start.
    pub fn no_server(waited_ms: u128) -> Self {
        let text =
            format!("Can't connect to the MySQL server behind Millpond (tried for {waited_ms} ms)");
        Self::owned(1429, b"08S01", text).trouble("no_server")
    }

    /// `ER_HANDSHAKE_ERROR`
    pub const BAD_HANDSHAKE: Self = Self::new(1043, b"08S01", "Bad handshake");

    /// `ER_HANDSHAKE_ERROR`, for a connection from where proxies are that does not say whose it is.
    pub const NO_PROXY_HEADER: Self = Self::new(
        1043,
        b"08S01",
        "Bad handshake: connections from this address have to begin with a PROXY protocol header \
         (proxy_protocol_from)",
    )
    .trouble("no_proxy_header");

    /// `ER_NOT_SUPPORTED_AUTH_MODE`
    pub const OLD_CLIENT: Self = Self::new(
        1251,
        b"08004",
        "Client does not support authentication protocol requested by server; consider upgrading \
         MySQL client",
    );

    /// `ER_SECURE_TRANSPORT_REQUIRED`
    pub const TLS_REQUIRED: Self = Self::new(
        3159,
        b"HY000",
        "Connections using insecure transport are prohibited while --require_secure_transport=ON.",
    );

    /// `ER_ACCESS_DENIED_ERROR`
    pub fn access_denied(user: &str, host: &str, with_password: bool) -> Self {
        let used = if with_password { "YES" } else { "NO" };
        let text = format!("Access denied for user '{user}'@'{host}' (using password: {used})");
        Self::owned(1045, b"28000", text)
    }

    /// `ER_HOST_IS_BLOCKED` or `ER_USER_ACCESS_DENIED_FOR_USER_ACCOUNT_BLOCKED_BY_PASSWORD_LOCK`:
    /// too many logins have failed.
    pub fn blocked(blocked: Blocked, user: &str, host: &str) -> Self {
        let Blocked { whose, failures, length, remaining } = blocked;
        // Rounded up: after that time it is over.
        let (length, remaining) = (length.as_secs(), remaining.as_secs() + 1);
        match whose {
            Whose::Address => {
                let text = format!(
                    "Host '{host}' is blocked because of many failed logins; it is unblocked in \
                     {remaining} seconds"
                );
                Self::owned(1129, b"HY000", text)
            }
            Whose::User => {
                let text = format!(
                    "Access denied for user '{user}'@'{host}'. Account is blocked for {length} \
                     seconds ({remaining} seconds remaining) due to {failures} failed logins."
                );
                Self::owned(3955, b"HY000", text)
            }
        }
    }
}
