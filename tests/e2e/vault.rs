//! Secrets, and users of the database, from a real vault.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::stores::{greet_as, greets_at_last, set_password};
use crate::support::accounts::ADMIN;
use crate::support::certificates::Authority;
use crate::support::kubernetes::{AUDIENCE, Kubernetes, REVIEWER};
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::{Encrypted, Login, Plugin};
use crate::support::server::Server;
use crate::support::servers;
use crate::support::stores::Vault;

const POLICY: &str = r#"
path "secret/data/*" { capabilities = ["read"] }
path "database/*" { capabilities = ["read"] }
"#;

/// Lets Millpond in as a machine; the lines of configuration for it.
fn approle(vault: &Vault, ttl: &str) -> String {
    vault.write("sys/auth/approle", &json!({ "type": "approle" }));
    vault.write("sys/policies/acl/millpond", &json!({ "policy": POLICY }));
    let role = json!({ "token_policies": ["millpond"], "token_ttl": ttl, "token_max_ttl": "1h" });
    vault.write("auth/approle/role/millpond", &role);
    vault.write("auth/approle/role/millpond/role-id", &json!({ "role_id": "millpond-role" }));
    let secret = vault.write("auth/approle/role/millpond/secret-id", &json!({}));
    let secret = secret["data"]["secret_id"].as_str().unwrap();
    format!(
        "kind = \"vault\"\naddress = \"http://127.0.0.1:{}\"\nauth = \"approle\"\n\
         role_id = \"millpond-role\"\nsecret_id = \"{secret}\"\nrefresh = \"1s\"\n",
        vault.port
    )
}

fn database(vault: &Vault, server: &Server) {
    vault.write("sys/mounts/database", &json!({ "type": "database" }));
    let url = format!("{{{{username}}}}:{{{{password}}}}@tcp(127.0.0.1:{})/", server.port);
    let connection = json!({
        "plugin_name": "mysql-database-plugin", "connection_url": url, "allowed_roles": "*",
        "username": ADMIN.name, "password": ADMIN.password,
    });
    vault.write("database/config/shop", &connection);
}

fn trace(other: String) -> Settings {
    Settings { other: other + "[log]\nlevel = \"trace\"\n", ..Settings::with_pool_of(2) }
}

#[test]
fn a_kept_secret_is_followed_over_a_vault_that_hangs() {
    servers::one_async(async |server| {
        let Some(vault) = Vault::start() else { return };
        let user = "vaultkeeper";
        let write = |password: &str| {
            let data = json!({ "data": { "username": user, "password": password } });
            vault.write("secret/data/shop/app", &data);
        };
        write("hunter-1");
        set_password(server, user, "hunter-1").await;
        let store = approle(&vault, "20s");
        let millpond = Millpond::start(
            server,
            &trace(format!(
                "[services.test.users.{user}]\nsecret = \"main:shop/app\"\n[secrets.main]\n{store}"
            )),
        );
        greet_as(millpond.port, user, "hunter-1").await.unwrap();
        vault.signal("STOP");
        for _ in 0..20 {
            greet_as(millpond.port, user, "hunter-1").await.unwrap();
            sleep(Duration::from_millis(100)).await;
        }
        vault.signal("CONT");
        write("hunter-2");
        set_password(server, user, "hunter-2").await;
        greets_at_last(millpond.port, user, "hunter-2").await;
        // All that was given to Millpond is taken away: it logs in again.
        vault.write("sys/leases/revoke-prefix/auth/approle", &json!({}));
        write("hunter-3");
        set_password(server, user, "hunter-3").await;
        greets_at_last(millpond.port, user, "hunter-3").await;
        let log = millpond.log();
        assert!(!log.contains("hunter") && !log.contains("hvs."), "{log}");
    });
}

