//! One value as it was given, and what can be made of it.

use std::time::Duration;

use config::{Value, ValueKind};

use super::units::parse_duration;

/// A type of setting that says itself what is right for it.
pub(super) trait Setting: Sized {
    /// What would be right, to follow "expected".
    const EXPECTED: &'static str;

    /// Reads it, if it is right.
    fn read(given: Given<'_>) -> Option<Self>;
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(given: Given<'_>) -> Option<Self> {
        match &given.0.kind {
            ValueKind::Boolean(value) => Some(*value),
            ValueKind::String(text) if given.is_variable() => text.parse().ok(),
            _ => None,
        }
    }
}

/// One of a few words.
pub(super) trait Choice: Copy + PartialEq + 'static {
    /// The words, to follow "expected".
    const EXPECTED: &'static str;
    /// Each word and what it means.
    const NAMES: &'static [(&'static str, Self)];

    /// The word for it.
    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, value)| *value == self).map_or("", |(name, _)| name)
    }
}

impl<T: Choice> Setting for T {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(given: Given<'_>) -> Option<Self> {
        let text = given.text()?;
        T::NAMES.iter().find(|(name, _)| *name == text).map(|(_, value)| *value)
    }
}

/// A value as it was given: with a type by the file, as text by the environment.
pub(super) struct Given<'a>(pub(super) &'a Value);

impl<'a> Given<'a> {
    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&'a str> {
        match &self.0.kind {
            ValueKind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub(super) fn integer(&self) -> Option<i64> {
        match &self.0.kind {
            ValueKind::I64(number) => Some(*number),
            ValueKind::String(text) if self.is_variable() => text.parse().ok(),
            _ => None,
        }
    }

    /// The duration, if it is one. A bare 0 needs no unit.
    pub(super) fn duration(&self) -> Option<Duration> {
        match self.integer() {
            Some(0) => Some(Duration::ZERO),
            _ => parse_duration(self.text()?),
        }
    }

    /// The texts of a list; the environment separates them by commas.
    pub(super) fn list(&self) -> Option<Vec<&'a str>> {
        match &self.0.kind {
            ValueKind::Array(values) => values.iter().map(|value| Given(value).text()).collect(),
            ValueKind::String(text) if self.is_variable() => {
                Some(text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect())
            }
            _ => None,
        }
    }

    /// Only the environment's values carry an origin (see [`super::source`]).
    fn is_variable(&self) -> bool {
        self.0.origin().is_some()
    }
}

/// A value as it would be written in TOML.
pub(super) fn shown(value: &Value) -> String {
    let list = |values: &[Value]| values.iter().map(shown).collect::<Vec<_>>().join(", ");
    match &value.kind {
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Array(values) => format!("[{}]", list(values)),
        ValueKind::Table(_) => "{ … }".to_owned(),
        ValueKind::Nil => "nothing".to_owned(),
        other => other.to_string(),
    }
}
