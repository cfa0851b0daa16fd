//! AWS Secrets Manager.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Config;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::super::error::StoreError;
use super::super::web::{Environment, Web, age};
use super::super::{Fetching, Occasion, Pair, SecretStore, Version, VersionedSecret};
use super::extension::Extension;
use super::{Session, meaning, no_credentials, word};
use crate::config::{AwsConfig, AwsVia, escaped};
use crate::net::http::HttpError;

/// Secrets as RDS and RDS Proxy have them: JSON with `username` and `password`, other members left
/// alone. A secret's name is its name or its ARN.
///
/// Its stages tell of a rotation: `AWSCURRENT` is the secret, `AWSPREVIOUS` the one before it, and
/// `AWSPENDING`, which is looked for only when a server refuses the others, the one to come: a
/// rotation changes the server first and the stage then.
#[derive(Debug)]
pub struct AwsSecretsManager {
    way: Way,
    /// By key, the version that was current, and the one before it.
    seen: Mutex<HashMap<String, (Version, Option<Pair>)>>,
}

#[derive(Debug)]
enum Way {
    Api { session: Box<Session>, web: Web },
    Extension(Extension),
}

/// A version of a secret.
struct Found {
    text: Zeroizing<Vec<u8>>,
    version: String,
    /// In seconds since 1970.
    created: Option<f64>,
}

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";
const PREVIOUS: &str = "AWSPREVIOUS";

impl AwsSecretsManager {
    /// The store; nobody is asked yet.
    pub(in super::super) fn new(config: &AwsConfig, environment: Environment) -> Self {
        let extension = match config.via {
            AwsVia::Api => None,
            AwsVia::Extension => Extension::new(config.endpoint.clone(), environment),
        };
        let way = extension.map_or_else(|| Way::api(config), Way::Extension);
        Self { way, seen: Mutex::default() }
    }

    /// The store, asked as whoever has this session.
    #[cfg(test)]
    pub(super) fn over(session: Session) -> Self {
        let session = Box::new(session);
        let way = Way::Api { session, web: Web::new("AWS Secrets Manager", None) };
        Self { way, seen: Mutex::default() }
    }

    async fn find(&self, key: &str, occasion: Occasion) -> Result<VersionedSecret, StoreError> {
        let found = self.way.get(key, CURRENT).await?;
        let version = Version::new(found.version);
        let mut secret = self.way.web().secret(key, &found.text, version.clone())?;
        secret.age = found.created.and_then(age);
        let seen = self.seen.lock().get(key).cloned();
        secret.previous = match seen {
            Some((known, previous)) if known == version => previous,
            _ => {
                let previous = self.other(key, PREVIOUS).await?;
                let seen = (version, previous.clone());
                self.seen.lock().insert(key.to_owned(), seen);
                previous
            }
        };
        if occasion == Occasion::ServerRefused {
            secret.pending = self.other(key, PENDING).await?;
        }
        Ok(secret)
    }

    /// A version that need not be there, nor be a secret yet.
    async fn other(&self, key: &str, stage: &str) -> Result<Option<Pair>, StoreError> {
        match self.way.get(key, stage).await {
            Ok(found) => {
                let secret = self.way.web().secret(key, &found.text, Version::new(found.version));
                Ok(secret.ok().map(VersionedSecret::into_pair))
            }
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl SecretStore for AwsSecretsManager {
    fn fetch<'a>(&'a self, key: &'a str, occasion: Occasion) -> Fetching<'a> {
        Box::pin(self.find(key, occasion))
    }
}

impl Way {
    fn api(config: &AwsConfig) -> Self {
        let AwsConfig { region, profile, endpoint, ca, .. } = config.clone();
        let service = match &endpoint {
            Some(endpoint) => format!("AWS Secrets Manager at {endpoint}"),
            None => "AWS Secrets Manager".to_owned(),
        };
        Self::Api {
            session: Box::new(Session::new(region, profile, endpoint, ca)),
            web: Web::new(service, None),
        }
    }

    fn web(&self) -> &Web {
        match self {
            Self::Api { web, .. } => web,
            Self::Extension(extension) => extension.web(),
        }
    }

    async fn get(&self, key: &str, stage: &str) -> Result<Found, StoreError> {
        match self {
            Self::Extension(extension) => {
                let (key_escaped, stage) = (escaped(key), escaped(stage));
                let path =
                    format!("secretsmanager/get?secretId={key_escaped}&versionStage={stage}");
                let answer = extension.get(key, &path).await?;
                let answer: Answer = extension.web().json(&answer, "a value of Secrets Manager")?;
                answer.found().ok_or_else(|| extension.web().answer("a text or bytes in Base64"))
            }
            Self::Api { session, web } => {
                let asked = ask(session, web, key, stage).await;
                match asked {
                    // Keys that were taken away, or ran out: others may be there already.
                    Err(StoreError::Login { .. }) => {
                        session.forget().await;
                        ask(session, web, key, stage).await
                    }
                    asked => asked,
                }
            }
        }
    }
}

async fn ask(session: &Session, web: &Web, key: &str, stage: &str) -> Result<Found, StoreError> {
    let config = session.config().await;
    if config.region().is_none() {
        return Err(web.login("no region is found; configure `region`", "none"));
    }
    let client = Client::from_conf(Config::from(&config));
    let asking = client.get_secret_value().secret_id(key).version_stage(stage).send().await;
    let output = asking.map_err(|error| refusal(web, key, &error))?;
    let text = match (output.secret_string(), output.secret_binary()) {
        (Some(text), _) => text.as_bytes(),
        (None, Some(bytes)) => bytes.as_ref(),
        (None, None) => return Err(web.answer("a text or bytes")),
    };
    Ok(Found {
        text: Zeroizing::new(text.to_vec()),
        version: output.version_id().unwrap_or_default().to_owned(),
        created: output.created_date().map(|date| date.as_secs_f64()),
    })
}

fn refusal(web: &Web, key: &str, error: &SdkError<GetSecretValueError>) -> StoreError {
    let service = web.service();
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    if status == 200 {
        return web.answer("a value of Secrets Manager");
    }
    if let SdkError::ServiceError(error) = error {
        return meaning(service, key, error.err().code().unwrap_or_default(), status);
    }
    if let Some(error) = cause::<CredentialsError>(error) {
        return no_credentials(service, word(error));
    }
    if let Some(error) = cause::<Arc<HttpError>>(error) {
        return StoreError::Unreachable { service: service.to_owned(), source: error.clone() };
    }
    match error {
        SdkError::TimeoutError(_) => web.unreachable(HttpError::Timeout),
        _ => meaning(service, key, "", status),
    }
}

/// The first error of this kind below `error`.
fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut below = Some(error);
    while let Some(error) = below {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        below = error.source();
    }
    None
}

/// What the extension answers: the SDK's own answer in JSON.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    secret_string: Option<Zeroizing<String>>,
    secret_binary: Option<Zeroizing<String>>,
    #[serde(default)]
    version_id: String,
}

impl Answer {
    fn found(self) -> Option<Found> {
        let text = match (self.secret_string, self.secret_binary) {
            (Some(text), _) => Zeroizing::new(text.as_bytes().to_vec()),
            (None, Some(bytes)) => Zeroizing::new(STANDARD.decode(bytes.as_bytes()).ok()?),
            (None, None) => return None,
        };
        Some(Found { text, version: self.version_id, created: None })
    }
}
