//! Where settings come from: a TOML file, and environment variables over it.

use std::ffi::OsString;
use std::fmt;

use config::{ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

/// What the names of Millpond's variables begin with.
const PREFIX: &str = "MILLPOND__";
/// What separates the levels in a variable's name.
const SEPARATOR: &str = "__";

/// The merged settings: the file's text, overridden by those of `variables` that are Millpond's.
pub(super) fn merge(
    text: &str,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Map<String, Value>, SourceError> {
    let merged = config::Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .add_source(Overrides::of(variables)?)
        .build()
        .map_err(|error| SourceError::syntax(&error, text))?;
    match merged.cache.kind {
        ValueKind::Table(table) => Ok(table),
        _ => Ok(Map::new()),
    }
}

/// Why the sources could not be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The file is not TOML. What stands in the offending line is not repeated: it may be a
    /// password.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// What the TOML parser says.
        message: String,
    },
    /// A variable's value is not UTF-8.
    #[error("the environment variable {variable} is not valid UTF-8")]
    NotUnicode {
        /// The variable's name.
        variable: String,
    },
}

impl SourceError {
    fn syntax(error: &ConfigError, text: &str) -> Self {
        let cause = match error {
            ConfigError::FileParse { cause, .. } => cause.downcast_ref::<toml::de::Error>(),
            _ => None,
        };
        let before = cause
            .and_then(toml::de::Error::span)
            .and_then(|span| text.get(..span.start))
            .unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self::Syntax {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: cause.map_or("not TOML", toml::de::Error::message).to_owned(),
        }
    }
}

/// Settings from the environment.
#[derive(Clone)]
struct Overrides {
    /// Name and value, sorted, so that two variables which contradict each other do so the same
    /// way at every start.
    variables: Vec<(String, String)>,
}

impl Overrides {
    fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, SourceError> {
        let mut own = Vec::new();
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            let value = value
                .into_string()
                .map_err(|_| SourceError::NotUnicode { variable: name.to_owned() })?;
            own.push((name.to_owned(), value));
        }
        own.sort();
        Ok(Self { variables: own })
    }
}

// By hand, because a value may be a password.
impl fmt::Debug for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.variables.iter().map(|(name, _)| name)).finish()
    }
}

impl Source for Overrides {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let mut collected = Value::from(Map::<String, Value>::new());
        self.collect_to(&mut collected)?;
        collected.into_table()
    }

    /// Unlike the `config` crate's own source for the environment, this one knows what the file
    /// holds: `MILLPOND__SERVICES__ORDER_DB__LISTEN` is the listener of `[services.order-db]`.
    fn collect_to(&self, cache: &mut Value) -> Result<(), ConfigError> {
        for (name, value) in &self.variables {
            put(cache, &name[PREFIX.len()..], Value::new(Some(name), value.as_str()));
        }
        Ok(())
    }
}

/// Puts `value` where the rest of a variable's name, `path`, says.
fn put(place: &mut Value, path: &str, value: Value) {
    if !matches!(place.kind, ValueKind::Table(_)) {
        place.kind = ValueKind::Table(Map::new());
    }
    if let ValueKind::Table(table) = &mut place.kind {
        let (segment, rest) = match path.split_once(SEPARATOR) {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (path, None),
        };
        let key = key_for(segment, table);
        let inner = table.entry(key).or_insert_with(|| Value::from(Map::<String, Value>::new()));
        match rest {
            Some(rest) => put(inner, rest, value),
            None => *inner = value,
        }
    }
}

/// The key of `table` that a segment of a variable's name means.
fn key_for(segment: &str, table: &Map<String, Value>) -> String {
    let wanted = segment.to_lowercase();
    match table.contains_key(&wanted) {
        true => wanted,
        false => table.keys().find(|key| folded(key) == wanted).cloned().unwrap_or(wanted),
    }
}

/// A key as it can be written in a variable's name, in lower case.
fn folded(key: &str) -> String {
    key.to_lowercase().replace(|character: char| !character.is_alphanumeric(), "_")
}
