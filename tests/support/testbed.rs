//! The cache that `tests/testbed/install` fills, and programs of the system.

use std::env;
use std::path::{Path, PathBuf};

/// The folder that the installer fetches into. Has to agree with `tests/testbed/paths.sh`.
pub(crate) fn folder() -> PathBuf {
    if let Some(folder) = env::var_os("MILLPOND_TESTBED") {
        return folder.into();
    }
    let cache = match env::var_os("XDG_CACHE_HOME").filter(|cache| !cache.is_empty()) {
        Some(cache) => PathBuf::from(cache),
        None => {
            PathBuf::from(env::var_os("HOME").expect("HOME or MILLPOND_TESTBED")).join(".cache")
        }
    };
    cache.join("millpond/testbed")
}

/// A program of the system, also where an ordinary user's path does not lead.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// A folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Whether a missing server or driver fails a test instead of skipping it.
pub(crate) fn must_be_complete() -> bool {
    env::var_os("CI").is_some_and(|value| value != "false")
}

/// Says that something is not tested, or fails where everything must be.
pub(crate) fn skip(what: &str, why: &str) {
    assert!(!must_be_complete(), "CI is set, so {what} may not be skipped: {why}");
    eprintln!("SKIPPED: {what}: {why}");
}