#[test]
fn a_static_role_is_followed() {
    servers::both_async(async |server| {
        let Some(vault) = Vault::start() else { return };
        let user = "staticrole";
        set_password(server, user, "before").await;
        database(&vault, server);
        let role = json!({ "db_name": "shop", "username": user, "rotation_period": "1h" });
        vault.write("database/static-roles/app", &role);
        let store = approle(&vault, "20m");
        let millpond = Millpond::start(
            server,
            &trace(format!(
                "[services.test.users.{user}]\nsecret = \"main:app\"\n[secrets.main]\n\
                 engine = \"database_static\"\n{store}"
            )),
        );
        let password = || {
            let read = vault.read("database/static-creds/app");
            read["data"]["password"].as_str().unwrap().to_owned()
        };
        let first = password();
        greet_as(millpond.port, user, &first).await.unwrap();
        vault.write("database/rotate-role/app", &json!({}));
        let second = password();
        assert_ne!(first, second);
        greets_at_last(millpond.port, user, &second).await;
        greet_as(millpond.port, user, &first).await.unwrap();
        let (log, metrics) = (millpond.log(), millpond.page("/metrics"));
        assert!(metrics.contains("millpond_secret_lease_seconds{secret=\"app\""), "{metrics}");
        for secret in [first, second] {
            assert!(!log.contains(&secret) && !metrics.contains(&secret), "{log}");
        }
    });
}

/// Users that the vault makes: their leases are renewed; where they can't be any more, another user
/// takes over, and no session fails.
#[test]
fn a_dynamic_role_is_followed_from_user_to_user() {
    servers::both_async(async |server| {
        let Some(vault) = Vault::start() else { return };
        database(&vault, server);
        let role = json!({
            "db_name": "shop", "default_ttl": "9s", "max_ttl": "18s",
            "creation_statements": [
                "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'",
                "GRANT ALL ON app.* TO '{{name}}'@'%'",
            ],
        });
        vault.write("database/roles/app", &role);
        let store = approle(&vault, "20m");
        let millpond = Millpond::start(
            server,
            &trace(format!(
                "[services.test.users.maker]\npassword = \"of-clients\"\nlogin = \"made:app\"\n\
                 [secrets.made]\nengine = \"database\"\nreplace_over = \"1s\"\n{store}"
            )),
        );
        let mut users = Vec::new();
        let until = Instant::now() + Duration::from_secs(22);
        while Instant::now() < until && users.len() < 3 {
            let told = whoami(millpond.port).await;
            let user = told.unwrap_or_else(|told| panic!("{told}\n{}", millpond.log()));
            if users.last() != Some(&user) {
                users.push(user);
            }
            sleep(Duration::from_millis(50)).await;
        }
        assert!(users.len() >= 2, "{users:?}: one after the other\n{}", millpond.log());
        assert!(users.iter().all(|user| user.starts_with("v-")), "{users:?}");
        let log = millpond.log();
        assert!(log.contains("lease of a database user renewed"), "{log}");
        assert!(!log.contains("of-clients"), "{log}");
        let mut admin = server.connect(&ADMIN, None).await.unwrap();
        let there = "SELECT COUNT(*) FROM mysql.user WHERE User LIKE 'v-%'";
        let count: Option<u64> = admin.query_first(there).await.unwrap();
        assert!(count.unwrap() <= 4, "{count:?} users for {users:?}");
    });
}

/// Lets Millpond in as a service account of a cluster; the lines of configuration for it.
fn kubernetes(vault: &Vault, cluster: &Kubernetes, authority: &Path, token: &Path) -> String {
    vault.write("sys/auth/kubernetes", &json!({ "type": "kubernetes" }));
    vault.write("sys/policies/acl/millpond", &json!({ "policy": POLICY }));
    let config = json!({
        "kubernetes_host": format!("http://127.0.0.1:{}", cluster.port),
        "kubernetes_ca_cert": fs::read_to_string(authority).unwrap(),
        "token_reviewer_jwt": REVIEWER, "disable_local_ca_jwt": true,
    });
    vault.write("auth/kubernetes/config", &config);
    let role = json!({
        "bound_service_account_names": ["millpond"], "bound_service_account_namespaces": ["shop"],
        "audience": AUDIENCE, "token_policies": ["millpond"], "token_ttl": "8s",
    });
    vault.write("auth/kubernetes/role/millpond", &role);
    format!(
        "kind = \"vault\"\naddress = \"http://127.0.0.1:{}\"\nauth = \"kubernetes\"\n\
         role = \"millpond\"\njwt_file = {token:?}\nrefresh = \"1s\"\n",
        vault.port
    )
}

/// Puts a token where pods find it, as the kubelet does: all files of a mount change at once.
fn mount(folder: &Path, version: &str, token: &str) {
    fs::create_dir(folder.join(version)).unwrap();
    fs::write(folder.join(version).join("token"), token).unwrap();
    std::os::unix::fs::symlink(version, folder.join("..next")).unwrap();
    fs::rename(folder.join("..next"), folder.join("..data")).unwrap();
}

