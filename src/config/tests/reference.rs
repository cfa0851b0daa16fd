//! The annotated `proxy.toml` is complete and true.

use std::collections::BTreeSet;

use super::*;

const REFERENCE: &str = include_str!("../../../proxy.toml");

/// How it marks a default and an example.
const EXAMPLE: &str = "#~ ";

/// A default is a `#` directly in front of a key, so no prose.
fn is_default(line: &str) -> bool {
    line.starts_with('#') && line.as_bytes().get(1).is_some_and(u8::is_ascii_lowercase)
}

fn with_defaults() -> String {
    let uncomment = |line: &str| match is_default(line) {
        true => line[1..].to_owned(),
        false => line.to_owned(),
    };
    REFERENCE.lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

fn with_all() -> String {
    let text = with_defaults();
    text.lines()
        .map(|line| line.strip_prefix(EXAMPLE).unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn it_is_right_as_it_is() {
    let config = load(REFERENCE).unwrap();
    assert_eq!(config.services.len(), 1);
}

#[test]
fn the_defaults_that_it_shows_are_the_defaults() {
    let shown = REFERENCE.lines().filter(|line| is_default(line)).count();
    assert!(shown > 20, "only {shown} lines look like defaults");
    assert_eq!(load(&with_defaults()).unwrap(), load(REFERENCE).unwrap());
}

#[test]
fn its_examples_are_right() {
    let examples = load(&with_all()).unwrap();
    assert_ne!(examples, load(REFERENCE).unwrap());
    assert!(examples.services[0].users.contains_key("batch"));
}

#[test]
fn it_has_every_key() {
    let mut report = Report::new(Path::new(""));
    let merged = source::merge(&with_all(), []).unwrap();
    report.read(merged, Config::read);
    let asked: BTreeSet<_> = report.asked.iter().map(|key| without_names(key)).collect();
    assert!(asked.contains("services.*.pool.max_size"), "{asked:?}");

    let mut written = BTreeSet::new();
    collect("", &with_all().parse().unwrap(), &mut written);
    let absent: Vec<_> = asked.difference(&written).collect();
    assert!(absent.is_empty(), "proxy.toml lacks {absent:?}");
}

/// The paths of all keys in a table.
fn collect(path: &str, table: &toml::Table, keys: &mut BTreeSet<String>) {
    for (name, value) in table {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        keys.insert(without_names(&key));
        if let toml::Value::Table(inner) = value {
            collect(&key, inner, keys);
        }
    }
}

/// A key's path with `*` for each name that the operator chooses.
fn without_names(key: &str) -> String {
    let mut parts: Vec<_> = key.split('.').collect();
    for place in 1..parts.len() {
        if ["services", "users", "secrets", "identity", "claims"].contains(&parts[place - 1]) {
            parts[place] = "*";
        }
    }
    parts.join(".")
}
