//! Secret stores that are services: OpenBao, and moto in the place of AWS. `tests/testbed/stores`
//! installs them.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::leash::Leashed;
use super::{http, ports, testbed};

/// How long one may take until it answers, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts a program of the testbed's, which is then asked until it answers. `None` where it is not
/// installed.
fn start(program: &str, arguments: &[&str], port: u16, path: &str) -> Option<Leashed> {
    let program = testbed::folder().join("stores").join(program);
    if !program.exists() {
        testbed::skip("a secret store", "run tests/testbed/install stores");
        return None;
    }
    let folder = tempfile::Builder::new().prefix("millpond-").tempdir().expect("a folder");
    let mut command = Command::new(program);
    command.args(arguments).env("HOME", folder.path());
    let process = Leashed::start(&command, folder, "store.log");
    let deadline = Instant::now() + PATIENCE;
    while http::page(port, path).is_none() {
        assert!(process.is_running(), "a store did not start:\n{}", process.log());
        assert!(Instant::now() < deadline, "a store does not answer:\n{}", process.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(process)
}

/// A vault in memory.
pub(crate) struct Vault {
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    process: Leashed,
}

/// The token that may do everything.
const ROOT: &str = "root-token-of-the-vault";

impl Vault {
    /// Starts one, unsealed, with an engine for secrets at `secret`.
    pub(crate) fn start() -> Option<Self> {
        let port = ports::free();
        let (token, listen) =
            (format!("-dev-root-token-id={ROOT}"), format!("-dev-listen-address=127.0.0.1:{port}"));
        let arguments = ["server", "-dev", "-dev-no-store-token", &token, &listen];
        let process = start("bao", &arguments, port, "/v1/sys/health")?;
        let vault = Self { port, process };
        // The engine is there a moment after the first answer.
        let deadline = Instant::now() + PATIENCE;
        while vault.try_write("secret/data/ready", &json!({ "data": { "a": "b" } })).0 != 200 {
            assert!(Instant::now() < deadline, "no engine:\n{}", vault.process.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(vault)
    }

    /// Writes something as the one who may do everything; the answer.
    pub(crate) fn write(&self, path: &str, value: &Value) -> Value {
        let (status, answer) = self.try_write(path, value);
        assert!(status < 300, "{path}: {status} {answer}");
        serde_json::from_str(&answer).unwrap_or(Value::Null)
    }

    /// What is there for the one who may do everything.
    pub(crate) fn read(&self, path: &str) -> Value {
        let token = format!("X-Vault-Token: {ROOT}");
        let (status, answer) =
            http::ask_with("GET", self.port, &format!("/v1/{path}"), &[token], "");
        assert_eq!(status, 200, "{path}: {answer}");
        serde_json::from_str(&answer).expect("JSON")
    }

    fn try_write(&self, path: &str, value: &Value) -> (u16, String) {
        let token = format!("X-Vault-Token: {ROOT}");
        http::ask_with("POST", self.port, &format!("/v1/{path}"), &[token], &value.to_string())
    }

    /// Stops it for a while, or lets it go on: `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }
}

/// AWS, as moto plays it.
pub(crate) struct Aws {
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    _process: Leashed,
}

impl Aws {
    /// Starts one that knows nothing.
    pub(crate) fn start() -> Option<Self> {
        let port = ports::free();
        let listen = port.to_string();
        let process =
            start("bin/moto_server", &["-H", "127.0.0.1", "-p", &listen], port, "/moto-api/")?;
        Some(Self { port, _process: process })
    }

    /// Has a service do something, such as `secretsmanager.CreateSecret`.
    pub(crate) fn act(&self, action: &str, value: &Value) -> Value {
        let (service, _) = action.split_once('.').expect("a service");
        let scope = if service == "AmazonSSM" { "ssm" } else { service };
        // moto finds the service by it, and looks no further.
        let headers = [
            format!(
                "Authorization: AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/{scope}/\
                 aws4_request, SignedHeaders=host, Signature=x"
            ),
            format!("X-Amz-Target: {action}"),
            "Content-Type: application/x-amz-json-1.1".to_owned(),
        ];
        let (status, answer) = http::ask_with("POST", self.port, "/", &headers, &value.to_string());
        assert_eq!(status, 200, "{action}: {answer}");
        serde_json::from_str(&answer).expect("JSON")
    }
}
