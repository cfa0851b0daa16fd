//! Ports that the service manager has bound: Millpond serves on them, and clients who came before it
//! was there are served, too.

use crate::support::accounts::APP;
use crate::support::leash::Leashed;
use crate::support::raw::login::Login;
use crate::support::raw::packets::Packets;
use crate::support::{http, ports, servers, testbed};
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

/// What a service manager does: binds, and becomes the program with the sockets from number 3 on.
const MANAGER: &str = r#"
import os, socket, sys, time
names, program = sys.argv[1], sys.argv[2:]
for number, named in enumerate(names.split(",")):
    name, port = named.split("=")
    bound = socket.create_server(("127.0.0.1", int(port)))
    os.dup2(bound.fileno(), 100 + number)
count = len(names.split(","))
for number in range(count):
    os.dup2(100 + number, 3 + number, inheritable=True)
print("bound", flush=True)
time.sleep(float(os.environ.get("PAUSE", "0")))
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(count)
os.environ["LISTEN_FDNAMES"] = ":".join(named.split("=")[0] for named in names.split(","))
os.execvp(program[0], program)
"#;

/// Starts Millpond with these sockets, a while after they are bound.
fn start(config: &str, sockets: &str, pause: &str) -> Option<Leashed> {
    let python = testbed::program("python3")?;
    let folder = tempfile::Builder::new().prefix("millpond-").tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    fs::write(&path, config).unwrap();
    let mut command = Command::new(python);
    command.args(["-c", MANAGER, sockets, env!("CARGO_BIN_EXE_millpond"), "run", "--config"]);
    command.arg(path).env("PAUSE", pause);
    Some(Leashed::start(&command, folder, "millpond.log"))
}

#[test]
fn clients_that_came_before_it_are_served_on_sockets_that_were_bound() {
    servers::one_async(|server| async move {
        let (port, admin, other) = (ports::free(), ports::free(), ports::free());
        // The addresses in the configuration are others: the names decide.
        let config = format!(
            "[services.orders]\nlisten = \"127.0.0.1:{other}\"\n\
             backend.endpoints = [\"127.0.0.1:{}\"]\nusers.{}.password = \"{}\"\n\
             [admin]\nlisten = \"127.0.0.1:{admin}\"\n",
            server.port, APP.name, APP.password
        );
        let sockets = format!("orders={port},unknown={admin}");
        let Some(millpond) = start(&config, &sockets, "0.5") else {
            return testbed::skip("socket activation", "no python3 here");
        };
        let mut early = Packets::connect(port, Ipv4Addr::LOCALHOST).await;
        for _ in 0..200 {
            if early.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            early = Packets::connect(port, Ipv4Addr::LOCALHOST).await;
        }
        assert!(!millpond.log().contains("listening"), "it was early:\n{}", millpond.log());
        let mut client = Login::of(&APP).on(early.unwrap()).await.unwrap();
        let reply = client.query("SELECT 'early'").await.unwrap();
        assert_eq!(reply.value().as_deref(), Some("early"));
        // The other one was found by its address.
        assert_eq!(http::page(admin, "/healthz").as_deref(), Some("ok\n"));
        assert!(Packets::connect(other, Ipv4Addr::LOCALHOST).await.is_err());
    });
}

#[test]
fn a_socket_for_nothing_is_told_of() {
    let config = "[services.orders]\nlisten = \"127.0.0.1:1\"\nbackend.endpoints = [\"127.0.0.1:1\"]\n\
                  users.app.password = \"secret\"\n[admin]\nlisten = \"127.0.0.1:2\"\n";
    let sockets = format!("web={}", ports::free());
    let Some(millpond) = start(config, &sockets, "0") else {
        return testbed::skip("socket activation", "no python3 here");
    };
    let (code, log) = millpond.wait(Duration::from_secs(30)).expect("an end");
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("web") && log.contains("one of orders, admin"), "{log}");
}
