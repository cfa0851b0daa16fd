//! `/status` for a shell: the few lines that one looks at first.

use super::view::{PinView, ServiceView, View, bound, number, time};
use std::fmt::Write;

/// How many of the latest events are shown.
const EVENTS: usize = 5;

/// What `millpond status` prints.
pub(super) fn shown(view: &View) -> String {
    let mut out = format!("millpond {}, {}\n", view.version, view.readiness);
    for service in &view.services {
        service_shown(&mut out, service);
    }
    out
}

fn service_shown(out: &mut String, service: &ServiceView) {
    let [borrowed, deposited, idle] = service.connections.map(number);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "\n{}", service.name);
    let mut line = |title: &str, text: String| {
        let _ = writeln!(out, "  {title:<12} {text}");
    };
    let (clients, received) = (number(service.clients), number(service.received));
    line("clients", format!("{clients} now, {received} ever"));
    let allowed = number(service.allowed);
    line(
        "connections",
        format!("{borrowed} borrowed, {deposited} deposited, {idle} idle, {allowed} allowed"),
    );
    let (waiting, oldest) = (number(service.waiting), time(service.oldest));
    line("waiting", format!("{waiting}, the oldest for {oldest}"));
    let [median, most] = service.command_seconds.map(bound);
    line("commands", format!("{}, half {median}, 99 % {most}", number(service.commands)));
    for server in &service.servers {
        let answers = if server.up { "answers" } else { "does not answer" };
        let zone =
            if server.zone.is_empty() { String::new() } else { format!(" in {}", server.zone) };
        let lag = server.lag.map_or(String::new(), |lag| format!(", {} behind", time(lag)));
        line("server", format!("{}{zone}: {}, {answers}{lag}", server.address, server.role));
    }
    for PinView { reason, now, seconds, .. } in service.pins.iter().filter(|pin| pin.now > 0.0) {
        let usual =
            seconds.map_or(String::new(), |seconds| format!(", usually for {}", time(seconds)));
        line("pinned", format!("{} {reason}{usual}", number(*now)));
    }
    for (reason, times) in &service.refused {
        line("refused", format!("{} {reason}", number(*times)));
    }
    for event in service.events.iter().take(EVENTS) {
        line("event", event.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_sees_who_keeps_connections() {
        let pin =
            PinView { reason: "transaction".into(), now: 2.0, ever: 9.0, seconds: Some(0.25) };
        let connections = [2.0, 0.0, 3.0];
        let orders = ServiceView {
            name: "orders".into(),
            pins: vec![pin],
            connections,
            ..Default::default()
        };
        let view = View { version: "1".into(), readiness: "ready".into(), services: vec![orders] };
        let text = shown(&view);
        assert!(text.starts_with("millpond 1, ready\n\norders\n"), "{text}");
        assert!(text.contains("2 borrowed, 0 deposited, 3 idle"), "{text}");
        assert!(text.contains("  pinned       2 transaction, usually for 250 ms\n"), "{text}");
    }
}
