//! The cache that AWS's extension for Lambda has on this machine, and AWS's agent for Secrets
//! Manager elsewhere: the same answers as AWS's own, over plain HTTP.
//!
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/retrieving-secrets_lambda.html>

use hyper::header::HeaderName;

use super::super::error::StoreError;
use super::super::web::{Environment, Web};
use super::meaning;
use crate::config::HttpUrl;
use crate::net::http::{HttpRequest, HttpResponse};

/// Where it listens if nobody says otherwise.
const PORT: &str = "2773";
const TOKEN: HeaderName = HeaderName::from_static("x-aws-parameters-secrets-token");

/// Asks the extension.
#[derive(Debug)]
pub(super) struct Extension {
    web: Web,
    base: HttpUrl,
    environment: Environment,
}

impl Extension {
    /// At `base`, or where the extension's own variable says; `None` when that is no port.
    pub(super) fn new(base: Option<HttpUrl>, environment: Environment) -> Option<Self> {
        let base = base.or_else(|| {
            let port = environment.get("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT");
            let port = port.as_deref().map_or(PORT, String::as_str);
            format!("http://localhost:{port}").parse().ok()
        })?;
        Some(Self { web: Web::new(&base, None), base, environment })
    }

    pub(super) fn web(&self) -> &Web {
        &self.web
    }

    /// The answer to this, which is there.
    pub(super) async fn get(&self, key: &str, path: &str) -> Result<HttpResponse, StoreError> {
        let url = self.base.join(path).map_err(|_| self.web.request())?;
        let mut request = HttpRequest::get(url);
        // Lambda's runtime has it anew for each environment of a function.
        if let Some(token) = self.environment.get("AWS_SESSION_TOKEN") {
            request = request.with(TOKEN, token.as_bytes()).map_err(|_| self.web.request())?;
        }
        let answer = self.web.ask(request).await?;
        let status = answer.status.as_u16();
        match status {
            200 => Ok(answer),
            401 | 403 => Err(self.web.login("the extension does not take the token", status)),
            // What AWS said stands somewhere in the text.
            _ => {
                let text = String::from_utf8_lossy(&answer.body);
                let code = CODES.iter().find(|code| text.contains(**code)).unwrap_or(&"");
                Err(meaning(self.web.service(), key, code, status))
            }
        }
    }
}

const CODES: [&str; 7] = [
    "ResourceNotFoundException",
    "ParameterNotFound",
    "ParameterVersionNotFound",
    "AccessDeniedException",
    "ThrottlingException",
    "ExpiredTokenException",
    "UnrecognizedClientException",
];
