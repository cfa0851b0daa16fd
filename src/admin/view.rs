//! What one looks at first, taken out of the answers of `/status`: one tells how things are, two
//! tell rates and percentiles of the time between them.

use serde_json::Value;
use std::collections::BTreeMap;

/// Everything that is shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct View {
    /// The version of the Millpond that was asked.
    pub(super) version: String,
    /// Where it is in its life.
    pub(super) readiness: String,
    /// Its services.
    pub(super) services: Vec<ServiceView>,
}

/// One service.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ServiceView {
    /// Its name.
    pub(super) name: String,
    /// Clients connected.
    pub(super) clients: f64,
    /// Clients that ever connected.
    pub(super) received: f64,
    /// New clients a second.
    pub(super) new_clients: f64,
    /// Commands ever.
    pub(super) commands: f64,
    /// Commands a second.
    pub(super) command_rate: f64,
    /// The median and the 99th percentile of commands, in seconds: the bound of the histogram's
    /// bucket.
    pub(super) command_seconds: [f64; 2],
    /// The 99th percentile of waiting for a connection, in seconds.
    pub(super) borrow_seconds: f64,
    /// Connections borrowed, deposited, idle.
    pub(super) connections: [f64; 3],
    /// The most to one server.
    pub(super) allowed: f64,
    /// Statements that wait for a connection.
    pub(super) waiting: f64,
    /// How long the first of them has waited, in seconds.
    pub(super) oldest: f64,
    /// The servers.
    pub(super) servers: Vec<ServerView>,
    /// The pools, by user.
    pub(super) pools: Vec<PoolView>,
    /// Why sessions keep their connection.
    pub(super) pins: Vec<PinView>,
    /// Why statements and clients were refused, and how often ever.
    pub(super) refused: Vec<(String, f64)>,
    /// What happened lately, the newest first.
    pub(super) events: Vec<String>,
}

/// One server.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ServerView {
    /// Its address.
    pub(super) address: String,
    /// Its zone; empty where there is none.
    pub(super) zone: String,
    /// `writer`, `reader` or `unknown`.
    pub(super) role: String,
    /// Whether it answered its last probe.
    pub(super) up: bool,
    /// How far it is behind, in seconds.
    pub(super) lag: Option<f64>,
}

/// The connections of one user.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PoolView {
    /// The user.
    pub(super) user: String,
    /// Sessions, those under TLS, and those that keep a connection.
    pub(super) sessions: [f64; 3],
    /// Connections borrowed, deposited, idle.
    pub(super) connections: [f64; 3],
    /// Statements that wait.
    pub(super) waiting: f64,
    /// Alignments: exact, replayed, reset.
    pub(super) alignments: [f64; 3],
}

/// One reason to keep a connection.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PinView {
    /// The reason.
    pub(super) reason: String,
    /// Sessions that have it now.
    pub(super) now: f64,
    /// How often there was such a one.
    pub(super) ever: f64,
    /// How long connections were kept for it, on average, in seconds, where any was given back.
    pub(super) seconds: Option<f64>,
}

/// An earlier answer, and how many seconds ago that was.
pub(super) type Before<'a> = Option<(&'a Value, f64)>;

impl View {
    /// Reads an answer of `/status`; what is missing in it is nothing.
    pub(super) fn of(now: &Value, before: Before<'_>) -> Self {
        let services = now["services"].as_object().into_iter().flatten().map(|(name, service)| {
            let before = before.map(|(before, seconds)| (&before["services"][name], seconds));
            let events = now["events"].as_array().into_iter().flatten().rev();
            let own = events.filter(|event| event["service"] == **name).map(told).collect();
            ServiceView { name: name.clone(), events: own, ..ServiceView::of(service, before) }
        });
        Self {
            version: text(&now["version"]),
            readiness: text(&now["readiness"]),
            services: services.collect(),
        }
    }
}

impl ServiceView {
    fn of(now: &Value, before: Before<'_>) -> Self {
        let all = |metric: &str| sum(now, metric, &[]);
        let rate = |metric: &str| match before {
            Some((before, seconds)) if seconds > 0.0 => {
                (sum(now, metric, &[]) - sum(before, metric, &[])).max(0.0) / seconds
            }
            _ => 0.0,
        };
        let since = before.map(|(before, _)| before);
        let at = |metric: &str, share: f64| percentile(now, since, metric, share);
        Self {
            clients: all("client_connections"),
            received: all("client_connections_received_total"),
            new_clients: rate("client_connections_received_total"),
            commands: all("command_seconds"),
            command_rate: rate("command_seconds"),
            command_seconds: [at("command_seconds", 0.5), at("command_seconds", 0.99)],
            borrow_seconds: at("borrow_wait_seconds", 0.99),
            connections: STATES.map(|s| sum(now, "backend_connections", &[("state", s)])),
            allowed: all("backend_connections_allowed"),
            waiting: all("pool_waiting"),
            oldest: all("oldest_waiter_seconds"),
            servers: labels(now, "server_up", "server").map(|name| server(now, name)).collect(),
            pools: labels(now, "backend_connections", "user").map(|name| pool(now, name)).collect(),
            pins: labels(now, "session_pins_total", "reason").map(|name| pin(now, name)).collect(),
            refused: refused(now),
            ..Self::default()
        }
    }
}

