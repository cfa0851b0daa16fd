//! Azure Key Vault.
//!
//! <https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret>

use hyper::header::HeaderName;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::bearer::{Bearer, Tokens, form};
use super::error::StoreError;
use super::web::{Environment, Web, age, read_file};
use super::{Fetching, Occasion, SecretStore, Version, VersionedSecret};
use crate::config::{AzureAuth, AzureConfig, HttpUrl, Kept, escaped};
use crate::net::http::{HttpRequest, HttpResponse};

/// Secrets of a vault: the password itself, or JSON. A secret's name may have a version behind it,
/// `name/0123…`.
#[derive(Debug)]
pub struct AzureStore {
    web: Web,
    address: HttpUrl,
    auth: AzureAuth,
    environment: Environment,
    tokens: Tokens,
}

/// The version of the interface that every vault speaks.
const API: &str = "7.4";
const METADATA: HeaderName = HeaderName::from_static("metadata");
const IDENTITY: HeaderName = HeaderName::from_static("x-identity-header");
/// The ends of vaults' hosts, which are whom their tokens are for.
const AUDIENCES: [&str; 4] =
    ["vault.azure.net", "vault.azure.cn", "vault.usgovcloudapi.net", "managedhsm.azure.net"];

impl AzureStore {
    /// The store; nobody is asked yet.
    pub(super) fn new(config: &AzureConfig, environment: Environment) -> Self {
        let AzureConfig { address, auth, ca } = config.clone();
        let web = Web::new(format!("the vault at {address}"), ca);
        Self { web, address, auth, environment, tokens: Tokens::default() }
    }

    async fn find(&self, key: &str) -> Result<VersionedSecret, StoreError> {
        let answer = match self.get(key).await {
            // The token has ended, or was taken away.
            Err(StoreError::Login { .. }) => self.get(key).await?,
            answer => answer?,
        };
        let Answer { value, id, attributes } = self.web.json(&answer, "a secret")?;
        let version = Version::new(id.rsplit('/').next().unwrap_or_default());
        let mut secret = self.web.secret(key, value.as_bytes(), version)?;
        secret.age = attributes.created.and_then(age);
        Ok(secret)
    }

    async fn get(&self, key: &str) -> Result<HttpResponse, StoreError> {
        let header = self.tokens.header(self.token()).await?;
        let key_path = key.split('/').map(escaped).collect::<Vec<_>>().join("/");
        let url = self.address.join(&format!("secrets/{key_path}?api-version={API}"));
        let url = url.map_err(|_| self.web.request())?;
        self.tokens.get(&self.web, url, &header, key).await
    }

    async fn token(&self) -> Result<Bearer, StoreError> {
        let request = match &self.auth {
            AzureAuth::ManagedIdentity { client_id } => self.managed(client_id.as_deref())?,
            AzureAuth::WorkloadIdentity { tenant_id, client_id } => {
                let given = |given: &Option<String>, name: &str, what| {
                    given
                        .clone()
                        .or_else(|| self.environment.get(name).map(|value| value.to_string()))
                        .ok_or_else(|| self.web.login(what, name))
                };
                let tenant = given(tenant_id, "AZURE_TENANT_ID", "there is no tenant_id")?;
                let client = given(client_id, "AZURE_CLIENT_ID", "there is no client_id")?;
                let file = "AZURE_FEDERATED_TOKEN_FILE";
                let path = given(&None, file, "there is no token of a workload")?;
                let proof = read_file(path.as_ref()).await?;
                let kind = escaped("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
                let proof = escaped(&proof);
                let proof = format!("client_assertion_type={kind}&client_assertion={proof}");
                self.granted(&tenant, &client, &Zeroizing::new(proof))?
            }
            AzureAuth::ClientSecret { tenant_id, client_id, secret } => {
                let secret = match secret {
                    Kept::Here(secret) => {
                        Zeroizing::new(String::from_utf8_lossy(secret.expose()).into_owned())
                    }
                    Kept::File(path) => read_file(path).await?,
                };
                let proof = Zeroizing::new(format!("client_secret={}", escaped(&secret)));
                self.granted(tenant_id, client_id, &proof)?
            }
        };
        Bearer::granted(&self.web, request).await
    }

    /// Whom a token is for.
    fn audience(&self) -> &'static str {
        let host = self.address.host();
        AUDIENCES.into_iter().find(|end| host.ends_with(end)).unwrap_or(AUDIENCES[0])
    }

    /// Asks who this machine, or this app, is.
    fn managed(&self, client_id: Option<&str>) -> Result<HttpRequest, StoreError> {
        let audience = escaped(&format!("https://{}", self.audience()));
        let client = client_id.map(|id| format!("&client_id={}", escaped(id))).unwrap_or_default();
        let query = format!("resource={audience}{client}");
        let app =
            (self.environment.get("IDENTITY_ENDPOINT"), self.environment.get("IDENTITY_HEADER"));
        let (base, header, value) = match &app {
            (Some(endpoint), Some(header)) => {
                (format!("{}?api-version=2019-08-01", **endpoint), IDENTITY, header.as_str())
            }
            _ => {
                let host = self.environment.get("AZURE_POD_IDENTITY_AUTHORITY_HOST");
                let host = host.as_deref().map_or("http://169.254.169.254", String::as_str);
                let path = "metadata/identity/oauth2/token?api-version=2018-02-01";
                (format!("{}/{path}", host.trim_end_matches('/')), METADATA, "true")
            }
        };
        let url = format!("{base}&{query}").parse().map_err(|_| self.web.request())?;
        HttpRequest::get(url).with(header, value).map_err(|_| self.web.request())
    }

    /// Asks for a token with a proof.
    fn granted(&self, tenant: &str, client: &str, proof: &str) -> Result<HttpRequest, StoreError> {
        let authority = self.environment.get("AZURE_AUTHORITY_HOST");
        let authority =
            authority.as_deref().map_or("https://login.microsoftonline.com", String::as_str);
        let authority: HttpUrl = authority.parse().map_err(|_| self.web.request())?;
        let url = authority.join(&format!("{}/oauth2/v2.0/token", escaped(tenant)));
        let scope = escaped(&format!("https://{}/.default", self.audience()));
        let client = escaped(client);
        let body =
            format!("grant_type=client_credentials&client_id={client}&scope={scope}&{proof}");
        form(&self.web, url.map_err(|_| self.web.request())?, body)
    }
}

impl SecretStore for AzureStore {
    fn fetch<'a>(&'a self, key: &'a str, _occasion: Occasion) -> Fetching<'a> {
        Box::pin(self.find(key))
    }
}

#[derive(Deserialize)]
struct Answer {
    value: Zeroizing<String>,
    #[serde(default)]
    id: String,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attributes {
    /// In seconds since 1970.
    created: Option<f64>,
}

#[cfg(test)]
mod tests;
