//! The admin port's server.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::BytesMut;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::control::Control;
use super::guard::Visitor;
use super::pages::Pages;
use crate::net::stream::Stream;
use crate::net::tls::{self, ServerTls};
use crate::runtime::{Law, Tasks};

/// How long one request may take, from the connection to the last byte of its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many connections are served at a time; more wait in the listener's queue.
const MOST_CONNECTIONS: usize = 64;
/// How long to wait after a connection could not be accepted: files are scarce, not gone.
const PAUSE: Duration = Duration::from_millis(100);

/// A running admin port. Dropping it stops it.
///
/// It runs on a thread and a runtime of its own, so that it answers also while the threads that
/// serve clients are busy: that is when it is asked.
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl AdminServer {
    /// Serves `pages` on `listener`, encrypted where there is TLS.
    pub fn start(listener: TcpListener, pages: Pages, tls: Option<ServerTls>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _in_runtime = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (alive, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
            let _alive: oneshot::Sender<()> = alive;
            runtime.block_on(serve(listener, pages, tls, stopped));
        })?;
        Ok(Self { address, stop, ended, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for its end, which comes only by a panic while it was not stopped. Cancel safe.
    pub async fn ended(&mut self) {
        // Nothing is ever sent: the sender is dropped with the thread's last breath.
        if !self.ended.is_terminated() {
            let _ = (&mut self.ended).await;
        }
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported already, by the panic hook.
            let _ = thread.join();
        }
    }
}

async fn serve(
    listener: tokio::net::TcpListener,
    pages: Pages,
    tls: Option<ServerTls>,
    stop: CancellationToken,
) {
    let tasks = Tasks::new();
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let accept = async || {
        let place = Arc::clone(&places).acquire_owned().await;
        (place, listener.accept().await)
    };
    while let Some((place, accepted)) = stop.run_until_cancelled(accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                let (pages, tls) = (pages.clone(), tls.clone());
                tasks.spawn("admin connection", Law::Mortal, async move {
                    if let Some(stream) = encrypted(stream, tls).await {
                        answer(stream, peer.ip(), pages).await;
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "admin connection not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // Whatever is still being written may be read to its end.
    if let Err(unterminated) = tasks.drain(PAUSE).await {
        tracing::debug!(%unterminated, "admin port closed");
    }
}

/// The connection as its requests are read from it; `None` when there is no TLS where there has to
/// be.
async fn encrypted(tcp: TcpStream, tls: Option<ServerTls>) -> Option<Stream> {
    let Some(tls) = tls else { return Some(Stream::Plain(tcp)) };
    match tokio::time::timeout(PATIENCE, tls::accept(&tls, tcp, BytesMut::new())).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "no TLS on the admin port");
            None
        }
        Err(_) => None,
    }
}

/// Answers one request; a connection is not kept for a second one, so none is ever idle.
async fn answer(stream: Stream, peer: IpAddr, pages: Pages) {
    let right = stream.client_certificate().and_then(|shown| pages.guard().right(shown));
    let visitor = Visitor { peer, right };
    // An order may take longer than looking at something.
    let limit = watch::Sender::new(Instant::now() + PATIENCE);
    let answer = service_fn(async |request: Request<Incoming>| {
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        let admitted = || pages.guard().may_control(headers, visitor);
        if uri.path() == "/log" && method == Method::POST {
            return Ok(match admitted() {
                Ok(()) => pages.change_level(uri),
                Err(refusal) => *refusal,
            });
        }
        if !Control::knows(uri.path()) {
            return Ok::<_, Infallible>(pages.answer(method, uri, headers, visitor));
        }
        Ok(match pages.control().read(method, uri, admitted) {
            Ok(order) => {
                limit.send_replace(Instant::now() + order.patience() + PATIENCE);
                order.carry_out().await
            }
            Err(refusal) => *refusal,
        })
    });
    let connection =
        http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    loop {
        let until = *limit.borrow();
        match tokio::time::timeout_at(until, &mut connection).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => return tracing::debug!(%error, "admin request failed"),
            Err(_) if *limit.borrow() > until => {}
            Err(_) => return tracing::debug!("admin request took too long"),
        }
    }
}

#[cfg(test)]
mod tests;
