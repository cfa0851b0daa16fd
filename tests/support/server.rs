//! One throwaway database server.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::time::Instant;

use super::accounts::{self, ADMIN, Account};
use super::certificates::Certificates;
use super::flavor::Flavor;
use super::island::Island;
use super::leash::Leashed;
use super::{ports, testbed};

/// How long a server may take to accept its first connection, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// How a server is started.
pub(crate) struct Start<'a> {
    /// MariaDB or MySQL.
    pub(crate) flavor: Flavor,
    /// Where it listens; in a network of its own, at the address of that.
    pub(crate) host: Ipv4Addr,
    /// The port there.
    pub(crate) port: u16,
    /// Lines for its configuration file.
    pub(crate) settings: &'a [&'a str],
    /// A folder with the data that it begins with, in place of a fresh one's.
    pub(crate) data: Option<&'a Path>,
    /// Where it finds programs before it looks elsewhere.
    pub(crate) path: Option<&'a Path>,
    /// A network of its own.
    pub(crate) island: Option<Island>,
}

impl<'a> Start<'a> {
    /// With nothing special about it.
    pub(crate) fn new(flavor: Flavor, settings: &'a [&'a str]) -> Self {
        let (host, port) = (Ipv4Addr::LOCALHOST, ports::free());
        Self { flavor, host, port, settings, data: None, path: None, island: None }
    }
}

/// The state of a network's cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cable {
    /// What is sent arrives.
    Whole,
    /// What the server sends vanishes.
    Cut,
}

/// A running server with [`accounts`] and an empty database `app`. Dropping it kills it.
pub(crate) struct Server {
    /// MariaDB or MySQL.
    pub(crate) flavor: Flavor,
    /// Where it listens.
    pub(crate) host: Ipv4Addr,
    /// The port there.
    pub(crate) port: u16,
    /// Its certificates, also for clients who verify it.
    pub(crate) certificates: Certificates,
    socket: PathBuf,
    process: Leashed,
    killed: AtomicBool,
    path: Option<PathBuf>,
    island: Option<Island>,
    /// After it was stopped: the process that took its place.
    again: Mutex<Option<Leashed>>,
}

impl Server {
    /// Starts a private server. `settings` are lines for its configuration file, for example
    /// `max_connections=200`.
    pub(crate) fn start(flavor: Flavor, settings: &[&str]) -> Self {
        Self::start_at(flavor, Ipv4Addr::LOCALHOST, ports::free(), settings)
    }

    /// Starts a private server at another address of this machine.
    pub(crate) fn start_at(flavor: Flavor, host: Ipv4Addr, port: u16, settings: &[&str]) -> Self {
        Self::start_as(Start { host, port, ..Start::new(flavor, settings) })
    }

    /// Starts a private server.
    pub(crate) fn start_as(start: Start<'_>) -> Self {
        let Start { flavor, port, settings, island, .. } = start;
        let host = island.map_or(start.host, Island::far);
        let folder = tempfile::Builder::new().prefix("millpond-").tempdir().expect("a folder");
        let data = folder.path().join("data");
        copy(start.data.unwrap_or(&template(flavor)), &data);
        let certificates = flavor.certificates(folder.path(), &data);
        let at = SocketAddrV4::new(host, port);
        let config = configuration(flavor, folder.path(), at, &certificates, settings);
        let socket = folder.path().join("socket");
        let killed = AtomicBool::new(false);

        let path = start.path.map(Path::to_owned);
        let command = command(flavor, &config, path.as_deref(), island);
        let process = Leashed::start(&command, folder, "server.log");
        let again = Mutex::default();
        let server =
            Self { flavor, host, port, certificates, socket, process, killed, path, island, again };
        server.wait_until_ready();
        server
    }

