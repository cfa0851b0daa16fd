//! What servers tell, and what comes of it.

use super::mysql::Answers;
use super::*;
use crate::session::residue::Residue;
use crate::session::server::ServerVersion;
use crate::session::state::{Baseline, Environment};

const THREAD: u32 = 7;

fn session(version: &str) -> Session {
    let environment = Arc::new(Environment::at_login("utf8mb4", "utf8mb4_general_ci"));
    let version = ServerVersion::parse(version.as_bytes());
    let mut session = Session::new(environment, &version, &Baseline::default());
    session.pins.put(PinReason::Impure, Holds::Yes);
    session.unseen.open = true;
    session
}

fn row<'a>(values: &[&'a str]) -> Row<'a> {
    values.iter().map(|value| (*value != "NULL").then_some(value.as_bytes())).collect()
}

/// What MySQL says of a connection that is watched, and of what is on it.
fn on_mysql(found: &[[&str; 3]], counts: [&str; 2]) -> Result<Found, Untold> {
    let mut watched = vec![
        row(&["thread", "YES", "USR_default"]),
        row(&["watched", "YES", "NULL"]),
        row(&["watched", "YES", "NULL"]),
        row(&["lost", "0", "NULL"]),
        row(&["lost", "0", "NULL"]),
    ];
    watched.extend(found.iter().map(|found| row(found)));
    let counts = [row(&["Com_create_table", counts[0]]), row(&["Com_set_role", counts[1]])];
    let answers = Answers {
        watched: &watched,
        counts: &counts,
        role: &[row(&["`r`@`%`"])],
        trace: &[],
        profile: &[],
        variables: None,
        thread: THREAD,
    };
    let traces = Traces { tables_made: 2, ..Traces::default() };
    mysql::read(&answers, &session("9.7.0"), &traces, &Baseline::default())
}

#[test]
fn what_is_not_watched_is_not_believed() {
    assert_eq!(on_mysql(&[], ["2", "0"]), Ok(Found::default()));
    for (wrong, why) in [
        (["watched", "NO", "NULL"], Untold::Blind),
        (["lost", "1", "NULL"], Untold::Blind),
        (["lost", "0", "NULL"], Untold::Blind),
        (["thread", "YES", "USR_default"], Untold::Blind),
        (["variable", "größe", "NULL"], Untold::Name),
        (["lock", "x", "LOCKING SERVICE EXPLICIT"], Untold::Lock),
        (["other", "x", "NULL"], Untold::Unreadable),
    ] {
        assert_eq!(on_mysql(&[wrong], ["2", "0"]), Err(why), "{wrong:?}");
    }
    assert_eq!(on_mysql(&[], ["many", "0"]), Err(Untold::Unreadable));
}

#[test]
fn what_mysql_tells_is_what_there_is() {
    let found = on_mysql(
        &[
            ["variable", "Abc", "NULL"],
            ["statement", "NULL", "NULL"],
            ["statement", "PS", "NULL"],
            ["lock", "name", "USER LEVEL LOCK EXPLICIT"],
            ["lock", "t", "TABLE EXPLICIT"],
            ["lock", "t", "TABLE TRANSACTION"],
            ["lock", "NULL", "GLOBAL EXPLICIT"],
            ["lock", "NULL", "BACKUP LOCK EXPLICIT"],
        ],
        ["3", "1"],
    )
    .unwrap();
    assert_eq!(found.variables, [Box::from(&b"abc"[..])]);
    assert_eq!(
        found.statements,
        TextStatementsFound::Named(vec![(b"ps"[..].into(), Whose::Unknown)])
    );
    assert_eq!(found.user_locks, [Box::from(&b"name"[..])]);
    assert!(found.handlers);
    let pins = [
        PinReason::TableLock,
        PinReason::ReadLock,
        PinReason::InstanceLock,
        PinReason::TemporaryTable,
    ];
    assert_eq!(found.pins, pins);
    assert_eq!(found.role, Some(Role::Set(b"`r`@`%`"[..].into())));
}

