//! The effective configuration as TOML, without its secrets.

use std::time::Duration;

use toml::{Table, Value};

use super::units::{ShownDuration, ShownSize};

/// What stands in the place of a secret.
pub(super) const HIDDEN: &str = "…";

/// A table that is being shown.
pub(super) struct Shown(Table);

impl Shown {
    pub(super) fn new() -> Self {
        Self(Table::new())
    }

    /// Adds a value.
    pub(super) fn put(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a value if there is one.
    pub(super) fn maybe(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.put(name, value),
            None => self,
        }
    }

    /// Adds a duration with its unit.
    pub(super) fn duration(self, name: &str, value: Duration) -> Self {
        self.put(name, ShownDuration(value).to_string())
    }

    /// Adds a time limit; none is `"0"`.
    pub(super) fn limit(self, name: &str, value: Option<Duration>) -> Self {
        self.duration(name, value.unwrap_or(Duration::ZERO))
    }

    /// Adds a size with its unit.
    pub(super) fn size(self, name: &str, value: usize) -> Self {
        let bytes = u64::try_from(value).unwrap_or(u64::MAX);
        self.put(name, ShownSize(bytes).to_string())
    }

    /// Adds a subsection.
    pub(super) fn section(self, name: &str, section: Shown) -> Self {
        self.put(name, section.0)
    }

    /// Adds all that another table holds.
    pub(super) fn all(mut self, other: Shown) -> Self {
        self.0.extend(other.0);
        self
    }

    /// What it is made of.
    pub(super) fn into_table(self) -> Table {
        self.0
    }

    /// The text of it.
    pub(super) fn into_text(self) -> String {
        self.0.to_string()
    }
}
