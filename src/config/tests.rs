//! What is right is read, what is wrong is refused with its key, its value and what would be right.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

mod logins;
mod reference;
mod refused;
mod settings;

/// The least that a configuration needs.
const LEAST: &str = r#"
[services.orders]
listen = "127.0.0.1:3306"
[services.orders.backend]
endpoints = ["db:3306"]
[services.orders.users.app]
password = "hunter2"
"#;

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn load_with(text: &str, pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    fs::write(&path, text).unwrap();
    Config::load(&path, variables(pairs))
}

fn load(text: &str) -> Result<Config, ConfigError> {
    load_with(text, &[])
}

/// The only service of a configuration that is right.
fn service(text: &str, pairs: &[(&str, &str)]) -> ServiceConfig {
    load_with(text, pairs).unwrap().services.remove(0)
}

#[test]
fn little_has_to_be_said() {
    let config = load(LEAST).unwrap();
    let [orders] = config.services.as_slice() else { panic!("one service") };
    assert_eq!(orders.name, "orders");
    assert_eq!(orders.max_clients, 10_000);
    assert_eq!(orders.times.idle_client, Some(Duration::from_secs(1_800)));
    assert_eq!(orders.server_version, ServerVersionSetting::Auto);
    assert_eq!(orders.tls.mode, FrontTlsMode::Preferred);
    assert_eq!(orders.tls.identity, None);
    assert_eq!(orders.backend.provider, Provider::Static);
    assert_eq!(orders.backend.monitor_user, "app");
    assert_eq!(orders.pool.max_size, PoolSize::Absolute(20));
    assert_eq!(orders.pool.max_waiting, None);
    assert_eq!(orders.users["app"].secret, UserSecret::Password(secret::Secret::new("hunter2")));
    assert_eq!(config.admin.listen, "127.0.0.1:9306".parse().unwrap());
    assert_eq!(config.log.level.directives(), "info");
}

#[test]
fn what_is_written_is_read() {
    let text = r#"
        [services.orders]
        listen = "0.0.0.0:3306"
        reader_listen = "[::]:3307"
        idle_client_timeout = 0
        server_version = "10.11.6-MariaDB-log"
        max_client_buffer = "1MiB"
        tls = { mode = "required", certificate = "cert.pem", key = "/etc/key.pem" }
        [services.orders.backend]
        endpoints = ["db-a.internal:3306@az-a", "[fd00::1]:3307"]
        tls = { mode = "verify-identity", ca = "ca.pem" }
        monitor_user = "Batch User"
        [services.orders.pool]
        max_size = "80%"
        max_lifetime = "0"
        borrow_timeout = "250ms"
        [services.orders.users.app]
        secret = "main:app-db"
        [services.orders.users."Batch User"]
        secret = "main:batch:1"
        require_tls = true
        [secrets.main]
        kind = "file"
        path = "secrets.toml"
        [admin]
        listen = "0.0.0.0:9306"
        allow_remote = true
        [log]
        level = "warn,millpond::pool=debug"
    "#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    fs::write(&path, text).unwrap();
    let config = Config::load(&path, []).unwrap();
    let orders = &config.services[0];
    assert_eq!(orders.times.idle_client, None);
    assert_eq!(orders.server_version, ServerVersionSetting::Fixed("10.11.6-MariaDB-log".into()));
    assert_eq!(orders.max_client_buffer, 1 << 20);
    let identity = orders.tls.identity.as_ref().unwrap();
    assert_eq!(identity.certificate, folder.path().join("cert.pem"), "beside the configuration");
    assert_eq!(identity.key, PathBuf::from("/etc/key.pem"));
    let zone = Some("az-a".to_owned());
    let first = Endpoint { host: "db-a.internal".into(), port: 3306, zone };
    let second = Endpoint { host: "fd00::1".into(), port: 3307, zone: None };
    assert_eq!(orders.backend.endpoints, [first, second]);
    assert_eq!(orders.backend.tls.mode, BackTlsMode::VerifyIdentity);
    assert_eq!(orders.backend.monitor_user, "Batch User");
    assert_eq!(orders.pool.max_size, PoolSize::Percent(80));
    assert_eq!(orders.pool.max_lifetime, None);
    assert_eq!(orders.pool.borrow_timeout, Duration::from_millis(250));
    let stored = SecretRef { store: "main".into(), key: "batch:1".into() };
    assert_eq!(orders.users["Batch User"].secret, UserSecret::Stored(stored));
    assert_eq!(orders.users["Batch User"].transport, UserTransport::Tls);
    let store = StoreConfig::File { path: folder.path().join("secrets.toml") };
    assert_eq!(config.secrets["main"], store);
}

