//! Who is known for how long.

use super::*;
use arc_swap::ArcSwap;
use prometheus::Registry;

/// A server with one password for everybody; none: it does not answer.
#[derive(Debug)]
struct Server(Option<&'static str>);

impl AskServer for Server {
    fn ask(&self, _user: String, password: Secret) -> Asking {
        let answer = match self.0 {
            Some(right) => Ok(password.expose() == right.as_bytes()),
            None => Err(Told::no_server(1)),
        };
        Box::pin(async move { answer })
    }
}

fn guests(password: Option<&'static str>) -> (Arc<Guests>, Logins) {
    let logins: Logins = Arc::new(ArcSwap::from_pointee(Users::new()));
    let metrics = GuestMetrics::register(&Registry::new()).unwrap().of("orders");
    (Guests::new(Arc::new(Server(password)), logins.clone(), metrics), logins)
}

#[tokio::test]
async fn a_user_is_known_from_the_first_session_to_the_last() {
    let (guests, logins) = guests(Some("secret"));
    assert!(guests.known("ann").is_none());
    assert!(guests.enter("ann", b"wrong", 9).await.unwrap().is_none());
    let first = guests.enter("ann", b"secret", 9).await.unwrap().unwrap();
    let second = guests.known("ann").unwrap();
    assert_eq!(second.user.keyring.known().current.password.expose(), b"secret");
    assert!(logins.load().contains_key("ann"), "Millpond can log in for it");
    drop(first);
    assert!(logins.load().contains_key("ann"));
    assert!(guests.known("ann").is_some());
    drop(second);
    assert!(logins.load().is_empty() && guests.known("ann").is_none());
    assert_eq!(guests.metrics.here.get(), 0);
}

#[tokio::test]
async fn no_more_are_let_in_than_may_be() {
    let (guests, _) = guests(Some("secret"));
    let ann = guests.enter("ann", b"secret", 1).await.unwrap().unwrap();
    assert!(guests.enter("bob", b"secret", 1).await.unwrap().is_none());
    assert!(guests.enter("ann", b"secret", 1).await.unwrap().is_some(), "she is in");
    drop(ann);
    assert!(guests.enter("bob", b"secret", 1).await.unwrap().is_some());
}

#[tokio::test]
async fn a_name_that_is_configured_meanwhile_is_the_configurations() {
    let (guests, logins) = guests(Some("secret"));
    let ann = guests.enter("ann", b"secret", 9).await.unwrap().unwrap();
    let configured = User::guest("ann".into(), Secret::new("other"));
    logins.store(Arc::new([("ann".to_owned(), configured)].into()));
    drop(ann);
    let logins = logins.load();
    assert_eq!(logins["ann"].keyring.known().current.password.expose(), b"other");
}

#[tokio::test]
async fn a_server_that_is_away_says_nothing_about_a_password() {
    let (guests, _) = guests(None);
    let told = guests.enter("ann", b"secret", 9).await.err().unwrap();
    assert_eq!(told.code, 1429);
}