    /// Its Unix socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The folder with its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.process.folder().join("data")
    }

    /// Cuts its network's cable, so that what it sends vanishes, or mends it.
    pub(crate) fn set_cable(&self, cable: Cable) {
        let island = self.island.expect("a network of its own");
        match cable {
            Cable::Cut => island.cut(self.pid()),
            Cable::Whole => island.mend(self.pid()),
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it at once, as a crash of its machine would.
    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
        let again = self.again.lock();
        for process in [Some(&self.process), again.as_ref()].into_iter().flatten() {
            if process.is_running() {
                process.signal("KILL");
            }
        }
    }

    /// Stops it in order. Its data stay.
    pub(crate) fn stop(&self) {
        self.killed.store(true, Ordering::Relaxed);
        let again = self.again.lock();
        let process = again.as_ref().unwrap_or(&self.process);
        process.signal("TERM");
        let deadline = Instant::now() + PATIENCE;
        while process.is_running() {
            assert!(Instant::now() < deadline, "{} does not stop", self.flavor);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it again, with the data that it had; waits until it is ready.
    pub(crate) fn start_again(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.process.is_running() {
            assert!(Instant::now() < deadline, "{} does not end", self.flavor);
            std::thread::sleep(Duration::from_millis(10));
        }
        let folder = tempfile::Builder::new().prefix("millpond-").tempdir().expect("a folder");
        let config = self.process.folder().join("my.cnf");
        let command = command(self.flavor, &config, self.path.as_deref(), self.island);
        let process = Leashed::start(&command, folder, "server.log");
        *self.again.lock() = Some(process);
        self.wait_until_ready();
    }

    /// Sends it a signal by its name, `STOP` for example.
    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// What it says about its own death, if it died and no test wanted that.
    pub(crate) fn crash(&self) -> Option<String> {
        if self.killed.load(Ordering::Relaxed) {
            return None;
        }
        let log = self.process.log();
        let crashed = log.lines().any(|line| line.contains("got signal"));
        (crashed || !self.process.is_running()).then(|| tail(&log))
    }

    /// A connection on which a test may do everything.
    pub(crate) async fn admin(&self) -> Conn {
        self.connect(&ADMIN, None).await.unwrap_or_else(|error| {
            panic!("{} refuses the administrator: {error}; {:?}", self.flavor, self.crash())
        })
    }

    /// A direct connection of `account`.
    pub(crate) async fn connect(
        &self,
        account: &Account,
        database: Option<&str>,
    ) -> mysql_async::Result<Conn> {
        Conn::new(self.options(account, database)).await
    }

    /// What a driver written in Rust needs to know for a direct connection.
    pub(crate) fn options(&self, account: &Account, database: Option<&str>) -> Opts {
        let options = OptsBuilder::from_opts(options(self.port, account, database));
        options.ip_or_hostname(self.host.to_string()).into()
    }

    /// Runs statements as the administrator, from code that is not asynchronous.
    pub(crate) fn run(&self, statements: &[&str]) {
        block_on(async {
            let mut admin = self.admin().await;
            for statement in statements {
                let done = admin.query_drop(*statement).await;
                done.unwrap_or_else(|error| panic!("{}: {statement}: {error}", self.flavor));
            }
            admin.disconnect().await.ok();
        });
    }

    /// A number from `SHOW GLOBAL STATUS`.
    pub(crate) async fn status(&self, name: &str) -> u64 {
        let mut admin = self.admin().await;
        let row: Option<Row> =
            admin.query_first(format!("SHOW GLOBAL STATUS LIKE '{name}'")).await.expect("status");
        admin.disconnect().await.ok();
        let value: String = row.expect("a known status variable").get(1).expect("a value");
        value.parse().expect("a number")
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !greets_at(self.host, self.port) {
            if let Some(crash) = self.crash() {
                panic!("{} did not start:\n{crash}", self.flavor);
            }
            let log = tail(&self.process.log());
            assert!(Instant::now() < deadline, "{} is not ready in time:\n{log}", self.flavor);
            std::thread::sleep(Duration::from_millis(25));
        }
    }
}

/// What a driver written in Rust needs to know to connect to a port of this machine.
pub(crate) fn options(port: u16, account: &Account, database: Option<&str>) -> Opts {
    OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port)
        .user(Some(account.name))
        .pass(Some(account.password))
        .db_name(database)
        .prefer_socket(false)
        .into()
}

/// Runs a future to its end, from code that is not asynchronous.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}

/// Whether a server at this port sends the first bytes of a greeting. It does so only after it has
/// run its `init_file`.
pub(super) fn greets(port: u16) -> bool {
    greets_at(Ipv4Addr::LOCALHOST, port)
}

fn greets_at(host: Ipv4Addr, port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((host, port)) else { return false };
    let mut header = [0; 5];
    stream.set_read_timeout(Some(Duration::from_secs(5))).is_ok()
        && stream.read_exact(&mut header).is_ok()
        && header[4] == 0x0a
}

/// The command that starts a server.
fn command(flavor: Flavor, config: &Path, path: Option<&Path>, island: Option<Island>) -> Command {
    let program = flavor.program().unwrap_or_else(|why| panic!("no {flavor}: {why}"));
    let mut command = Command::new(program);
    command.arg(format!("--defaults-file={}", config.display()));
    if let Some(island) = island {
        command = island.settle(&command);
    }
    if let Some(first) = path {
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(first.to_owned()).chain(std::env::split_paths(&usual));
        command.env("PATH", std::env::join_paths(folders).expect("a path"));
    }
    command
}

fn configuration(
    flavor: Flavor,
    folder: &Path,
    at: SocketAddrV4,
    certificates: &Certificates,
    settings: &[&str],
) -> PathBuf {
    let accounts = folder.join("accounts.sql");
    fs::write(&accounts, accounts::statements(flavor)).expect("to write the accounts");
    let mut text = flavor.settings();
    for (name, value) in [
        ("datadir", folder.join("data")),
        ("socket", folder.join("socket")),
        ("pid_file", folder.join("pid")),
        ("tmpdir", folder.to_path_buf()),
        ("init_file", accounts),
        ("ssl_ca", certificates.authority.clone()),
        ("ssl_cert", certificates.certificate.clone()),
        ("ssl_key", certificates.key.clone()),
    ] {
        text += &format!("{name}={}\n", value.display());
    }
    let (host, port) = (at.ip(), at.port());
    text += &format!("bind_address={host}\nport={port}\nserver_id={port}\n");
    if !settings.iter().any(|line| line.starts_with("log_bin")) {
        text += "skip_log_bin\n";
    }
    for line in settings {
        text += &format!("{line}\n");
    }
    let config = folder.join("my.cnf");
    fs::write(&config, text).expect("to write the configuration");
    config
}

/// A data folder that was just initialised, to be copied: initialising takes seconds, copying does
/// not. Kept in the testbed's cache for each version of the server.
fn template(flavor: Flavor) -> PathBuf {
    let program = flavor.program().expect("a server");
    let version = Command::new(program).arg("--version").output().expect("its version").stdout;
    let version: String = String::from_utf8_lossy(&version)
        .split_whitespace()
        .skip_while(|word| *word != "Ver")
        .nth(1)
        .unwrap_or("unknown")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    let templates = testbed::folder().join("templates");
    let template = templates.join(format!("{}-{version}", flavor.short()));
    if template.is_dir() {
        return template;
    }
    fs::create_dir_all(&templates).expect("the testbed's cache");
    let scratch = TempDir::new_in(&templates).expect("a folder");
    let data = scratch.path().join("data");
    if flavor == Flavor::MariaDb {
        fs::create_dir(&data).expect("a folder");
    }
    flavor.initialise(scratch.path(), &data);
    // The identity that MySQL gave itself: two copies must not share it.
    let _ = fs::remove_file(data.join("auto.cnf"));
    // Another test may have been quicker; its template is as good.
    let _ = fs::rename(&data, &template);
    template
}

/// Copies a folder, sharing the blocks where the file system can.
pub(super) fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(to).status();
    assert!(copied.expect("cp to start").success(), "cp {} {}", from.display(), to.display());
}

/// The end of a log, where the reason is.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
