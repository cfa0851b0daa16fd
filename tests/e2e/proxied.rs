//! Connections that come through another proxy, which says whose they are (PROXY protocol).

use crate::support::accounts::{APP, OTHER};
use crate::support::flavor::Flavor;
use crate::support::leash::Leashed;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::raw::packets::Packets;
use crate::support::server::Server;
use crate::support::{ports, servers, testbed};
use std::io;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

/// Where the proxy is, to Millpond; other connections come from 127.0.0.1.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn settings() -> Settings {
    Settings { service: "proxy_protocol_from = [\"127.0.0.2\"]\n".into(), ..Settings::default() }
}

/// Version 1, for a client at 203.0.113.9.
const LINE: &[u8] = b"PROXY TCP4 203.0.113.9 192.0.2.1 40000 3306\r\n";

/// Version 2, for a client at 203.0.113.9, with a field more that nobody needs.
fn binary() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10".to_vec();
    header.extend([203, 0, 113, 9, 192, 0, 2, 1, 0x9C, 0x40, 0x0C, 0xEA, 0x04, 0, 1, 0xFF]);
    header
}

/// A connection from there that begins with a header.
async fn open(from: Ipv4Addr, port: u16, header: &[u8]) -> io::Result<Packets> {
    let mut packets = Packets::connect(port, from).await?;
    packets.send_bytes(header).await?;
    Ok(packets)
}

/// What a login of somebody unknown is told: it names the host.
async fn told(source: Ipv4Addr, port: u16, header: &[u8]) -> String {
    let stranger = Login { user: "nobody".to_owned(), ..Login::of(&APP) };
    let packets = open(source, port, header).await.unwrap();
    stranger.on(packets).await.err().expect("a refusal").to_string()
}

#[test]
fn the_address_in_the_header_is_the_clients() {
    servers::both_async(|server| async move {
        let millpond = Millpond::start(server, &settings());
        for header in [LINE, &binary()] {
            let told = told(PROXY, millpond.port, header).await;
            assert!(told.contains("'nobody'@'203.0.113.9'"), "{told}");
            let packets = open(PROXY, millpond.port, header).await.unwrap();
            let mut client = Login::of(&APP).on(packets).await.unwrap();
            let reply = client.query("SELECT 7").await.unwrap();
            assert_eq!(reply.value().as_deref(), Some("7"));
            client.quit().await;
        }
        assert!(millpond.log().contains("203.0.113.9"), "{}", millpond.log());
        // Health checks of the proxy's own, and what it knows nothing of.
        for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
            let told = told(PROXY, millpond.port, header).await;
            assert!(told.contains("'nobody'@'localhost'"), "{told}");
        }
    });
}

