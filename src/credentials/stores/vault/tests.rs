//! Against a service that answers as the documentation says, for what a real vault does not do at
//! will; `tests/e2e/vault.rs` asks a real one.

use super::super::service::{Asked, Reply, Service, configured, fails_well, fetch, gives_up, ok};
use super::*;
use crate::config::StoreConfig;

fn store(service: &Service, more: &str) -> VaultStore {
    let section = format!("kind = \"vault\"\naddress = \"http://{}\"\n{more}", service.address);
    let StoreConfig::Vault(config) = configured(&section) else { panic!("{section}") };
    VaultStore::new(&config)
}

const APPROLE: &str = "auth = \"approle\"\nrole_id = \"r\"\nsecret_id = \"hunter1\"\n";
const LOGIN: &str = "POST /v1/auth/approle/login";
const APP: &str = r#"{"data": {"data": {"password": "hunter2"}, "metadata": {"version": 3}}}"#;

fn token(name: &str, seconds: u64) -> Reply {
    ok(format!(
        "{{\"auth\": {{\"client_token\": \"{name}\", \"lease_duration\": {seconds}, \"renewable\": true}}}}"
    ))
}

/// A secret, for who has the token.
fn kept(asked: &Asked) -> Reply {
    match (asked.line.as_str(), asked.header("x-vault-token")) {
        (LOGIN, "") => token("token-1", 3_600),
        ("GET /v1/secret/data/app", "token-1") => ok(APP),
        (_, "token-1") => Reply::Status(404, "{\"errors\": []}".into()),
        _ => Reply::Status(403, "{\"errors\": [\"permission denied\"]}".into()),
    }
}

#[tokio::test]
async fn a_token_that_has_ended_is_followed_by_another() {
    let service = Service::new(kept);
    let store = store(&service, APPROLE);
    assert_eq!(fetch(&store, "app").await.unwrap().version.to_string(), "3");
    service.answers(|asked| match (asked.line.as_str(), asked.header("x-vault-token")) {
        (LOGIN, "") => token("token-2", 3_600),
        ("GET /v1/secret/data/app", "token-2") => ok(APP),
        _ => Reply::Status(403, "{\"errors\": [\"permission denied\"]}".into()),
    });
    service.asked();
    assert_eq!(fetch(&store, "app").await.unwrap().password, Secret::new("hunter2"));
    let lines: Vec<_> = service.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines, ["GET /v1/secret/data/app", LOGIN, "GET /v1/secret/data/app"]);
    // A policy that does not allow it is not mended by another login, over and over.
    service.answers(|asked| match asked.line.as_str() {
        LOGIN => token("token-3", 3_600),
        _ => Reply::Status(403, "{\"errors\": [\"permission denied\"]}".into()),
    });
    let error = fetch(&store, "app").await.unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
    assert_eq!(service.asked().len(), 3);
}

#[tokio::test]
async fn a_service_that_fails_is_told_from_one_without_the_secret() {
    let service = Service::new(kept);
    let store = store(&service, APPROLE);
    fetch(&store, "app").await.unwrap();
    fails_well(&store, &service, "app").await;
    gives_up(&store, &service, "app").await;
    service.answers(kept);
    fetch(&store, "app").await.unwrap();
    let missing = fetch(&store, "none").await.unwrap_err();
    assert!(matches!(missing, StoreError::Missing { .. }), "{missing:?}");
    service.answers(|_| Reply::Status(400, "{\"errors\": [\"hunter1 is wrong\"]}".into()));
    let other = self::store(&service, APPROLE);
    let error = fetch(&other, "app").await.unwrap_err();
    assert!(error.to_string().contains("could not log in to the store"), "{error}");
    assert!(!format!("{error} {error:?} {store:?}").contains("hunter"), "{error:?}");
}

