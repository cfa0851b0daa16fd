//! Limits of this process.

use std::process::Command;

/// Lets this process have as many files open as it may: thousands of clients take one each.
pub(crate) fn raise_open_files() {
    let own = std::process::id().to_string();
    let hard = Command::new("/bin/sh").args(["-c", "ulimit -H -n"]).output().expect("a shell");
    let hard = String::from_utf8_lossy(&hard.stdout).trim().to_owned();
    // Rust has no safe call for it in the standard library; util-linux has a program.
    let limit = format!("--nofile={hard}:{hard}");
    let raised = Command::new("prlimit").args(["--pid", &own, &limit]).status();
    assert!(raised.is_ok_and(|status| status.success()), "prlimit {limit}");
}
