//! What operators look at: the metrics, the dashboard and alert rules over them, the status page.

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::{servers, testbed};
use mysql_async::prelude::Queryable;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Metrics that have series only with replicas, with a store of secrets, or in trouble.
const AT_TROUBLE: [&str; 12] = [
    "millpond_client_errors_total",
    "millpond_backend_connect_failures_total",
    "millpond_secret_age_seconds",
    "millpond_secret_fetches_total",
    "millpond_server_lag_seconds",
    "millpond_certificate_reload_failures_total",
    "millpond_certificate_reloads_total",
    "millpond_server_downs_total",
    "millpond_tokens_total",
    "millpond_webhook_lost_events_total",
    "millpond_webhook_posts_total",
    "millpond_secret_lease_seconds",
];

/// The metrics that a text names.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("millpond_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

async fn page_with(millpond: &Millpond, path: &str, awaited: &str) -> String {
    for _ in 0..200 {
        let page = millpond.page(path);
        if page.contains(awaited) {
            return page;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{path} never had {awaited}:\n{}", millpond.page(path));
}

#[test]
fn every_metric_that_dashboard_and_rules_name_exists() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("BEGIN").await.unwrap();
        client.query_drop("SELECT 1").await.unwrap();
        client.query_drop("COMMIT").await.unwrap();
        let page = millpond.page("/metrics");
        let served = named(&page);
        let docs = "docs/observing.md";
        for file in ["docker/grafana/dashboards/millpond.json", "docker/prometheus/rules.yml", docs]
        {
            let path = testbed::repository(file);
            let asked = named(&fs::read_to_string(&path).unwrap());
            assert!(asked.len() > 5, "{file}: {asked:?}");
            let absent: Vec<_> = asked
                .difference(&served)
                .filter(|name| !AT_TROUBLE.contains(&name.as_str()))
                .collect();
            assert!(absent.is_empty(), "{file} names {absent:?}, which is not in:\n{page}");
        }
        // And the other way round: nothing is served that is not explained.
        let explained = named(&fs::read_to_string(testbed::repository(docs)).unwrap());
        for family in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let name = family.split(' ').next().unwrap();
            assert!(explained.contains(name), "{docs} says nothing of {name}");
        }
        client.disconnect().await.unwrap();
    });
}

#[test]
fn metrics_tell_who_keeps_connections_and_why() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("BEGIN").await.unwrap();
        client.query_drop("SELECT 1 FROM information_schema.tables LIMIT 1").await.unwrap();
        let pinned = format!(
            "millpond_sessions_pinned{{reason=\"transaction\",service=\"test\",user=\"{}\"}} 1\n",
            APP.name
        );
        let page = page_with(&millpond, "/metrics", &pinned).await;
        assert!(page.contains("millpond_client_bytes_total{direction=\"sent\""), "{page}");
        page_with(&millpond, "/metrics", "state=\"borrowed\",user=\"app\"} 1\n").await;
        client.query_drop("COMMIT").await.unwrap();
        let ended = format!(
            "millpond_transaction_seconds_count{{service=\"test\",user=\"{}\"}} 1\n",
            APP.name
        );
        page_with(&millpond, "/metrics", &ended).await;
        page_with(&millpond, "/metrics", &pinned.replace("} 1", "} 0")).await;
        client.disconnect().await.unwrap();
    });
}

/// What a browser makes of the page within some seconds, in a window of this size; and what it has
/// to complain of.
fn browsed(millpond: &Millpond, browser: &Path, size: &str) -> (String, String) {
    let profile = tempfile::Builder::new().prefix("chromium-").tempdir().unwrap();
    let output = Command::new("timeout")
        .arg("60")
        .arg(browser)
        // In a container there is no other sandbox to be had.
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--dump-dom", "--virtual-time-budget=6000", "--enable-logging=stderr"])
        // It must get by without any other network.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={size}"))
        .arg(format!("http://127.0.0.1:{}/", millpond.admin_port))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let said = text(output.stderr);
    let complaints = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    (text(output.stdout), complaints)
}

#[test]
fn a_browser_shows_the_page_live() {
    let Some(browser) = testbed::program("chromium") else {
        return testbed::skip("the page in a browser", "no chromium here");
    };
    servers::one_async(async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("BEGIN").await.unwrap();
        client.query_drop("CREATE TEMPORARY TABLE mine (a INT)").await.unwrap();
        page_with(&millpond, "/metrics", "state=\"borrowed\",user=\"app\"} 1\n").await;
        for size in ["1200,900", "390,800"] {
            let (page, complaints) = browsed(&millpond, &browser, size);
            assert_eq!(complaints, "");
            let address = format!("<td class=\"\">127.0.0.1:{}</td>", server.port);
            for seen in [
                "<h2><span>test</span>",
                &address,
                "<td class=\"\">writer</td>",
                "<td class=\"\">transaction</td>",
                "<td class=\"\">temporary table</td>",
                "<h3>What happened</h3>",
                ", ready, up ",
            ] {
                assert!(page.contains(seen), "no {seen} in\n{page}");
            }
            // The curve has a point for each answer: it goes on by itself.
            let curve = page.split("points=\"").nth(1).and_then(|rest| rest.split('"').next());
            assert!(curve.is_some_and(|points| points.contains(' ')), "{page}");
        }
        client.query_drop("ROLLBACK").await.unwrap();
    });
}

#[test]
fn the_status_is_json_and_its_page_needs_nothing_else() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::default());
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("SELECT 1").await.unwrap();
        let status: serde_json::Value = serde_json::from_str(&millpond.page("/status")).unwrap();
        let clients = &status["services"]["test"]["client_connections"][0]["value"];
        assert!(clients.as_f64() >= Some(1.0), "{status}");
        let page = millpond.page("/");
        assert!(page.starts_with("<!doctype html>"), "{page}");
        for foreign in ["src=", "@import", "url(", "https://"] {
            assert!(!page.contains(foreign), "the page asks for something: {foreign}");
        }
        client.disconnect().await.unwrap();
    });
}
