use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::config::StoreConfig;
use crate::credentials::metrics::SecretMetricsFamily;

const POLICY: RefreshConfig = RefreshConfig {
    refresh: None,
    overlap: Duration::from_secs(60),
    replace_over: Duration::from_secs(10),
    on_start: OnStart::Fail,
};

/// A store in a file, and a login from it.
struct Desk {
    folder: tempfile::TempDir,
    registry: prometheus::Registry,
}

impl Desk {
    fn new(text: &str) -> Self {
        let desk =
            Self { folder: tempfile::tempdir().unwrap(), registry: prometheus::Registry::new() };
        desk.write(text);
        desk
    }

    fn write(&self, text: &str) {
        fs::write(self.folder.path().join("secrets"), text).unwrap();
    }

    async fn keyring(&self, policy: RefreshConfig) -> Result<Keyring, StoreError> {
        let path = self.folder.path().join("secrets");
        let stores = BTreeMap::from([("main".to_owned(), StoreConfig::File { path })]);
        let reference = SecretRef { store: "main".into(), key: "app".into() };
        let metrics = SecretMetricsFamily::register(&self.registry).unwrap().of(&reference);
        let stores = Arc::new(Stores::new(&stores, []));
        Keyring::fetched(stores, reference, policy, metrics).await
    }
}

fn passwords(pairs: &[Pair]) -> Vec<&str> {
    pairs.iter().map(|pair| std::str::from_utf8(pair.password.expose()).unwrap()).collect()
}

#[tokio::test]
async fn a_change_makes_the_current_the_previous() {
    let desk = Desk::new("app = 'one'");
    let keyring = desk.keyring(POLICY).await.unwrap();
    assert_eq!(keyring.refresh(0).await, Refreshed::Same);
    desk.write("app = { username = 'b', password = 'two' }");
    assert_eq!(keyring.refresh(0).await, Refreshed::Changed);
    assert_eq!(keyring.refresh(0).await, Refreshed::Changed, "known already: nobody is asked");
    let known = keyring.known();
    assert_eq!((known.version, known.current.username.as_deref()), (1, Some("b")));
    let now = Instant::now();
    assert_eq!(known.accepted_previous(now), Some(&Secret::new("one")));
    assert_eq!(known.accepted_previous(now + POLICY.overlap), None);
}

#[tokio::test]
async fn a_store_that_fails_changes_nothing() {
    let desk = Desk::new("app = 'one'");
    let keyring = desk.keyring(POLICY).await.unwrap();
    for broken in ["app = ''", "app = [", "other = 'two'"] {
        desk.write(broken);
        assert_eq!(keyring.refresh(0).await, Refreshed::Same, "{broken}");
        assert_eq!(keyring.known().current.password, Secret::new("one"));
    }
    let families = desk.registry.gather();
    let ages = families.iter().find(|f| f.name() == "millpond_secret_age_seconds").unwrap();
    assert!(ages.get_metric()[0].get_gauge().get_value() > 0.5, "three pauses");
}

#[tokio::test]
async fn what_a_server_takes_is_tried_first() {
    let keyring = Keyring::changed(Secret::new("one"), Secret::new("two"));
    let known = keyring.known();
    let attempts = keyring.attempts(&known);
    assert_eq!(passwords(&attempts), ["two", "one"]);
    keyring.worked(&known, &attempts[1]);
    assert_eq!(passwords(&keyring.attempts(&known)), ["one", "two"]);
    keyring.worked(&known, &attempts[0]);
    assert_eq!(passwords(&keyring.attempts(&known)), ["two", "one"]);
}

#[tokio::test]
async fn old_connections_are_replaced_one_after_another() {
    let desk = Desk::new("app = 'one'");
    let keyring = desk.keyring(POLICY).await.unwrap();
    let opened = Instant::now();
    assert_eq!(keyring.outdated_from(opened, 1), None);
    desk.write("app = 'two'");
    keyring.refresh(0).await;
    let changed = keyring.known().changed.unwrap();
    let outdated = |part| {
        let now = changed + POLICY.replace_over.mul_f64(part);
        (0..1_000)
            .filter(|number| keyring.outdated_from(opened, *number).is_some_and(|at| at <= now))
            .count()
    };
    assert!((450..550).contains(&outdated(0.5)), "{}", outdated(0.5));
    assert_eq!(outdated(1.0), 1_000);
    assert_eq!(keyring.outdated_from(changed, 1), None, "a new one stays");
}

#[tokio::test]
async fn a_user_that_is_taken_back_soon_is_left_before() {
    let desk = Desk::new("app = 'one'");
    let keyring = desk.keyring(POLICY).await.unwrap();
    let opened = Instant::now();
    let left = Duration::from_secs(6);
    keyring.learn(secret("two"), POLICY.overlap, Some(opened + left));
    let changed = keyring.known().changed.unwrap();
    let last = (0..1_000).filter_map(|number| keyring.outdated_from(opened, number)).max();
    let over = last.unwrap() - changed;
    assert!(over > left / 3 && over <= left / 2, "{over:?}");
}

