//! Users that are in no configuration: the server says whether they are who they say.

use mysql_async::prelude::Queryable;
use tokio::time::{Duration, Instant, sleep};

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::{Encrypted, Login, Plugin};
use crate::support::servers;

const NAME: &str = "wanderer";

fn login(password: &str, plugin: Plugin, encrypted: Encrypted) -> Login {
    let (user, password) = (NAME.to_owned(), password.to_owned());
    Login { user, password, plugin, encrypted, ..Login::of(&APP) }
}

async fn told(millpond: &Millpond, login: &Login) -> Option<String> {
    match login.at(millpond.port).await {
        Ok(mut client) => {
            let reply = client.query("SELECT CURRENT_USER()").await.expect("a reply");
            assert_eq!(reply.must("who am I").value(), Some(format!("{NAME}@%")));
            client.quit().await;
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

/// Waits until no such user has a session.
async fn wait_until_gone(millpond: &Millpond) {
    let patience = Instant::now() + Duration::from_secs(30);
    let gone = "millpond_pass_through_users{service=\"test\"} 0";
    while !millpond.page("/metrics").contains(gone) {
        assert!(Instant::now() < patience);
        sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn the_server_vouches_for_users_that_millpond_does_not_know() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        for sql in [
            format!("DROP USER IF EXISTS '{NAME}'@'%'"),
            format!("CREATE USER '{NAME}'@'%' IDENTIFIED BY 'first'"),
            format!("GRANT ALL ON app.* TO '{NAME}'@'%'"),
        ] {
            admin.query_drop(sql).await.unwrap();
        }
        let settings = Settings {
            service: "unknown_users = \"pass_through\"\nmax_pass_through_users = 1\n\
                      login_limits.failures_per_user = 0\n"
                .into(),
            ..Settings::with_pool_of(4)
        };
        let millpond = Millpond::start(server, &settings);
        for (plugin, encrypted) in [
            (Plugin::CachingSha2, Encrypted::Yes),
            (Plugin::CachingSha2, Encrypted::No),
            (Plugin::Native, Encrypted::Yes),
            (Plugin::Clear, Encrypted::Yes),
        ] {
            let what = format!("{plugin:?} {encrypted:?}");
            assert_eq!(told(&millpond, &login("first", plugin, encrypted)).await, None, "{what}");
            let refused = told(&millpond, &login("wrong", plugin, encrypted)).await;
            assert!(refused.unwrap().starts_with("1045: Access denied for user 'wanderer'"));
            wait_until_gone(&millpond).await;
        }
        let nobody =
            Login { user: "nobody".into(), ..login("first", Plugin::Clear, Encrypted::Yes) };
        assert!(told(&millpond, &nobody).await.unwrap().starts_with("1045"));
        // While there is a session, a proof is enough; no password of a server's is asked for.
        let encrypted = login("first", Plugin::CachingSha2, Encrypted::Yes);
        let held = encrypted.at(millpond.port).await.unwrap();
        let answered =
            "millpond_pass_through_questions_total{answer=\"accepted\",service=\"test\"}";
        let count = |millpond: &Millpond| {
            let metrics = millpond.page("/metrics");
            metrics.lines().find_map(|line| line.strip_prefix(answered).map(str::to_owned))
        };
        let before = count(&millpond);
        for plugin in [Plugin::CachingSha2, Plugin::Native] {
            assert_eq!(told(&millpond, &login("first", plugin, Encrypted::No)).await, None);
        }
        assert_eq!(count(&millpond), before);
        // There is room for one such user.
        admin.query_drop("CREATE USER IF NOT EXISTS 'second'@'%' IDENTIFIED BY 'x'").await.unwrap();
        let second = Login {
            user: "second".into(),
            database: None,
            ..login("x", Plugin::Clear, Encrypted::Yes)
        };
        assert!(second.at(millpond.port).await.is_err());
        // The server has another password: whoever comes with it is let in.
        admin.query_drop(format!("ALTER USER '{NAME}'@'%' IDENTIFIED BY 'other'")).await.unwrap();
        let changed = login("other", Plugin::CachingSha2, Encrypted::Yes);
        assert_eq!(told(&millpond, &changed).await, None);
        held.quit().await;
        wait_until_gone(&millpond).await;
        admin.query_drop(format!("ALTER USER '{NAME}'@'%' PASSWORD EXPIRE")).await.unwrap();
        let expired = told(&millpond, &changed).await.expect("an expired password");
        assert!(expired.starts_with("1862: Your password has expired"), "{expired}");
        admin.query_drop(format!("ALTER USER '{NAME}'@'%' IDENTIFIED BY 'other'")).await.unwrap();
        admin.query_drop(format!("ALTER USER '{NAME}'@'%' ACCOUNT LOCK")).await.unwrap();
        let locked = told(&millpond, &changed).await.expect("a locked account");
        assert!(
            locked.starts_with("3118: Access denied") || locked.starts_with("4151: Access denied"),
            "{locked}"
        );
        admin.query_drop(format!("ALTER USER '{NAME}'@'%' ACCOUNT UNLOCK")).await.unwrap();
        let refused = told(&millpond, &encrypted).await.expect("the former password");
        assert!(refused.starts_with("1045"), "{refused}");
        let mut client =
            second.at(millpond.port).await.expect("the second, now that there is room");
        client.query("SELECT 1").await.unwrap().must("SELECT 1");
        assert!(millpond.log().contains("too many users that only the server knows"));
    });
}

#[test]
fn unknown_users_are_refused_unless_it_is_configured_otherwise() {
    servers::one_async(async |server| {
        let mut admin = server.admin().await;
        let create = "CREATE USER IF NOT EXISTS 'third'@'%' IDENTIFIED BY 'x'";
        admin.query_drop(create).await.unwrap();
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let third = Login {
            user: "third".into(),
            database: None,
            ..login("x", Plugin::Clear, Encrypted::Yes)
        };
        let refused = third.at(millpond.port).await.err().expect("a refusal");
        assert!(refused.to_string().starts_with("1045"), "{refused}");
    });
}
