//! Floor 11: for operators.

use crate::runtime::Tasks;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Encoder, Registry, TextEncoder};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How long a request may take to arrive: nobody may keep a task busy by being slow.
const SLOW: Duration = Duration::from_secs(10);

type Ready = Arc<dyn Fn() -> bool + Send + Sync>;

/// Serves `/metrics`, `/healthz` and `/ready` until the process stops.
pub fn serve(
    listener: TcpListener,
    registry: Registry,
    ready: impl Fn() -> bool + Send + Sync + 'static,
    tasks: &Tasks,
) {
    let ready: Ready = Arc::new(ready);
    let owned = tasks.clone();
    tasks.spawn("admin port", async move {
        let stopping = owned.stopping();
        tokio::pin!(stopping);
        loop {
            let accepted = tokio::select! {
                () = &mut stopping => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((tcp, _)) = accepted else { continue };
            owned.spawn("admin request", handle(tcp, registry.clone(), ready.clone()));
        }
    });
}

async fn handle(tcp: TcpStream, registry: Registry, ready: Ready) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(&request, &registry, &ready);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SLOW)
        .keep_alive(false)
        .serve_connection(TokioIo::new(tcp), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an admin request failed");
    }
}

fn answer(
    request: &Request<Incoming>,
    registry: &Registry,
    ready: &Ready,
) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is known here\n");
    }
    match request.uri().path() {
        "/metrics" => {
            let mut body = Vec::new();
            match TextEncoder::new().encode(&registry.gather(), &mut body) {
                Ok(()) => text(StatusCode::OK, body),
                Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "metrics failed\n"),
            }
        }
        "/healthz" => text(StatusCode::OK, "alive\n"),
        "/ready" if ready() => text(StatusCode::OK, "ready\n"),
        "/ready" => text(StatusCode::SERVICE_UNAVAILABLE, "waiting for a database\n"),
        _ => text(StatusCode::NOT_FOUND, "known here: /metrics /healthz /ready\n"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}