#[test]
fn a_header_is_believed_from_the_proxy_alone_and_has_to_be_there() {
    servers::one_async(|server| async move {
        let settings = Settings {
            service: settings().service + "handshake_timeout = \"60s\"\n",
            ..Settings::default()
        };
        let millpond = Millpond::start(server, &settings);
        // From elsewhere it is no handshake.
        let told_here = told(Ipv4Addr::LOCALHOST, millpond.port, LINE).await;
        assert!(!told_here.contains("203.0.113.9"), "{told_here}");
        let elsewhere = told(Ipv4Addr::LOCALHOST, millpond.port, b"").await;
        assert!(elsewhere.contains("'nobody'@'localhost'"), "{elsewhere}");
        millpond.edit(|text| text.replace("\"60s\"", "\"500ms\""));
        let (status, done) = tokio::task::block_in_place(|| millpond.order("/reload", &[]));
        assert_eq!(status, 200, "{done}");
        // Nothing, something else, and half of it.
        for said in [&b""[..], b"\x20\0\0\x01\x85\xa6", &LINE[..20]] {
            let told = told(PROXY, millpond.port, said).await;
            assert!(told.starts_with("1043: ") && told.contains("proxy_protocol_from"), "{told}");
        }
        let closed = "millpond_client_connections_closed_total{reason=\"no_proxy_header\",\
                      service=\"test\"} 3\n";
        for _ in 0..200 {
            if millpond.page("/metrics").contains(closed) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{}", millpond.page("/metrics"));
    });
}

#[test]
fn networks_of_users_and_proxies_change_live() {
    servers::one_async(|server| async move {
        let millpond = Millpond::start(server, &settings());
        let login = async |source: Ipv4Addr, header: &[u8]| -> io::Result<()> {
            let packets = open(source, millpond.port, header).await?;
            Login::of(&OTHER).on(packets).await.map(drop)
        };
        login(PROXY, LINE).await.unwrap();
        let section = format!("[services.test.users.{}]\n", OTHER.name);
        millpond.edit(|text| {
            text.replace(&section, &format!("{section}allow_from = [\"203.0.113.8/30\"]\n"))
                .replace("127.0.0.2", "127.0.0.3")
        });
        let (status, done) = tokio::task::block_in_place(|| millpond.order("/reload", &[]));
        assert_eq!(status, 200, "{done}");
        assert!(done.contains("services.test.proxy_protocol_from"), "{done}");
        let proxy = Ipv4Addr::new(127, 0, 0, 3);
        login(proxy, LINE).await.unwrap();
        assert!(login(proxy, b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2\r\n").await.is_err());
        assert!(login(PROXY, b"").await.unwrap_err().to_string().starts_with("1045: "));
    });
}

/// HAProxy in front of Millpond, with a port for each version.
fn haproxy(millpond: &Millpond) -> Option<(Leashed, [u16; 2])> {
    let program = testbed::program("haproxy")?;
    let folder = tempfile::Builder::new().prefix("haproxy-").tempdir().unwrap();
    let versions = [ports::free(), ports::free()];
    let mut config = String::from(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n",
    );
    for (port, send) in versions.iter().zip(["send-proxy", "send-proxy-v2"]) {
        config += &format!(
            "listen {send}\n bind 127.0.0.1:{port}\n \
             server millpond 127.0.0.1:{} {send} source 127.0.0.2 check inter 100ms\n",
            millpond.port
        );
    }
    let path = folder.path().join("haproxy.cfg");
    std::fs::write(&path, config).unwrap();
    let mut command = Command::new(program);
    command.args(["-db", "-f"]).arg(path);
    Some((Leashed::start(&command, folder, "haproxy.log"), versions))
}

#[test]
fn haproxy_passes_addresses_on() {
    servers::one_async(|server| async move {
        let millpond = Millpond::start(server, &settings());
        let Some((haproxy, ports)) = haproxy(&millpond) else {
            return testbed::skip("HAProxy in front", "no haproxy here");
        };
        let client = Ipv4Addr::new(127, 0, 0, 4);
        millpond.edit(|text| {
            let section = format!("[services.test.users.{}]\n", OTHER.name);
            text.replace(&section, &format!("{section}allow_from = [\"127.0.0.4\"]\n"))
        });
        let (status, done) = tokio::task::block_in_place(|| millpond.order("/reload", &[]));
        assert_eq!(status, 200, "{done}");
        for port in ports {
            let mut opened = open(client, port, b"").await;
            for _ in 0..200 {
                if opened.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
                opened = open(client, port, b"").await;
            }
            let opened = opened.unwrap_or_else(|error| panic!("{error}: {}", haproxy.log()));
            let mut welcome = Login::of(&OTHER).on(opened).await.unwrap();
            let reply = welcome.query("SELECT 'through'").await.unwrap();
            assert_eq!(reply.value().as_deref(), Some("through"));
            welcome.quit().await;
            let other = open(Ipv4Addr::new(127, 0, 0, 5), port, b"").await.unwrap();
            let refused = Login::of(&OTHER).on(other).await.err().expect("a refusal").to_string();
            assert!(refused.starts_with("1045: "), "{refused}");
        }
    });
}

/// What a server says of a client that is connected through Millpond: the address in `USER()`.
async fn seen(millpond: &Millpond) -> String {
    let mut client = Login::of(&APP).at(millpond.port).await.unwrap();
    let reply = client.query("SELECT USER()").await.unwrap();
    client.quit().await;
    reply.value().expect("a user")
}

#[test]
fn servers_hear_that_a_connection_is_millponds_own() {
    if !servers::available().contains(&Flavor::MariaDb) {
        return testbed::skip("a server that reads the header", "no MariaDB here");
    }
    // It takes the header from these networks, with or without one from any.
    let server = Server::start(Flavor::MariaDb, &["proxy-protocol-networks=127.0.0.1"]);
    servers::runtime().block_on(async {
        let direct = seen(&Millpond::start(&server, &Settings::default())).await;
        for version in ["v1", "v2"] {
            let backend = format!("proxy_protocol = \"{version}\"\n");
            let millpond = Millpond::start(&server, &Settings { backend, ..Settings::default() });
            assert_eq!(seen(&millpond).await, direct, "{version}");
        }
    });
}

#[test]
fn a_proxy_that_wants_a_header_gets_one() {
    servers::both_async(|server| async move {
        let Some(program) = testbed::program("haproxy") else {
            return testbed::skip("HAProxy behind", "no haproxy here");
        };
        let folder = tempfile::Builder::new().prefix("haproxy-").tempdir().unwrap();
        let port = ports::free();
        let config = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
             listen servers\n bind 127.0.0.1:{port} accept-proxy\n server db 127.0.0.1:{}\n",
            server.port
        );
        let path = folder.path().join("haproxy.cfg");
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new(program);
        command.args(["-db", "-f"]).arg(path);
        let haproxy = Leashed::start(&command, folder, "haproxy.log");
        for version in ["v1", "v2"] {
            let settings = Settings {
                backend: format!("proxy_protocol = \"{version}\"\n"),
                ..Settings::default()
            };
            let millpond = Millpond::in_front_of(server, port, &settings);
            let host = seen(&millpond).await;
            assert!(host.starts_with("app@"), "{host}: {}", haproxy.log());
        }
    });
}
