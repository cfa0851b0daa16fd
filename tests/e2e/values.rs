//! Values that no literal gives back, and parameters that an execution changes: what the suite of
//! MySQL's driver for Python found, run through Millpond.

use crate::support::accounts::APP;
use crate::support::flavor::Flavor;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::raw::reply::{Expect, Raw};
use crate::support::servers;
use mysql_async::prelude::Queryable;

const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;
const CLOSE: u8 = 0x19;

/// MySQL's driver for Python passes the bytes of a parameter of `CALL` as a text: the session was told
/// of an error when its variable was put in place elsewhere.
#[test]
fn a_variable_keeps_bytes_that_are_no_text() {
    servers::both_async(async |server| {
        for hand_over in ["when-needed", "always"] {
            let pool = format!("max_size = 2\nhand_over = \"{hand_over}\"\n");
            let millpond = Millpond::start(server, &Settings { pool, ..Settings::default() });
            for (charset, bytes) in [
                ("utf8mb4", &b"\xf0\xf1\xf2"[..]),
                ("gbk", b"\xb0\xa1\x81 "),
                ("ascii", b"\xe9"),
                ("latin1", b"\xe9"),
            ] {
                let mut client = millpond.connect(&APP, None).await.unwrap();
                let mut others = Vec::new();
                client.query_drop(format!("SET NAMES {charset}")).await.unwrap();
                client.query_drop([b"SET @bytes = '", bytes, b"'"].concat()).await.unwrap();
                // They would have it hand its connection over.
                for _ in 0..2 {
                    let mut other = millpond.connect(&APP, None).await.unwrap();
                    other.query_drop("SET @bytes = 1").await.unwrap();
                    others.push(other);
                }
                let sql = "SELECT CONCAT(HEX(@bytes), CHARSET(@bytes))";
                let seen: Option<String> = client.query_first(sql).await.unwrap();
                let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                assert_eq!(seen, Some(hex + charset), "{} {hand_over}", server.flavor);
                client.disconnect().await.unwrap();
            }
        }
    });
}

/// Inserts a vector by a statement of its own, `times` times; gives the numbers of the errors.
async fn insert_vector(client: &mut Raw, times: u8) -> Vec<Option<u16>> {
    let prepare = [&[PREPARE][..], b"INSERT INTO app_suites.vectors VALUES (?, ?)"].concat();
    let prepared = client.command(&prepare, Expect::Statement).await.unwrap().must("prepare");
    let id: [u8; 4] = prepared.packets[0].1[1..5].try_into().unwrap();
    let mut told = Vec::new();
    for number in 0..times {
        // No cursor, once, no NULL, types follow: TINY UNSIGNED and BLOB of eight bytes.
        let types = [0, 1, 0, 0, 0, 0, 1, 1, 0x80, 0xfc, 0];
        let values = [number, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40];
        let execute = [&[EXECUTE][..], &id, &types, &values].concat();
        let reply = client.command(&execute, Expect::Results).await.unwrap();
        told.push(reply.error().map(|(code, _)| code));
    }
    client.command(&[&[CLOSE][..], &id].concat(), Expect::Nothing).await.unwrap();
    told
}

/// MySQL's driver for Python: what one statement's execution had made of its parameter for a vector
/// was another's, which was refused where it would be taken.
#[test]
fn a_vector_is_taken_by_each_statement_as_if_it_were_the_only_one() {
    servers::both_async(async |server| {
        if server.flavor != Flavor::MySql {
            return;
        }
        let mut admin = server.admin().await;
        for sql in [
            "CREATE DATABASE IF NOT EXISTS app_suites",
            "DROP TABLE IF EXISTS app_suites.vectors",
            "CREATE TABLE app_suites.vectors (id INT, v VECTOR(2))",
        ] {
            admin.query_drop(sql).await.expect(sql);
        }
        let millpond = Millpond::start(server, &Settings::with_pool_of(1));
        let mut replies = Vec::new();
        for port in [server.port, millpond.port] {
            let mut client = Login::of(&APP).at(port).await.unwrap();
            let mut told = Vec::new();
            for times in [1, 1, 2, 1] {
                told.push(insert_vector(&mut client, times).await);
            }
            replies.push(told);
            client.quit().await;
        }
        assert_eq!(replies[0], replies[1]);
        assert_eq!(replies[0][1], [None]);
    });
}