#[test]
fn the_environment_overrides_the_file() {
    let orders = service(
        LEAST,
        &[
            ("MILLPOND__SERVICES__ORDERS__POOL__MAX_SIZE", "50"),
            ("MILLPOND__SERVICES__ORDERS__POOL__BORROW_TIMEOUT", "7s"),
            ("MILLPOND__SERVICES__ORDERS__POOL__MAX_IDLE_TIME", "0"),
            ("MILLPOND__SERVICES__ORDERS__MAX_PACKET", "16MiB"),
            ("MILLPOND__SERVICES__ORDERS__BACKEND__ENDPOINTS", "a:1@x, b:2"),
            ("MILLPOND__SERVICES__ORDERS__TLS__MODE", "required"),
            ("MILLPOND__SERVICES__ORDERS__USERS__APP__REQUIRE_TLS", "true"),
            ("MILLPOND__SERVICES__ORDERS__USERS__APP__PASSWORD", "12345"),
            ("MILLPOND_IS_NOT_MINE", "x"),
            ("PATH", "/bin"),
        ],
    );
    assert_eq!(orders.pool.max_size, PoolSize::Absolute(50));
    assert_eq!(orders.pool.borrow_timeout, Duration::from_secs(7));
    assert_eq!(orders.pool.max_idle_time, None);
    assert_eq!(orders.max_packet, 16 << 20);
    let endpoints: Vec<_> = orders.backend.endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(endpoints, ["a:1@x", "b:2"]);
    assert_eq!(orders.tls.mode, FrontTlsMode::Required);
    assert_eq!(orders.users["app"].transport, UserTransport::Tls);
    let numeric = UserSecret::Password(secret::Secret::new("12345"));
    assert_eq!(orders.users["app"].secret, numeric, "a password may look like a number");
}

#[test]
fn a_variable_finds_names_that_it_could_not_spell() {
    let text = LEAST.replace("orders", "Order-DB").replace("users.app", r#"users."svc.App""#);
    let orders = service(
        &text,
        &[
            ("MILLPOND__SERVICES__ORDER_DB__MAX_CLIENTS", "7"),
            ("MILLPOND__SERVICES__ORDER_DB__USERS__SVC_APP__PASSWORD", "other"),
        ],
    );
    assert_eq!((orders.name.as_str(), orders.max_clients), ("Order-DB", 7));
    let other = UserSecret::Password(secret::Secret::new("other"));
    assert_eq!(orders.users["svc.App"].secret, other);
}

#[test]
fn the_environment_alone_is_enough() {
    let orders = service(
        "",
        &[
            ("MILLPOND__SERVICES__ORDERS__LISTEN", "127.0.0.1:0"),
            ("MILLPOND__SERVICES__ORDERS__BACKEND__ENDPOINTS", "db:3306"),
            ("MILLPOND__SERVICES__ORDERS__USERS__APP__PASSWORD", "hunter2"),
        ],
    );
    assert_eq!(orders.users.len(), 1);
}

#[test]
fn what_is_shown_reads_back_as_the_same() {
    let text = LEAST.replace(r#"password = "hunter2""#, r#"secret = "main:app""#)
        + "[secrets.main]\nkind = \"env\"\nprefix = \"DB_\"\n[services.orders.pool]\nmax_size = \"7%\"\n";
    let config = load(&text).unwrap();
    assert_eq!(load(&config.show()).unwrap(), config);
}

#[test]
fn secrets_are_neither_shown_nor_debugged() {
    let config = load(LEAST).unwrap();
    assert!(config.show().contains("password = \"…\""), "{}", config.show());
    assert!(!format!("{} {config:?}", config.show()).contains("hunter2"));
}

#[test]
fn a_share_of_a_server_is_never_nothing() {
    assert_eq!(PoolSize::Percent(80).of(151), 120);
    assert_eq!(PoolSize::Percent(1).of(10), 1);
    assert_eq!(PoolSize::Absolute(20).of(10), 20);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("no/such/proxy.toml"), []).unwrap_err();
    assert_eq!(error.to_string(), "no/such/proxy.toml: No such file or directory (os error 2)");
}

#[test]
fn a_file_that_is_not_toml_is_refused_without_its_text() {
    let broken = LEAST.replace("\"hunter2\"", "\"hunter2");
    let error = load(&broken).unwrap_err().to_string();
    assert!(error.contains("line 7, column"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}
