//! Users who have to show a certificate, and files of certificates that change under a running
//! Millpond.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::SanType;
use tokio::time::{Instant, sleep};

use crate::support::accounts::{APP, OTHER};
use crate::support::certificates::Authority;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::{Encrypted, Login, Plugin};
use crate::support::servers;

type Identity = Option<(PathBuf, PathBuf)>;

/// What a login is told: `None` when it succeeds.
async fn told(millpond: &Millpond, login: Login) -> Option<String> {
    match login.at(millpond.port).await {
        Ok(mut client) => {
            client.query("SELECT 1").await.expect("a reply").must("SELECT 1");
            client.quit().await;
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

fn login(identity: &Identity) -> Login {
    Login { encrypted: Encrypted::Yes, identity: identity.clone(), ..Login::of(&APP) }
}

/// Waits until a metric has this value.
async fn wait_for(millpond: &Millpond, metric: &str) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !millpond.page("/metrics").lines().any(|line| line == metric) {
        assert!(Instant::now() < patience, "no {metric} in\n{}", millpond.page("/metrics"));
        sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn a_user_shows_its_certificate_with_a_password_or_in_place_of_one() {
    servers::both_async(async |server| {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "clients");
        let uri = |uri: &str| [SanType::URI(uri.try_into().unwrap())];
        let orders = Some(authority.sign("orders", &uri("spiffe://shop/orders")));
        let other = Some(authority.sign("other", &uri("spiffe://shop/other")));
        let stranger = Authority::new(folder.path(), "strangers");
        let stranger = Some(stranger.sign("orders2", &uri("spiffe://shop/orders")));
        let settings = Settings {
            service: format!("tls.client_ca = {:?}\n", authority.certificate),
            other: "[services.test.users.app.certificate]\nsubject = \"/CN=orders\"\n\
                    [services.test.users.other.certificate]\n\
                    san = [\"URI:spiffe://shop/o*\"]\ninstead_of_password = true\n"
                .into(),
            ..Settings::with_pool_of(4)
        };
        let millpond = Millpond::start(server, &settings);
        for plugin in [Plugin::CachingSha2, Plugin::Native, Plugin::Clear] {
            let login = |identity: &Identity| Login { plugin, ..login(identity) };
            let wrong = |login: Login| Login { password: "wrong".into(), ..login };
            assert_eq!(told(&millpond, login(&orders)).await, None, "{plugin:?}");
            for refused in [wrong(login(&orders)), login(&other), login(&None)] {
                let refused = told(&millpond, refused).await.expect("a refusal");
                assert!(refused.starts_with("1045: "), "{refused}");
            }
            let plain = Login { encrypted: Encrypted::No, ..login(&orders) };
            assert!(told(&millpond, plain).await.expect("a refusal").starts_with("1045"));
            // The other user: whatever the password.
            let as_other = |login: Login| Login { user: OTHER.name.into(), ..login };
            for password in ["", "wrong", OTHER.password] {
                let with = |login| Login { password: password.into(), ..as_other(login) };
                assert_eq!(told(&millpond, with(login(&other))).await, None, "{plugin:?}");
                let refused = told(&millpond, with(login(&None))).await.expect("a refusal");
                assert!(refused.starts_with("1045: "), "{password} {refused}");
            }
        }
        // Not by anybody else's signature; that much TLS sees to.
        assert!(told(&millpond, login(&stranger)).await.is_some());
        let log = millpond.log();
        for why in
            ["refused: no certificate was shown", "refused: it is not the user's certificate"]
        {
            assert!(log.contains(why), "{log}");
        }
        // A change of the user is no way around.
        let mut client = login(&orders).at(millpond.port).await.unwrap();
        let change = Login { user: OTHER.name.into(), password: "wrong".into(), ..login(&orders) };
        change.change_user(&mut client).await.unwrap();
        client.query("SELECT 1").await.unwrap().must("as the other user");
        let as_other = Login { user: OTHER.name.into(), ..login(&other) };
        let mut client = as_other.at(millpond.port).await.unwrap();
        let refused = login(&other).change_user(&mut client).await.expect_err("a refusal");
        assert!(refused.to_string().starts_with("1045: "), "{refused}");
    });
}

fn copy(from: &(PathBuf, PathBuf), to: &(PathBuf, PathBuf)) {
    fs::copy(&from.0, &to.0).unwrap();
    fs::copy(&from.1, &to.1).unwrap();
}

async fn shown(millpond: &Millpond) -> Vec<u8> {
    let client = login(&None).at(millpond.port).await.expect("to log in");
    client.packets.server_certificate.clone().expect("a certificate")
}

#[test]
fn certificates_follow_their_files_and_broken_ones_change_nothing() {
    servers::one_async(async |server| {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let authority = Authority::new(folder.path(), "servers");
        let (first, second) = (authority.sign("first", &[]), authority.sign("second", &[]));
        let (one, two) =
            (Authority::new(folder.path(), "ca1"), Authority::new(folder.path(), "ca2"));
        let identity = Some(two.sign("orders", &[]));
        let used = (at("tls.crt"), at("tls.key"));
        copy(&first, &used);
        fs::copy(&one.certificate, at("clients.pem")).unwrap();
        fs::copy(&server.certificates.authority, at("backend.pem")).unwrap();
        let settings = Settings {
            service: format!(
                "tls = {{ certificate = {:?}, key = {:?}, client_ca = {:?} }}\n",
                used.0,
                used.1,
                at("clients.pem")
            ),
            backend: format!("tls = {{ mode = \"verify-ca\", ca = {:?} }}\n", at("backend.pem")),
            ..Settings::with_pool_of(4)
        };
        let millpond = Millpond::start(server, &settings);
        let before = shown(&millpond).await;
        assert!(told(&millpond, login(&identity)).await.is_some(), "by another authority");
        let held = login(&None).at(millpond.port).await.expect("to log in");

        // A certificate whose key is not there yet is not used.
        fs::copy(&second.0, &used.0).unwrap();
        let failures = "millpond_certificate_reload_failures_total{service=\"test\",";
        wait_for(&millpond, &format!("{failures}towards=\"clients\"}} 1")).await;
        assert_eq!(shown(&millpond).await, before);
        assert_eq!(millpond.log().matches("changed certificates cannot be used").count(), 1);
        fs::copy(&second.1, &used.1).unwrap();
        let renewed = "millpond_certificate_reloads_total{service=\"test\",";
        wait_for(&millpond, &format!("{renewed}towards=\"clients\"}} 1")).await;
        assert_ne!(shown(&millpond).await, before);

        // Whom clients may be signed by.
        fs::copy(&two.certificate, at("clients.pem")).unwrap();
        wait_for(&millpond, &format!("{renewed}towards=\"clients\"}} 2")).await;
        assert_eq!(told(&millpond, login(&identity)).await, None);

        backend(&millpond, &at("backend.pem"), &one.certificate, &server.certificates.authority)
            .await;
        let mut held = held;
        held.query("SELECT 1").await.unwrap().must("a client of before");
        let metrics = millpond.page("/metrics");
        for whose in ["server", "client_ca", "backend_ca"] {
            let expiry = format!(
                "millpond_certificate_expiry_timestamp_seconds{{certificate=\"{whose}\",service=\"test\"}}"
            );
            assert!(metrics.contains(&expiry), "{expiry} in\n{metrics}");
        }
    });
}

/// The authorities of the servers: broken, of somebody else, right again.
async fn backend(millpond: &Millpond, used: &Path, wrong: &Path, right: &Path) {
    fs::write(used, "nonsense").unwrap();
    let failures = "millpond_certificate_reload_failures_total{service=\"test\",";
    wait_for(millpond, &format!("{failures}towards=\"servers\"}} 1")).await;
    let renewed = "millpond_certificate_reloads_total{service=\"test\",";
    let other = Login { user: OTHER.name.into(), password: OTHER.password.into(), ..login(&None) };
    fs::copy(wrong, used).unwrap();
    wait_for(millpond, &format!("{renewed}towards=\"servers\"}} 1")).await;
    // A user without connections needs a new one.
    let refused = told(millpond, other.clone()).await;
    assert!(refused.is_some(), "a server that nobody vouches for is used");
    fs::copy(right, used).unwrap();
    wait_for(millpond, &format!("{renewed}towards=\"servers\"}} 2")).await;
    assert_eq!(told(millpond, other).await, None);
}
