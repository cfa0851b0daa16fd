//! `/status` for a shell: the few lines that one looks at first.

use serde_json::Value;
use std::fmt::Write;

/// What `millpond status` prints for an answer of `/status`.
pub(super) fn shown(status: &Value) -> String {
    let text = |name: &str| status[name].as_str().unwrap_or("?");
    let mut out = format!("millpond {}, {}\n", text("version"), text("readiness"));
    let services = status["services"].as_object();
    for (name, service) in services.into_iter().flatten() {
        service_shown(&mut out, name, service);
    }
    out
}

fn service_shown(out: &mut String, name: &str, service: &Value) {
    let sum = |metric: &str, wanted: &[(&str, &str)]| sum(service, metric, wanted);
    let state = |state| sum("backend_connections", &[("state", state)]);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "\n{name}");
    let _ = writeln!(
        out,
        "  clients      {} now, {} ever",
        sum("client_connections", &[]),
        sum("client_connections_received_total", &[])
    );
    let _ = writeln!(
        out,
        "  connections  {} borrowed, {} deposited, {} idle, {} allowed",
        state("borrowed"),
        state("deposited"),
        state("idle"),
        sum("backend_connections_allowed", &[])
    );
    let _ = writeln!(
        out,
        "  waiting      {}, the oldest for {:.1} s",
        sum("pool_waiting", &[]),
        sum("oldest_waiter_seconds", &[])
    );
    let _ = writeln!(out, "  commands     {}", sum("command_seconds", &[]));
    for (metric, title, label) in [
        ("sessions_pinned", "pinned", "reason"),
        ("borrow_failures_total", "refused", "reason"),
        ("server_up", "answers", "server"),
    ] {
        let mut values: Vec<_> = series(service, metric)
            .filter_map(|series| series["labels"][label].as_str())
            .map(|value| (value, sum(metric, &[(label, value)])))
            .filter(|(_, count)| *count > 0.0 || metric == "server_up")
            .collect();
        values.sort_unstable_by_key(|(value, _)| *value);
        values.dedup();
        for (value, count) in values {
            let _ = writeln!(out, "  {title:<12} {count} {value}");
        }
    }
}

fn series<'a>(service: &'a Value, metric: &str) -> impl Iterator<Item = &'a Value> {
    service[metric].as_array().into_iter().flatten()
}

/// The sum over all series of a metric with these labels; of a histogram, how many observations.
fn sum(service: &Value, metric: &str, wanted: &[(&str, &str)]) -> f64 {
    series(service, metric)
        .filter(|series| wanted.iter().all(|(label, value)| series["labels"][label] == *value))
        .filter_map(|series| series["value"].as_f64().or(series["count"].as_f64()))
        // Not `sum`, which makes nothing a negative zero.
        .fold(0.0, |all, one| all + one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_shell_sees_who_keeps_connections() {
        let pinned = json!([{"labels": {"reason": "transaction", "user": "app"}, "value": 2.0}]);
        let connections = json!([
            {"labels": {"state": "borrowed"}, "value": 2.0},
            {"labels": {"state": "idle"}, "value": 3.0},
        ]);
        let service = json!({"sessions_pinned": pinned, "backend_connections": connections});
        let status = json!({"version": "1", "readiness": "ready", "services": {"orders": service}});
        let text = shown(&status);
        assert!(text.starts_with("millpond 1, ready\n\norders\n"), "{text}");
        assert!(text.contains("2 borrowed, 0 deposited, 3 idle"), "{text}");
        assert!(text.contains("  pinned       2 transaction\n"), "{text}");
    }
}
