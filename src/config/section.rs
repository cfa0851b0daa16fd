//! Reading one table of the settings: each key is asked for by its name together with what is
//! right for it, and what nobody asked for is unknown.
//!
//! This takes the place of raw serde structs with `deny_unknown_fields`. Serde stops at the first
//! thing that is wrong and has lost the path by then; here all that is wrong is found in one pass,
//! and a key, its meaning, its range and its default stand in one line of the type that keeps it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Map, Value, ValueKind};

use super::given::{Given, Setting, shown};
use super::pattern::Pattern;
use super::refusal::{Problem, Refusal, nearest};
use super::secret::Secret;
use super::units::{ShownDuration, ShownSize, parse_size};

/// What comes to light while a configuration is read.
pub(super) struct Report {
    /// What is wrong.
    pub(super) refusals: Vec<Refusal>,
    /// The full path of every key that was asked for.
    pub(super) asked: Vec<String>,
    /// The folder that relative paths start from.
    folder: PathBuf,
}

impl Report {
    pub(super) fn new(folder: &Path) -> Self {
        Self { refusals: Vec::new(), asked: Vec::new(), folder: folder.to_owned() }
    }

    /// Reads the whole of a configuration.
    pub(super) fn read<T>(
        &mut self,
        table: Map<String, Value>,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        Section::read_whole(String::new(), table, self, read)
    }
}

/// One table while it is read.
pub(super) struct Section<'r> {
    /// Its full path; empty at the top.
    path: String,
    /// What has not been asked for yet.
    table: Map<String, Value>,
    /// The keys asked for.
    known: Vec<String>,
    /// Those of them that were there: as they would be shown, and the variable they came from.
    found: BTreeMap<String, (Option<String>, Option<String>)>,
    report: &'r mut Report,
}

