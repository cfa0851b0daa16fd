//! Whatever a session says, Millpond's clients see what they would see on a connection of their
//! own.
//!
//! Sessions of generated statements ([`statements`]) run at once over fewer connections than there
//! are sessions, and each statement also on a direct connection: its twin. All packets of both
//! replies are compared: rows, columns, counts, ids, warnings, status flags, trackers, errors.
//! Millpond hands over connections after every statement that lets it (`hand_over = "always"`).
//!
//! # What is not compared, and why
//!
//! - The names of databases: the twins work in different ones, so that they are not in each
//!   other's way. The names are equally long and put in each other's place.
//! - The numbers of prepared statements and of connections, also in error texts: they are the
//!   client's handles, not content. `CONNECTION_ID()` has to be what the greeting said, on both
//!   sides.
//! - The order of trackers in an OK packet: the server's mood.
//! - What the end of column definitions says of the statement's end, but for the
//!   cursor and autocommit: a server knows some of it before the first row, a proxy that passes
//!   rows on does not.
//! - The trackers of a reply in which MySQL reports the state of the transaction, as it does now and
//!   then to clients that did not ask for it.
//! - The number of warnings in replies to commands that are no statements (`COM_INIT_DB`,
//!   `COM_PING`, `COM_SET_OPTION`, `COM_FIELD_LIST`), where MySQL repeats the last statement's. What
//!   `SHOW WARNINGS` says after them is compared.
//! - The flag that announces trackers where none follow: in an EOF packet, which has no room for
//!   them, and in a packet with an empty list.
//! - On MariaDB, trackers in a session after its first error: what a failing statement changed is
//!   reported whenever the server next reports anything, and what Millpond asks for in between
//!   brings it earlier.
//! - `FOUND_ROWS()` after a login to MariaDB, which shows another's.
//! - On MariaDB, in error texts, the kind of geometry in a user variable, and the number of the row
//!   that a parameter is in, which is that of some earlier statement.
//! - The reply to `COM_CHANGE_USER`, but for its success: the dialogue has other random numbers.
//!
//! # What is not said
//!
//! MySQL 9.7 answers an execution without a cursor, of a statement that had one before, with column
//! definitions and no end: such executions are left out, and where it does so to an execution with
//! a cursor, the session ends.
//!
//! Errors in other languages (`lc_messages`), and in character sets of more than one byte for each
//! character: those of Millpond's own are in English, and in ASCII.
//!
//! Binary calls of procedures with `OUT` parameters by clients without `DEPRECATE_EOF`: MySQL ends the
//! reply with these there, and with an OK behind them, as Millpond does, where a client has it.
//!
//! Questions for the last values of sequences in stored code that is hidden or builds its text.
//!
//! `SET NAMES` in stored code on MariaDB, which puts the collation of the connection back at its end,
//! and then computes with what its variables do not say.
//!
//! `ROW_COUNT()` in texts that are prepared by name: the connection answers that, on which Millpond may
//! have asked something.
//!
//! Results with rows, of stored code that has opened a cursor: the server says so in front of them,
//! which nobody can know.
//!
//! Questions for warnings on MariaDB, after several statements at once and after stored routines:
//! MariaDB keeps the warnings of the past until a statement uses a table, and what runs inside does
//! not show.
//!
//! Questions for the character set of the database, in sessions that have altered that, between a
//! reset (`COM_RESET_CONNECTION`) and their next entering of a database: servers then answer with
//! their own, Millpond with the database's.
//!
//! `FOUND_ROWS()` on MySQL between a `SET` with a subquery, a table that is made of selected rows, or an
//! `UPDATE` that failed, and the next `SELECT`: the next `DELETE` or `INSERT` makes it what these had
//! found.
//!
//! On MySQL, executions of a statement that is no read with other types than before, and such whose
//! table was altered since their preparation: on another connection, they are as behind that.
//!
//! On MySQL, a number in a user variable goes on having the collation that the connection had when it
//! was assigned, and a restored one has that of now; nothing here joins such a number with a text of
//! another character set.
//!
//! # More of it
//!
//! `DIFFERENTIAL_STATEMENTS` says how many statements run on each server, `DIFFERENTIAL_SEED`
//! which. A difference is shrunk; `PROPTEST_MAX_SHRINK_ITERS=0` shows it as it was found.
//! `DIFFERENTIAL_SESSION` names a file with what a session says, a line for each command, as it is
//! told of a difference, in place of the known ones. An empty line ends it; the next one comes after
//! it. What of them makes no difference is left out of what is told ([`shrink`]).
//! `DIFFERENTIAL_LOG` names a file in which the servers write what they are told, by either side.
//! `DIFFERENTIAL_SETTINGS` names a file with lines for the servers' configuration.
//! `DIFFERENTIAL_ALL=1` goes on behind a difference, and shows all of them in the end.
#![allow(clippy::disallowed_methods, reason = "a test's tasks end with it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::print_stderr, reason = "remarks of a test")]

