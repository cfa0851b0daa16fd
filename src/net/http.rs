//! Asking web services: one request, one answer, on a connection of its own.
//!
//! For what Millpond asks now and then (secret stores, keys of token issuers, webhooks), not for a
//! data path. Redirects are not followed: none of these services has a reason for one, and what
//! follows one takes its secrets along.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::stream::Stream;
use super::tls::{self, ClientTls, TlsError};
use crate::config::{BackTls, BackTlsMode, HttpUrl};

/// The most that an answer's body may have where a request does not say otherwise, in bytes.
pub const MAX_BODY: usize = 1_024 * 1_024;
/// The most that an answer's head may have, in bytes.
const MAX_HEAD: usize = 64 * 1_024;

/// Asks web services. A clone shares what is trusted.
#[derive(Clone, Debug)]
pub struct HttpClient {
    tls: Option<ClientTls>,
}

impl HttpClient {
    /// Trusts the system's authorities. Where it has none, only plain `http` can be asked.
    ///
    /// Reads files: for the start of the program, not for its event loop.
    pub fn system() -> Self {
        Self { tls: tls::connector(&verifying(None)).ok() }
    }

    /// Trusts the authorities in this PEM file, and no others.
    ///
    /// Reads it: for the start of the program, not for its event loop.
    ///
    /// # Errors
    ///
    /// When the file cannot be used.
    pub fn trusting(ca: &Path) -> Result<Self, TlsError> {
        Ok(Self { tls: Some(tls::connector(&verifying(Some(ca)))?) })
    }

    /// Sends a request and reads the whole answer, within `limit` from connecting to its last byte.
    /// An answer with any status is one.
    ///
    /// Cancel safe: the connection is closed. Whether the service has done what was asked is then
    /// unknown.
    ///
    /// # Errors
    ///
    /// See [`HttpError`].
    pub async fn send(
        &self,
        request: HttpRequest,
        limit: Duration,
    ) -> Result<HttpResponse, HttpError> {
        let sending = async {
            let stream = self.connect(&request.url).await?;
            exchange(stream, request).await
        };
        tokio::time::timeout(limit, sending).await.unwrap_or(Err(HttpError::Timeout))
    }

    async fn connect(&self, url: &HttpUrl) -> Result<Stream, HttpError> {
        let connecting = TcpStream::connect((url.host(), url.port()));
        let tcp = connecting.await.map_err(HttpError::Connect)?;
        tcp.set_nodelay(true).map_err(HttpError::Connect)?;
        if !url.is_encrypted() {
            return Ok(Stream::Plain(tcp));
        }
        let connector = self.tls.as_ref().and_then(ClientTls::connector);
        let connector = connector.ok_or(HttpError::NoAuthorities)?;
        tls::connect(connector, tcp, url.host()).await.map_err(|error| {
            if tls::is_refusal(&error) { HttpError::Tls(error) } else { HttpError::Connect(error) }
        })
    }
}

fn verifying(ca: Option<&Path>) -> BackTls {
    BackTls { mode: BackTlsMode::VerifyIdentity, ca: ca.map(Path::to_owned), identity: None }
}

/// One request and its answer on `stream`.
async fn exchange(stream: Stream, request: HttpRequest) -> Result<HttpResponse, HttpError> {
    let HttpRequest { method, url, headers, body, max_body } = request;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(HttpError::Protocol)?;
    let message = message(method, &url, headers, body)?;
    let talking = async {
        let response = sender.send_request(message).await.map_err(HttpError::Protocol)?;
        let (head, body) = response.into_parts();
        let body = read(body, max_body).await?;
        Ok(HttpResponse { status: head.status, headers: head.headers, body })
    };
    tokio::pin!(connection, talking);
    // The connection does the work for both, without a task of its own.
    tokio::select! {
        biased;
        said = &mut talking => said,
        // Whatever ended it, `talking` knows: it has the answer already, or the error.
        _ = &mut connection => talking.await,
    }
}

