//! Where strings and comments end: the servers as judges of the tokenizer. Pieces of statements in
//! any order are run as they are, directly; whether a variable was set tells what the server took
//! for code.

use millpond::session::catalogue::Catalogue;
use millpond::session::server::ServerVersion;
use millpond::session::statement::{Analysis, Dialect, Marks, analyze};
use mysql_common::constants::CapabilityFlags;

use crate::support::accounts::APP;
use crate::support::raw::login::Login;
use crate::support::raw::reply::{Expect, Raw};
use crate::support::servers;

/// Pieces that open and close what may hide code, and one that leaves a trace if it is code.
const PIECES: &[&[u8]] = &[
    b",@p:=1 ",
    b",@p:=1 ",
    b",@p:=1 ",
    b"'",
    b"'",
    b"''",
    b"\\",
    b"\\'",
    b"\"",
    b"\"\"",
    b",\"a\"",
    b"`",
    b"as `a`",
    b"/*",
    b"*/",
    b"*/",
    b"/**/",
    b"/*!",
    b"/*!50100 ",
    b"/*!80000 ",
    b"/*!099999 ",
    b"/*!999999 ",
    b"/*M!",
    b"/*M!100100 ",
    b"/*+",
    b"-- ",
    b"--",
    b"#",
    b"\n",
    b" ",
    b",1",
    b",1.5",
    b",1e",
    b",n'a'",
    b",x'41'",
    b",_utf8mb4'a'",
    b"$$",
    b"$a$",
    b"+1",
    b"\xa4\x5c",
    b"\x95\x5c",
    b"\xe3\x81\x82",
    b"\xff",
    b"\0",
];

const CHARSETS: &[&str] = &["utf8mb4", "latin1", "gbk", "sjis", "big5", "gb18030"];
const MODES: &[&str] = &["", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES"];

/// How many texts for each character set and mode: a seeded few hundred by default.
fn rounds() -> usize {
    let given = std::env::var("MILLPOND_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    given.unwrap_or(1_000)
}

fn text(random: &mut fastrand::Rng, several: bool) -> Vec<u8> {
    let mut sql = b"SELECT 1 ".to_vec();
    for _ in 0..random.usize(1..9) {
        if several && random.u8(..8) == 0 {
            sql.extend_from_slice(
                random
                    .choice([
                        &b";SELECT 1 "[..],
                        b";SET sql_mode='ANSI_QUOTES';SELECT 1",
                        b";SET NAMES gbk;SELECT 1",
                    ])
                    .unwrap_or_default(),
            );
        }
        let piece = PIECES.get(random.usize(..PIECES.len())).copied().unwrap_or_default();
        sql.extend_from_slice(piece);
    }
    sql
}

fn read(sql: &[u8], dialect: &Dialect) -> Analysis {
    analyze(sql, dialect, &Catalogue::empty())
}

async fn version(client: &mut Raw) -> ServerVersion {
    let reply = client.query("SELECT VERSION()").await.unwrap();
    ServerVersion::parse(reply.value().unwrap().as_bytes())
}

/// Whether the last text has set the variable; if so, it is taken away again.
async fn was_set(client: &mut Raw) -> bool {
    let set = client.query("SELECT @p IS NOT NULL").await.unwrap().must("asking").value();
    if set.as_deref() == Some("1") {
        client.query("SET @p=NULL").await.unwrap().must("forgetting");
        return true;
    }
    false
}

/// Sets character set and mode. `false` if the server doesn't know the set.
async fn prepare(client: &mut Raw, charset: &str, mode: &str) -> bool {
    let modes = format!("SET sql_mode='{mode}', @p=NULL");
    client.query(&modes).await.unwrap().must(&modes);
    client.query(&format!("SET NAMES {charset}")).await.unwrap().error().is_none()
}

#[test]
fn code_is_what_the_server_takes_for_code() {
    servers::both_async(async |server| {
        let mut random = fastrand::Rng::with_seed(7);
        let mut client = Login::of(&APP).at(server.port).await.unwrap();
        let version = version(&mut client).await;
        let (mut ran, mut traces, mut opaque) = (0, 0, 0);
        for (charset, mode) in CHARSETS.iter().flat_map(|set| MODES.iter().map(move |m| (*set, *m)))
        {
            if !prepare(&mut client, charset, mode).await {
                continue;
            }
            let dialect = Dialect {
                multi_statements: false,
                ..Dialect::new(&version, mode.as_bytes(), charset)
            };
            for _ in 0..rounds() {
                let sql = text(&mut random, false);
                let reply = client.command(&[&[3], &sql[..]].concat(), Expect::Results).await;
                if reply.unwrap().error().is_some() {
                    continue;
                }
                let set = was_set(&mut client).await;
                let analysis = read(&sql, &dialect);
                let shown = || format!("{charset} {mode}: {}", sql.escape_ascii());
                ran += 1;
                traces += u32::from(set);
                if analysis.marks.has(Marks::OPAQUE) {
                    opaque += 1;
                } else {
                    assert_eq!(analysis.marks.has(Marks::WRITES_VARIABLES), set, "{}", shown());
                }
            }
        }
        eprintln!("{}: {ran} ran, {traces} left a trace, {opaque} opaque", server.flavor);
        assert!(traces > 100, "the texts prove nothing");
        client.quit().await;
    });
}

#[test]
fn code_behind_a_semicolon_is_not_missed() {
    servers::both_async(async |server| {
        let mut random = fastrand::Rng::with_seed(8);
        let mut login = Login::of(&APP);
        login.capabilities |= CapabilityFlags::CLIENT_MULTI_STATEMENTS;
        let mut client = login.at(server.port).await.unwrap();
        let version = version(&mut client).await;
        let mut traces = 0;
        for (charset, mode) in CHARSETS.iter().flat_map(|set| MODES.iter().map(move |m| (*set, *m)))
        {
            let dialect = Dialect::new(&version, mode.as_bytes(), charset);
            for _ in 0..rounds() / 4 {
                // The text may have changed them.
                if !prepare(&mut client, charset, mode).await {
                    break;
                }
                let sql = text(&mut random, true);
                client.command(&[&[3], &sql[..]].concat(), Expect::Results).await.unwrap();
                if was_set(&mut client).await {
                    traces += 1;
                    let marks = read(&sql, &dialect).marks;
                    let shown = sql.escape_ascii();
                    let found = marks.intersects(Marks::WRITES_VARIABLES | Marks::OPAQUE);
                    assert!(found, "{charset} {mode}: {shown}");
                }
            }
        }
        assert!(traces > 50, "the texts prove nothing");
        client.quit().await;
    });
}
