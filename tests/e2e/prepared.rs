//! Prepared statements without a connection of their own.

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::raw::reply::{Expect, Reply};
use crate::support::servers;
use mysql_async::prelude::Queryable;

/// More clients than connections, each with statements that it keeps.
#[test]
fn statements_are_kept_by_more_clients_than_there_are_connections() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let mut clients = Vec::new();
        for number in 0..6_u32 {
            let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
            let sql = format!("SELECT ? + {}, ?, ?", number % 3);
            let statement = client.prep(sql).await.unwrap();
            clients.push((client, statement));
        }
        for turn in 0..5_u64 {
            for (number, (client, statement)) in clients.iter_mut().enumerate() {
                let text = format!("text of {number}");
                let row: Option<(u64, String, Option<u8>)> =
                    client.exec_first(&*statement, (turn, &text, None::<u8>)).await.unwrap();
                assert_eq!(row, Some((turn + number as u64 % 3, text, None)), "{}", server.flavor);
            }
        }
        for (client, statement) in clients {
            let mut client = client;
            client.close(statement).await.unwrap();
            client.disconnect().await.unwrap();
        }
    });
}

/// The same text means another thing under another mode: the statement keeps its own.
#[test]
fn a_statement_keeps_the_environment_of_its_preparation() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let mut plain = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut ansi = millpond.connect(&APP, Some("app")).await.unwrap();
        ansi.query_drop("SET sql_mode = 'ANSI_QUOTES'").await.unwrap();
        let sql = "SELECT \"a\" FROM (SELECT 7 AS a) t";
        let of_plain = plain.prep(sql).await.unwrap();
        let of_ansi = ansi.prep(sql).await.unwrap();
        for _ in 0..3 {
            let text: Option<String> = plain.exec_first(&of_plain, ()).await.unwrap();
            assert_eq!(text.as_deref(), Some("a"));
            let number: Option<u8> = ansi.exec_first(&of_ansi, ()).await.unwrap();
            assert_eq!(number, Some(7));
        }
        // Prepared while the mode was on, executed when it is off, on whichever connection.
        ansi.query_drop("SET sql_mode = ''").await.unwrap();
        let number: Option<u8> = ansi.exec_first(&of_ansi, ()).await.unwrap();
        assert_eq!(number, Some(7), "{}", server.flavor);
    });
}

/// What Millpond keeps prepared on a connection is in nobody's way.
#[test]
fn statements_that_nobody_needs_make_room() {
    servers::both_private(&["max_prepared_stmt_count=20"], |server| async move {
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let mut client = Login::of(&APP).at(millpond.port).await.expect("to log in");
        let prepare = |n: usize| [b"\x16", format!("SELECT {n} + ?").as_bytes()].concat();
        let close = |prepared: &Reply| [b"\x19", &prepared.packets[0].1[1..5]].concat();
        for n in 0..20 {
            let reply = client.command(&prepare(n), Expect::Statement).await.expect("a reply");
            let prepared = reply.must("one of twenty");
            client.command(&close(&prepared), Expect::Nothing).await.expect("to close it");
        }
        // Another client of the server's takes up most of the room.
        let mut other = server.admin().await;
        let mut kept = Vec::new();
        while let Ok(statement) = other.prep(format!("SELECT {} + ?", kept.len())).await {
            kept.push(statement);
        }
        let room = async |other: &mut mysql_async::Conn, most: usize| {
            let sql = format!("SET GLOBAL max_prepared_stmt_count = {most}");
            other.query_drop(sql).await.unwrap();
        };
        room(&mut other, kept.len() + 2).await;
        for n in 20..40 {
            let reply = client.command(&prepare(n), Expect::Statement).await.expect("a reply");
            let prepared = reply.must("one that is alone");
            client.command(&close(&prepared), Expect::Nothing).await.expect("to close it");
        }
        room(&mut other, kept.len()).await;
        let reply = client.command(&prepare(40), Expect::Statement).await.expect("a reply");
        assert_eq!(reply.error().map(|(code, _)| code), Some(1461), "there is none to be had");
        let reply = client.query("SHOW COUNT(*) WARNINGS").await.expect("a reply");
        assert!(other.prep("SELECT 'one more', ?").await.is_err());
        let direct: Option<String> = other.query_first("SHOW COUNT(*) WARNINGS").await.unwrap();
        assert_eq!(reply.value(), direct, "{}", server.flavor);
    });
}

/// What a client prepares and never closes has its bounds, as it has on a server.
#[test]
fn nobody_prepares_without_end() {
    servers::both_private(&["max_prepared_stmt_count=50"], |server| async move {
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let mut client = Login::of(&APP).at(millpond.port).await.expect("to log in");
        let prepare = |sql: String| [b"\x16", sql.as_bytes()].concat();
        let mut close = vec![0x19];
        for n in 0..50 {
            let sql = prepare(format!("SELECT {n} + ?"));
            let reply = client.command(&sql, Expect::Statement).await.expect("a reply");
            let reply = reply.must("one of fifty");
            close.truncate(1);
            close.extend_from_slice(&reply.packets[0].1[1..5]);
        }
        let reply = client.command(&prepare("SELECT 50".into()), Expect::Statement).await;
        assert_eq!(reply.expect("a reply").error().map(|(code, _)| code), Some(1461));
        client.command(&close, Expect::Nothing).await.expect("to close one");
        let reply = client.command(&prepare("SELECT 50".into()), Expect::Statement).await;
        reply.expect("a reply").must("one in the place of another");

        let mut client = Login::of(&APP).at(millpond.port).await.expect("to log in");
        let long = prepare(format!("SELECT '{}'", "x".repeat(15_000_000)));
        for _ in 0..4 {
            client.command(&long, Expect::Statement).await.expect("a reply").must("60 MB");
        }
        let reply = client.command(&long, Expect::Statement).await.expect("a reply");
        assert_eq!(reply.error().map(|(code, _)| code), Some(1041));
        let reply = client.query("SELECT 'goes on'").await.expect("a reply");
        assert_eq!(reply.value().as_deref(), Some("goes on"), "{}", server.flavor);
    });
}