fn message(
    method: Method,
    url: &HttpUrl,
    headers: HeaderMap,
    body: Bytes,
) -> Result<hyper::Request<Full<Bytes>>, HttpError> {
    let uri: Uri = url.path_and_query().parse().map_err(|_| HttpError::Request)?;
    let host = HeaderValue::from_str(url.authority()).map_err(|_| HttpError::Request)?;
    // Some services insist on a length also where there is no body.
    let length = (method != Method::GET).then(|| HeaderValue::from(body.len()));
    let mut message = hyper::Request::new(Full::new(body));
    *message.method_mut() = method;
    *message.uri_mut() = uri;
    *message.headers_mut() = headers;
    let headers = message.headers_mut();
    headers.entry(HOST).or_insert(host);
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length);
    }
    Ok(message)
}

const AGENT: &str = concat!("millpond/", env!("CARGO_PKG_VERSION"));

async fn read(mut body: Incoming, most: usize) -> Result<Zeroizing<Vec<u8>>, HttpError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > most {
        return Err(HttpError::TooLarge { most });
    }
    // With room for all of it from the start where that is known: a buffer that grows leaves copies
    // of what may be secret.
    let mut text = Zeroizing::new(Vec::with_capacity(announced.max(4_096)));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(HttpError::Protocol)?.into_data() else { continue };
        if data.len() > most - text.len() {
            return Err(HttpError::TooLarge { most });
        }
        text.extend_from_slice(&data);
    }
    Ok(text)
}

/// What to ask.
///
/// Values of headers and the body are never shown: they may be secrets.
pub struct HttpRequest {
    method: Method,
    url: HttpUrl,
    headers: HeaderMap,
    body: Bytes,
    max_body: usize,
}

impl HttpRequest {
    /// A request without a body.
    pub fn new(method: Method, url: HttpUrl) -> Self {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Self { method, url, headers, body, max_body: MAX_BODY }
    }

    /// Asks for a page.
    pub fn get(url: HttpUrl) -> Self {
        Self::new(Method::GET, url)
    }

    /// Sends something.
    pub fn post(url: HttpUrl, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::new(Method::POST, url) }
    }

    /// With this header, instead of one of that name that it has.
    ///
    /// # Errors
    ///
    /// When the value has characters that no header has, such as a line feed.
    pub fn with(mut self, name: HeaderName, value: impl AsRef<[u8]>) -> Result<Self, HttpError> {
        let mut value = HeaderValue::from_bytes(value.as_ref()).map_err(|_| HttpError::Request)?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// With this body.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Reads at most this many bytes of the answer's body.
    #[must_use]
    pub fn at_most(self, bytes: usize) -> Self {
        Self { max_body: bytes, ..self }
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &headers)
            .field("body", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// An answer.
///
/// Only its status is shown: the rest may be secret.
pub struct HttpResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, wiped when it is dropped.
    pub body: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Why there is no answer. No text holds anything of the request or of the answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The service can't be reached.
    #[error("it cannot be reached: {0}")]
    Connect(#[source] io::Error),
    /// The system trusts nobody, so nobody can be asked in TLS.
    #[error("the system has no certificates of authorities to trust; configure some")]
    NoAuthorities,
    /// The connection ended too early, or what came is not HTTP.
    #[error("it does not speak HTTP as it should: {0}")]
    Protocol(#[source] hyper::Error),
    /// A header or an address has characters that HTTP can't carry.
    #[error("the request has characters that HTTP cannot carry")]
    Request,
    /// There was no answer in time, or not all of it.
    #[error("it has not answered in time")]
    Timeout,
    /// TLS could not be agreed upon, or the service is not trusted.
    #[error("no TLS with it: {0}")]
    Tls(#[source] io::Error),
    /// The answer is too long.
    #[error("its answer has more than {most} bytes")]
    TooLarge {
        /// How much it may have.
        most: usize,
    },
}

#[cfg(test)]
mod tests;