async fn logs(millpond: &Millpond, line: &str) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !millpond.log().contains(line) {
        assert!(Instant::now() < patience, "never {line:?}:\n{}", millpond.log());
        sleep(Duration::from_millis(50)).await;
    }
}

/// As a pod that has nothing but its service account, whose token the kubelet exchanges.
#[test]
fn a_service_account_of_kubernetes_logs_in_and_again_with_its_next_token() {
    servers::one_async(async |server| {
        let Some(vault) = Vault::start() else { return };
        let cluster = Kubernetes::start();
        let folder = tempfile::tempdir().unwrap();
        let mounted = folder.path().join("serviceaccount");
        fs::create_dir(&mounted).unwrap();
        let (first, second) = (cluster.token("first"), cluster.token("second"));
        mount(&mounted, "..1", &first);
        let authority = Authority::new(folder.path(), "cluster");
        let token = mounted.join("..data/token");
        let store = kubernetes(&vault, &cluster, &authority.certificate, &token);
        let user = "podkeeper";
        let change = async |password: &str| {
            let data = json!({ "data": { "username": user, "password": password } });
            vault.write("secret/data/shop/app", &data);
            set_password(server, user, password).await;
        };
        change("hunter-1").await;
        let millpond = Millpond::start(
            server,
            &trace(format!(
                "[services.test.users.{user}]\nsecret = \"main:shop/app\"\n[secrets.main]\n{store}"
            )),
        );
        greet_as(millpond.port, user, "hunter-1").await.unwrap();
        // The vault's token lasts because it is renewed, without another login.
        logs(&millpond, "token renewed").await;

        // The vault does not know its token any more, and the cluster not the service account's.
        cluster.end("first");
        vault.write("sys/leases/revoke-prefix/auth/kubernetes", &json!({}));
        let refused = "secret not fetched, the last one is used store=main secret=shop/app \
                       error=the vault at http://127.0.0.1:";
        logs(&millpond, refused).await;
        let refused = "Millpond could not log in to the store: its login is refused (403)";
        logs(&millpond, refused).await;
        greet_as(millpond.port, user, "hunter-1").await.unwrap();
        assert!(cluster.taken().iter().all(|name| name == "first"), "{:?}", cluster.taken());

        mount(&mounted, "..2", &second);
        change("hunter-2").await;
        greets_at_last(millpond.port, user, "hunter-2").await;
        assert!(cluster.taken().contains(&"second".to_owned()), "{:?}", cluster.taken());
        let log = millpond.log();
        for secret in
            [first.as_str(), second.as_str()].into_iter().chain(["hunter", "hvs.", REVIEWER])
        {
            assert!(!log.contains(secret), "{secret}:\n{log}");
        }

        // A role that there is not.
        let config = folder.path().join("proxy.toml");
        let text = fs::read_to_string(millpond.config()).unwrap();
        let text = text
            .replace(&format!("127.0.0.1:{}\"", millpond.port), "127.0.0.1:0\"")
            .replace(&format!("127.0.0.1:{}\"", millpond.admin_port), "127.0.0.1:0\"")
            .replace("role = \"millpond\"", "role = \"stranger\"\non_start = \"fail\"");
        fs::write(&config, text).unwrap();
        let ended = Command::new(env!("CARGO_BIN_EXE_millpond"))
            .args(["run", "--config"])
            .arg(&config)
            .output()
            .unwrap();
        let said = [ended.stdout, ended.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        let refused = "could not log in to the store: its login is refused (400)";
        assert!(said.contains(refused), "{said}");
    });
}

/// As whom a session of `maker` runs.
async fn whoami(port: u16) -> Result<String, String> {
    let login = Login {
        user: "maker".to_owned(),
        password: "of-clients".to_owned(),
        plugin: Plugin::CachingSha2,
        encrypted: Encrypted::Yes,
        ..Login::of(&crate::support::accounts::APP)
    };
    let mut client = login.at(port).await.map_err(|error| error.to_string())?;
    let reply = client.query("SELECT CURRENT_USER()").await.map_err(|error| error.to_string())?;
    let user = reply.value().ok_or_else(|| format!("{reply:?}"))?;
    client.quit().await;
    Ok(user)
}
