//! A network of its own for a server, with one cable to this machine's, which can be cut so that
//! nobody is told: packets vanish, as between two machines.
//!
//! The network is the server process's, and goes with it.

use std::net::Ipv4Addr;
use std::process::Command;

use super::testbed;

/// Runs `"$@"` in a network that has one cable to that of the process that started this.
const SETTLE: &str = r#"
cable=$1 near=$2 far=$3; shift 3
set -e
ip link set lo up
ip link add shore type veth peer name "$cable" netns "$PPID"
ip addr add "$far/30" dev shore
ip link set shore up
nsenter --target "$PPID" --net ip addr add "$near/30" dev "$cable"
nsenter --target "$PPID" --net ip link set "$cable" up
exec "$@"
"#;

/// Where a server is that has a network of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Island {
    number: u16,
}

/// Why there can be none here, if so.
pub(crate) fn missing() -> Option<&'static str> {
    let tools = ["ip", "unshare", "nsenter"].iter().all(|tool| testbed::program(tool).is_some());
    let may =
        || Command::new("unshare").args(["--net", "true"]).status().is_ok_and(|s| s.success());
    (!tools || !may()).then_some("networks of their own take root, iproute2 and util-linux")
}

impl Island {
    /// One with addresses that belong to this number, such as a free port.
    pub(crate) fn new(number: u16) -> Self {
        Self { number }
    }

    /// The server's address.
    pub(crate) fn far(self) -> Ipv4Addr {
        self.address(2)
    }

    fn address(self, last: u8) -> Ipv4Addr {
        let [_, low] = self.number.to_be_bytes();
        let block = u8::try_from((self.number >> 6) & 0xff).expect("eight bits");
        Ipv4Addr::new(10, 213, block, (low & 0x3f) * 4 + last)
    }

    /// A command that runs another in this network.
    pub(crate) fn settle(self, program: &Command) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", SETTLE, "sh"]).arg(format!("mill{}", self.number));
        command.args([self.address(1).to_string(), self.far().to_string()]);
        command.arg(program.get_program()).args(program.get_args());
        command
    }

    /// From now on, what the process in this network sends vanishes.
    pub(crate) fn cut(self, pid: u32) {
        self.route(pid, "add");
    }

    /// It arrives again.
    pub(crate) fn mend(self, pid: u32) {
        self.route(pid, "del");
    }

    fn route(self, pid: u32, change: &str) {
        let mut command = Command::new("nsenter");
        command.args(["--target", &pid.to_string(), "--net", "ip", "route", change, "blackhole"]);
        let done = command.arg(format!("{}/32", self.address(1))).status();
        assert!(done.expect("nsenter to start").success(), "ip route {change} blackhole");
    }
}