#[tokio::test]
async fn at_the_start_a_secret_is_waited_for_or_not() {
    let desk = Desk::new("");
    assert!(matches!(desk.keyring(POLICY).await, Err(StoreError::Missing { .. })));
    let desk = Desk::new("");
    std::fs::remove_file(desk.folder.path().join("secrets")).unwrap();
    let waiting = desk.keyring(RefreshConfig { on_start: OnStart::Wait, ..POLICY });
    let writing = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        desk.write("app = 'late'");
    };
    let (keyring, ()) = tokio::join!(waiting, writing);
    assert_eq!(keyring.unwrap().known().current.password, Secret::new("late"));
}

/// A store that is there and has no such secret is not waited for: nobody comes with the login, no
/// server is tried with it, and it is there when the secret is.
#[tokio::test]
async fn a_secret_that_is_not_there_is_a_login_that_nobody_has() {
    let desk = Desk::new("other = 'one'");
    let keyring = desk.keyring(RefreshConfig { on_start: OnStart::Wait, ..POLICY }).await.unwrap();
    let known = keyring.known();
    assert!(keyring.attempts(&known).is_empty());
    assert_eq!(known.current.password.expose().len(), 32);
    assert_eq!(known.accepted_previous(Instant::now()), None);
    desk.write("app = 'two'");
    assert_eq!(keyring.refresh(known.version).await, Refreshed::Changed);
    let known = keyring.known();
    assert_eq!(passwords(&keyring.attempts(&known)), ["two"]);
    assert_eq!(known.previous, None, "it was nobody's");
}

fn secret(password: &str) -> VersionedSecret {
    unversioned(Secret::new(password))
}

fn login(password: &str) -> Option<Pair> {
    Some(secret(password).into_pair())
}

#[tokio::test]
async fn what_a_store_says_of_before_and_after_is_tried_too() {
    let overlap = Duration::from_secs(60);
    let first = VersionedSecret { previous: login("one"), ..secret("two") };
    let known = Known::of_store(first.clone(), overlap);
    assert_eq!(passwords(&known.candidates()), ["two", "one"]);
    assert_eq!(known.accepted_previous(Instant::now()), Some(&Secret::new("one")));
    let long_ago = VersionedSecret { age: Some(overlap), ..first.clone() };
    assert_eq!(Known::of_store(long_ago, overlap).accepted_previous(Instant::now()), None);
    // What is pending is news for servers, and nothing for clients and connections.
    let pending = VersionedSecret { pending: login("three"), ..first.clone() };
    let known = known.after(pending.clone(), overlap, None).unwrap();
    assert_eq!((known.version, known.changed), (1, None));
    assert_eq!(passwords(&known.candidates()), ["two", "one", "three"]);
    assert!(known.after(pending, overlap, None).is_none(), "known already");
    assert!(known.after(first, overlap, None).is_none(), "it is not asked for each time");
    let known = known.after(secret("three"), overlap, None).unwrap();
    assert_eq!(passwords(&known.candidates()), ["three", "two"]);
    assert!(known.changed.is_some());
}

#[tokio::test]
async fn a_pending_login_that_a_server_takes_is_tried_first() {
    let keyring = Keyring::fixed(Secret::new("one"));
    keyring.learn(VersionedSecret { pending: login("two"), ..secret("one") }, POLICY.overlap, None);
    let known = keyring.known();
    let attempts = keyring.attempts(&known);
    assert_eq!(passwords(&attempts), ["one", "two"]);
    keyring.worked(&known, &attempts[1]);
    assert_eq!(passwords(&keyring.attempts(&known)), ["two", "one"]);
    keyring.learn(secret("two"), POLICY.overlap, None);
    assert_eq!(passwords(&keyring.attempts(&keyring.known())), ["two", "one"]);
}

#[tokio::test]
async fn it_is_fetched_when_somebody_wants_it() {
    let desk = Desk::new("app = 'one'");
    let keyring = Arc::new(desk.keyring(POLICY).await.unwrap());
    let (wanted, stop) = (watch::Sender::new(()), CancellationToken::new());
    let keep = keyring.clone().keep(wanted.subscribe(), stop.clone());
    let asking = async {
        desk.write("app = 'two'");
        wanted.send_replace(());
        while keyring.known().version == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    tokio::join!(keep, asking);
    assert_eq!(keyring.known().current.password, Secret::new("two"));
}

#[tokio::test]
async fn nothing_of_it_is_shown() {
    let keyring = Keyring::changed(Secret::new("hunter2"), Secret::new("hunter3"));
    let shown = format!("{keyring:?} {:?}", keyring.known());
    assert!(!shown.contains("hunter") && !shown.contains("104, 117"), "{shown}");
}
