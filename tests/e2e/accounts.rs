//! Every plugin of clients with every plugin of servers: Millpond stands between, so all pairs work.

use mysql_common::constants::CapabilityFlags;

use crate::support::accounts::{APP, ordinary};
use crate::support::flavor::Flavor;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::{Encrypted, Login, Plugin};
use crate::support::servers;

#[test]
fn every_plugin_meets_every_other() {
    servers::both_async(|server| async move {
        let millpond = Millpond::start(server, &Settings::with_pool_of(20));
        for account in ordinary(server.flavor) {
            for encrypted in [Encrypted::No, Encrypted::Yes] {
                for plugin in [Plugin::CachingSha2, Plugin::Native, Plugin::Clear] {
                    let what = format!("{} by {plugin:?}, encrypted: {encrypted:?}", account.name);
                    let login = Login { plugin, encrypted, ..Login::of(&account) };
                    let client = login.at(millpond.port).await;
                    // A clear password on a plain connection is asked for by nobody, so the client
                    // that offers it is switched to another plugin.
                    let mut client = client.unwrap_or_else(|error| panic!("{what}: {error}"));
                    let reply = client.query("SELECT CURRENT_USER()").await.expect("a reply");
                    let reply = reply.must(&what);
                    assert_eq!(reply.value(), Some(format!("{}@%", account.name)), "{what}");
                    client.quit().await;
                }
            }
        }
    });
}

#[test]
fn a_wrong_password_is_refused_by_every_plugin() {
    servers::both_async(|server| async move {
        let millpond = Millpond::start(server, &Settings::with_pool_of(5));
        for encrypted in [Encrypted::No, Encrypted::Yes] {
            for plugin in [Plugin::CachingSha2, Plugin::Native, Plugin::Clear] {
                for (user, password, using) in
                    [("app", "wrong", "YES"), ("app", "", "NO"), ("nobody", "wrong", "YES")]
                {
                    let login = Login {
                        user: user.to_owned(),
                        password: password.to_owned(),
                        plugin,
                        encrypted,
                        ..Login::of(&APP)
                    };
                    let refusal = login.at(millpond.port).await.err().expect("a refusal");
                    let text = format!(
                        "1045: Access denied for user '{user}'@'localhost' (using password: {using})"
                    );
                    let what = format!("{user}, {password:?}, {plugin:?}, {encrypted:?}");
                    assert_eq!(refusal.to_string(), text, "{what}");
                }
            }
        }
    });
}

#[test]
fn backends_are_logged_in_to_over_tls_too() {
    servers::both_async(|server| async move {
        for mode in ["disabled", "preferred", "required", "verify-ca", "verify-identity"] {
            // MySQL's own certificates name no host.
            if mode == "verify-identity" && server.flavor == Flavor::MySql {
                continue;
            }
            let authority = server.certificates.authority.display();
            let ca = if mode.starts_with("verify") {
                format!(", ca = \"{authority}\"")
            } else {
                String::new()
            };
            let settings = Settings {
                backend: format!("tls = {{ mode = \"{mode}\"{ca} }}\n"),
                ..Settings::with_pool_of(5)
            };
            let millpond = Millpond::start(server, &settings);
            for account in ordinary(server.flavor) {
                let what = format!("{} with {mode}", account.name);
                let mut client = Login::of(&account).at(millpond.port).await.expect(&what);
                // The usual form of this question is about the client's own encryption.
                let sql = "SHOW SESSION STATUS WHERE Variable_name = 'Ssl_version'";
                let reply = client.query(sql).await.expect(&what).must(&what);
                let row = reply.packets.iter().rev().nth(1).map(|(_, row)| row.clone());
                let row = String::from_utf8_lossy(&row.expect("a row")).into_owned();
                assert_eq!(row.contains("TLS"), mode != "disabled", "{what}: {row}");
                client.quit().await;
            }
        }
    });
}

#[test]
fn old_clients_log_in() {
    servers::both_async(|server| async move {
        let millpond = Millpond::start(server, &Settings::with_pool_of(5));
        let login = Login {
            capabilities: CapabilityFlags::empty(),
            plugin: Plugin::Native,
            database: None,
            collation: 8,
            ..Login::of(&APP)
        };
        let mut client = login.at(millpond.port).await.expect("to log in");
        let reply = client.query("SELECT DATABASE() IS NULL").await.expect("a reply");
        assert_eq!(
            reply.packets.iter().rev().nth(1).map(|(_, row)| row.clone()),
            Some(b"\x011".to_vec())
        );
    });
}
