//! From a login to a connection that a pool can lend: trackers, baseline, init query.

use super::connection::{Connection, Resets, StateError, TRACKERS, random_state, set_names};
use super::dialogue::{Content, Question, Reply, read_reply, rows};
use super::fence::Fence;
use super::limits::{self, Limits};
use super::login::LoggedIn;
use super::server::{HostNames, ServerInfo, TrackerDefaults};
use crate::net::buffer::ReadBuffer;
use crate::net::link::{LinkError, send};
use crate::net::stream::Stream;
use crate::session::align::SetOption;
use crate::session::inspection::mariadb::RANDOM;
use crate::session::need::{END_TRANSACTION, Traces};
use crate::session::prepared::BackendStatements;
use crate::session::residue::CapturedResult;
use crate::session::server::Flavor;
use crate::session::server::NameCase;
use crate::session::state::{Baseline, Environment, LoginRole};
use crate::wire::capability::Capabilities;
use crate::wire::fault::Fault;
use bytes::BytesMut;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The collation that Millpond logs in with: `utf8mb4_general_ci`, which every server has.
pub const LOGIN_COLLATION: u16 = 45;

/// What of a new connection is decided by its pool.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What is already known of the server, unless it turns out to be another version.
    pub server: Option<Arc<ServerInfo>>,
    /// The baseline of the pool's last connection, to be shared when equal.
    pub baseline: Option<Arc<Baseline>>,
    /// The environment of a fresh connection, to be shared.
    pub fresh: Arc<Environment>,
    /// SQL that each new connection runs first; empty for none.
    pub init_query: Arc<str>,
    /// How long the connection may live, jitter included.
    pub lifetime: Duration,
    /// How many connections there may be of those among which the server's prepared statements are
    /// shared out.
    pub sharers: usize,
    /// The pool's generation.
    pub generation: u64,
}

/// The most prepared statements that are kept on a connection, whatever its server allows.
const MOST_STATEMENTS: usize = 256;

impl Setup {
    /// The environment in which [`LOGIN_COLLATION`] puts a session.
    pub fn fresh_environment() -> Arc<Environment> {
        let (charset, collation) = Baseline::LOGIN_NAMES;
        Arc::new(Environment::at_login(charset, collation))
    }
}

const SESSION_VARIABLES: &[u8] = b"SHOW SESSION VARIABLES";
const ROLE: &[u8] = b"SELECT CURRENT_ROLE() LIMIT 1";
const GLOBAL_VARIABLES: &[u8] = b"SHOW GLOBAL VARIABLES";
// Both servers know these columns; MariaDB 10.10 and later have collations without a number.
const COLLATIONS: &[u8] = b"SELECT ID, CHARACTER_SET_NAME, COLLATION_NAME \
FROM information_schema.COLLATIONS WHERE ID IS NOT NULL AND CHARACTER_SET_NAME IS NOT NULL";

/// Makes a freshly logged in connection ready to be lent.
///
/// Not cancel safe: the connection is closed when this is interrupted.
///
/// # Errors
///
/// When the link fails, or the server refuses a statement of the set-up (an init query that does
/// not work is such a one).
pub async fn set_up(login: LoggedIn, setup: Setup) -> Result<Connection, StateError> {
    let LoggedIn { mut stream, leftover, server, status, .. } = login;
    let known = setup.server.clone().filter(|info| info.version == server.version);
    let mut link = Link { input: ReadBuffer::with(&leftover), capabilities: server.capabilities };
    let mut first = vec![Question::SetOption(SetOption::MultiStatementsOff)];
    if !setup.init_query.is_empty() {
        // What it sets is what every session of the connection begins with.
        first.push(Question::Query(setup.init_query.as_bytes()));
    }
    first.push(Question::Query(limits::QUESTION));
    let mut first = link.ask(&mut stream, &first).await?;
    let limits = first.pop().ok_or(LinkError::Closed)?;
    no_error(&first)?;
    let limits = Limits::read(&limits).map_err(LinkError::from)?;
    let mut questions = Vec::new();
    if limits.are_felt() {
        questions.push(Question::Query(limits::LIFT));
    }
    let at = questions.len();
    questions.push(Question::Query(SESSION_VARIABLES));
    if known.is_none() {
        questions.extend([Question::Query(GLOBAL_VARIABLES), Question::Query(COLLATIONS)]);
    }
    let put_back = limits.put_back();
    if limits.are_felt() {
        questions.push(Question::Query(put_back.as_bytes()));
    }
    questions.push(Question::Query(TRACKERS));
    if server.version.flavor == Flavor::MariaDb {
        questions.extend([Question::Query(RANDOM), Question::Query(ROLE)]);
    }

    let replies = link.ask(&mut stream, &questions).await?;
    no_error(&replies)?;
    let mut variables = pairs(&replies[at])?;
    limits.correct(&mut variables);
    let mut baseline = baseline(&variables);
    let mut random = None;
    if let (Flavor::MariaDb, [.., numbers, role]) = (server.version.flavor, &*replies) {
        baseline.role = login_role(Some(role))?;
        if let Content::Rows(answer) = &numbers.content {
            random = random_state(answer);
        }
    }
    let baseline = match setup.baseline {
        Some(shared) if *shared == baseline => shared,
        _ => Arc::new(baseline),
    };
    put_right(&mut stream, &mut link, &baseline, &setup.fresh).await?;
    let Link { mut input, .. } = link;
    input.rest();
    let info = match known {
        Some(info) => info,
        None => Arc::new(server_info(server.version.clone(), &replies[at + 1], &replies[at + 2])?),
    };
    // Half of what the server allows is for others: clients that are not Millpond's, statements that
    // are prepared while the former are still to be closed.
    let statements = info.max_prepared_statements as usize / 2 / setup.sharers.max(1);
    let now = Instant::now();
    Ok(Connection {
        stream,
        input,
        output: BytesMut::new(),
        server: info,
        thread_id: server.connection_id,
        capabilities: server.capabilities,
        environment: setup.fresh.clone(),
        entered: 0,
        fresh: setup.fresh,
        init_query: setup.init_query,
        resets: Resets::of(&baseline),
        baseline,
        status,
        statements: BackendStatements::new(statements.clamp(1, MOST_STATEMENTS)),
        traces: Traces { last_insert_id: Some(0), random, ..Traces::default() },
        opened: now,
        expires: now + setup.lifetime,
        last_used: now,
        generation: setup.generation,
        fence: Fence::default(),
    })
}

