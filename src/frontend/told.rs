//! The errors that Millpond itself tells its clients, each with the code that a server would use.
//!
//! None is from the range of clients (2000 to 2999): MariaDB's library takes such an error for a
//! malformed packet.
//!
//! <https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html>

use super::cut::CutReason;
use super::sleep::Patience;
use crate::backend::dialogue::ServerError;
use crate::credentials::throttle::{Blocked, Whose};
use crate::pool::AcquireError;
use crate::pool::manager::OpenError;
use crate::session::server::Flavor;
use crate::wire::frame::put_packet_with;
use crate::wire::reply::ErrPacket;
use bytes::BytesMut;
use std::borrow::Cow;
use std::time::Duration;

/// An error packet in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The error number.
    pub code: u16,
    /// SQLSTATE
    pub sqlstate: [u8; 5],
    /// The text.
    pub message: Cow<'static, [u8]>,
    /// The name of the trouble in log and metrics, where it is one that only Millpond has; `None`
    /// for what a server says, or would say in Millpond's place.
    pub trouble: Option<&'static str>,
    /// What brought it about, for the log.
    pub cause: Option<Box<str>>,
}

impl Told {
    const fn new(code: u16, sqlstate: &[u8; 5], message: &'static str) -> Self {
        let message = Cow::Borrowed(message.as_bytes());
        Self { code, sqlstate: *sqlstate, message, trouble: None, cause: None }
    }

    fn owned(code: u16, sqlstate: &[u8; 5], message: String) -> Self {
        Self::of_server(code, *sqlstate, message.into_bytes())
    }

    /// What a server said.
    pub fn of_server(code: u16, sqlstate: [u8; 5], message: Vec<u8>) -> Self {
        Self { code, sqlstate, message: Cow::Owned(message), trouble: None, cause: None }
    }

    /// The same as a trouble of Millpond's own, of this name.
    const fn trouble(mut self, name: &'static str) -> Self {
        self.trouble = Some(name);
        self
    }

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

    /// `ER_USER_LIMIT_REACHED`: the user has as many connections to the server as it may, and none
    /// of them became free.
    fn too_many_connections_of(user: &str, limit: usize, patience: &Patience) -> Self {
        let (waited_ms, setting) = (patience.waited_ms(), patience.setting);
        let text = format!(
            "User '{user}' has exceeded the 'max_backend_connections' resource (current value: \
             {limit}; waited for {waited_ms} ms: {setting})"
        );
        Self::owned(1226, b"42000", text).trouble("too_many_connections_of_user")
    }

    /// `ER_HOST_IS_BLOCKED`: too many connections from one address within a second.
    pub fn too_often(host: &str, limit: u32) -> Self {
        let text = format!(
            "Host '{host}' is blocked for the moment because it connects too often (at most \
             {limit} times a second: max_connects_per_second)"
        );
        Self::owned(1129, b"HY000", text).trouble("too_often")
    }

    /// The transaction was rolled back because it took too long; the statement was not run.
    /// `ER_TRANSACTION_ROLLBACK_DURING_COMMIT` is the one of the class of roll-backs, 40, that names
    /// no other cause; `ER_QUERY_TIMEOUT` is what drivers know for time limits.
    pub fn transaction_cut(reason: CutReason, limit: Duration) -> Self {
        let ms = limit.as_millis();
        match reason {
            CutReason::Idle => Self::owned(
                3101,
                b"40000",
                format!(
                    "The transaction was rolled back because its client said nothing for {ms} ms \
                     (idle_transaction_timeout); the statement was not run"
                ),
            )
            .trouble("idle_transaction"),
            CutReason::TooLong => Self::owned(
                3024,
                b"HY000",
                format!(
                    "The transaction was rolled back because it was open for {ms} ms \
                     (max_transaction_time); the statement was interrupted or not run"
                ),
            )
            .trouble("long_transaction"),
        }
    }

    /// `ER_NET_PACKET_TOO_LARGE`
    pub const PACKET_TOO_LARGE: Self =
        Self::new(1153, b"08S01", "Got a packet bigger than 'max_allowed_packet' bytes");

    /// `ER_NET_PACKETS_OUT_OF_ORDER`
    pub const OUT_OF_ORDER: Self = Self::new(1156, b"08S01", "Got packets out of order");

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

    /// MariaDB's `ER_CONNECTION_KILLED`
    pub const CONNECTION_KILLED: Self = Self::new(1927, b"70100", "Connection was killed");
    /// `ER_QUERY_INTERRUPTED`
    pub const INTERRUPTED: Self = Self::new(1317, b"70100", "Query execution was interrupted");

