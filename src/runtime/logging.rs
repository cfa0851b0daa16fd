//! The log: one event a line, on standard error.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogConfig, LogFormat};

/// Why the log can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The directives that say what is logged can't be read.
    #[error("log.level: {0}")]
    Level(#[from] ParseError),
    /// There is one already in this process.
    #[error("the log is set up already")]
    Twice(#[from] SetGlobalDefaultError),
}

/// Sends the events of the whole process to standard error. Once in a process.
pub fn install(config: &LogConfig) -> Result<(), LoggingError> {
    let style = match io::stderr().is_terminal() {
        true => Style::Coloured,
        false => Style::Plain,
    };
    let subscriber = subscriber(config, style, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(())
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
) -> Result<Box<dyn Subscriber + Send + Sync>, LoggingError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(config.level.directives())?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match config.format {
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
        LogFormat::Text => Box::new(builder.with_ansi(style == Style::Coloured).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.toml");
        let service = "[services.a]\nlisten = \"127.0.0.1:1\"\nbackend.endpoints = [\"a:1\"]\n\
                       users.a.password = \"a\"\n";
        std::fs::write(&path, format!("{service}[log]\n{settings}\n")).unwrap();
        let config = Config::load(&path, []).unwrap();
        let written = Written::default();
        let copy = written.clone();
        let subscriber = subscriber(&config.log, Style::Plain, move || copy.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(service = "orders", "listening");
            tracing::debug!("detail");
        });
        let text = String::from_utf8(written.0.lock().clone()).unwrap();
        assert_eq!(text.lines().count(), usize::from(!text.is_empty()), "one event, one line");
        text
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
}