const STATES: [&str; 3] = ["borrowed", "deposited", "idle"];

fn server(now: &Value, name: &str) -> ServerView {
    let labels = [("server", name)];
    let role = series(now, "server_role")
        .find(|one| one["labels"]["server"] == name && one["value"] == 1.0)
        .map_or("unknown".to_owned(), |one| text(&one["labels"]["role"]));
    let (address, zone) = name.split_once('@').unwrap_or((name, ""));
    let lag = series(now, "server_lag_seconds").find(|one| one["labels"]["server"] == name);
    ServerView {
        address: address.to_owned(),
        zone: zone.to_owned(),
        role,
        up: sum(now, "server_up", &labels) > 0.0,
        lag: lag.and_then(|lag| lag["value"].as_f64()),
    }
}

fn pool(now: &Value, user: &str) -> PoolView {
    let with = |metric: &str, label: &str, value: &str| {
        sum(now, metric, &[("user", user), (label, value)])
    };
    let of = |metric: &str| sum(now, metric, &[("user", user)]);
    PoolView {
        user: user.to_owned(),
        sessions: [
            of("sessions"),
            with("sessions", "transport", "tls"),
            of("sessions_keeping_connections"),
        ],
        connections: STATES.map(|state| with("backend_connections", "state", state)),
        waiting: of("pool_waiting"),
        alignments: ["exact", "replayed", "reset"]
            .map(|outcome| with("alignments_total", "outcome", outcome)),
    }
}

fn pin(now: &Value, reason: &str) -> PinView {
    let of = |metric: &str| sum(now, metric, &[("reason", reason)]);
    let kept = series(now, "session_pin_seconds").filter(|one| one["labels"]["reason"] == reason);
    let seconds: f64 = kept.filter_map(|one| one["sum"].as_f64()).sum();
    let ended = of("session_pin_seconds");
    PinView {
        reason: reason.to_owned(),
        now: of("sessions_pinned"),
        ever: of("session_pins_total"),
        seconds: (ended > 0.0).then(|| seconds / ended),
    }
}

fn refused(now: &Value) -> Vec<(String, f64)> {
    let of = |metric, label| {
        labels(now, metric, label)
            .map(move |name| (name.to_owned(), sum(now, metric, &[(label, name)])))
    };
    let clients = of("client_connections_closed_total", "reason")
        .filter(|(reason, _)| reason != "quit" && reason != "disconnected");
    let told = of("client_errors_total", "trouble");
    clients.chain(told).filter(|(_, count)| *count > 0.0).collect()
}

/// An event in one line.
fn told(event: &Value) -> String {
    let seconds = event["unix_ms"].as_u64().unwrap_or(0) / 1_000;
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let mut line = format!("{clock} UTC  {}", text(&event["event"]));
    let all = event.as_object().into_iter().flatten();
    let (first, rest): (Vec<_>, Vec<_>) = all
        .filter(|(key, value)| !ELSEWHERE.contains(&key.as_str()) && !value.is_null())
        .partition(|(key, _)| *key == "server");
    for (key, value) in first.into_iter().chain(rest) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        line += &match key.as_str() {
            "server" => format!(" {value}"),
            key => format!(", {key} {value}"),
        };
    }
    line
}

/// What of an event is not in its line, or at its beginning.
const ELSEWHERE: [&str; 5] = ["number", "unix_ms", "service", "epoch", "event"];

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("?").to_owned()
}

fn series<'a>(service: &'a Value, metric: &str) -> impl Iterator<Item = &'a Value> {
    service[metric].as_array().into_iter().flatten()
}

/// The values of a label, each once, sorted.
fn labels<'a>(service: &'a Value, metric: &str, label: &str) -> impl Iterator<Item = &'a str> {
    let values = series(service, metric).filter_map(|one| one["labels"][label].as_str());
    let sorted: std::collections::BTreeSet<_> = values.collect();
    sorted.into_iter()
}

