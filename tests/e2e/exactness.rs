//! Replies to the byte, directly and through Millpond, for old and new capabilities.

use mysql_async::prelude::Queryable;
use mysql_common::constants::CapabilityFlags as Flags;

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::{Encrypted, Login};
use crate::support::raw::packets::FULL;
use crate::support::raw::reply::{Expect, Raw, Reply};
use crate::support::server::Server;
use crate::support::servers;

const DATABASE: &str = "app_exact";

/// What clients of several generations ask for.
fn generations() -> Vec<(&'static str, Flags)> {
    let old = Flags::CLIENT_MULTI_RESULTS | Flags::CLIENT_PS_MULTI_RESULTS;
    let modern = old | Flags::CLIENT_DEPRECATE_EOF | Flags::CLIENT_SESSION_TRACK;
    vec![
        ("old", old),
        ("old with trackers", old | Flags::CLIENT_SESSION_TRACK),
        ("new ends", old | Flags::CLIENT_DEPRECATE_EOF),
        ("modern", modern),
        ("modern with attributes", modern | Flags::CLIENT_QUERY_ATTRIBUTES),
        ("old with attributes", old | Flags::CLIENT_QUERY_ATTRIBUTES),
        ("several at once", modern | Flags::CLIENT_MULTI_STATEMENTS),
        ("old, several at once", old | Flags::CLIENT_MULTI_STATEMENTS),
        ("found rows", modern | Flags::CLIENT_FOUND_ROWS),
        ("ignores space", modern | Flags::CLIENT_IGNORE_SPACE),
        ("local files", modern | Flags::CLIENT_LOCAL_FILES),
        (
            "old, local files among others",
            old | Flags::CLIENT_LOCAL_FILES | Flags::CLIENT_MULTI_STATEMENTS,
        ),
    ]
}

const QUERIES: &[&str] = &[
    "SELECT 1, 'a', NULL, 1.5, x'00ff'",
    "SELECT * FROM kinds",
    "SELECT * FROM kinds WHERE FALSE",
    "INSERT INTO kinds (name) VALUES ('x'), ('y')",
    "UPDATE kinds SET name = 'z' WHERE id > 1",
    "UPDATE kinds SET name = 'z' WHERE id > 1",
    "DELETE FROM kinds WHERE id > 1",
    "SELEKT",
    "SELECT * FROM nosuch",
    "",
    "-- nothing",
    "/* nothing */",
    "SET @a = 1",
    "SET NAMES utf8mb4",
    "SET time_zone = '+01:00'",
    "SET session_track_system_variables = 'sql_mode,autocommit'",
    "SET sql_mode = 'ANSI'",
    "SET autocommit = 0",
    "SET autocommit = 1",
    "SET session_track_transaction_info = 'CHARACTERISTICS'",
    "BEGIN",
    "INSERT INTO kinds (name) VALUES ('in it')",
    "ROLLBACK",
    "SET session_track_transaction_info = 'OFF'",
    "SELECT CAST('12x' AS SIGNED)",
    "SHOW WARNINGS",
    "USE app_exact",
    "USE app",
    "USE app_exact",
    "SELECT 1; SELECT 2",
    "CALL results()",
    "SELECT COUNT (*) FROM kinds",
    "LOAD DATA LOCAL INFILE 'any' INTO TABLE loaded",
    "SELECT 1; LOAD DATA LOCAL INFILE 'any' INTO TABLE loaded; SELECT 2",
    "SELECT COUNT(*) FROM loaded",
    "DELETE FROM loaded",
    "CREATE TEMPORARY TABLE t (x INT)",
    "DROP TEMPORARY TABLE t",
    "SELECT session_track_system_variables, session_track_schema",
    "START TRANSACTION READ ONLY",
    "DELETE FROM kinds",
    "COMMIT",
    "EXPLAIN SELECT 1",
    "DO 1",
    "SELECT 'x' INTO @x",
    "PREPARE p FROM 'SELECT ?'",
    "EXECUTE p USING @a",
    "DEALLOCATE PREPARE p",
];

