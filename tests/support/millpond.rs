//! Millpond itself, as a process.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mysql_async::{Conn, Opts};
use tokio::time::Instant;

use super::accounts::{self, Account};
use super::leash::Leashed;
use super::server::{Server, options};
use super::{http, ports, server};

/// How long Millpond may take until it serves, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lines to add to the sections of the generated configuration. Later lines do not replace the
/// generated ones, so what [`Millpond::start`] always writes is not for change: the ports, the
/// endpoint, the users' passwords.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// For `[services.test]`.
    pub(crate) service: String,
    /// For `[services.test.backend]`.
    pub(crate) backend: String,
    /// For `[services.test.pool]`.
    pub(crate) pool: String,
    /// For the top, such as `[runtime]` sections.
    pub(crate) other: String,
    /// Names of hosts that only it knows, as in /etc/hosts. Takes root.
    pub(crate) hosts: Vec<(&'static str, Ipv4Addr)>,
    /// Variables of the environment.
    pub(crate) environment: Vec<(String, String)>,
}

impl Settings {
    /// The usual settings, with a pool of this size.
    pub(crate) fn with_pool_of(size: usize) -> Self {
        Self { pool: format!("max_size = {size}\n"), ..Self::default() }
    }
}

/// A running Millpond in front of one server. Dropping it kills it.
pub(crate) struct Millpond {
    /// Where clients connect, on 127.0.0.1.
    pub(crate) port: u16,
    /// Where `/metrics` is, on 127.0.0.1.
    pub(crate) admin_port: u16,
    config: PathBuf,
    process: Leashed,
}

impl Millpond {
    /// Starts Millpond for the ordinary users of `server`, and waits until it serves.
    pub(crate) fn start(server: &Server, settings: &Settings) -> Self {
        Self::in_front_of(server, server.port, settings)
    }

    /// The same for a port that leads to the server.
    pub(crate) fn in_front_of(server: &Server, endpoint: u16, settings: &Settings) -> Self {
        let folder = tempfile::Builder::new().prefix("millpond-").tempdir().expect("a folder");
        let (port, admin_port) = (ports::free(), ports::free());
        let config = folder.path().join("proxy.toml");
        fs::write(&config, configuration(server, endpoint, settings, port, admin_port))
            .expect("to write");

        let mut command = program(&settings.hosts, folder.path());
        command.args(["run", "--config"]).arg(&config);
        // Whatever the developer has set for a Millpond of his own is not for this one.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MILLPOND__")) {
            command.env_remove(name);
        }
        command.envs(settings.environment.iter().cloned());
        let process = Leashed::start(&command, folder, "millpond.log");
        let millpond = Self { port, admin_port, config, process };
        millpond.wait_until_ready();
        millpond
    }

    /// Connects as `account`.
    pub(crate) async fn connect(
        &self,
        account: &Account,
        database: Option<&str>,
    ) -> mysql_async::Result<Conn> {
        Conn::new(self.options(account, database)).await
    }

    /// What a driver written in Rust needs to know.
    pub(crate) fn options(&self, account: &Account, database: Option<&str>) -> Opts {
        options(self.port, account, database)
    }

    /// Changes its configuration, which it does not read before it is told to.
    pub(crate) fn edit(&self, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(&self.config).expect("the configuration");
        fs::write(&self.config, change(text)).expect("to write");
    }

    /// The file of its configuration.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Sends a signal by its name, `TERM` for example.
    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Waits for its end: the exit code and the log, or `None` when it still runs.
    pub(crate) fn wait(self, patience: Duration) -> Option<(i32, String)> {
        self.process.wait(patience)
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !server::greets(self.port) {
            let log = self.log();
            assert!(self.is_running(), "Millpond did not start:\n{log}");
            assert!(Instant::now() < deadline, "Millpond does not serve in time:\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Gives an order at its admin port: the status and the body.
    pub(crate) fn order(&self, order: &str, headers: &[&str]) -> (u16, String) {
        http::order(self.admin_port, order, headers)
    }

    /// Fetches a page from its admin port: the body, whatever the status.
    pub(crate) fn page(&self, path: &str) -> String {
        http::page(self.admin_port, path).expect("an answer of the admin port")
    }
}

/// Where Millpond may know hosts that nobody else does: why not, if so.
pub(crate) fn hosts_missing() -> Option<&'static str> {
    let mut own = Command::new("unshare");
    own.args(["--mount", "mount", "--bind", "/etc/hosts", "/etc/hosts"]);
    let may = own.status().is_ok_and(|status| status.success());
    (!may).then_some("a mount of its own takes root and util-linux")
}

/// Millpond's program, which sees these hosts.
fn program(hosts: &[(&'static str, Ipv4Addr)], folder: &Path) -> Command {
    let program = env!("CARGO_BIN_EXE_millpond");
    if hosts.is_empty() {
        return Command::new(program);
    }
    let lines: String = hosts.iter().map(|(name, at)| format!("{at} {name}\n")).collect();
    let file = folder.join("hosts");
    fs::write(&file, lines).expect("to write");
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(file).arg(program);
    command
}

fn configuration(
    server: &Server,
    endpoint: u16,
    settings: &Settings,
    port: u16,
    admin_port: u16,
) -> String {
    let mut text = format!(
        "[services.test]\nlisten = \"127.0.0.1:{port}\"\n{}\n\
         [services.test.backend]\nprovider = \"static\"\nendpoints = [\"127.0.0.1:{}\"]\n{}\n\
         [services.test.pool]\n{}\n",
        settings.service, endpoint, settings.backend, settings.pool
    );
    for account in accounts::ordinary(server.flavor) {
        text += &format!(
            "[services.test.users.{}]\npassword = \"{}\"\n",
            account.name, account.password
        );
    }
    text += &format!("[admin]\nlisten = \"127.0.0.1:{admin_port}\"\n{}\n", settings.other);
    text
}