#[test]
fn nothing_found_frees_the_session() {
    let mut session = session("9.7.0");
    let mut traces = Traces::default();
    assert!(is_due(&session));
    assert_eq!(take_in(&mut session, Found::default(), &mut traces), Verdict::Known);
    assert!(session.pins.is_empty() && !is_due(&session));
}

#[test]
fn what_can_be_carried_is_fetched_like_the_sessions_own() {
    let mut session = session("9.7.0");
    let mut traces = Traces::default();
    let found = Found { variables: vec![b"x"[..].into()], ..Found::default() };
    take_in(&mut session, found, &mut traces);
    assert!(session.pins.is_empty());
    let Residue { last_insert_id, .. } = &session.residue;
    assert_eq!(*last_insert_id, LastInsertId::OnBackend);
    assert!(session.residue.is_on_backend(b"x") && traces.variables.contains_key(&b"x"[..]));
}

#[test]
fn what_cannot_be_carried_is_a_pin_of_its_own() {
    let mut session = session("9.7.0");
    let mut traces = Traces::default();
    let found = Found {
        user_locks: vec![b"l"[..].into()],
        statements: TextStatementsFound::Named(vec![(b"p"[..].into(), Whose::Unknown)]),
        pins: vec![PinReason::ReadLock],
        ..Found::default()
    };
    assert_eq!(take_in(&mut session, found, &mut traces), Verdict::Known);
    let pins: Vec<_> = session.pins.iter().collect();
    assert_eq!(pins, [PinReason::ReadLock, PinReason::TextStatement, PinReason::UserLock]);
    assert!(session.pins.locks_query().is_some());
    // None of these ends by a look: each has its own statement for that.
    session.unseen.open = true;
    assert!(!is_due(&session));
}

#[test]
fn a_handler_is_looked_for_again() {
    let mut session = session("10.11.0-MariaDB");
    let mut traces = Traces::default();
    let found = Found { handlers: true, ..Found::default() };
    assert_eq!(take_in(&mut session, found, &mut traces), Verdict::Kept);
    assert!(session.pins.has(PinReason::Impure) && !is_due(&session));
    session.unseen.open = true;
    assert!(is_due(&session));
    take_in(&mut session, Found::default(), &mut traces);
    assert!(session.pins.is_empty());
}

#[test]
fn nothing_is_asked_while_it_could_not_be_told() {
    let mut transaction = session("9.7.0");
    transaction.pins.put(PinReason::Transaction, Holds::Yes);
    assert!(!is_due(&transaction));
    let mut without = session("9.7.0");
    without.status = without.status.without(Status::AUTOCOMMIT);
    assert!(!is_due(&without));
    without.unseen.outside = true;
    assert!(is_due(&without));
    let mut other = session("9.7.0");
    other.pins.clear();
    assert!(!is_due(&other));
}

/// What MariaDB says of a session that has nothing.
fn on_mariadb() -> Vec<Vec<Row<'static>>> {
    vec![
        vec![],
        vec![],
        vec![
            row(&["COM_CREATE_SEQUENCE", "0"]),
            row(&["COM_CREATE_TEMPORARY_TABLE", "0"]),
            row(&["COM_STMT_PREPARE", "5"]),
            row(&["COM_STMT_CLOSE", "4"]),
        ],
        vec![
            row(&["CHARACTER_SET_CLIENT", "utf8mb4"]),
            row(&["CHARACTER_SET_RESULTS", "utf8mb4"]),
            row(&["COLLATION_CONNECTION", "utf8mb4_general_ci"]),
            row(&["TIME_ZONE", "SYSTEM"]),
            row(&["PSEUDO_THREAD_ID", "7"]),
            row(&["INSERT_ID", "0"]),
        ],
        vec![row(&["1.000001", "NULL"])],
        vec![row(&["1.000002", "0"])],
        vec![row(&["0.44787685056019283", "0.6208260446980838"])],
        vec![],
        vec![],
    ]
}