    /// `ER_UNKNOWN_COM_ERROR`
    pub const UNKNOWN_COMMAND: Self = Self::new(1047, b"08S01", "Unknown command");

    /// `ER_WRONG_ARGUMENTS`: another number of values than the statement has parameters.
    pub const WRONG_ARGUMENTS: Self = Self::new(1210, b"HY000", "Incorrect arguments to EXECUTE");
    /// `ER_MALFORMED_PACKET`
    pub const MALFORMED: Self = Self::new(1835, b"HY000", "Malformed communication packet.");

    /// The same, as this server writes it.
    pub fn malformed(flavor: Flavor) -> Self {
        match flavor {
            Flavor::MariaDb => Self::new(1835, b"HY000", "Malformed communication packet"),
            Flavor::MySql => Self::MALFORMED,
        }
    }

    /// `ER_SERVER_SHUTDOWN`
    pub const SHUTDOWN: Self = Self::new(1053, b"08S01", "Server shutdown in progress");

    /// `ER_CLIENT_INTERACTION_TIMEOUT`, as MySQL says it.
    pub const IDLE: Self = Self::new(
        4031,
        b"HY000",
        "The client was disconnected by the server because of inactivity. See wait_timeout and \
         interactive_timeout for configuring this behavior.",
    );

    /// `ER_NET_READ_ERROR` (clients refuse to take the codes of their own, such as 2013, from a
    /// server): the statement's outcome is unknown.
    pub const LOST_UNKNOWN: Self = Self::new(
        1158,
        b"08S01",
        "Lost connection to MySQL server during query; whether the statement took effect is \
         unknown",
    )
    .trouble("lost_unknown");

    /// `ER_NET_READ_ERROR` (clients refuse to take the codes of their own, such as 2013, from a
    /// server): the server went away before the statement was sent.
    pub const LOST_NOT_RUN: Self =
        Self::new(1158, b"08S01", "Lost connection to MySQL server; the statement was not run")
            .trouble("lost_not_run");

    /// `ER_NET_READ_ERROR` (clients refuse to take the codes of their own, such as 2013, from a
    /// server): the connection that held the session's state is gone.
    pub const LOST_STATE: Self = Self::new(
        1158,
        b"08S01",
        "Lost connection to MySQL server, and with it the state of this session; the statement \
         was not run",
    )
    .trouble("lost_state");

    /// `ER_NET_READ_ERROR`: the server is gone or not the writer any more, and with it what the
    /// transaction did; this statement was not sent to it.
    pub const LOST_TRANSACTION: Self = Self::new(
        1158,
        b"08S01",
        "Lost connection to MySQL server during a transaction, which is rolled back; the statement \
         was not run",
    )
    .trouble("lost_transaction");

    /// `ER_NET_READ_ERROR`: the connection broke in the middle of a transaction and of a statement
    /// that cannot have ended it; nobody can commit it any more.
    pub const LOST_UNDONE: Self = Self::new(
        1158,
        b"08S01",
        "Lost connection to MySQL server during query; the transaction that it was part of is \
         rolled back",
    )
    .trouble("lost_undone");

    /// The same as `ER_LOCK_DEADLOCK`, by which drivers and frameworks know that the transaction is
    /// rolled back and may be run again. Only for what is known to have had no effect.
    pub fn as_deadlock(self) -> Self {
        let mut message = self.message.into_owned();
        message.extend_from_slice(b"; try restarting transaction");
        Self { code: 1213, sqlstate: *b"40001", message: Cow::Owned(message), ..self }
    }

    /// Too many wait already.
    pub const QUEUE_FULL: Self =
        Self::new(1203, b"42000", "Too many clients wait for a backend connection (max_waiting)")
            .trouble("queue_full");

    /// No server is confirmed to be the one that the statement needs.
    pub fn no_writer(patience: &Patience) -> Self {
        let (waited_ms, setting) = (patience.waited_ms(), patience.setting);
        let text = format!(
            "No MySQL server behind Millpond is ready for this statement (waited for {waited_ms} \
             ms: {setting})"
        );
        Self::owned(1429, b"08S01", text).trouble("no_writer")
    }

    /// No reader has what the session has read elsewhere.
    pub fn behind(patience: &Patience) -> Self {
        let (waited_ms, setting) = (patience.waited_ms(), patience.setting);
        let text = format!(
            "No MySQL server behind Millpond has caught up with what this session has read (waited \
             for {waited_ms} ms: {setting})"
        );
        Self::owned(1429, b"08S01", text)
    }

