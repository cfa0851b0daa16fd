//! The house stands on its floors: a file may use only rooms below its own.
#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::fs;
use std::path::{Path, PathBuf};

/// All rooms, the lowest first.
const FLOORS: [&str; 14] = [
    "wire",
    "session",
    "config",
    "runtime",
    "net",
    "backend",
    "credentials",
    "pool",
    "failover",
    "router",
    "frontend",
    "admin",
    "app",
    "main",
];

#[test]
fn no_room_uses_one_above_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for file in rust_files(&source) {
        let inside = file.strip_prefix(&source).unwrap();
        let room = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if room == "lib" {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for upward in upward_uses(room, &text) {
            faults.push(format!("src/{}: {upward}", inside.display()));
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// What is wrong with the uses of other rooms in a file's text.
fn upward_uses(room: &str, text: &str) -> Vec<String> {
    let Some(own) = floor(room) else { return vec![format!("the room `{room}` has no floor")] };
    let mut faults: Vec<_> = rooms_used(text)
        .into_iter()
        .filter_map(|used| match floor(&used) {
            Some(floor) if floor <= own => None,
            Some(_) => Some(format!("`{room}` uses `{used}`, which is above it")),
            None => Some(format!("`{room}` uses `{used}`, which has no floor")),
        })
        .collect();
    faults.dedup();
    faults
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|known| *known == room)
}

/// The rooms in paths that begin with `crate::`, also in groups (`crate::{wire::Fault, net}`).
/// Comments are left out: a text may well mention who stands on it.
fn rooms_used(text: &str) -> Vec<String> {
    let code: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut rooms = Vec::new();
    for path in code.split("crate::").skip(1) {
        match path.strip_prefix('{') {
            None => rooms.push(identifier(path)),
            Some(group) => rooms.extend(members(group)),
        }
    }
    rooms
}

/// The first identifier of each member of a group whose brace has been passed.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut at_start, mut found) = (0, true, Vec::new());
    for (index, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if c.is_whitespace() => {}
            _ if at_start => {
                found.push(identifier(&group[index..]));
                at_start = false;
            }
            _ => {}
        }
    }
    found
}

fn identifier(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn an_upward_use_is_seen_however_it_is_written() {
    let pool = ["`net` uses `pool`, which is above it"];
    for text in [
        "use crate::pool::Lease;",
        "use crate::{wire::{Fault, frame}, pool::Lease};",
        "use crate::{\n    wire::Fault,\n    pool,\n};",
        "fn f(lease: &crate::pool::Lease) {}",
        "pub use crate::pool as connections;",
    ] {
        assert_eq!(upward_uses("net", text), pool, "{text}");
    }
    assert_eq!(upward_uses("net", "use crate::{wire, net::tls, session::{State}};").len(), 0);
    assert_eq!(upward_uses("net", "    /// See [`crate::pool`].\n// crate::app").len(), 0);
    assert_eq!(upward_uses("net", "pub(crate) fn f() {}").len(), 0);
    assert_eq!(upward_uses("cellar", ""), ["the room `cellar` has no floor"]);
    let unknown = upward_uses("net", "use crate::cellar;");
    assert_eq!(unknown, ["`net` uses `cellar`, which has no floor"]);
}