fn read_mariadb(answers: &[Vec<Row<'_>>]) -> Result<(Found, mariadb::Numbers), Untold> {
    let mut baseline = Baseline::from_rows([("time_zone", &b"SYSTEM"[..])].into_iter());
    baseline.role = crate::session::state::LoginRole::None;
    let on = mariadb::Connection { thread: THREAD, baseline: &baseline, statements: 1 };
    let numbers: [Option<&[u8]>; 2] = [Some(b"0.08324008163366474"), Some(b"0.5395194129455084")];
    let random = random::RandomState::between(numbers);
    let traces = Traces { random, ..Traces::default() };
    mariadb::read(answers, &session("10.11.0-MariaDB"), &traces, &on)
}

#[test]
fn a_mariadb_session_that_has_nothing_is_told_from_one_that_has() {
    let (found, numbers) = read_mariadb(&on_mariadb()).unwrap();
    let nothing = Found { statements: TextStatementsFound::Known, ..Found::default() };
    assert_eq!(found, nothing);
    assert!(matches!(numbers, mariadb::Numbers::Follow(_)));
    let with = |at: usize, rows: Vec<Row<'static>>| {
        let mut answers = on_mariadb();
        answers[at] = rows;
        read_mariadb(&answers).map(|(found, _)| found)
    };
    let pinned = |found: Result<Found, Untold>| found.unwrap().pins;
    let immovable = [PinReason::ImmovableVariable];
    // A clock that stands still, and numbers that do not follow.
    assert_eq!(pinned(with(5, vec![row(&["1.000001", "0"])])), immovable);
    assert_eq!(pinned(with(6, vec![row(&["0.5", "0.25"])])), immovable);
    assert_eq!(pinned(with(7, vec![row(&["1"])])), [PinReason::OptimizerTrace]);
    let role = with(4, vec![row(&["1.000001", "r"])]).unwrap().role;
    assert_eq!(role, Some(Role::Set(b"`r`"[..].into())));
    let lock = |kind, mode| with(1, vec![row(&[kind, mode, "name"])]);
    assert_eq!(lock("User lock", "MDL_SHARED_NO_WRITE").unwrap().user_locks.len(), 1);
    assert!(lock("Table metadata lock", "MDL_SHARED_READ").unwrap().handlers);
    assert_eq!(pinned(lock("Backup lock", "MDL_BACKUP_FTWRL2")), [PinReason::ReadLock]);
    assert_eq!(pinned(lock("Backup lock", "MDL_BACKUP_START")), [PinReason::Backup]);
    assert_eq!(lock("New lock", "MDL_X"), Err(Untold::Lock));
    assert_eq!(with(3, vec![]), Err(Untold::Unreadable));
    assert_eq!(read_mariadb(&on_mariadb()[..6]), Err(Untold::Unreadable));
}

#[test]
fn settings_that_differ_are_asked_for() {
    let mut answers = on_mariadb();
    answers[3][3] = row(&["TIME_ZONE", "+03:00"]);
    answers[3][1] = row(&["CHARACTER_SET_RESULTS", "latin1"]);
    let settings = read_mariadb(&answers).unwrap().0.settings;
    assert_eq!(settings.silent, [Box::from(&b"time_zone"[..])]);
    assert!(settings.charsets && settings.results && !settings.immovable);
    answers[3][5] = row(&["INSERT_ID", "5"]);
    assert!(read_mariadb(&answers).unwrap().0.settings.immovable);
}

#[test]
fn tables_are_counted_as_the_server_counts_them() {
    let mut traces = Traces::default();
    let makes = |kind| Analysis { kind, count: 1, ..Analysis::default() };
    made_table(&makes(StatementKind::CreateTable), true, &mut traces);
    made_table(&makes(StatementKind::CreateTemporaryTable), true, &mut traces);
    made_table(&makes(StatementKind::CreateTable), false, &mut traces);
    made_table(&makes(StatementKind::Select), true, &mut traces);
    assert_eq!((traces.tables_made, traces.temporary_tables_made), (1, 1));
}
