//! A real Prometheus that scrapes Millpond with the configuration and the rules that come with it.

use crate::support::accounts::APP;
use crate::support::leash::Leashed;
use crate::support::millpond::{Millpond, Settings};
use crate::support::{http, ports, servers, testbed};
use mysql_async::prelude::Queryable;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where its program is: the machine's, or the testbed's own.
fn program(name: &str) -> Option<PathBuf> {
    let own = testbed::folder().join("prometheus/usr/bin").join(name);
    testbed::program(name).or_else(|| own.is_file().then_some(own))
}

fn promtool(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program("promtool").unwrap())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

/// Starts it on what `docker/prometheus` has, with other addresses and in more of a hurry.
fn start(millpond: &Millpond) -> (Leashed, u16) {
    let folder = tempfile::Builder::new().prefix("prometheus-").tempdir().unwrap();
    let ours = testbed::repository("docker/prometheus");
    fs::copy(ours.join("rules.yml"), folder.path().join("rules.yml")).unwrap();
    let config = fs::read_to_string(ours.join("prometheus.yml")).unwrap();
    let target = format!("127.0.0.1:{}", millpond.admin_port);
    assert!(config.contains("millpond:9306") && config.contains("5s"));
    let config = config.replace("millpond:9306", &target).replace("5s", "1s");
    let path = folder.path().join("prometheus.yml");
    fs::write(&path, config).unwrap();
    promtool(&["check", "config", path.to_str().unwrap()], "");
    let port = ports::free();
    let mut command = Command::new(program("prometheus").unwrap());
    command.arg(format!("--config.file={}", path.display()));
    command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    (Leashed::start(&command, folder, "prometheus.log"), port)
}

/// What its API answers; `Null` as long as it does not.
fn ask(port: u16, path: &str) -> Value {
    let answer = http::page(port, path).and_then(|page| serde_json::from_str(&page).ok());
    answer.unwrap_or(Value::Null)
}

fn query(port: u16, expression: &str) -> Value {
    ask(port, &format!("/api/v1/query?query={}", http::escaped(expression)))
}

/// The answer, as soon as it is one that will do.
fn wait_for(what: &str, prometheus: &Leashed, done: impl Fn() -> Option<Value>) -> Value {
    for _ in 0..600 {
        if let Some(value) = done() {
            return value;
        }
        assert!(prometheus.is_running(), "{}", prometheus.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("Prometheus never had {what}:\n{}", prometheus.log());
}

/// Every expression of the dashboard, its variables filled in as Grafana would.
fn dashboard() -> Vec<String> {
    let path = testbed::repository("docker/grafana/dashboards/millpond.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let filled = |target: &Value| {
        let expression = target["expr"].as_str().unwrap();
        expression.replace("$service", ".*").replace("$__rate_interval", "1m")
    };
    targets.map(filled).collect()
}

#[test]
fn prometheus_has_the_series_and_understands_rules_and_dashboard() {
    if program("prometheus").is_none() || program("promtool").is_none() {
        return testbed::skip("Prometheus", "no prometheus and promtool here");
    }
    let rules = testbed::repository("docker/prometheus/rules.yml");
    promtool(&["check", "rules", rules.to_str().unwrap()], "");
    servers::one_async(async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(2));
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("BEGIN").await.unwrap();
        // It finds nothing to say about names, units, help and types.
        assert_eq!(promtool(&["check", "metrics"], &millpond.page("/metrics")), "");

        let (prometheus, port) = start(&millpond);
        let pinned = "millpond_sessions_pinned{reason=\"transaction\"} == 1";
        let series = wait_for("the pin", &prometheus, || {
            let answer = query(port, pinned);
            answer["data"]["result"].get(0).cloned()
        });
        assert_eq!(series["metric"]["user"], APP.name);
        assert_eq!(series["metric"]["service"], "test");
        for expression in dashboard() {
            let answer = query(port, &expression);
            assert_eq!(answer["status"], "success", "{expression}: {answer}");
        }
        let evaluated = wait_for("evaluated its rules", &prometheus, || {
            let answer = ask(port, "/api/v1/rules");
            let rules = answer["data"]["groups"][0]["rules"].as_array()?.clone();
            rules.iter().all(|rule| rule["health"] != "unknown").then_some(Value::Array(rules))
        });
        for rule in evaluated.as_array().unwrap() {
            assert_eq!(rule["health"], "ok", "{rule}");
            assert_eq!(rule["state"], "inactive", "an alert for nothing: {rule}");
        }
        client.disconnect().await.unwrap();
    });
}
