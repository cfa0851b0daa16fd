//! A DNS server whose records move.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tokio::time::Instant;

use super::leash::Leashed;
use super::{ports, testbed};

/// What clients ask for; an alias of the record that moves.
pub(crate) const NAME: &str = "db.test";
const RECORD: &str = "node.db.test";

/// A running dnsmasq, whose records everybody may keep for an hour.
pub(crate) struct Dns {
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    hosts: PathBuf,
    process: Leashed,
}

impl Dns {
    /// Starts one by which [`NAME`] leads to this address.
    pub(crate) fn start(address: Ipv4Addr) -> Self {
        let program = testbed::program("dnsmasq")
            .expect("dnsmasq is not installed; tests/testbed/install servers does that");
        let folder = tempfile::Builder::new().prefix("millpond-").tempdir().expect("a folder");
        let (port, hosts) = (ports::free(), folder.path().join("hosts"));
        fs::write(&hosts, format!("{address} {RECORD}\n")).expect("to write");
        let mut command = Command::new(program);
        command.args(["--keep-in-foreground", "--bind-interfaces", "--no-resolv", "--no-hosts"]);
        command.args(["--conf-file=/dev/null", "--pid-file=", "--user=root", "--local-ttl=3600"]);
        command.args(["--listen-address=127.0.0.1", "--local=/test/", "--log-facility=-"]);
        command.arg(format!("--cname={NAME},{RECORD}")).arg(format!("--port={port}"));
        command.arg(format!("--addn-hosts={}", hosts.display()));
        let process = Leashed::start(&command, folder, "dnsmasq.log");
        let dns = Self { port, hosts, process };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !dns.answers() {
            assert!(Instant::now() < deadline, "no DNS server:\n{}", dns.process.log());
        }
        dns
    }

    /// From now on, the name leads to this address only.
    pub(crate) fn move_to(&self, address: Ipv4Addr) {
        fs::write(&self.hosts, format!("{address} {RECORD}\n")).expect("to write");
        self.process.signal("HUP");
    }

    /// Whether it answers a question for the root's servers with anything.
    fn answers(&self) -> bool {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a limit");
        let question = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x02db\x04test\0\0\x01\0\x01";
        let asked = socket.send_to(question, (Ipv4Addr::LOCALHOST, self.port));
        let answered = asked.is_ok() && socket.recv(&mut [0; 512]).is_ok();
        if !answered {
            std::thread::sleep(Duration::from_millis(20));
        }
        answered
    }
}