async fn prepare(server: &Server) {
    let mut admin = server.admin().await;
    for sql in [
        "DROP DATABASE IF EXISTS app_exact",
        "CREATE DATABASE app_exact",
        "CREATE TABLE app_exact.kinds (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) \
         CHARACTER SET utf8mb4, price DECIMAL(10,2), at DATETIME(3), data BLOB, kind ENUM('a','b'))",
        "INSERT INTO app_exact.kinds VALUES (1, 'Grüße', 1.5, '2024-02-29 12:00:00.5', x'00', 'b')",
        "CREATE TABLE app_exact.loaded (n INT)",
        "CREATE PROCEDURE app_exact.results () BEGIN SELECT 1 AS a; SELECT 2 AS b, 3 AS c; END",
    ] {
        admin.query_drop(sql).await.expect(sql);
    }
    admin.disconnect().await.ok();
}

/// Runs everything on one connection: a name and a reply for each command.
async fn run(server: &Server, port: u16, login: &Login) -> Vec<(String, Reply)> {
    prepare(server).await;
    let mut client = login.at(port).await.expect("to log in");
    let mut seen = Vec::new();
    for sql in QUERIES {
        let reply = client.query(sql).await;
        seen.push(((*sql).to_owned(), reply.unwrap_or_else(|error| panic!("{sql}: {error}"))));
    }
    statements(&mut client, &mut seen).await;
    commands(&mut client, &mut seen).await;
    client.quit().await;
    seen
}

/// Prepared statements, with their numbers taken out.
async fn statements(client: &mut Raw, seen: &mut Vec<(String, Reply)>) {
    for (sql, parameters) in [
        ("SELECT 1 AS one", 0),
        ("SELECT ? AS a, ? AS b", 2),
        ("SELECT * FROM kinds WHERE id = ?", 1),
        ("SELECT * FROM kinds", 0),
        ("INSERT INTO kinds (name) VALUES (?)", 1),
        ("UPDATE kinds SET price = ?", 1),
        ("CALL results()", 0),
        ("SELECT id, (SELECT 1 UNION SELECT 2) FROM kinds", 0),
        ("SET @a = ?", 1),
        ("SELEKT ?", 1),
    ] {
        let text = [&[0x16], sql.as_bytes()].concat();
        let mut reply = client.command(&text, Expect::Statement).await.expect(sql);
        let Some(id) = reply.packets[0].1.get_mut(1..5).filter(|_| true) else { continue };
        let number: [u8; 4] = id.try_into().expect("four bytes");
        let refused = reply.error().is_some();
        if !refused {
            reply.packets[0].1[1..5].fill(0);
        }
        seen.push((format!("prepare {sql}"), reply));
        if refused {
            continue;
        }
        // With types, without them, and for a cursor.
        for (how, flags, bound) in [("typed", 0, 1), ("untyped", 0, 0), ("by cursor", 1, 1)] {
            let execute = execute(number, parameters, flags, bound, client.capabilities);
            let what = format!("{how}: {sql}");
            let expect = if flags == 1 { Expect::Cursor } else { Expect::Results };
            let reply = client.command(&execute, expect).await;
            let reply = reply.unwrap_or_else(|error| panic!("{what}: {error}"));
            let cursor = flags == 1 && has_cursor(&reply);
            seen.push((what, reply));
            if cursor {
                let fetch = [&[0x1c][..], &number, &[10, 0, 0, 0]].concat();
                let reply = client.command(&fetch, Expect::Rows).await.expect("rows");
                seen.push((format!("fetch: {sql}"), reply));
            }
        }
        let reset = [&[0x1a][..], &number].concat();
        let reply = client.command(&reset, Expect::One).await.expect("a reply");
        seen.push((format!("reset {sql}"), reply));
        let close = [&[0x19][..], &number].concat();
        client.command(&close, Expect::Nothing).await.expect("to send");
        let gone = execute(number, 0, 0, 0, client.capabilities);
        let reply = client.command(&gone, Expect::Results).await.expect("a reply");
        seen.push((format!("closed {sql}"), without_number(reply)));
    }
}

