//! What an operator or a comment orders: other modes of pooling, variables that are left alone,
//! triggers that are to be trusted.

use std::collections::BTreeSet;

use mysql_async::prelude::Queryable;

use crate::pins::{pinned, run, see_backends};
use crate::support::accounts::APP;
use crate::support::flavor::Flavor;
use crate::support::millpond::{Millpond, Settings};
use crate::support::servers;

/// A user's sessions can be treated otherwise, and so can a statement by the comment in front.
#[test]
fn orders_are_followed() {
    const ID: &str = "SELECT id FROM app.backend_of_orders";
    servers::both_async(async |server| {
        see_backends(server, "backend_of_orders").await;
        let settings = |key: &str, value: &str| Settings {
            environment: vec![(
                format!("MILLPOND__SERVICES__TEST__USERS__APP__{key}"),
                value.to_owned(),
            )],
            ..Settings::with_pool_of(1)
        };
        for (mode, reused) in [("session", true), ("dedicated", false)] {
            let millpond = Millpond::start(server, &settings("POOL_MODE", mode));
            let mut a = millpond.connect(&APP, Some("app")).await.unwrap();
            run(&mut a, &["SET @own = 1, time_zone = '+03:00'"]).await;
            let first: Option<u64> = a.query_first(ID).await.unwrap();
            a.reset().await.unwrap();
            let second: Option<u64> = a.query_first(ID).await.unwrap();
            assert_eq!(first, second, "{}", server.flavor);
            let own: Option<(Option<u8>,)> = a.query_first("SELECT @own").await.unwrap();
            assert_eq!(own, Some((None,)));
            assert!(pinned(&millpond)[0].contains("pool_mode"), "{:?}", pinned(&millpond));
            a.disconnect().await.unwrap();
            let mut ids = BTreeSet::new();
            for _ in 0..4 {
                let mut b = millpond.connect(&APP, Some("app")).await.unwrap();
                ids.extend(b.query_first::<u64, _>(ID).await.unwrap());
                b.disconnect().await.unwrap();
            }
            let again = ids.len() < 4;
            assert_eq!(again, reused, "{}: {mode}: {ids:?}", server.flavor);
        }
        let ignoring = settings("IGNORE_VARIABLES", "lc_time_names,@trace,timestamp");
        let millpond = Millpond::start(server, &ignoring);
        let mut a = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut b = millpond.connect(&APP, Some("app")).await.unwrap();
        run(&mut a, &["SET lc_time_names = 'de_DE', @trace = 5, @@SESSION.timestamp = 1000"]).await;
        // It fails, and nobody can know what it would have done.
        a.query_drop("/* millpond: share */ CALL no_such_procedure_anywhere()").await.unwrap_err();
        let seen: Option<(String, u8, u64)> =
            b.query_first("SELECT @@lc_time_names, @trace, UNIX_TIMESTAMP()").await.unwrap();
        assert_eq!(seen, Some(("de_DE".to_owned(), 5, 1000)), "{}", server.flavor);
        run(&mut a, &["SET lc_time_names = DEFAULT, @@SESSION.timestamp = DEFAULT"]).await;
        run(&mut a, &["/* millpond: ignore time_zone, @y */ SET time_zone = '+07:00', @y = 6"])
            .await;
        let seen: Option<(String, u8)> = b.query_first("SELECT @@time_zone, @y").await.unwrap();
        assert_eq!(seen, Some(("+07:00".to_owned(), 6)), "{}", server.flavor);
        assert_eq!(pinned(&millpond), Vec::<String>::new(), "{}", server.flavor);
        run(&mut a, &["/* millpond: dedicated */ DO 1"]).await;
        let of_a: Option<u64> = a.query_first(ID).await.unwrap();
        a.disconnect().await.unwrap();
        assert_ne!(b.query_first::<u64, _>(ID).await.unwrap(), of_a, "{}", server.flavor);
    });
}

/// A trigger that the user may not see counts as one that may do anything.
#[test]
fn hidden_triggers_are_not_taken_for_harmless() {
    servers::both_async(async |server| {
        let mut admin = server.admin().await;
        run(
            &mut admin,
            &[
                "DROP DATABASE IF EXISTS hiding_triggers",
                "CREATE DATABASE hiding_triggers",
                "CREATE TABLE hiding_triggers.watched (a INT)",
                "CREATE TRIGGER hiding_triggers.sly BEFORE INSERT ON hiding_triggers.watched \
                 FOR EACH ROW SELECT 'sly' INTO @sly",
                "GRANT SELECT, INSERT, UPDATE, DELETE ON hiding_triggers.* TO 'app'@'%'",
            ],
        )
        .await;
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let mut a = millpond.connect(&APP, Some("app")).await.unwrap();
        let mut b = millpond.connect(&APP, Some("app")).await.unwrap();
        run(&mut a, &["CREATE TABLE IF NOT EXISTS seen (a INT)", "INSERT INTO seen VALUES (1)"])
            .await;
        run(&mut a, &["DO 1"]).await;
        assert_eq!(pinned(&millpond), Vec::<String>::new(), "{}", server.flavor);
        run(&mut a, &["INSERT INTO hiding_triggers.watched VALUES (1)"]).await;
        for _ in 0..3 {
            let other: Option<Option<String>> = b.query_first("SELECT @sly").await.unwrap();
            assert_eq!(other, Some(None), "{}", server.flavor);
            let own: Option<Option<String>> = a.query_first("SELECT @sly").await.unwrap();
            assert_eq!(own.flatten().as_deref(), Some("sly"), "{}", server.flavor);
        }
        assert!(pinned(&millpond)[0].contains("impure_routine"), "{:?}", pinned(&millpond));
        a.disconnect().await.unwrap();
        let other: Option<Option<String>> = b.query_first("SELECT @sly").await.unwrap();
        assert_eq!(other, Some(None), "{}", server.flavor);
        // MariaDB shows that there is one.
        if server.flavor == Flavor::MySql {
            assert!(millpond.log().contains("hidden_triggers"), "{}", millpond.log());
            let counted = "millpond_hidden_triggers_total{service=\"test\"} 1";
            assert!(millpond.page("/metrics").contains(counted));
            // Whoever knows better says so.
            let backend = "hidden_triggers = \"trust\"\n".to_owned();
            let trusting = Settings { backend, ..Settings::with_pool_of(1) };
            let millpond = Millpond::start(server, &trusting);
            let mut a = millpond.connect(&APP, Some("hiding_triggers")).await.unwrap();
            run(&mut a, &["INSERT INTO watched VALUES (1)", "DO 1"]).await;
            assert_eq!(pinned(&millpond), Vec::<String>::new());
        }
        run(&mut admin, &["DROP DATABASE hiding_triggers"]).await;
    });
}
