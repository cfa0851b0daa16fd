//! One connection to a server, with everything that Millpond knows about its state.

use super::dialogue::{Content, Question, Reply, ServerError, read_reply};
use super::fence::Fence;
use super::server::ServerInfo;
use crate::net::buffer::ReadBuffer;
use crate::net::link::{LinkError, send};
use crate::net::stream::Stream;
use crate::session::align::set_role;
use crate::session::inspection::mariadb::RANDOM;
use crate::session::inspection::random::RandomState;
use crate::session::need::{Leftover, Traces};
use crate::session::prepared::BackendStatements;
use crate::session::residue::Answer;
use crate::session::server::Flavor;
use crate::session::state::{Baseline, Environment, MultiStatements, Role};
use crate::session::wide::Wide;
use crate::wire::capability::{Capabilities, Status};
use crate::wire::command::{CommandCode, put_statement_command};
use bytes::BytesMut;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, sleep};

/// The set-up of session trackers, said after every login and every reset (both switch them
/// off). Everything is tracked; what a client did not ask for is filtered on the way to it.
pub const TRACKERS: &[u8] = b"SET @@SESSION.session_track_system_variables='*',\
@@SESSION.session_track_schema=ON,@@SESSION.session_track_state_change=ON,\
@@SESSION.session_track_transaction_info='CHARACTERISTICS'";

/// How long a server that was given up may take for what it is being asked: what belongs to a session
/// may still be had from one that was only demoted.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// How much earlier than by the server's `wait_timeout` a connection is taken for closed.
const IDLE_MARGIN: Duration = Duration::from_secs(10);

/// What a reset makes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resets {
    /// What a login made of it.
    ToLogin,
    /// Less: it forgets what the server's `init_connect` did (measured on both servers).
    BeforeLogin,
}

impl Resets {
    /// On a server that gives these values.
    pub fn of(baseline: &Baseline) -> Self {
        match baseline.get("init_connect") {
            Some(text) if !text.is_empty() => Self::BeforeLogin,
            _ => Self::ToLogin,
        }
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    /// The socket, plain or TLS.
    pub stream: Stream,
    /// What was read and not yet looked at; empty between commands.
    pub input: ReadBuffer,
    /// Room for a command that is sent; empty between commands.
    pub output: BytesMut,
    /// The server behind it.
    pub server: Arc<ServerInfo>,
    /// The server's number for this connection.
    pub thread_id: u32,
    /// What was negotiated.
    pub capabilities: Capabilities,
    /// What the session has.
    pub environment: Arc<Environment>,
    /// When it entered its database, as [`crate::session::model::Session::entered`].
    pub entered: u64,
    /// What a fresh session of this connection has.
    pub fresh: Arc<Environment>,
    /// The session variables right after login.
    pub baseline: Arc<Baseline>,
    /// What its pool has each connection told after the login; empty for nothing.
    pub init_query: Arc<str>,
    /// What a reset makes of it.
    pub resets: Resets,
    /// The status flags that the server sent last.
    pub status: Status,
    /// Prepared statements.
    pub statements: BackendStatements,
    /// What former users of the connection left in it.
    pub traces: Traces,
    /// When it was opened.
    pub opened: Instant,
    /// When it is to be replaced, jitter included.
    pub expires: Instant,
    /// When it was last given back.
    pub last_used: Instant,
    /// The pool generation it was opened in: connections of former ones are not used again.
    pub generation: u64,
    /// Closed when its server is given up, which may never answer then.
    pub fence: Fence,
}

/// Why a connection could not be brought into a known state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The connection is of no use any more.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The server refused one of Millpond's statements.
    #[error("the server refused a statement that sets up the session: {0}")]
    Refused(#[source] ServerError),
}

/// Setting this variable throws all traces away. MariaDB, whose reset does so, does not have it.
const FORGET_TRACES: &[u8] =
    b"/*!80000 SET @@SESSION.optimizer_trace_offset=@@SESSION.optimizer_trace_offset */";

impl Connection {
    /// Takes note that it has a session's environment, or has with it what it has just been told. In a
    /// database it stays, though that session is in none, unless the server has told of a change
    /// (`schema_told`): nothing else leads out of one.
    pub fn follow(&mut self, environment: &Arc<Environment>, schema_told: bool) {
        let stays = environment.database.is_none() && !schema_told;
        let database = self.environment.database.clone().filter(|_| stays);
        self.environment = environment.clone();
        if database.is_some() {
            Arc::make_mut(&mut self.environment).database = database;
        }
    }

