//! The Parameter Store of AWS Systems Manager.
//!
//! One question, so it is signed and asked here: the SDK's crate for Systems Manager has about 150
//! operations more, and takes longer to compile than Millpond.

use std::time::SystemTime;

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use hyper::header::{CONTENT_TYPE, HeaderName};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::super::error::StoreError;
use super::super::web::{Environment, Web, age};
use super::super::{Fetching, Occasion, SecretStore, Version, VersionedSecret};
use super::extension::Extension;
use super::{Session, meaning};
use crate::config::{AwsConfig, AwsVia, HttpUrl, escaped};
use crate::net::http::HttpRequest;

/// Parameters, decrypted: the password itself, or JSON. A secret's name is the parameter's, such as
/// `/shop/app-db`, which may have a version or a label behind a colon.
#[derive(Debug)]
pub struct AwsParameterStore(Way);

#[derive(Debug)]
enum Way {
    Api { session: Box<Session>, web: Web },
    Extension(Extension),
}

const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

impl AwsParameterStore {
    /// The store; nobody is asked yet.
    pub(in super::super) fn new(config: &AwsConfig, environment: Environment) -> Self {
        let extension = match config.via {
            AwsVia::Api => None,
            AwsVia::Extension => Extension::new(config.endpoint.clone(), environment),
        };
        if let Some(extension) = extension {
            return Self(Way::Extension(extension));
        }
        let AwsConfig { region, profile, endpoint, ca, .. } = config.clone();
        let service = match &endpoint {
            Some(endpoint) => format!("AWS Parameter Store at {endpoint}"),
            None => "AWS Parameter Store".to_owned(),
        };
        let web = Web::new(service, ca.clone());
        Self(Way::Api { session: Box::new(Session::new(region, profile, endpoint, ca)), web })
    }

    /// The store, asked as whoever has this session.
    #[cfg(test)]
    pub(super) fn over(session: Session) -> Self {
        let session = Box::new(session);
        Self(Way::Api { session, web: Web::new("AWS Parameter Store", None) })
    }

    async fn find(&self, key: &str) -> Result<VersionedSecret, StoreError> {
        let (web, answer) = match &self.0 {
            Way::Extension(extension) => {
                let name = escaped(key);
                let path = format!("systemsmanager/parameters/get?name={name}&withDecryption=true");
                (extension.web(), extension.get(key, &path).await?)
            }
            Way::Api { session, web } => {
                let asked = match ask(session, web, key).await {
                    Err(StoreError::Login { .. }) => {
                        session.forget().await;
                        ask(session, web, key).await
                    }
                    asked => asked,
                };
                (web, asked?)
            }
        };
        let Answer { parameter } = web.json(&answer, "a parameter")?;
        let version = Version::new(parameter.version);
        let mut secret = web.secret(key, parameter.value.as_bytes(), version)?;
        secret.age = parameter.last_modified_date.as_ref().and_then(Date::age);
        Ok(secret)
    }
}

impl SecretStore for AwsParameterStore {
    fn fetch<'a>(&'a self, key: &'a str, _occasion: Occasion) -> Fetching<'a> {
        Box::pin(self.find(key))
    }
}

async fn ask(
    session: &Session,
    web: &Web,
    key: &str,
) -> Result<crate::net::http::HttpResponse, StoreError> {
    let config = session.config().await;
    let no_region = || web.login("no region is found; configure `region`", "none");
    let region = config.region().ok_or_else(no_region)?.to_string();
    let url: HttpUrl = match config.endpoint_url() {
        Some(url) => url.to_owned(),
        None => {
            let china = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("https://ssm.{region}.amazonaws.com{china}/")
        }
    }
    .parse()
    .map_err(|_| web.request())?;
    let identity = session.credentials(web.service()).await?.into();
    let body = serde_json::json!({ "Name": key, "WithDecryption": true }).to_string();
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "AmazonSSM.GetParameter"),
    ];
    let mut request = HttpRequest::post(url.clone(), body.clone().into_bytes());
    for (name, (_, value)) in [CONTENT_TYPE, TARGET].into_iter().zip(headers) {
        request = request.with(name, value).map_err(|_| web.request())?;
    }
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&region)
        .name("ssm")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| web.request())?
        .into();
    let address = url.expose();
    let body = SignableBody::Bytes(body.as_bytes());
    let signable = SignableRequest::new("POST", &address, headers.into_iter(), body);
    let signed = signable.and_then(|request| sign(request, &parameters));
    let (instructions, _) = signed.map_err(|_| web.request())?.into_parts();
    for (name, value) in instructions.headers() {
        let name: HeaderName = name.parse().map_err(|_| web.request())?;
        request = request.with(name, value).map_err(|_| web.request())?;
    }
    let answer = web.ask(request).await?;
    if answer.status.is_success() {
        return Ok(answer);
    }
    let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
    Err(meaning(web.service(), key, &refusal.code, answer.status.as_u16()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    parameter: Parameter,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    value: Zeroizing<String>,
    #[serde(default)]
    version: u64,
    last_modified_date: Option<Date>,
}

/// AWS itself writes seconds since 1970, the extension a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Date {
    Seconds(f64),
    Text(serde::de::IgnoredAny),
}

impl Date {
    fn age(&self) -> Option<std::time::Duration> {
        match self {
            Self::Seconds(seconds) => age(*seconds),
            Self::Text(_) => None,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    #[serde(rename = "__type")]
    code: String,
}
