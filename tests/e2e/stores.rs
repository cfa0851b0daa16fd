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

/// Has the server know this user by this password.
pub(crate) async fn set_password(server: &'static Server, user: &str, password: &str) {
    let mut admin = server.connect(&ADMIN, None).await.unwrap();
    for sql in [
        format!("CREATE USER IF NOT EXISTS '{user}'@'%' IDENTIFIED BY '{password}'"),
        format!("ALTER USER '{user}'@'%' IDENTIFIED BY '{password}'"),
        format!("GRANT ALL ON app.* TO '{user}'@'%'"),
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

/// One session with one statement, or what was said instead.
pub(crate) async fn greet_as(port: u16, user: &str, password: &str) -> Result<(), String> {
    let login = Login {
        user: user.to_owned(),
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

/// The same as soon as Millpond has heard of the password: one that it does not know makes it look,
/// about once a second.
pub(crate) async fn greets_at_last(port: u16, user: &str, password: &str) {
    let patience = Instant::now() + Duration::from_secs(30);
    while let Err(error) = greet_as(port, user, password).await {
        assert!(Instant::now() < patience, "{user}: {error}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn a_mounted_secret_and_a_printed_one_follow_a_change() {
    servers::both_async(async |server| {
        set_password(server, USER, "password-1").await;
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
            greet_as(millpond.port, USER, &first).await.unwrap();
            let denied = greet_as(millpond.port, USER, "wrong").await.unwrap_err();
            assert!(denied.contains("1045"), "{denied}");
            mount(&mounted, &format!("..{}", round + 2), &second);
            set_password(server, USER, &second).await;
            greets_at_last(millpond.port, USER, &second).await;
            greet_as(millpond.port, USER, &first).await.unwrap();
        }
    });
}