mod accounts;
mod compare;
mod further;
mod known;
mod known_later;
mod oracle;
mod shrink;
mod side;
mod statements;
mod step;
#[path = "../support/mod.rs"]
mod support;
mod workspace;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tokio::task::JoinSet;

use self::accounts::Accounts;
use self::compare::{Trackers, Untold};
use self::side::Side;
use self::step::Step;
use self::support::flavor::Flavor;
use self::support::millpond::{Millpond, Settings};
use self::support::raw::reply::Reply;
use self::support::server::Server;
use self::support::servers;

/// Sessions that run at once.
const SESSIONS: usize = 6;
/// Connections that they share.
const CONNECTIONS: usize = 3;
/// How long a statement may take, its waiting for a connection and for locks included.
const LONGEST_REPLY: Duration = Duration::from_secs(30);
/// Every how many cases the connections are looked at.
const LOOKS: usize = 8;
/// Statements of one session, on average.
const STEPS: usize = 40;

#[test]
fn sessions_on_mariadb_see_no_difference() {
    on(Flavor::MariaDb);
}

#[test]
fn sessions_on_mysql_see_no_difference() {
    on(Flavor::MySql);
}

fn on(flavor: Flavor) {
    if !servers::available().contains(&flavor) {
        return;
    }
    let log = std::env::var("DIFFERENTIAL_LOG")
        .map(|path| format!("general_log=ON\ngeneral_log_file={path}.{flavor}"));
    let more = std::env::var("DIFFERENTIAL_SETTINGS")
        .map(|path| std::fs::read_to_string(path).expect("lines for the servers' configuration"))
        .unwrap_or_default();
    let settings: Vec<_> =
        oracle::SETTINGS.iter().copied().chain(log.as_deref().ok()).chain(more.lines()).collect();
    let server = Server::start(flavor, &settings);
    let server: &'static Server = Box::leak(Box::new(server));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(workspace::create(server, SESSIONS));
    let millponds = ["always", "when-needed"].map(|hand_over| {
        let settings = Settings {
            pool: format!(
                "max_size = {CONNECTIONS}\nmin_idle = {CONNECTIONS}\n\
                 hand_over = \"{hand_over}\"\nborrow_timeout = \"2m\"\n"
            ),
            environment: vec![accounts::TOLD.map(str::to_owned).into()],
            ..Settings::default()
        };
        Millpond::start(server, &settings)
    });
    let said = AtomicUsize::new(0);
    let known = known::known().map(|(what, sessions)| (*what, sessions.to_vec()));
    let known = known::told().map_or_else(|| known.collect(), |told| vec![told]);
    for (what, sessions) in known {
        for millpond in &millponds {
            let run = |sessions: &[Vec<&'static str>]| {
                sessions.iter().try_for_each(|session| {
                    // Said by a client of each generation.
                    let steps: Vec<_> = session.iter().copied().map(Step::known).collect();
                    let clients = vec![steps; side::GENERATIONS];
                    runtime.block_on(case(server, millpond.port, clients, &said))
                })
            };
            let sessions: Vec<_> = sessions.iter().map(|session| session.to_vec()).collect();
            if let Err(first) = run(&sessions) {
                let shortest = shrink::shrunk(sessions, |shorter| run(shorter).is_err());
                let seen = run(&shortest);
                panic!("{flavor}: {what}\n{}", seen.err().unwrap_or(first));
            }
        }
    }
    let wanted = number("DIFFERENTIAL_STATEMENTS", 5000);
    let seed = number("DIFFERENTIAL_SEED", 1);
    let config = Config {
        // Half of the sessions that there may be, on average.
        cases: u32::try_from(wanted.div_ceil(SESSIONS * STEPS / 2)).expect("a number of cases"),
        failure_persistence: None,
        max_shrink_iters: u32::try_from(number("PROPTEST_MAX_SHRINK_ITERS", 200))
            .expect("a number"),
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(seed as u64).to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    // Every third case runs where a session finds its connection again as long as nobody else
    // needs it.
    let sessions = prop::collection::vec(step::session(STEPS, flavor), 1..=SESSIONS);
    let sessions = (prop::sample::select(&[0, 0, 1][..]), sessions);
    let all = number("DIFFERENTIAL_ALL", 0) > 0;
    let found = Mutex::new(Vec::new());
    let cases = AtomicUsize::new(0);
    let accounts = [(); 2].map(|()| Mutex::new(Accounts::default()));
    let outcome = TestRunner::new_with_rng(config, rng).run(&sessions, |(at, sessions)| {
        let port = millponds[at].port;
        let mut outcome = runtime.block_on(case(server, port, sessions, &said));
        if outcome.is_ok() {
            let mut accounts = accounts[at].lock();
            outcome = runtime.block_on(accounts.compare(server, &millponds[at]));
        }
        if outcome.is_ok() && cases.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOKS) {
            outcome = runtime.block_on(oracle::look(server, port));
        }
        match outcome {
            Err(difference) if all => found.lock().push(difference),
            outcome => return outcome.map_err(TestCaseError::fail),
        }
        Ok(())
    });
    let crash = server.crash();
    server.kill();
    assert_eq!(crash, None, "{flavor} crashed, seed {seed}");
    eprintln!("{flavor}: {} statements compared", said.load(Ordering::Relaxed));
    let found = found.into_inner();
    assert!(found.is_empty(), "{flavor}: {} differences\n{}", found.len(), found.join("\n"));
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, _)) => {
            let logs = millponds.each_ref().map(Millpond::log);
            panic!("{flavor}: {why}\n{}", logs.join("\n"));
        }
        Err(error) => panic!("{flavor}: {error}"),
    }
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

