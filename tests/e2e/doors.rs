//! The admin port with tokens, with TLS, with certificates: who may look, who may give orders, and
//! how the command line comes in.

use crate::support::accounts::APP;
use crate::support::leash::Leashed;
use crate::support::server::Server;
use crate::support::{http, ports, servers};
use rcgen::{CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// A running Millpond whose `[admin]` has these lines, its configuration, and its admin port.
struct Guarded {
    process: Leashed,
    config: PathBuf,
    port: u16,
}

fn start(server: &Server, admin: &str, folder: tempfile::TempDir) -> Guarded {
    let port = ports::free();
    let config = folder.path().join("proxy.toml");
    let text = format!(
        "[services.orders]\nlisten = \"127.0.0.1:{}\"\nbackend.endpoints = [\"127.0.0.1:{}\"]\n\
         users.{}.password = \"{}\"\n[admin]\nlisten = \"127.0.0.1:{port}\"\n{admin}\n",
        ports::free(),
        server.port,
        APP.name,
        APP.password
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_millpond"));
    command.args(["run", "--config"]).arg(&config);
    let process = Leashed::start(&command, folder, "millpond.log");
    Guarded { process, config, port }
}

impl Guarded {
    /// `millpond` on the command line.
    fn millpond(&self, arguments: &[&str], token: Option<&str>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millpond"));
        command.args(arguments);
        if let Some(token) = token {
            command.env("MILLPOND_ADMIN_TOKEN", token);
        }
        command.output().unwrap()
    }

    fn configured(&self, what: &str) -> Output {
        self.millpond(&[what, "--config", self.config.to_str().unwrap()], None)
    }

    /// Asks over and over until it is ready.
    fn wait(&self, arguments: &[&str]) {
        for _ in 0..600 {
            if self.millpond(arguments, None).status.success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("not ready: {}", self.process.log());
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("millpond-").tempdir().unwrap()
}

#[test]
fn tokens_to_look_and_for_orders_are_two() {
    servers::one_async(|server| async move {
        let tokens = "read_token = \"peep\"\ncontrol_token = \"sesame\"";
        let guarded = start(server, tokens, folder());
        let config = guarded.config.to_str().unwrap();
        guarded.wait(&["health", "--ready", "--config", config]);
        let port = guarded.port;
        // Probers and the page bring nothing; what it shows, they would have to.
        assert_eq!(http::page(port, "/healthz").as_deref(), Some("ok\n"));
        assert_eq!(http::page(port, "/readyz").as_deref(), Some("ready\n"));
        assert!(http::page(port, "/").unwrap().starts_with("<!doctype html>"));
        for path in ["/metrics", "/status", "/events", "/log"] {
            let refused = http::page(port, path).unwrap();
            assert!(refused.contains("admin.read_token"), "{path}: {refused}");
            let (status, _) = http::ask(port, "GET", path, &["Authorization: Bearer peep"]);
            assert_eq!(status, 200, "{path}");
        }
        let reload = |token: &str| {
            http::order(port, "/reload", &[&format!("Authorization: Bearer {token}")]).0
        };
        assert_eq!((reload("peep"), reload("sesame")), (401, 200));
        // The command line knows the token from the configuration, or by a variable.
        let status = guarded.configured("status");
        assert!(status.status.success(), "{status:?}");
        let at = format!("127.0.0.1:{port}");
        assert!(guarded.millpond(&["status", "--admin", &at], Some("peep")).status.success());
        let refused = guarded.millpond(&["status", "--admin", &at], None);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("401") && said.contains("read_token"), "{said}");
        assert!(!guarded.process.log().contains("peep"));
    });
}

/// An authority, and what it has signed: the port's own, one who looks, one who gives orders.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    let issuer = Issuer::new(params, key);
    for name in ["server", "reader", "ops"] {
        let mut params = CertificateParams::new(vec![format!("{name}.internal")]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &issuer).unwrap();
        fs::write(folder.join(format!("{name}.pem")), signed.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[test]
fn certificates_open_the_door_and_some_of_them_give_orders() {
    servers::one_async(|server| async move {
        let folder = folder();
        certificates(folder.path());
        let path = folder.path().to_owned();
        let admin = "[admin.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n\
                     client_ca = \"ca.pem\"\ncontrol_names = [\"/CN=ops\"]\n";
        let guarded = start(server, admin, folder);
        let config = guarded.config.to_str().unwrap();
        guarded.wait(&["health", "--ready", "--config", config]);
        let file = |name: &str| path.join(name).to_str().unwrap().to_owned();
        let at = format!("127.0.0.1:{}", guarded.port);
        let with = |name: &str| {
            let (ca, certificate, key) =
                (file("ca.pem"), file(&format!("{name}.pem")), file(&format!("{name}.key")));
            let own = [
                "status",
                "--admin",
                &at,
                "--ca",
                &ca,
                "--certificate",
                &certificate,
                "--key",
                &key,
            ];
            guarded.millpond(&own, None)
        };
        let shown = with("reader");
        assert!(String::from_utf8_lossy(&shown.stdout).contains("orders"), "{shown:?}");
        // Without a certificate only health is told, and without TLS nothing.
        let refused = guarded.configured("status");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("401") && said.contains("client_ca"), "{said}");
        assert!(http::page(guarded.port, "/healthz").is_none_or(|page| !page.contains("ok")));
        // A stranger's port is not asked.
        let other = tempfile::tempdir().unwrap();
        certificates(other.path());
        let ca = other.path().join("ca.pem");
        let stranger =
            guarded.millpond(&["health", "--admin", &at, "--ca", ca.to_str().unwrap()], None);
        assert!(!stranger.status.success(), "{stranger:?}");
        // Orders: by curl, as an operator would.
        let order = |name: &str| {
            let output = Command::new("curl")
                .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "-k"])
                .args([
                    "--cert",
                    &file(&format!("{name}.pem")),
                    "--key",
                    &file(&format!("{name}.key")),
                ])
                .arg(format!("https://{at}/reload"))
                .output();
            output.ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        if let Some(status) = order("ops") {
            assert_eq!((status.as_str(), order("reader").as_deref()), ("200", Some("401")));
        }
    });
}