impl Section<'_> {
    fn read_whole<T>(
        path: String,
        table: Map<String, Value>,
        report: &mut Report,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let found = BTreeMap::new();
        let mut section = Section { path, table, known: Vec::new(), found, report };
        let value = read(&mut section);
        section.refuse_the_rest();
        value
    }

    /// A subsection. Absent, it is read as an empty one, so its defaults apply.
    pub(super) fn section<T>(&mut self, name: &str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let table = match self.remove(name) {
            None => Map::new(),
            Some(value) => self.table_of(name, value),
        };
        Section::read_whole(self.key(name), table, self.report, read)
    }

    /// A subsection that need not be there.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> Option<T> {
        match self.table.contains_key(name) {
            true => {
                self.found.insert(name.to_owned(), (None, None));
                Some(self.section(name, read))
            }
            false => {
                self.known.push(name.to_owned());
                None
            }
        }
    }

    /// Subsections whose names are free, in the order of the file.
    pub(super) fn each<T>(
        &mut self,
        name: &str,
        mut read: impl FnMut(&str, &mut Section<'_>) -> T,
    ) -> Vec<T> {
        self.section(name, |all| {
            let mut values = Vec::new();
            for (name, value) in std::mem::take(&mut all.table) {
                let table = all.table_of(&name, value);
                let read = |section: &mut Section<'_>| read(&name, section);
                values.push(Section::read_whole(all.key(&name), table, all.report, read));
            }
            values
        })
    }

    /// A setting that says itself what is right for it.
    pub(super) fn setting<T: Setting>(&mut self, name: &str) -> Option<T> {
        self.take(name, || T::EXPECTED.into(), T::read)
    }

    /// A number within `range`.
    pub(super) fn number(&mut self, name: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let right = || format!("a whole number from {} to {}", range.start(), range.end()).into();
        let read = |given: Given<'_>| {
            given.integer().and_then(|n| u32::try_from(n).ok()).filter(|n| range.contains(n))
        };
        self.take(name, right, read)
    }

    /// A duration within `range`.
    pub(super) fn duration(
        &mut self,
        name: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let right = || {
            let (shortest, longest) = (ShownDuration(*range.start()), ShownDuration(*range.end()));
            format!("a duration from {shortest} to {longest}, such as \"5s\" or \"250ms\"").into()
        };
        self.take(name, right, |given| given.duration().filter(|value| range.contains(value)))
    }

    /// A time limit within `range`; `"0"` is none.
    pub(super) fn limit(
        &mut self,
        name: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Option<Duration>> {
        let right = || {
            let (shortest, longest) = (ShownDuration(*range.start()), ShownDuration(*range.end()));
            format!("a duration from {shortest} to {longest}, such as \"30m\", or \"0\" for none")
                .into()
        };
        self.take(name, right, |given| match given.duration()? {
            Duration::ZERO => Some(None),
            value => range.contains(&value).then_some(Some(value)),
        })
    }

    /// A number of bytes within `range`.
    pub(super) fn size(&mut self, name: &str, range: RangeInclusive<usize>) -> Option<usize> {
        let right = || {
            let shown = |bytes: &usize| ShownSize(u64::try_from(*bytes).unwrap_or(u64::MAX));
            let (least, most) = (shown(range.start()), shown(range.end()));
            format!("a size from {least} to {most}, such as \"64KiB\"").into()
        };
        self.take(name, right, |given| {
            let size = usize::try_from(parse_size(given.text()?)?).ok()?;
            range.contains(&size).then_some(size)
        })
    }

    /// Any text.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.take(name, || "text".into(), |given| given.text().map(str::to_owned))
    }

    /// A path; a relative one starts from the configuration's folder.
    pub(super) fn path(&mut self, name: &str) -> Option<PathBuf> {
        let folder = self.report.folder.clone();
        self.take(
            name,
            || "the path of a file".into(),
            |given| given.text().filter(|text| !text.is_empty()).map(|text| folder.join(text)),
        )
    }

    /// What `read` makes of a text.
    pub(super) fn parsed<T>(
        &mut self,
        name: &str,
        right: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.take(name, || right.into(), |given| read(given.text()?))
    }

    /// A list of at least one, whose members `read` understands.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        right: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let read =
            |given: Given<'_>| -> Option<Vec<T>> { given.list()?.into_iter().map(&read).collect() };
        self.take(name, || right.into(), |given| read(given).filter(|members| !members.is_empty()))
    }

    /// A list of texts that are not empty.
    pub(super) fn texts(&mut self, name: &str, right: &'static str) -> Option<Vec<String>> {
        self.list(name, right, |text| (!text.is_empty()).then(|| text.to_owned()))
    }

    /// Names that are free, and for each a text in which `*` stands for any characters.
    pub(super) fn patterns(&mut self, name: &str) -> Vec<(String, Pattern)> {
        self.section(name, |all| {
            let names: Vec<String> = all.table.keys().cloned().collect();
            let right = "text that is not empty, in which * stands for any characters";
            let read = |name: String| {
                let pattern = all.parsed(&name, right, |text| text.parse().ok())?;
                Some((name, pattern))
            };
            names.into_iter().filter_map(read).collect()
        })
    }

    /// A value that no message may repeat.
    pub(super) fn secret(&mut self, name: &str) -> Option<Secret> {
        self.confidential(name, "text that is not empty", |text| {
            (!text.is_empty()).then(|| Secret::new(text))
        })
    }

    /// What `read` makes of a text that no message may repeat.
    pub(super) fn confidential<T>(
        &mut self,
        name: &str,
        right: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.remove(name)?;
        let variable = value.origin().map(str::to_owned);
        self.found.insert(name.to_owned(), (None, variable));
        let read = Given(&value).text().and_then(read);
        if read.is_none() {
            self.refuse(name, Problem::Expected(right.into()));
        }
        read
    }

    /// Refuses what was found under `name`.
    pub(super) fn refuse(&mut self, name: &str, problem: Problem) {
        let (found, variable) = self.found.get(name).cloned().unwrap_or_default();
        let key = self.key(name);
        self.report.refusals.push(Refusal { key, found, variable, problem });
    }

    /// Refuses that there is no `name`.
    pub(super) fn missing(&mut self, name: &str, right: impl Into<Cow<'static, str>>) {
        self.refuse(name, Problem::Missing(right.into()));
    }

    /// Refuses `name` because it can't stand together with something else.
    pub(super) fn conflict(&mut self, name: &str, why: impl Into<Cow<'static, str>>) {
        self.refuse(name, Problem::Conflict(why.into()));
    }

    /// Refuses this section as a whole.
    pub(super) fn refuse_own(&mut self, why: &'static str) {
        let problem = Problem::Conflict(why.into());
        let key = self.path.clone();
        self.report.refusals.push(Refusal { key, found: None, variable: None, problem });
    }

    /// Refuses a value that was found elsewhere.
    pub(super) fn refuse_found(&mut self, key: String, found: String, problem: Problem) {
        let refusal = Refusal { key, found: Some(found), variable: None, problem };
        self.report.refusals.push(refusal);
    }

    /// Whether `name` was in the configuration, right or wrong.
    pub(super) fn had(&self, name: &str) -> bool {
        self.found.contains_key(name)
    }

    /// The full path of a key.
    pub(super) fn key(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    fn take<T>(
        &mut self,
        name: &str,
        right: impl FnOnce() -> Cow<'static, str>,
        read: impl FnOnce(Given<'_>) -> Option<T>,
    ) -> Option<T> {
        let value = self.remove(name)?;
        let variable = value.origin().map(str::to_owned);
        self.found.insert(name.to_owned(), (Some(shown(&value)), variable));
        let read = read(Given(&value));
        if read.is_none() {
            self.refuse(name, Problem::Expected(right()));
        }
        read
    }

    fn remove(&mut self, name: &str) -> Option<Value> {
        self.known.push(name.to_owned());
        self.report.asked.push(self.key(name));
        self.table.shift_remove(name)
    }

    /// The table in `value`, or a refusal and an empty one.
    fn table_of(&mut self, name: &str, value: Value) -> Map<String, Value> {
        let variable = value.origin().map(str::to_owned);
        match value.kind {
            ValueKind::Table(table) => table,
            _ => {
                // The value is not repeated: `[users]` with `app = "…"` would show a password.
                self.found.insert(name.to_owned(), (None, variable));
                let right = format!("a section, [{}]", self.key(name));
                self.refuse(name, Problem::Expected(right.into()));
                Map::new()
            }
        }
    }

    /// Values of unknown keys are not repeated either: `pasword` is one of them.
    fn refuse_the_rest(&mut self) {
        for (name, value) in std::mem::take(&mut self.table) {
            let problem = Problem::Unknown {
                nearest: nearest(&name, self.known.iter().map(String::as_str)).map(str::to_owned),
                known: self.known.clone(),
            };
            let variable = first_origin(&value);
            let key = self.key(&name);
            self.report.refusals.push(Refusal { key, found: None, variable, problem });
        }
    }
}

/// The variable that gave a value, or the first within it.
fn first_origin(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Table(table) => table.values().find_map(first_origin),
        _ => value.origin().map(str::to_owned),
    }
}
