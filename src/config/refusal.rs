//! Why a configuration is refused: which key, what was found there, and what would be right.

use std::borrow::Cow;
use std::fmt;

/// One thing that is wrong with a configuration.
///
/// Its text is one line: `services.orders.pool.max_size = "lots": expected …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The full path of the key, levels joined by dots.
    pub key: String,
    /// What was found, as it would be written in TOML; absent when nothing was, or it is secret.
    pub found: Option<String>,
    /// The environment variable that gave the value, if it did not come from the file.
    pub variable: Option<String>,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with the value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It can't stand together with another setting.
    Conflict(Cow<'static, str>),
    /// It has the wrong type, can't be read or is out of range; this would be right.
    Expected(Cow<'static, str>),
    /// It has to be there; this would be right.
    Missing(Cow<'static, str>),
    /// There is no such key here.
    Unknown {
        /// A key that exists and is spelled much like it.
        nearest: Option<String>,
        /// All keys that exist here.
        known: Vec<String>,
    },
}

/// Everything that is wrong with a configuration, in the order in which it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusals(Vec<Refusal>);

impl Refusals {
    /// The refusals among `found`, if there are any.
    pub(super) fn among(found: Vec<Refusal>) -> Option<Self> {
        (!found.is_empty()).then_some(Self(found))
    }

    /// Each single refusal.
    pub fn iter(&self) -> impl Iterator<Item = &Refusal> {
        self.0.iter()
    }
}

impl std::error::Error for Refusals {}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, refusal) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{refusal}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key)?;
        if let Some(found) = &self.found {
            write!(f, " = {found}")?;
        }
        if let Some(variable) = &self.variable {
            write!(f, " (from {variable})")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(why) => write!(f, "{why}"),
            Self::Expected(right) => write!(f, "expected {right}"),
            Self::Missing(right) => write!(f, "missing: expected {right}"),
            Self::Unknown { nearest: Some(nearest), .. } => {
                write!(f, "unknown key; did you mean `{nearest}`?")
            }
            Self::Unknown { nearest: None, known } => {
                write!(f, "unknown key; known here: {}", known.join(", "))
            }
        }
    }
}

/// The one of `known` that `name` was most likely meant to be.
///
/// Jaro-Winkler favours a common beginning, which is how keys are misremembered (`max_connections`
/// for `max_size` is no misspelling, `max_lifetim` is).
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}