/// Runs sessions at once.
async fn case(
    server: &'static Server,
    port: u16,
    sessions: Vec<Vec<Step>>,
    said: &AtomicUsize,
) -> Result<(), String> {
    let mut running = JoinSet::new();
    for (number, steps) in sessions.into_iter().enumerate() {
        running.spawn(session(server, port, number, steps));
    }
    let mut differences = String::new();
    while let Some(done) = running.join_next().await {
        match done.expect("a session's end") {
            Ok(statements) => {
                said.fetch_add(statements, Ordering::Relaxed);
            }
            Err(difference) => differences += &difference,
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(differences) }
}

/// A reply that does not come is an error like another, so that its statement is shown.
async fn in_time(
    reply: impl Future<Output = io::Result<Option<Reply>>>,
) -> io::Result<Option<Reply>> {
    match tokio::time::timeout(LONGEST_REPLY, reply).await {
        Ok(reply) => reply,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// MySQL 9.7 ends some replies to executions with a cursor in a way that no client understands.
fn is_endless(error: &io::Error, text: &str, flavor: Flavor) -> bool {
    flavor == Flavor::MySql
        && error.kind() == io::ErrorKind::TimedOut
        && text.starts_with("!execute")
        && text.ends_with("cursor")
}

/// Runs one session on both sides, up to the first difference.
async fn session(
    server: &'static Server,
    port: u16,
    number: usize,
    steps: Vec<Step>,
) -> Result<usize, String> {
    let mut admin = server.admin().await;
    workspace::refresh(&mut admin, server.flavor, number).await;
    admin.disconnect().await.ok();
    let names = [compare::DIRECT, compare::THROUGH].map(|side| format!("{side}{number}"));
    let log_in = |error| format!("session {number} cannot log in: {error}");
    let mut direct = Side::log_in(number, &names[0], server.port).await.map_err(log_in)?;
    let mut through = Side::log_in(number, &names[1], port).await.map_err(log_in)?;
    let (mut told, mut failed) = (String::new(), false);
    // What MariaDB's FOUND_ROWS() says before anything was selected is what an earlier user of the
    // server's thread found.
    for side in [&mut direct, &mut through] {
        side.say("SELECT 1").await.map_err(log_in)?;
    }
    let mut untold = Untold::new(server.flavor, number);
    let count = steps.len();
    for step in steps {
        let text = step.text(&names[0], direct.connection_id());
        if untold.is_asked(&text) {
            continue;
        }
        told += &format!("  {text}\n");
        let right = in_time(direct.say(&text)).await;
        let same = step.text(&names[1], through.connection_id());
        let seen = in_time(through.say(&same)).await;
        let difference = match (right, seen) {
            (Ok(Some(right)), Ok(Some(seen))) => {
                let ids = [&direct, &through].map(Side::connection_id);
                failed |= right.error().is_some();
                let late = failed && server.flavor == Flavor::MariaDb;
                let trackers = if late { Trackers::Ignored } else { Trackers::Compared };
                untold.after(&text, &right);
                compare::difference(&text, ids, trackers, right, seen)
            }
            (Ok(None), Ok(None)) => None,
            (Err(_), Err(_)) => break,
            (Err(error), Ok(_)) if is_endless(&error, &text, server.flavor) => break,
            (right, seen) => Some(format!("  right: {right:?}\n  seen: {seen:?}\n")),
        };
        if let Some(difference) = difference {
            let last: Vec<_> = told.lines().rev().take(200).collect();
            let last: Vec<_> = last.into_iter().rev().collect();
            direct.quit().await;
            through.quit().await;
            return Err(format!("session {number}:\n{}\n{difference}", last.join("\n")));
        }
    }
    direct.quit().await;
    through.quit().await;
    Ok(count)
}
