//! The command line: what it prints, and how it ends.
#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use tempfile::TempDir;

const RIGHT: &str = r#"
[services.orders]
listen = "127.0.0.1:0"
[services.orders.backend]
endpoints = ["127.0.0.1:3306"]
[services.orders.users.app]
password = "hunter2"
[admin]
listen = "127.0.0.1:0"
"#;

fn millpond() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millpond"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MILLPOND__") {
            command.env_remove(name);
        }
    }
    command
}

fn written(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    read(&millpond().args(arguments).output().unwrap())
}

fn read(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn check(path: &Path, environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = millpond();
    command.args(["check", "--config"]).arg(path).envs(environment.iter().copied());
    read(&command.output().unwrap())
}

#[test]
fn check_prints_what_is_in_effect_without_secrets() {
    let (_folder, path) = written(RIGHT);
    let environment = [
        ("MILLPOND__SERVICES__ORDERS__POOL__MAX_SIZE", "50"),
        ("MILLPOND__SERVICES__ORDERS__USERS__OTHER__PASSWORD", "hunter3"),
    ];
    let (code, stdout, stderr) = check(&path, &environment);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("[services.orders.pool]\nmax_size = 50\n"), "{stdout}");
    assert!(stdout.contains("[services.orders.users.other]\npassword = \"…\"\n"), "{stdout}");
    assert!(!stdout.contains("hunter"), "{stdout}");
}

#[test]
fn a_wrong_configuration_is_refused_before_anything_starts() {
    let wrong = RIGHT.replace("[admin]", "[services.orders.pool]\nmax_sise = 3\n[admin]");
    let (_folder, path) = written(&wrong);
    for command in ["check", "run"] {
        let environment = ("MILLPOND__SERVICES__ORDERS__POOL__MIN_IDLE", "-1");
        let mut command_line = millpond();
        command_line.args([command, "--config"]).arg(&path).env(environment.0, environment.1);
        let (code, stdout, stderr) = read(&command_line.output().unwrap());
        assert_eq!((code, stdout.as_str()), (Some(64), ""));
        assert_eq!(
            stderr,
            "millpond: configuration refused\n\
             services.orders.pool.min_idle = \"-1\" (from \
             MILLPOND__SERVICES__ORDERS__POOL__MIN_IDLE): expected a whole number from 0 to \
             100000\n\
             services.orders.pool.max_sise: unknown key; did you mean `max_size`?\n"
        );
    }
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    for arguments in [
        &[][..],
        &["fly"],
        &["run", "--confg", "x"],
        &["check", "--config", "/no/such/file"],
        &["health", "--admin", "nowhere"],
    ] {
        let (code, stdout, stderr) = output(arguments);
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{arguments:?}: {stderr}");
        assert!(!stderr.is_empty());
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let (code, stdout, _) = output(&["--version"]);
    assert_eq!((code, stdout), (Some(0), format!("millpond {}\n", env!("CARGO_PKG_VERSION"))));
    let (code, stdout, _) = output(&["--help"]);
    assert!(code == Some(0) && stdout.contains("check") && stdout.contains("run"), "{stdout}");
}

#[test]
fn health_of_nobody_is_a_failure() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, _, stderr) = output(&["health", "--admin", &address.to_string()]);
    assert_eq!(code, Some(1));
    assert_eq!(stderr, format!("millpond: {address}: no answer: connection refused\n"));
}

/// Millpond as it runs, its log read up to the line that says where its admin port is.
struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
    admin: String,
}

impl Running {
    fn start(path: &Path) -> Self {
        let mut command = millpond();
        command.args(["run", "--config"]).arg(path).env("MILLPOND__LOG__FORMAT", "json");
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut running = Self { child, log, admin: String::new() };
        while running.admin.is_empty() {
            let mut line = String::new();
            let length = running.log.read_line(&mut line).unwrap();
            assert!(length > 0, "ended before its admin port was open");
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            if event["message"] == "admin port open" {
                running.admin = event["address"].as_str().unwrap().to_owned();
            }
        }
        running
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Its exit code, and the rest of its log.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_runs_until_it_is_told_to_stop() {
    let (_folder, path) = written(RIGHT);
    for signal in ["TERM", "INT"] {
        let running = Running::start(&path);
        let (code, _, stderr) = output(&["health", "--admin", &running.admin]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        running.signal("HUP");
        running.signal(signal);
        let (code, log) = running.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("draining"), "{log}");
    }
}

#[test]
fn a_port_that_is_taken_is_a_failure() {
    let (_folder, path) = written(RIGHT);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = millpond();
    command.args(["run", "--config"]).arg(&path).env("MILLPOND__ADMIN__LISTEN", &address);
    let (code, _, stderr) = read(&command.output().unwrap());
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&address) && stderr.contains("in use"), "{stderr}");
}