/// The number of an unknown statement is in the error's text.
fn without_number(reply: Reply) -> Reply {
    let mut reply = reply;
    for (_, packet) in &mut reply.packets {
        packet.retain(|byte| !byte.is_ascii_digit());
    }
    reply
}

fn execute(id: [u8; 4], parameters: u8, flags: u8, bound: u8, capabilities: Flags) -> Vec<u8> {
    let attributes = capabilities.contains(Flags::CLIENT_QUERY_ATTRIBUTES);
    // With attributes, their number may follow: here only the statement's own.
    let flags = if attributes { flags | 0x08 } else { flags };
    let mut execute = [&[0x17][..], &id, &[flags, 1, 0, 0, 0]].concat();
    if attributes {
        execute.push(parameters);
    }
    if parameters > 0 {
        execute.extend([0, bound]);
        for _ in 0..parameters * bound {
            // A string, with an empty name where names are.
            execute.extend([0xfd, 0]);
            if attributes {
                execute.push(0);
            }
        }
        for _ in 0..parameters {
            execute.extend(b"\x011");
        }
    }
    execute
}

fn has_cursor(reply: &Reply) -> bool {
    let Some((_, end)) = reply.packets.last() else { return false };
    let status = match &end[..] {
        [0xfe, _, _, low, high] => u16::from_le_bytes([*low, *high]),
        [0xfe, 0, 0, low, high, ..] => u16::from_le_bytes([*low, *high]),
        _ => 0,
    };
    status & 0x40 != 0
}

async fn commands(client: &mut Raw, seen: &mut Vec<(String, Reply)>) {
    for (what, payload, expect) in [
        ("ping", &b"\x0e"[..], Expect::One),
        ("init db", b"\x02app", Expect::One),
        ("init db, unknown", b"\x02app_nosuch", Expect::One),
        ("init db, back", b"\x02app_exact", Expect::One),
        ("field list", b"\x04kinds\0%", Expect::Rows),
        ("field list, unknown", b"\x04nosuch\0", Expect::Rows),
        ("several on", b"\x1b\0\0", Expect::One),
        ("several off", b"\x1b\x01\0", Expect::One),
        ("an unknown option", b"\x1b\x07\0", Expect::One),
        ("unknown statement", b"\x17\x63\0\0\0\0\x01\0\0\0", Expect::One),
        ("reset of an unknown statement", b"\x1a\x63\0\0\0", Expect::One),
        ("fetch of an unknown statement", b"\x1c\x63\0\0\0\x01\0\0\0", Expect::One),
        ("sleep", b"\x00", Expect::One),
        ("create db", b"\x05app_x", Expect::One),
        ("connect", b"\x0b", Expect::One),
        ("time", b"\x0f", Expect::One),
        ("delayed insert", b"\x10", Expect::One),
        ("connect out", b"\x14", Expect::One),
        ("daemon", b"\x1d", Expect::One),
        ("no such command", b"\x77", Expect::One),
        ("reset connection", b"\x1f", Expect::One),
    ] {
        let reply = client.command(payload, expect).await;
        let mut reply = reply.unwrap_or_else(|error| panic!("{what}: {error}"));
        // MySQL repeats an earlier statement's warnings here.
        if let [0xfe, warnings, ..] = &mut reply.packets[0].1[..] {
            *warnings = 0;
        }
        seen.push((what.to_owned(), reply));
    }
}

/// The name and number of an unknown command are shown to be the same; the bytes need not be.
fn show(reply: &Reply) -> String {
    let packet = |(sequence, packet): &(u8, Vec<u8>)| {
        let text = packet.escape_ascii().to_string();
        format!("{sequence}:{text}")
    };
    reply.packets.iter().map(packet).collect::<Vec<_>>().join("\n          ")
}

