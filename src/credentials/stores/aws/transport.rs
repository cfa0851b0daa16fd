//! Millpond's own HTTP client under the SDK, so that there is one of them, with one TLS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use hyper::Method;
use hyper::header::{HOST, HeaderName};

use super::super::web::Web;
use crate::net::http::{self, HttpError};

/// How long a request may take where the SDK does not say.
const LIMIT: Duration = Duration::from_secs(4);

/// Asks for the SDK.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    web: Arc<Web>,
    limit: Duration,
}

impl Transport {
    /// Trusts these authorities; the system's where there are none.
    pub(super) fn new(ca: Option<PathBuf>) -> Self {
        Self { web: Arc::new(Web::new("AWS", ca)), limit: LIMIT }
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let user = |error: &'static str| ConnectorError::user(error.into());
        let url = request.uri().parse().map_err(|_| user("no address"))?;
        let method = request.method().parse::<Method>().map_err(|_| user("no method"))?;
        let body = request.body().bytes().ok_or_else(|| user("the body is a stream"))?;
        let mut asked = http::HttpRequest::new(method, url).body(Bytes::copy_from_slice(body));
        for (name, value) in request.headers() {
            let name: HeaderName = name.parse().map_err(|_| user("no header"))?;
            // The client's own says the same.
            if name != HOST {
                asked = asked.with(name, value).map_err(|_| user("no header"))?;
            }
        }
        let client =
            self.web.client().await.map_err(|error| ConnectorError::other(error.into(), None))?;
        let answer = client.send(asked, self.limit).await.map_err(failed)?;
        let status = answer.status.as_u16().try_into();
        let status = status.map_err(|_| ConnectorError::other("no status".into(), None))?;
        let mut response = HttpResponse::new(status, SdkBody::from(answer.body.as_slice()));
        for (name, value) in &answer.headers {
            // What is no text means nothing to the SDK.
            if let Ok(value) = value.to_str() {
                response.headers_mut().append(name.as_str().to_owned(), value.to_owned());
            }
        }
        Ok(response)
    }
}

/// The error, with ours in it.
fn failed(error: HttpError) -> ConnectorError {
    let (timeout, io) =
        (matches!(error, HttpError::Timeout), matches!(error, HttpError::Connect(_)));
    let source = Box::new(Arc::new(error));
    match (timeout, io) {
        (true, _) => ConnectorError::timeout(source),
        (_, true) => ConnectorError::io(source),
        _ => ConnectorError::other(source, None),
    }
}

impl HttpConnector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().send(request))
    }
}

impl HttpClient for Transport {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        // The SDK's own limits are short where nobody may be there, as at the address for the
        // machine's credentials.
        let limit = settings.read_timeout().or(settings.connect_timeout()).unwrap_or(LIMIT);
        SharedHttpConnector::new(Self { web: self.web.clone(), limit: limit.min(LIMIT) })
    }
}
