//! The log: one event a line, on standard error.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::subscriber::SetGlobalDefaultError;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, ParseError, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Registry, reload};

use super::repeats::Repeats;
use crate::config::{LogConfig, LogFormat, LogLevel};

/// Why the log can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The directives that say what is logged can't be read.
    #[error("log.level: {0}")]
    Level(#[from] ParseError),
    /// There is one already in this process.
    #[error("the log is set up already")]
    Twice(#[from] SetGlobalDefaultError),
    /// It is gone.
    #[error("the log is gone: {0}")]
    Gone(#[from] reload::Error),
}

/// What can be done about the log while it is written.
#[derive(Clone)]
pub struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    level: Arc<Mutex<LogLevel>>,
    repeats: Repeats,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Log {
    /// What is logged.
    pub fn level(&self) -> LogLevel {
        self.level.lock().clone()
    }

    /// Has this logged from now on.
    ///
    /// # Errors
    ///
    /// When there is no log any more.
    pub fn set_level(&self, level: LogLevel) -> Result<(), LoggingError> {
        self.filter.reload(EnvFilter::try_new(level.directives())?)?;
        *self.level.lock() = level;
        Ok(())
    }

    /// Logs how often what was kept out happened. To be called about once a second.
    pub fn tell_repeats(&self) {
        self.repeats.tell();
    }
}

/// Sends the events of the whole process to standard error. Once in a process.
pub fn install(config: &LogConfig) -> Result<Log, LoggingError> {
    let style = match io::stderr().is_terminal() {
        true => Style::Coloured,
        false => Style::Plain,
    };
    let (subscriber, log) = subscriber(config, style, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(log)
}

/// Whether lines for people have colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// With the terminal's escape sequences.
    Coloured,
    /// Without.
    Plain,
}

/// What writes events to `writer` as `config` says.
pub fn subscriber<W>(
    config: &LogConfig,
    style: Style,
    writer: W,
) -> Result<(Box<dyn Subscriber + Send + Sync>, Log), LoggingError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(config.level.directives())?);
    let repeats = Repeats::default();
    let log = Log {
        filter: handle,
        level: Arc::new(Mutex::new(config.level.clone())),
        repeats: repeats.clone(),
    };
    let below = Registry::default().with(filter).with(filter_fn(is_ours_to_tell)).with(repeats);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let subscriber: Box<dyn Subscriber + Send + Sync> = match config.format {
        LogFormat::Json => Box::new(below.with(lines.json().flatten_event(true))),
        LogFormat::Text => Box::new(below.with(lines.with_ansi(style == Style::Coloured))),
    };
    Ok((subscriber, log))
}

/// AWS's SDK tells on its lower levels what it asks and what it is answered: secrets.
fn is_ours_to_tell(metadata: &Metadata<'_>) -> bool {
    !metadata.target().starts_with("aws_") || *metadata.level() <= Level::WARN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(settings: &str) -> String {
        let text = logged_by(settings, |_| {
            tracing::info!(service = "orders", "listening");
            tracing::debug!("detail");
        });
        assert_eq!(text.lines().count(), usize::from(!text.is_empty()), "one event, one line");
        text
    }

    fn logged_by(settings: &str, events: impl FnOnce(&Log)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.toml");
        let service = "[services.a]\nlisten = \"127.0.0.1:1\"\nbackend.endpoints = [\"a:1\"]\n\
                       users.a.password = \"a\"\n";
        std::fs::write(&path, format!("{service}[log]\n{settings}\n")).unwrap();
        let config = Config::load(&path, []).unwrap();
        let written = Written::default();
        let copy = written.clone();
        let (subscriber, log) =
            subscriber(&config.log, Style::Plain, move || copy.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || events(&log));
        let written = written.0.lock().clone();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn text_is_for_people() {
        let text = logged("");
        assert!(text.contains(" INFO ") && text.contains("listening service=\"orders\""), "{text}");
    }

    #[test]
    fn json_is_for_machines() {
        let line: serde_json::Value = serde_json::from_str(&logged("format = \"json\"")).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "listening");
        assert_eq!(line["service"], "orders");
    }

    #[test]
    fn the_level_filters() {
        assert_eq!(logged("level = \"error\""), "");
        assert_eq!(logged("level = \"info,millpond=error\""), "");
    }

    #[test]
    fn levels_change_while_it_is_written() {
        let text = logged_by("level = \"error\"", |log| {
            tracing::info!("before");
            log.set_level("warn,millpond=info".parse().unwrap()).unwrap();
            tracing::info!("after");
            assert_eq!(log.level().directives(), "warn,millpond=info");
        });
        assert!(text.contains("after") && !text.contains("before"), "{text}");
    }

    #[test]
    fn what_repeats_itself_is_one_line() {
        let text = logged_by("", |_| {
            for turn in 0..1_000 {
                tracing::warn!(server = "db", "no answer");
                tracing::debug!(turn, "not asked for");
            }
            tracing::warn!(server = "other", "no answer");
        });
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn a_line_is_one_line_whatever_is_in_it() {
        let text = logged_by("", |_| {
            tracing::info!(statement = "SELECT\n1", error = "a\r\nb", "slow statement");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
