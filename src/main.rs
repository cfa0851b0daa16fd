//! The command line: arguments, configuration, one call, an exit code.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use millpond::admin::Reloads;
use millpond::admin::health::{self, Probe};
use millpond::admin::top;
use millpond::app;
use millpond::config::Config;
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
    Status(StatusArguments),
    /// The same, live in this terminal
    Top(StatusArguments),
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "proxy.toml")]
    config: PathBuf,
}

#[derive(Args)]
struct StatusArguments {
    #[command(flatten)]
    file: ConfigFile,
    /// The admin port's address, instead of the configuration's
    #[arg(long, value_name = "IP:PORT", conflicts_with = "config")]
    admin: Option<SocketAddr>,
}

#[derive(Args)]
struct HealthArguments {
    #[command(flatten)]
    file: ConfigFile,
    /// The admin port's address, instead of the configuration's
    #[arg(long, value_name = "IP:PORT", conflicts_with = "config")]
    admin: Option<SocketAddr>,
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

fn admin_address(given: Option<SocketAddr>, file: &ConfigFile) -> Result<SocketAddr, Failure> {
    let address = match given {
        Some(address) => address,
        None => load(&file.config)?.admin.listen,
    };
    Ok(health::reachable(address))
}

fn show_status(arguments: &StatusArguments) -> Result<(), Failure> {
    let address = admin_address(arguments.admin, &arguments.file)?;
    let status =
        health::status(address).map_err(|error| Failure::new(format!("{address}: {error}")))?;
    io::stdout().write_all(health::status_text(&status).as_bytes()).map_err(Failure::new)
}

fn show_top(arguments: &StatusArguments) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        return Err(Failure::new(
            "top: this is no terminal; `millpond status` prints the same once",
        ));
    }
    let address = admin_address(arguments.admin, &arguments.file)?;
    // What cannot be asked is told here, and not on a screen of its own.
    health::status(address).map_err(|error| Failure::new(format!("{address}: {error}")))?;
    top::run(|| health::status(address)).map_err(Failure::new)
}

fn ask_health(arguments: &HealthArguments) -> Result<(), Failure> {
    let address = admin_address(arguments.admin, &arguments.file)?;
    let probe = if arguments.ready { Probe::Ready } else { Probe::Alive };
    health::ask(address, probe).map_err(|error| Failure::new(format!("{address}: {error}")))
}

fn run(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
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
    let outcome = runtime.block_on(serve(config, path.to_owned(), log));
    runtime.shutdown_timeout(LAST_WAIT);
    outcome
}

/// Runs the application, and tells it what the signals ask.
async fn serve(config: Config, path: PathBuf, log: Log) -> Result<(), Failure> {
    let mut signals = Signals::install().map_err(Failure::new)?;
    let stop = CancellationToken::new();
    let refresh = app::Refresh::default();
    let (reloads, requests) = Reloads::channel();
    let load = Box::new(move || Config::load(&path, env::vars_os()));
    let source = app::Source { load, reloads: reloads.clone(), requests };
    let app = app::run(config, source, &refresh, log, stop.clone().cancelled_owned());
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