/// Lets time pass. It stands still only for that: sockets are waited for in real time.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Makes users under leases of a minute that can be renewed.
fn making(asked: &Asked) -> Reply {
    use std::sync::atomic::{AtomicU32, Ordering};
    static MADE: AtomicU32 = AtomicU32::new(0);
    match asked.line.as_str() {
        LOGIN => token("token-1", 3_600),
        "GET /v1/database/creds/app" => {
            let number = MADE.fetch_add(1, Ordering::Relaxed);
            ok(format!(
                "{{\"lease_id\": \"l{number}\", \"lease_duration\": 60, \"renewable\": true, \
                 \"data\": {{\"username\": \"v-{number}\", \"password\": \"hunter2\"}}}}"
            ))
        }
        "POST /v1/sys/leases/renew" => ok("{\"lease_id\": \"l\", \"lease_duration\": 60}"),
        "GET /v1/database/creds/none" => {
            Reply::Status(400, "{\"errors\": [\"unknown role: none\"]}".into())
        }
        _ => Reply::Status(404, "{\"errors\": []}".into()),
    }
}

#[tokio::test]
async fn a_user_is_kept_as_long_as_its_lease_can_be_renewed() {
    let service = Service::new(making);
    let store = store(&service, &format!("engine = \"database\"\n{APPROLE}"));
    let first = fetch(&store, "app").await.unwrap();
    let lease = first.lease.unwrap();
    assert!(lease.ask_again < lease.remaining && lease.remaining.as_secs() > 50, "{lease:?}");
    let posted = |service: &Service| {
        let asked = service.asked();
        asked.iter().filter(|asked| asked.line.ends_with("renew")).count()
    };
    // Nobody makes another user by asking.
    for occasion in [Occasion::Routine, Occasion::ClientUnknown, Occasion::ServerRefused] {
        let same = store.fetch("app", occasion).await.unwrap();
        assert_eq!(same.username, first.username, "{occasion:?}");
    }
    assert_eq!(posted(&service), 0);
    pass(Duration::from_secs(45)).await;
    let renewed = fetch(&store, "app").await.unwrap();
    assert_eq!(renewed.username, first.username);
    assert!(renewed.lease.unwrap().remaining.as_secs() > 50, "{:?}", renewed.lease);
    assert_eq!(posted(&service), 1);
    // Near the longest time that the role allows, a lease is renewed for the rest of it only.
    service.answers(|asked| match asked.line.as_str() {
        "POST /v1/sys/leases/renew" => ok("{\"lease_id\": \"l\", \"lease_duration\": 15}"),
        _ => making(asked),
    });
    pass(Duration::from_secs(45)).await;
    let second = fetch(&store, "app").await.unwrap();
    assert_ne!(second.username, first.username);
    // A lease that is not known any more is no lease.
    service.answers(|asked| match asked.line.as_str() {
        "POST /v1/sys/leases/renew" => {
            Reply::Status(400, "{\"errors\": [\"lease not found\"]}".into())
        }
        _ => making(asked),
    });
    pass(Duration::from_secs(45)).await;
    let third = fetch(&store, "app").await.unwrap();
    assert_ne!(third.username, second.username);
    // A server that refuses a user of some age gets another.
    service.answers(making);
    pass(Duration::from_secs(15)).await;
    let fourth = store.fetch("app", Occasion::ServerRefused).await.unwrap();
    assert_ne!(fourth.username, third.username);
    let missing = fetch(&store, "none").await.unwrap_err();
    assert!(matches!(missing, StoreError::Missing { .. }), "{missing:?}");
}

#[tokio::test]
async fn a_users_end_comes_with_that_of_the_token_it_was_made_under() {
    let logins = std::sync::atomic::AtomicU32::new(0);
    let service = Service::new(move |asked: &Asked| match asked.line.as_str() {
        LOGIN => {
            let number = logins.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            token(&format!("token-{number}"), 100)
        }
        // It may not be prolonged any more.
        "POST /v1/auth/token/renew-self" => token("token-1", 40),
        _ => making(asked),
    });
    let store = store(&service, &format!("engine = \"database\"\n{APPROLE}"));
    let first = fetch(&store, "app").await.unwrap();
    let lease = first.lease.unwrap();
    assert!(lease.ask_again <= Duration::from_secs(50), "before the token is old: {lease:?}");
    pass(Duration::from_secs(51)).await;
    let second = fetch(&store, "app").await.unwrap();
    assert_ne!(second.username, first.username);
}