/// Whether two replies are the same, but for the order of the trackers in an OK packet, which is
/// the server's mood.
fn same(right: &Reply, seen: &Reply) -> bool {
    let sorted = |packet: &[u8]| {
        let mut bytes = packet.to_vec();
        bytes.sort_unstable();
        bytes
    };
    type Packet = (u8, Vec<u8>);
    let alike = |((a, right), (b, seen)): (&Packet, &Packet)| {
        let trackers = right.first() == Some(&0) && seen.first() == Some(&0);
        a == b && (right == seen || trackers && sorted(right) == sorted(seen))
    };
    right.packets.len() == seen.packets.len() && right.packets.iter().zip(&seen.packets).all(alike)
}

/// Text of what differs, empty if nothing does.
fn differences(
    generation: &str,
    right: Vec<(String, Reply)>,
    seen: Vec<(String, Reply)>,
) -> String {
    let mut told = String::new();
    let mut seen = seen.into_iter().peekable();
    for (what, right) in right {
        let right = right.without_foresight();
        // A command that depends on another's success may be missing.
        let seen = seen.next_if(|(name, _)| *name == what);
        let seen = seen.map(|(_, seen)| seen.without_foresight());
        if seen.as_ref().is_none_or(|seen| !same(&right, seen)) {
            let (right, seen) = (show(&right), seen.as_ref().map(show).unwrap_or_default());
            told += &format!("{generation}: {what}\n  right:  {right}\n  seen:   {seen}\n");
        }
    }
    told
}

#[test]
fn replies_are_the_same_to_the_byte() {
    servers::both_private(&[], |server| async move {
        let millpond = Millpond::start(server, &Settings::with_pool_of(3));
        let mut told = String::new();
        for (generation, capabilities) in generations() {
            let login = Login {
                capabilities,
                database: Some(DATABASE.to_owned()),
                encrypted: Encrypted::No,
                ..Login::of(&APP)
            };
            let right = run(server, server.port, &login).await;
            let seen = run(server, millpond.port, &login).await;
            told += &differences(generation, right, seen);
        }
        assert!(told.is_empty(), "{}:\n{told}", server.flavor);
    });
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    servers::both_async(|server| async move {
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let mut client = Login::of(&APP).at(millpond.port).await.expect("to log in");
        let mut bytes = Vec::new();
        for n in 0..50 {
            let payload = match n % 3 {
                0 => b"\x0e".to_vec(),
                1 => format!("\x03SELECT {n}").into_bytes(),
                _ => format!("\x03SET @n = {n}").into_bytes(),
            };
            bytes.extend((payload.len() as u32).to_le_bytes());
            bytes.extend(payload);
        }
        client.packets.send_bytes(&bytes).await.expect("to send");
        for n in 0..50 {
            let reply = client.reply(Expect::Results).await.expect("a reply").must("a command");
            if n % 3 == 1 {
                assert_eq!(reply.value(), Some(n.to_string()));
            }
        }
        let reply = client.query("SELECT @n").await.expect("a reply");
        assert_eq!(reply.value().as_deref(), Some("47"));
    });
}

/// A server may get it in more frames than the client sent, or in fewer: with attributes, or without.
#[test]
fn statements_of_about_a_frame_are_answered_as_they_were_asked() {
    servers::both_async(|server| async move {
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let old = Flags::CLIENT_MULTI_RESULTS;
        for capabilities in [old, old | Flags::CLIENT_QUERY_ATTRIBUTES] {
            let login = Login { capabilities, ..Login::of(&APP) };
            for beyond in -3..=1_i32 {
                let (head, tail) = ("SELECT LENGTH('", "')");
                let taken = 1 + head.len() + tail.len();
                let length = FULL.saturating_add_signed(beyond as isize) - taken;
                let sql = format!("{head}{}{tail}", "x".repeat(length));
                let mut answers = Vec::new();
                for port in [server.port, millpond.port] {
                    let mut client = login.at(port).await.expect("to log in");
                    let answer = client.query(&sql).await.ok().map(Reply::without_foresight);
                    answers.push(answer.filter(|answer| answer.error().is_none()));
                }
                assert_eq!(answers[0], answers[1], "{}: {beyond}", server.flavor);
            }
        }
    });
}
