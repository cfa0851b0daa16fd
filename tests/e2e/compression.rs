//! Compressed connections.

use std::process::Command;

use crate::support::accounts::APP;
use crate::support::flavor::Flavor;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::raw::reply::Raw;
use crate::support::{servers, testbed};
use mysql_async::prelude::Queryable;
use mysql_common::constants::CapabilityFlags;

/// Of each flavor, its shell and the ways in which that compresses.
fn shells(flavor: Flavor) -> (Option<std::path::PathBuf>, &'static [&'static str]) {
    match flavor {
        Flavor::MariaDb => (testbed::program("mariadb"), &["--compress"]),
        Flavor::MySql => {
            let shell = testbed::folder().join("mysql/bin/mysql");
            let ways = &["--compression-algorithms=zlib", "--compression-algorithms=zstd"][..];
            (Some(shell).filter(|shell| shell.is_file()), ways)
        }
    }
}

/// PHP's driver compresses whenever it is told to, whatever the server offers, and waited for ever.
#[test]
fn clients_may_compress() {
    servers::both(|server| {
        let (Some(shell), ways) = shells(server.flavor) else {
            return testbed::skip("compression", "no shell");
        };
        let millpond = Millpond::start(server, &Settings::default());
        // A long statement, a long result that is not read at once, and one row after another.
        let long = "x".repeat(100_000);
        let script = format!(
            "SHOW STATUS LIKE 'Compression'; SELECT LENGTH('{long}'), 'short'; \
             SELECT LENGTH(GROUP_CONCAT(v)) FROM (SELECT REPEAT('abc', 300000) AS v) t; \
             SELECT REPEAT('abc', 700000); SELECT RPAD('', 100000, UUID()) = '';"
        );
        for secure in [false, true] {
            for way in ways {
                let tell = |port: u16| {
                    let mut command = Command::new(&shell);
                    command.args(["--no-defaults", "-h127.0.0.1", "--protocol=tcp", "-N", *way]);
                    command.args(["-P", &port.to_string(), "-u", APP.name, "app"]);
                    let tls: &[&str] = match (server.flavor, secure) {
                        (Flavor::MariaDb, true) => &["--ssl", "--skip-ssl-verify-server-cert"],
                        (Flavor::MariaDb, false) => &["--skip-ssl"],
                        (Flavor::MySql, true) => &["--ssl-mode=REQUIRED"],
                        (Flavor::MySql, false) => {
                            &["--ssl-mode=DISABLED", "--get-server-public-key"]
                        }
                    };
                    command.args(tls).env("MYSQL_PWD", APP.password).args(["-e", &script]);
                    let output = command.output().unwrap();
                    let told = [output.stdout, output.stderr].concat();
                    String::from_utf8_lossy(&told).into_owned()
                };
                let (right, seen) = (tell(server.port), tell(millpond.port));
                assert!(seen == right, "{} {way}: {:.300}", server.flavor, seen);
                assert!(right.starts_with("Compression\tON\n"), "{way}: {right:.300}");
            }
        }
        assert!(millpond.is_running());
    });
}

/// Sends a packet in a compressed piece; gives the piece that answers, both as they are.
async fn compressed(client: &mut Raw, piece: u8, packets: &[(u8, &[u8])]) -> Vec<u8> {
    let frame = |(number, packet): &(u8, &[u8])| -> Vec<u8> {
        [&[packet.len() as u8, 0, 0, *number][..], packet].concat()
    };
    let plain: Vec<u8> = packets.iter().flat_map(frame).collect();
    let sent = [&[plain.len() as u8, 0, 0, piece, 0, 0, 0][..], &plain].concat();
    client.packets.send_bytes(&sent).await.unwrap();
    let mut told = client.packets.receive_bytes(7).await.unwrap();
    let rest = usize::from(told[0]);
    told.extend(client.packets.receive_bytes(rest).await.unwrap());
    told
}

/// MariaDB's driver for Java goes on counting its packets where it compresses: servers look at the
/// pieces' numbers only. It was told that its packets were out of order.
#[test]
fn packets_may_have_any_number_where_pieces_are_numbered() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        for sql in [
            "CREATE DATABASE IF NOT EXISTS app",
            "DROP TABLE IF EXISTS app.suites_pieces",
            "CREATE TABLE app.suites_pieces (a INT)",
        ] {
            admin.query_drop(sql).await.expect(sql);
        }
        let millpond = Millpond::start(server, &Settings::default());
        let compress = CapabilityFlags::CLIENT_COMPRESS | CapabilityFlags::CLIENT_LOCAL_FILES;
        let mut seen = Vec::new();
        for port in [server.port, millpond.port] {
            let login = Login { capabilities: compress, ..Login::of(&APP) };
            let mut client = login.at(port).await.unwrap();
            let mut told = Vec::new();
            for number in [0, 1, 200] {
                told.push(compressed(&mut client, 0, &[(number, &[0x0e])]).await);
            }
            let load = b"\x03LOAD DATA LOCAL INFILE 'f' INTO TABLE suites_pieces";
            told.push(compressed(&mut client, 0, &[(7, load)]).await);
            compressed(&mut client, 2, &[(9, b"1\n2\n"), (9, b"3\n"), (9, b"")]).await;
            told.push(compressed(&mut client, 0, &[(3, &[0x0e])]).await);
            seen.push(told);
        }
        assert_eq!(seen[0], seen[1], "{}", server.flavor);
        let loaded: Option<u8> =
            admin.query_first("SELECT COUNT(*) FROM app.suites_pieces").await.unwrap();
        assert_eq!(loaded, Some(6), "{}", server.flavor);
    });
}
