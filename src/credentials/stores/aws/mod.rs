//! What Millpond's stores of AWS have in common: who Millpond is, by the SDK's own chain
//! (environment, web identity, container, machine, profile), and through what it asks.

#[cfg(any(feature = "aws-secrets-manager", feature = "aws-parameter-store"))]
pub(super) mod extension;
#[cfg(feature = "aws-parameter-store")]
mod parameters;
#[cfg(feature = "aws-secrets-manager")]
mod secrets;
mod transport;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::Mutex;

#[cfg(feature = "aws-parameter-store")]
pub use parameters::AwsParameterStore;
#[cfg(feature = "aws-secrets-manager")]
pub use secrets::AwsSecretsManager;

use super::error::{Code, StoreError};
use crate::config::HttpUrl;
use transport::Transport;

/// How long one attempt of the SDK may take.
const ATTEMPT: Duration = Duration::from_secs(4);

/// Who Millpond is for AWS.
pub(in crate::credentials) struct Session {
    region: Option<String>,
    profile: Option<String>,
    endpoint: Option<HttpUrl>,
    transport: Transport,
    loaded: Mutex<Option<SdkConfig>>,
    /// A test's own keys, in place of the SDK's chain.
    #[cfg(test)]
    keys: Option<Credentials>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("region", &self.region)
            .field("profile", &self.profile)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Nothing is looked for yet.
    pub(in crate::credentials) fn new(
        region: Option<String>,
        profile: Option<String>,
        endpoint: Option<HttpUrl>,
        ca: Option<PathBuf>,
    ) -> Self {
        let transport = Transport::new(ca);
        Self {
            region,
            profile,
            endpoint,
            transport,
            loaded: Mutex::default(),
            #[cfg(test)]
            keys: None,
        }
    }

    /// What the SDK has found. Cancel safe: it is looked for again.
    pub(in crate::credentials) async fn config(&self) -> SdkConfig {
        let mut loaded = self.loaded.lock().await;
        if let Some(config) = &*loaded {
            return config.clone();
        }
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(self.transport.clone())
            // Who asks for secrets tries again by itself.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build());
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint.expose());
        }
        #[cfg(test)]
        if let Some(keys) = &self.keys {
            loader = loader.credentials_provider(keys.clone());
        }
        loaded.insert(loader.load().await).clone()
    }

    /// Who Millpond is now may be known elsewhere by other keys: all is to be looked for again.
    pub(in crate::credentials) async fn forget(&self) {
        *self.loaded.lock().await = None;
    }

    /// The keys to sign with, as long as they last.
    ///
    /// # Errors
    ///
    /// When none are found.
    pub(in crate::credentials) async fn credentials(
        &self,
        service: &str,
    ) -> Result<Credentials, StoreError> {
        let config = self.config().await;
        let none = |code: &str| no_credentials(service, code);
        let provider = config.credentials_provider().ok_or_else(|| none("none"))?;
        provider.provide_credentials().await.map_err(|error| none(word(&error)))
    }
}

fn no_credentials(service: &str, code: &str) -> StoreError {
    StoreError::Login {
        service: service.to_owned(),
        what: "no credentials of AWS are found",
        code: Code::new(code),
    }
}

/// Which kind of error it is.
fn word(error: &CredentialsError) -> &'static str {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => "not-found",
        CredentialsError::ProviderTimedOut(_) => "timed-out",
        CredentialsError::InvalidConfiguration(_) => "invalid-configuration",
        CredentialsError::ProviderError(_) => "provider-failed",
        _ => "failed",
    }
}

/// What AWS means by an error's code.
fn meaning(service: &str, key: &str, code: &str, status: u16) -> StoreError {
    let service = service.to_owned();
    // A namespace may stand in front, and an address behind.
    let name = code.rsplit('#').next().unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    let key = key.to_owned();
    let code = Code::new(if name.is_empty() { status.to_string() } else { name.to_owned() });
    match name {
        "ResourceNotFoundException" | "ParameterNotFound" | "ParameterVersionNotFound" => {
            StoreError::Missing { key, store: service }
        }
        "AccessDeniedException" | "AccessDenied" | "DecryptionFailure" | "InvalidKeyId" => {
            StoreError::Denied { service, key, code }
        }
        "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "RequestLimitExceeded" => StoreError::Throttled { service, code },
        "ExpiredTokenException"
        | "ExpiredToken"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationTokenException" => {
            StoreError::Login { service, what: "its keys are not taken", code }
        }
        _ if status == 429 => StoreError::Throttled { service, code },
        _ => StoreError::Failed { service, code },
    }
}

#[cfg(test)]
mod tests;
