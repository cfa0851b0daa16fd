//! Which request gets which answer. No I/O.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use prometheus::{Registry, TextEncoder};
use tokio::sync::watch;

use super::readiness::Readiness;
use super::status::status;

/// What whoever asks for something else is told.
const THERE_IS: &str = "there is / to look at, /status, /metrics, /healthz and /readyz\n";
/// The page that shows `/status`; it needs nothing from elsewhere.
const LOOK: &str = include_str!("status.html");

/// What is served, and from what.
#[derive(Clone, Debug)]
pub struct Pages {
    registry: Registry,
    readiness: watch::Receiver<Readiness>,
}

impl Pages {
    /// The metrics of `registry`, and the readiness that its owner keeps up to date.
    pub fn new(registry: Registry, readiness: watch::Receiver<Readiness>) -> Self {
        Self { registry, readiness }
    }

    /// The answer to one request.
    pub(super) fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let page = match path {
            "/" => Page::Look,
            "/healthz" => Page::Health,
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
        match page {
            Page::Look => of_kind(text(StatusCode::OK, LOOK), "text/html; charset=utf-8"),
            Page::Health => text(StatusCode::OK, "ok\n"),
            Page::Metrics => self.metrics(),
            Page::Readiness => self.ready(),
            Page::Status => {
                let status = status(&self.registry, *self.readiness.borrow()).to_string();
                of_kind(text(StatusCode::OK, status), "application/json")
            }
        }
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
    Health,
    Look,
    Metrics,
    Readiness,
    Status,
}

fn of_kind(mut page: Response<Full<Bytes>>, kind: &'static str) -> Response<Full<Bytes>> {
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    page
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