/// The sum over all series of a metric with these labels; of a histogram, how many observations.
fn sum(service: &Value, metric: &str, wanted: &[(&str, &str)]) -> f64 {
    series(service, metric)
        .filter(|series| wanted.iter().all(|(label, value)| series["labels"][label] == *value))
        .filter_map(|series| series["value"].as_f64().or(series["count"].as_f64()))
        // Not `sum`, which makes nothing a negative zero.
        .fold(0.0, |all, one| all + one)
}

/// The bound under which a share of the observations since then lies; zero without any.
fn percentile(now: &Value, before: Option<&Value>, metric: &str, share: f64) -> f64 {
    // Bounds are positive, and those sort as their bits do.
    let mut counts: BTreeMap<u64, f64> = BTreeMap::new();
    for (service, sign) in [(Some(now), 1.0), (before, -1.0)] {
        let histograms = service.into_iter().flat_map(|service| series(service, metric));
        for bucket in histograms.filter_map(|one| one["buckets"].as_array()).flatten() {
            if let (Some(bound), Some(count)) = (bucket[0].as_f64(), bucket[1].as_f64()) {
                *counts.entry(bound.to_bits()).or_default() += sign * count;
            }
        }
    }
    let total = sum(now, metric, &[]) - before.map_or(0.0, |before| sum(before, metric, &[]));
    if total <= 0.0 {
        return 0.0;
    }
    let reached = counts.into_iter().find(|(_, count)| *count >= share * total);
    reached.map_or(f64::INFINITY, |(bound, _)| f64::from_bits(bound))
}

/// A number as people read it.
pub(super) fn number(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{:.1} M", value / 1e6),
        _ if value >= 1e4 => format!("{:.1} k", value / 1e3),
        _ if value < 10.0 && value.fract() != 0.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// The bound of a time as people read it.
pub(super) fn bound(seconds: f64) -> String {
    match seconds {
        0.0 => "–".to_owned(),
        _ if seconds.is_infinite() => "long".to_owned(),
        _ => format!("≤ {}", time(seconds)),
    }
}

/// A time as people read it.
pub(super) fn time(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{} ms", number(seconds * 1e3))
    } else {
        format!("{} s", number(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(commands: u64, fast: u64) -> Value {
        let histogram = json!([{"labels": {"transport": "plain"}, "count": commands,
            "sum": 1.0, "buckets": [[0.001, fast], [0.01, commands]]}]);
        let servers = json!([{"labels": {"server": "db-a:3306@az-a"}, "value": 1.0}]);
        let roles = json!([
            {"labels": {"server": "db-a:3306@az-a", "role": "reader"}, "value": 0.0},
            {"labels": {"server": "db-a:3306@az-a", "role": "writer"}, "value": 1.0},
        ]);
        let service =
            json!({"command_seconds": histogram, "server_up": servers, "server_role": roles});
        let event = json!({"number": 1, "unix_ms": 3_661_000, "service": "orders", "epoch": 1,
            "event": "writer", "server": "db-a:3306@az-a", "reason": "found"});
        json!({"version": "1", "readiness": "ready", "services": {"orders": service}, "events": [event]})
    }

    #[test]
    fn two_answers_tell_rates_and_percentiles_of_the_time_between_them() {
        let (before, now) = (answer(1_000, 0), answer(1_200, 190));
        let view = View::of(&now, Some((&before, 2.0)));
        let service = &view.services[0];
        assert_eq!(service.command_rate, 100.0);
        assert_eq!(service.command_seconds, [0.001, 0.01]);
        // One tells those since the start.
        assert_eq!(View::of(&now, None).services[0].command_seconds, [0.01, 0.01]);
    }

    #[test]
    fn a_server_has_a_role_and_a_zone_and_an_event_is_a_line() {
        let view = View::of(&answer(0, 0), None);
        let server = &view.services[0].servers[0];
        assert_eq!(
            (&*server.address, &*server.zone, &*server.role),
            ("db-a:3306", "az-a", "writer")
        );
        let event = &view.services[0].events[0];
        assert!(event.starts_with("01:01:01 UTC  writer"), "{event}");
        assert!(
            event.contains("writer db-a:3306@az-a") && event.contains("reason found"),
            "{event}"
        );
    }

    #[test]
    fn numbers_and_times_are_for_people() {
        assert_eq!([number(0.0), number(2.5), number(12_345.0)], ["0", "2.5", "12.3 k"]);
        assert_eq!([bound(0.0), bound(0.0025), bound(f64::INFINITY)], ["–", "≤ 2.5 ms", "long"]);
    }
}