    /// `ER_NO_SUCH_THREAD`
    pub fn no_such_thread(id: u64) -> Self {
        Self::owned(1094, b"HY000", format!("Unknown thread id: {id}"))
    }

    /// `ER_KILL_DENIED_ERROR`
    pub fn kill_denied(id: u64) -> Self {
        Self::owned(1095, b"HY000", format!("You are not owner of thread {id}"))
    }

    /// `ER_UNKNOWN_STMT_HANDLER`, in the words of both servers.
    pub fn unknown_statement(id: u32, command: &str) -> Self {
        let text = format!("Unknown prepared statement handler ({id}) given to {command}");
        Self::owned(1243, b"HY000", text)
    }

    /// `ER_WRONG_ARGUMENTS`: an execution that relies on parameter types which were never sent.
    pub const NOT_BOUND: Self =
        Self::new(1210, b"HY000", "Incorrect arguments to mysqld_stmt_execute");

    /// `ER_WRONG_VALUE_FOR_VAR`
    pub fn unusable_charset(charset: &str) -> Self {
        let text =
            format!("Variable 'character_set_client' can't be set to the value of '{charset}'");
        Self::owned(1231, b"42000", text)
    }

    /// `ER_STMT_HAS_NO_OPEN_CURSOR`
    pub fn no_open_cursor(id: u32, flavor: Flavor) -> Self {
        let stop = match flavor {
            Flavor::MariaDb => "",
            Flavor::MySql => ".",
        };
        Self::owned(1421, b"HY000", format!("The statement ({id}) has no open cursor{stop}"))
    }

    /// What a server said to a statement of Millpond's that the client's depends on.
    pub fn passed_on(error: ServerError) -> Self {
        Self::of_server(error.code, error.sqlstate, error.message)
    }

    /// `ER_PS_MANY_PARAM`-like refusal: more long data than a packet may hold.
    pub const LONG_DATA_TOO_LARGE: Self = Self::new(
        1105,
        b"HY000",
        "Parameter of prepared statement which is set through mysql_send_long_data() is longer \
         than 'max_allowed_packet' bytes",
    );

    /// Why no backend connection could be had, each cause with a code of its own.
    pub fn not_acquired(error: &AcquireError, patience: &Patience) -> Self {
        let (waited_ms, setting) = (patience.waited_ms(), patience.setting);
        match error {
            AcquireError::BorrowTimeout => Self::owned(
                1203,
                b"42000",
                format!(
                    "Timed out after {waited_ms} ms waiting for a backend connection (all \
                     connections of the pool are in use: {setting}, max_size)"
                ),
            )
            .trouble("borrow_timeout"),
            AcquireError::QueueFull => Self::QUEUE_FULL,
            AcquireError::UserLimit { user, limit } => {
                Self::too_many_connections_of(user, *limit, patience)
            }
            AcquireError::Closed => Self::SHUTDOWN,
            AcquireError::Open(error) => Self::not_opened(error, waited_ms),
        }
    }

    fn not_opened(error: &OpenError, waited_ms: u128) -> Self {
        let told = match error {
            OpenError::Login(login) if login.is_access_denied() => Self::new(
                1045,
                b"28000",
                "The database refused the login that Millpond keeps for this user",
            )
            .trouble("login_refused"),
            OpenError::SetUp(_) => Self::new(
                1105,
                b"HY000",
                "A backend connection could not be set up (see Millpond's log; is init_query \
                 valid?)",
            )
            .trouble("set_up"),
            OpenError::GivenUp => Self::SHUTDOWN,
            OpenError::Login(_) | OpenError::NoServer | OpenError::Timeout => {
                Self::no_server(waited_ms)
            }
        };
        Self { cause: Some(error.to_string().into()), ..told }
    }

    /// The error as the payload of a packet.
    pub fn payload(&self) -> BytesMut {
        let mut out = BytesMut::new();
        ErrPacket { code: self.code, sqlstate: self.sqlstate, message: &self.message }
            .encode(&mut out);
        out
    }

    /// The error as the payload of a server's very first packet: it does not know yet whether the
    /// client understands SQLSTATEs.
    pub fn first_payload(&self) -> BytesMut {
        let mut out = self.payload();
        let message = out.split_off(9);
        out.truncate(3);
        out.extend_from_slice(&message);
        out
    }

    /// Appends the error as a packet.
    pub fn put(&self, out: &mut BytesMut, sequence: &mut u8) {
        let payload = self.payload();
        put_packet_with(out, sequence, |out| out.extend_from_slice(&payload));
    }
}
