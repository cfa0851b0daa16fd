//! Arguments, configuration, and the process around the library.

use clap::{Parser, Subcommand};
use millpond::config::Config;
use millpond::runtime::{signals, tracing};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// `EX_USAGE`: arguments or configuration are wrong.
const USAGE: u8 = 64;

/// A MySQL connection-pooling proxy.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy.
    Run {
        /// The configuration file.
        #[arg(long, default_value = "proxy.toml")]
        config: PathBuf,
    },
    /// Check the configuration and print it as it takes effect, secrets hidden.
    Check {
        /// The configuration file.
        #[arg(long, default_value = "proxy.toml")]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // --help and --version come this way, too.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let path = match &arguments.command {
        Command::Run { config } | Command::Check { config } => config,
    };
    let config = match Config::load(path, std::env::vars_os()) {
        Ok(config) => config,
        Err(error) => {
            say(&mut std::io::stderr(), &format!("millpond: {error}\n"));
            return ExitCode::from(USAGE);
        }
    };
    match arguments.command {
        Command::Check { .. } => {
            say(&mut std::io::stdout(), &config.show());
            ExitCode::SUCCESS
        }
        Command::Run { .. } => run(config),
    }
}

/// Writes to a stream that nobody may be reading any more.
fn say(to: &mut impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes());
}

fn run(config: Config) -> ExitCode {
    if let Err(error) = tracing::init(&config.log) {
        say(&mut std::io::stderr(), &format!("millpond: {error}\n"));
        return ExitCode::FAILURE;
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if config.runtime.threads > 0 {
        builder.worker_threads(config.runtime.threads);
    }
    let result = builder.enable_all().build().map(|runtime| {
        runtime.block_on(async {
            let stop = signals::stop_requested()?;
            let ran = millpond::app::run(config, stop).await;
            ran.map_err(std::io::Error::other)
        })
    });
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) | Err(error) => {
            say(&mut std::io::stderr(), &format!("millpond: {error}\n"));
            ExitCode::FAILURE
        }
    }
}
