//! The errors that Millpond itself tells its clients, each with the code that a server would use.
//!
//! None is from the range of clients (2000 to 2999): MariaDB's library takes such an error for a
//! malformed packet.
//!
//! <https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html>

mod arrival;
mod lost;

use super::sleep::Patience;
use crate::backend::connection::StateError;
use crate::backend::dialogue::ServerError;
use crate::pool::AcquireError;
use crate::pool::manager::OpenError;
use crate::session::server::Flavor;
use crate::wire::frame::put_packet_with;
use crate::wire::reply::ErrPacket;
use bytes::BytesMut;
use std::borrow::Cow;

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

/// `ER_MUST_CHANGE_PASSWORD`: MariaDB lets such users log in, and do nothing else.
const MUST_SET_PASSWORD: u16 = 1820;

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

    /// `ER_NET_PACKET_TOO_LARGE`
    pub const PACKET_TOO_LARGE: Self =
        Self::new(1153, b"08S01", "Got a packet bigger than 'max_allowed_packet' bytes");

    /// `ER_NET_PACKETS_OUT_OF_ORDER`
    pub const OUT_OF_ORDER: Self = Self::new(1156, b"08S01", "Got packets out of order");

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

    /// The number of [`Self::no_such_thread`].
    pub const NO_SUCH_THREAD: u16 = 1094;

    /// `ER_NO_SUCH_THREAD`
    pub fn no_such_thread(id: u64) -> Self {
        Self::owned(Self::NO_SUCH_THREAD, b"HY000", format!("Unknown thread id: {id}"))
    }

    /// The number of [`Self::kill_denied`].
    pub const NOT_OWNER: u16 = 1095;

    /// `ER_KILL_DENIED_ERROR`
    pub fn kill_denied(id: u64) -> Self {
        Self::owned(Self::NOT_OWNER, b"HY000", format!("You are not owner of thread {id}"))
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

    /// `ER_MAX_PREPARED_STMT_COUNT_REACHED`
    pub const TOO_MANY_STATEMENTS: u16 = 1461;

    /// `ER_MUST_CHANGE_PASSWORD_LOGIN`: what a server says to clients that do not know of expired
    /// passwords.
    const EXPIRED: Self = Self::new(
        1862,
        b"HY000",
        "Your password has expired. To log in you must change it using a client that supports \
         expired passwords.",
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
            OpenError::Login(login) if let Some(said) = login.of_account() => {
                Self::passed_on(said.clone())
            }
            OpenError::Login(login) if login.is_access_denied() => Self::new(
                1045,
                b"28000",
                "The database refused the login that Millpond keeps for this user",
            )
            .trouble("login_refused"),
            OpenError::SetUp(StateError::Refused(error)) if error.code == MUST_SET_PASSWORD => {
                Self::EXPIRED
            }
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