    /// Asks several questions in one write and gathers the answers. Soon after its server was given
    /// up, it does not wait for them any longer.
    ///
    /// Not cancel safe: a connection on which this was interrupted must be closed.
    ///
    /// # Errors
    ///
    /// When the connection is of no use any more. Error packets are answers.
    pub async fn ask(&mut self, questions: &[Question<'_>]) -> Result<Vec<Reply>, LinkError> {
        let mut output = BytesMut::new();
        for question in questions {
            question.put(&mut output, self.capabilities);
        }
        // Questions find rows of their own.
        self.traces.found_rows = None;
        let fence = self.fence.clone();
        let asking = async {
            send(&mut self.stream, &output).await?;
            let mut replies = Vec::with_capacity(questions.len());
            for question in questions {
                replies.push(self.read(question).await?);
            }
            self.input.rest();
            Ok(replies)
        };
        within(&fence, asking).await
    }

    /// Sends commands. Soon after the server was given up, it does not wait for room any longer.
    ///
    /// Not cancel safe, like [`Self::ask`].
    ///
    /// # Errors
    ///
    /// When the network fails.
    pub async fn send(&mut self, output: &[u8]) -> Result<(), LinkError> {
        within(&self.fence, send(&mut self.stream, output)).await
    }

    /// Reads the answer to a question that was sent before.
    ///
    /// Not cancel safe, like [`Self::ask`].
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub async fn reply(&mut self, question: &Question<'_>) -> Result<Reply, LinkError> {
        let fence = self.fence.clone();
        within(&fence, self.read(question)).await
    }

    async fn read(&mut self, question: &Question<'_>) -> Result<Reply, LinkError> {
        let shape = question.shape();
        let mut reply =
            read_reply(&mut self.stream, &mut self.input, shape, self.capabilities).await?;
        if let Content::Rows(answer) = &mut reply.content
            && let Some(wide) = Wide::of(&self.environment)
        {
            let flavor = self.server.version.flavor;
            for (value, column) in answer.first_row.iter_mut().zip(&answer.types) {
                if wide.covers(column, flavor) {
                    *value = value.take().map(|value| wide.decode(&value));
                }
            }
        }
        if let Content::Ok(status) = &reply.content {
            self.status = *status;
        }
        if reply.warnings > 0 || matches!(reply.content, Content::Err(_)) {
            self.traces.diagnostics = Leftover::Present;
        }
        Ok(reply)
    }

    /// Closes half of the cached statements now, to make room on the server; gives their number.
    ///
    /// Not cancel safe, like [`Self::ask`].
    ///
    /// # Errors
    ///
    /// When the network fails.
    pub async fn close_some_statements(&mut self) -> Result<usize, LinkError> {
        self.statements.shed_half();
        let mut output = BytesMut::new();
        let closed = self.statements.take_to_close();
        for &id in &closed {
            put_statement_command(&mut output, CommandCode::StmtClose, id, &[]);
        }
        self.send(&output).await?;
        Ok(closed.len())
    }

    /// Clears everything that a session can hold, by `COM_RESET_CONNECTION` and what that forgets:
    /// the role (a reset keeps it), the character set, the trackers, the multi-statement option.
    ///
    /// Not cancel safe, like [`Self::ask`].
    ///
    /// # Errors
    ///
    /// When the connection cannot be used again.
    pub async fn reset(&mut self) -> Result<(), StateError> {
        let names = set_names(&self.fresh);
        let role = set_role(&Role::Login, &self.baseline);
        let mut questions = vec![Question::Reset];
        // A role may be here because a session brought it along.
        if self.traces.role == Leftover::Present || self.environment.role != Role::Login {
            if !role.is_ascii() {
                questions.push(Question::Query(b"SET NAMES 'utf8mb4'"));
            }
            questions.push(Question::Query(&role));
        }
        if self.traces.optimizer_traces == Leftover::Present {
            questions.push(Question::Query(FORGET_TRACES));
        }
        let init_query = self.init_query.clone();
        if !init_query.is_empty() {
            questions.push(Question::Query(init_query.as_bytes()));
        }
        questions.push(Question::Query(TRACKERS));
        questions.push(Question::Query(&names));
        questions.push(Question::SetOption(crate::session::align::SetOption::MultiStatementsOff));
        if self.server.version.flavor == Flavor::MariaDb {
            questions.push(Question::Query(RANDOM));
        }
        let mut random = None;
        for reply in self.ask(&questions).await? {
            match reply.content {
                Content::Err(error) => return Err(StateError::Refused(error)),
                Content::Rows(answer) => random = random_state(&answer),
                Content::Ok(_) | Content::Prepared { .. } => {}
            }
        }
        let mut environment = (*self.fresh).clone();
        environment.database = self.environment.database.clone();
        environment.multi_statements = MultiStatements::Off;
        self.environment =
            if environment == *self.fresh { self.fresh.clone() } else { Arc::new(environment) };
        self.traces = Traces { last_insert_id: Some(0), random, ..Traces::default() };
        self.statements.clear();
        // It is in the same database, and has the server's default character set for that (measured
        // on both servers).
        self.entered = 0;
        if self.resets == Resets::BeforeLogin {
            // Nobody is to have it afterwards.
            self.expires = Instant::now();
        }
        Ok(())
    }

    /// Whether it has the settings and the role of its login, in whichever database.
    pub fn is_as_at_login(&self) -> bool {
        let database = self.fresh.database.clone();
        let environment = Environment { database, ..(*self.environment).clone() };
        self.traces.role != Leftover::Present && environment == *self.fresh
    }

    /// Whether the server closed the connection, or said something unasked (it does so before it
    /// closes an idle connection). Never waits.
    pub fn is_stale(&mut self) -> bool {
        if !self.input.is_empty() {
            return true;
        }
        let mut byte = [0; 1];
        if let Stream::Plain(tcp) = &self.stream {
            // Asks the system only where it has said that there is something.
            let read = tcp.try_read(&mut byte);
            return !read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        }
        let mut buffer = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        let polled = std::pin::Pin::new(&mut self.stream).poll_read(&mut context, &mut buffer);
        !matches!(polled, Poll::Pending)
    }

    /// How long it may be idle: less than until the server closes it, so that no command meets it
    /// on the way. `None` for as long as anybody likes.
    pub fn idle_limit(&self) -> Option<Duration> {
        let limit = self.environment.wait_timeout().or_else(|| self.baseline.wait_timeout())?;
        Some(limit.saturating_sub((limit / 4).min(IDLE_MARGIN)))
    }

    /// Says `COM_QUIT`, so that the server does not count an aborted client, and closes.
    ///
    /// Cancel safe: an interrupted farewell closes the connection all the same.
    pub async fn quit(mut self) {
        let quit = [1, 0, 0, 0, CommandCode::Quit.byte()];
        // The connection ends either way.
        let _ = send(&mut self.stream, &quit).await;
    }
}

/// What comes of `work`, unless its server was given up some time ago.
async fn within<T>(
    fence: &Fence,
    work: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    let given_up = async {
        fence.closed().await;
        sleep(LAST_WORDS).await;
    };
    tokio::select! {
        biased;
        done = work => done,
        () = given_up => Err(LinkError::Closed),
    }
}

/// What the answer to [`RANDOM`] tells.
pub(super) fn random_state(answer: &Answer) -> Option<RandomState> {
    let number = |at: usize| answer.first_row.get(at).and_then(|value| value.as_deref());
    RandomState::between([number(0), number(1)])
}

pub(super) fn set_names(fresh: &Environment) -> Vec<u8> {
    let charset = fresh.names.charset.as_deref().unwrap_or("utf8mb4");
    match &fresh.names.collation {
        Some(collation) => format!("SET NAMES '{charset}' COLLATE '{collation}'").into_bytes(),
        None => format!("SET NAMES '{charset}'").into_bytes(),
    }
}
