//! Secrets from every kind of store, through a change of the password.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use tokio::time::{Instant, sleep};

use crate::support::accounts::{ADMIN, APP};
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::{Encrypted, Login, Plugin};
use crate::support::server::Server;
use crate::support::servers;

const USER: &str = "keeper";

async fn set_password(server: &'static Server, password: &str) {
    let mut admin = server.connect(&ADMIN, None).await.unwrap();
    for sql in [
        format!("CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{password}'"),
        format!("ALTER USER '{USER}'@'%' IDENTIFIED BY '{password}'"),
        format!("GRANT ALL ON app.* TO '{USER}'@'%'"),
    ] {
        admin.query_drop(sql).await.unwrap();
    }
}

/// A mount as the kubelet makes it: the files of a version in a folder of their own, and a link
/// that is exchanged.
fn mount(folder: &Path, version: &str, password: &str) {
    let data = folder.join(version);
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("username"), USER).unwrap();
    fs::write(data.join("password"), password).unwrap();
    let next = folder.join("..next");
    std::os::unix::fs::symlink(version, &next).unwrap();
    fs::rename(next, folder.join("..data")).unwrap();
}

async fn greet(port: u16, password: &str) -> Result<(), String> {
    let login = Login {
        user: USER.to_owned(),
        password: password.to_owned(),
        plugin: Plugin::CachingSha2,
        encrypted: Encrypted::Yes,
        ..Login::of(&APP)
    };
    let mut client = login.at(port).await.map_err(|error| format!("{error:?} {error}"))?;
    let reply = client.query("SELECT 1").await.map_err(|error| error.to_string())?;
    let error = reply.error().map(|error| format!("{error:?}"));
    client.quit().await;
    error.map_or(Ok(()), Err)
}

#[test]
fn a_mounted_secret_and_a_printed_one_follow_a_change() {
    servers::both_async(async |server| {
        set_password(server, "password-1").await;
        let folder = tempfile::tempdir().unwrap();
        let mounted = folder.path().join("keeper");
        mount(&mounted, "..1", "password-1");
        let printed = mounted.join("..data/password");
        let stores = [
            format!("kind = \"directory\"\npath = {:?}\n", folder.path()),
            format!("kind = \"exec\"\ncommand = [\"sh\", \"-c\", \"cat {}\"]\n", printed.display()),
        ];
        for (round, store) in stores.iter().enumerate() {
            let first = format!("password-{}", round + 1);
            let second = format!("password-{}", round + 2);
            let settings = Settings {
                other: format!(
                    "[services.test.users.{USER}]\nsecret = \"main:{USER}\"\n[secrets.main]\n{store}"
                ),
                ..Settings::with_pool_of(2)
            };
            let millpond = Millpond::start(server, &settings);
            greet(millpond.port, &first).await.unwrap();
            let denied = greet(millpond.port, "wrong").await.unwrap_err();
            assert!(denied.contains("1045"), "{denied}");
            mount(&mounted, &format!("..{}", round + 2), &second);
            set_password(server, &second).await;
            // A client with an unknown password makes Millpond look, about once a second.
            let patience = Instant::now() + Duration::from_secs(20);
            while let Err(error) = greet(millpond.port, &second).await {
                assert!(Instant::now() < patience, "{store}: {error}");
                sleep(Duration::from_millis(100)).await;
            }
            greet(millpond.port, &first).await.unwrap();
        }
    });
}