/// Sees to it that a connection is what it is taken for. A server may disregard the collation of a login
/// (`skip-character-set-client-handshake`), or say something else behind it (`init_connect`); and under
/// `autocommit=0`, MySQL's questions begin a transaction.
async fn put_right(
    stream: &mut Stream,
    link: &mut Link,
    baseline: &Baseline,
    fresh: &Environment,
) -> Result<(), StateError> {
    let names = set_names(fresh);
    let mut questions = Vec::new();
    if baseline.names_of_server().is_some() {
        questions.push(Question::Query(&names));
    }
    if baseline.get("autocommit") == Some(b"OFF") {
        questions.push(Question::Query(END_TRANSACTION));
    }
    if questions.is_empty() {
        return Ok(());
    }
    no_error(&link.ask(stream, &questions).await?)
}

fn no_error(replies: &[Reply]) -> Result<(), StateError> {
    let error = replies.iter().find_map(|reply| match &reply.content {
        Content::Err(error) => Some(error.clone()),
        _ => None,
    });
    error.map_or(Ok(()), |error| Err(StateError::Refused(error)))
}

/// What is read of a connection that is being set up.
struct Link {
    input: ReadBuffer,
    capabilities: Capabilities,
}

impl Link {
    /// Asks all at once.
    async fn ask(
        &mut self,
        stream: &mut Stream,
        questions: &[Question<'_>],
    ) -> Result<Vec<Reply>, LinkError> {
        let mut output = BytesMut::new();
        for question in questions {
            question.put(&mut output, self.capabilities);
        }
        send(stream, &output).await?;
        let mut replies = Vec::with_capacity(questions.len());
        for question in questions {
            let (input, shape) = (&mut self.input, question.shape());
            replies.push(read_reply(stream, input, shape, self.capabilities).await?);
        }
        Ok(replies)
    }
}

fn baseline(variables: &[(String, Vec<u8>)]) -> Baseline {
    Baseline::from_rows(variables.iter().map(|(name, value)| (name.as_str(), value.as_slice())))
}

/// The answer to [`ROLE`].
fn login_role(reply: Option<&Reply>) -> Result<LoginRole, LinkError> {
    match reply.map(|reply| &reply.content) {
        Some(Content::Rows(answer)) => match answer.first_row.first() {
            Some(Some(name)) => Ok(LoginRole::Named(name.as_slice().into())),
            _ => Ok(LoginRole::None),
        },
        _ => Err(Fault::Unexpected { expected: "a role" }.into()),
    }
}

fn result(reply: &Reply) -> Result<&CapturedResult, LinkError> {
    match &reply.content {
        Content::Rows(answer) => Ok(&answer.result),
        _ => Err(Fault::Unexpected { expected: "a result set" }.into()),
    }
}

/// The rows of `SHOW VARIABLES`.
fn pairs(reply: &Reply) -> Result<Vec<(String, Vec<u8>)>, LinkError> {
    let rows = rows(result(reply)?)?;
    let pair = |row: &Vec<Option<&[u8]>>| {
        let name = String::from_utf8_lossy(row.first()?.as_ref()?).to_ascii_lowercase();
        Some((name, row.get(1)?.unwrap_or_default().to_vec()))
    };
    Ok(rows.iter().filter_map(pair).collect())
}

fn server_info(
    version: crate::session::server::ServerVersion,
    globals: &Reply,
    collations: &Reply,
) -> Result<ServerInfo, LinkError> {
    let globals: HashMap<String, String> = pairs(globals)?
        .into_iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
        .collect();
    let global = |name: &str| globals.get(name).map(String::as_str);
    let number = |name: &str, otherwise: u32| {
        global(name).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
    };
    let name = |key: &str, otherwise: &str| global(key).unwrap_or(otherwise).into();
    let lower_case = number("lower_case_table_names", 0);
    Ok(ServerInfo {
        version,
        max_connections: number("max_connections", 151),
        max_prepared_statements: number("max_prepared_stmt_count", 16_382),
        default_names: (
            name("character_set_server", "utf8mb4"),
            name("collation_server", "utf8mb4_general_ci"),
        ),
        collations: rows(result(collations)?)?.iter().filter_map(|row| collation(row)).collect(),
        trackers: TrackerDefaults::from_globals(global),
        names_ignore_case: if lower_case == 0 { NameCase::Exact } else { NameCase::Ignored },
        hosts: match global("skip_name_resolve") {
            Some("ON" | "1") => HostNames::Skipped,
            _ => HostNames::Resolved,
        },
    })
}

/// The number, and the names of character set and collation.
type Collation = (u16, (Box<str>, Box<str>));

fn collation(row: &[Option<&[u8]>]) -> Option<Collation> {
    let text = |at: usize| std::str::from_utf8(row.get(at).copied().flatten()?).ok();
    Some((text(0)?.parse().ok()?, (text(1)?.into(), text(2)?.into())))
}
