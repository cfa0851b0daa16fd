//! The command line: arguments, configuration, one call, an exit code.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use millpond::admin::Reloads;
use millpond::admin::door::{Door, Keys};
use millpond::admin::health::{self, Probe, Unhealthy};
use millpond::admin::top;
use millpond::app;
use millpond::config::{CertificateFiles, Config, Secret};
use millpond::runtime::logging::{self, Log};
use millpond::runtime::{Signal, Signals};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// `EX_USAGE` of sysexits.h: the command line or the configuration is wrong.
const USAGE: u8 = 64;
/// It failed.
const FAILURE: u8 = 1;
/// How long threads that block, such as on name resolution, may hold up the end.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// A MySQL connection-pooling proxy for serverless functions and other short-lived clients.
///
/// Settings come from the file and from environment variables over it:
/// MILLPOND__SERVICES__ORDERS__POOL__MAX_SIZE=50 is services.orders.pool.max_size.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the configuration and print what is in effect, without secrets
    Check(ConfigFile),
    /// Ask a running Millpond on this machine whether it is alive
    Health(HealthArguments),
    /// Serve until SIGTERM or Ctrl-C, then let transactions finish
    Run(ConfigFile),
    /// Ask a running Millpond on this machine what it is doing
    Status(DoorArguments),
    /// The same, live in this terminal
    Top(DoorArguments),
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "proxy.toml")]
    config: PathBuf,
}

/// Which Millpond to ask, and what to bring. A token that is in no configuration comes in the
/// variable MILLPOND_ADMIN_TOKEN.
#[derive(Args)]
struct DoorArguments {
    #[command(flatten)]
    file: ConfigFile,
    /// The admin port's address, instead of the configuration's
    #[arg(long, value_name = "IP:PORT", conflicts_with = "config")]
    admin: Option<SocketAddr>,
    /// What the admin port's certificate comes from, or the certificate itself: it speaks TLS
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A certificate of one's own, where the admin port asks for one
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
}

#[derive(Args)]
struct HealthArguments {
    #[command(flatten)]
    door: DoorArguments,
    /// Ask whether it wants clients, too
    #[arg(long)]
    ready: bool,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => {
            let code = if message.use_stderr() { USAGE } else { 0 };
            // Nothing can be said if this fails.
            let _ = message.print();
            return ExitCode::from(code);
        }
    };
    let outcome = match arguments.command {
        Command::Check(file) => check(&file.config),
        Command::Health(arguments) => ask_health(&arguments),
        Command::Run(file) => run(&file.config),
        Command::Status(arguments) => show_status(&arguments),
        Command::Top(arguments) => show_top(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message {
                let _ = writeln!(io::stderr(), "millpond: {message}");
            }
            ExitCode::from(failure.code)
        }
    }
}

/// What ends the process with something else than success.
struct Failure {
    code: u8,
    /// What to say on standard error, unless the log has it.
    message: Option<String>,
}

impl Failure {
    fn new(message: impl ToString) -> Self {
        Self { code: FAILURE, message: Some(message.to_string()) }
    }
}

fn load(path: &Path) -> Result<Config, Failure> {
    Config::load(path, env::vars_os()).map_err(|error| Failure {
        code: USAGE,
        message: Some(format!("configuration refused\n{error}")),
    })
}

fn check(path: &Path) -> Result<(), Failure> {
    let shown = load(path)?.show();
    io::stdout().write_all(shown.as_bytes()).map_err(Failure::new)
}

fn door(arguments: &DoorArguments) -> Result<Door, Failure> {
    let token =
        env::var_os("MILLPOND_ADMIN_TOKEN").map(|token| Secret::new(token.as_encoded_bytes()));
    let files = arguments.certificate.clone().zip(arguments.key.clone());
    let identity = files.map(|(certificate, key)| CertificateFiles { certificate, key });
    let keys = Keys { token, ca: arguments.ca.clone(), identity };
    match arguments.admin {
        Some(address) => Door::at(address, keys),
        None => Door::of(&load(&arguments.file.config)?.admin, keys),
    }
    .map_err(Failure::new)
}

/// Says whom something is about that did not work.
fn at(door: &Door) -> impl Fn(Unhealthy) -> Failure {
    let address = door.address();
    move |error| Failure::new(format!("{address}: {error}"))
}

fn show_status(arguments: &DoorArguments) -> Result<(), Failure> {
    let door = door(arguments)?;
    let status = health::status(&door).map_err(at(&door))?;
    io::stdout().write_all(health::status_text(&status).as_bytes()).map_err(Failure::new)
}

fn show_top(arguments: &DoorArguments) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        return Err(Failure::new(
            "top: this is no terminal; `millpond status` prints the same once",
        ));
    }
    let door = door(arguments)?;
    // What cannot be asked is told here, and not on a screen of its own.
    health::status(&door).map_err(at(&door))?;
    top::run(|| health::status(&door)).map_err(Failure::new)
}

fn ask_health(arguments: &HealthArguments) -> Result<(), Failure> {
    let door = door(&arguments.door)?;
    let probe = if arguments.ready { Probe::Ready } else { Probe::Alive };
    health::ask(&door, probe).map_err(at(&door))
}

fn run(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    // Before there are other threads: the process's environment changes.
    let sockets = app::Sockets::of_manager().map_err(Failure::new)?;
    let log = logging::install(&config.log).map_err(Failure::new)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let threads = match config.runtime.threads {
        // Half the cores: a statement costs less on fewer threads (measured), and the rest of the
        // machine has work of its own, in a sidecar above all.
        0 => std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)),
        threads => threads,
    };
    builder.worker_threads(threads);
    let runtime = builder.enable_all().build().map_err(Failure::new)?;
    let outcome = runtime.block_on(serve(config, path.to_owned(), log, sockets));
    runtime.shutdown_timeout(LAST_WAIT);
    outcome
}

/// Runs the application, and tells it what the signals ask.
async fn serve(
    config: Config,
    path: PathBuf,
    log: Log,
    sockets: app::Sockets,
) -> Result<(), Failure> {
    let mut signals = Signals::install().map_err(Failure::new)?;
    let stop = CancellationToken::new();
    let refresh = app::Refresh::default();
    let (reloads, requests) = Reloads::channel();
    let load = Box::new(move || Config::load(&path, env::vars_os()));
    let source = app::Source { load, reloads: reloads.clone(), requests };
    let app = app::run(config, source, &refresh, log, sockets, stop.clone().cancelled_owned());
    tokio::pin!(app);
    loop {
        let signal = tokio::select! {
            outcome = &mut app => {
                return outcome.map_err(|error| {
                    error!(%error, "stopped");
                    Failure { code: FAILURE, message: None }
                });
            }
            signal = signals.next() => signal,
        };
        match signal {
            Signal::Hangup => {
                info!("SIGHUP: fetching secrets, reading the configuration");
                refresh.ask();
                reloads.request();
            }
            Signal::Interrupt if stop.is_cancelled() => {
                error!("interrupted while draining");
                return Err(Failure { code: FAILURE, message: None });
            }
            Signal::Interrupt | Signal::Terminate => {
                info!(?signal, "draining");
                stop.cancel();
            }
        }
    }
}
