//! Which request gets which answer. No I/O.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Response, StatusCode, Uri};
use prometheus::{Registry, TextEncoder};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::watch;

use super::control::Control;
use super::guard::{Guard, Visitor};
use super::level;
use super::readiness::Readiness;
use super::status::status;
use crate::failover::events::Events;
use crate::runtime::logging::Log;

/// What whoever asks for something else is told.
const THERE_IS: &str = "there is / to look at, /status, /metrics, /events, /log, /healthz and /readyz; \
                         and POST /log, /pause, /resume, /drain, /reload and /switchover\n";
/// The page that shows `/status`; it needs nothing from elsewhere.
const LOOK: &str = include_str!("status.html");

/// How many of the latest events the status has.
const LATEST: usize = 50;

/// What is served, and from what.
#[derive(Clone, Debug)]
pub struct Pages {
    registry: Registry,
    readiness: watch::Receiver<Readiness>,
    events: Arc<Events>,
    control: Control,
    guard: Guard,
    log: Log,
}

impl Pages {
    /// The metrics of `registry`, the readiness that its owner keeps up to date, what happened to
    /// the servers, orders, who may look and give them, and the log.
    pub fn new(
        registry: Registry,
        readiness: watch::Receiver<Readiness>,
        events: Arc<Events>,
        control: Control,
        guard: Guard,
        log: Log,
    ) -> Self {
        Self { registry, readiness, events, control, guard, log }
    }

    /// The answer to one request.
    pub(super) fn answer(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        visitor: Visitor,
    ) -> Response<Full<Bytes>> {
        let page = match uri.path() {
            "/events" => Page::Events,
            "/" => Page::Look,
            "/healthz" => Page::Health,
            "/log" => Page::Level,
            "/metrics" => Page::Metrics,
            "/status" => Page::Status,
            // The second is what some meshes and older charts ask for by default.
            "/readyz" | "/ready" => Page::Readiness,
            _ => return text(StatusCode::NOT_FOUND, THERE_IS),
        };
        if method != Method::GET && method != Method::HEAD {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        if page.tells_something()
            && let Err(refusal) = self.guard.may_look(headers, visitor)
        {
            return *refusal;
        }
        match page {
            Page::Events => self.events(uri.query().unwrap_or_default()),
            Page::Look => of_kind(text(StatusCode::OK, LOOK), "text/html; charset=utf-8"),
            Page::Health => text(StatusCode::OK, "ok\n"),
            Page::Level => level::show(&self.log),
            Page::Metrics => self.metrics(),
            Page::Readiness => self.ready(),
            Page::Status => {
                let events = self.events.after(0);
                let latest = &events[events.len().saturating_sub(LATEST)..];
                let status = status(&self.registry, *self.readiness.borrow(), latest);
                of_kind(text(StatusCode::OK, status.to_string()), "application/json")
            }
        }
    }

    /// What happened after the event `after=`, to the service `service=`, where they are given.
    fn events(&self, query: &str) -> Response<Full<Bytes>> {
        let Ok(after) = given(query, "after").unwrap_or("0").parse() else {
            return text(StatusCode::BAD_REQUEST, "after: expected the number of an event\n");
        };
        let service = given(query, "service");
        let events = self.events.after(after).into_iter();
        let events = events.filter(|event| service.is_none_or(|name| name == &*event.service));
        let events: Vec<Value> = events.map(|event| event.json()).collect();
        of_kind(text(StatusCode::OK, json!({ "events": events }).to_string()), "application/json")
    }

    /// Has something else logged from now on.
    pub(super) fn change_level(&self, uri: &Uri) -> Response<Full<Bytes>> {
        level::change(&self.log, uri.query().unwrap_or_default())
    }

    /// Who may look, and who may give orders.
    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// What takes orders.
    pub(super) fn control(&self) -> &Control {
        &self.control
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        let readiness = *self.readiness.borrow();
        let status = match readiness {
            Readiness::Ready => StatusCode::OK,
            Readiness::Draining | Readiness::Starting => StatusCode::SERVICE_UNAVAILABLE,
        };
        text(status, format!("{readiness}\n"))
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        match TextEncoder::new().encode_to_string(&self.registry.gather()) {
            Ok(metrics) => of_kind(text(StatusCode::OK, metrics), prometheus::TEXT_FORMAT),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }
}

enum Page {
    Events,
    Health,
    Level,
    Look,
    Metrics,
    Readiness,
    Status,
}

impl Page {
    /// Whether it is only for those who may look. What a prober asks, and the page that shows what
    /// its reader may fetch, are for everybody.
    fn tells_something(&self) -> bool {
        match self {
            Self::Events | Self::Level | Self::Metrics | Self::Status => true,
            Self::Health | Self::Look | Self::Readiness => false,
        }
    }
}

fn of_kind(mut page: Response<Full<Bytes>>, kind: &'static str) -> Response<Full<Bytes>> {
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    page
}

/// The value of a parameter of a query.
pub(super) fn given<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next_back()
}

pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
