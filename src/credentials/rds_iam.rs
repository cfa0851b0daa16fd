//! Logins to servers of Amazon RDS and Aurora by a signature in place of a password.
//!
//! The token is a request that is signed and never sent: `GET https://HOST:PORT/?Action=connect&
//! DBUser=USER`, presigned for 15 minutes for the service `rds-db`. It is made here, without asking
//! anybody; only the keys that it is signed with are AWS's to give.
//!
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Connecting.html>

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::stores::StoreError;
use super::stores::aws::Session;
use crate::config::secret::Secret;
use crate::config::{Endpoint, escaped};

/// How long RDS takes a token.
const VALID: Duration = Duration::from_secs(900);
/// Keys that end sooner are exchanged. RDS takes no token after the end of the keys that it was
/// signed with.
const MARGIN: Duration = Duration::from_secs(300);
/// Keys that do not say when they end are looked for again after this time.
const UNSAID: Duration = Duration::from_secs(900);
/// After keys could not be had, those at hand are used for so long before the next attempt.
const PAUSE: Duration = Duration::from_secs(10);

/// Makes tokens.
#[derive(Debug)]
pub struct RdsIam {
    session: Session,
    held: Mutex<Option<Held>>,
}

/// Keys, and when to look for others.
#[derive(Clone, Debug)]
struct Held {
    keys: Credentials,
    until: Instant,
}

/// Why there is no token. No text holds anything of the keys.
#[derive(Debug, thiserror::Error)]
pub enum RdsIamError {
    /// There are no keys to sign with.
    #[error(transparent)]
    Keys(#[from] StoreError),
    /// It is not known in which region the server is.
    #[error("{host}: its region is neither in its name nor configured (AWS_REGION)")]
    NoRegion {
        /// The server's host.
        host: String,
    },
    /// What has to be signed cannot be.
    #[error("{host}: a token for this name cannot be signed")]
    Unsignable {
        /// The server's host.
        host: String,
    },
}

impl Default for RdsIam {
    fn default() -> Self {
        Self::new()
    }
}

impl RdsIam {
    /// Keys are looked for when the first token is made.
    pub fn new() -> Self {
        Self { session: Session::new(None, None, None, None), held: Mutex::default() }
    }

    /// A token for one login, good for 15 minutes. `endpoint` has to be the server's own name at
    /// AWS: RDS knows no other, such as an alias in DNS.
    ///
    /// Waits for nobody as long as the keys at hand last. Cancel safe.
    ///
    /// # Errors
    ///
    /// See [`RdsIamError`].
    pub async fn token(&self, endpoint: &Endpoint, user: &str) -> Result<Secret, RdsIamError> {
        let host = || endpoint.host.clone();
        let region = match region_of(&endpoint.host) {
            Some(region) => region.to_owned(),
            None => {
                let config = self.session.config().await;
                let region = config.region().map(ToString::to_string);
                region.ok_or_else(|| RdsIamError::NoRegion { host: host() })?
            }
        };
        let keys = self.keys().await?;
        signed(&keys, &region, endpoint, user, SystemTime::now())
            .ok_or_else(|| RdsIamError::Unsignable { host: host() })
    }

    /// A server refused a token: there may be other keys by now.
    pub async fn forget(&self) {
        *self.held.lock() = None;
        self.session.forget().await;
    }

    async fn keys(&self) -> Result<Credentials, StoreError> {
        let held = self.held.lock().clone();
        if let Some(held) = &held
            && Instant::now() < held.until
        {
            return Ok(held.keys.clone());
        }
        let (keys, until) = match (self.session.credentials("AWS").await, held) {
            (Ok(keys), _) => {
                let end = keys.expiry().and_then(|end| end.duration_since(SystemTime::now()).ok());
                let lasts = end.map_or(UNSAID, |left| left.saturating_sub(MARGIN));
                (keys, Instant::now() + lasts.max(PAUSE))
            }
            (Err(error), Some(held)) => {
                tracing::warn!(%error, "no newer credentials of AWS, the last ones are used");
                (held.keys, Instant::now() + PAUSE)
            }
            (Err(error), None) => return Err(error),
        };
        *self.held.lock() = Some(Held { keys: keys.clone(), until });
        Ok(keys)
    }
}

/// The region in the name of a server: `db.abc.REGION.rds.amazonaws.com`, in China with `.cn`.
fn region_of(host: &str) -> Option<&str> {
    let host = host.trim_end_matches('.');
    let name = host.strip_suffix(".cn").unwrap_or(host).strip_suffix(".amazonaws.com")?;
    match name.strip_suffix(".rds") {
        Some(name) => name.rsplit('.').next(),
        // In China the words stand the other way round.
        None => name.split_once(".rds.").map(|(_, region)| region),
    }
    .filter(|region| region.contains('-'))
}

fn signed(
    keys: &Credentials,
    region: &str,
    endpoint: &Endpoint,
    user: &str,
    now: SystemTime,
) -> Option<Secret> {
    let mut settings = SigningSettings::default();
    settings.expires_in = Some(VALID);
    settings.signature_location = SignatureLocation::QueryParams;
    let identity = keys.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("rds-db")
        .time(now)
        .settings(settings)
        .build()
        .ok()?
        .into();
    let (host, port, user) = (&endpoint.host, endpoint.port, escaped(user));
    let url = format!("https://{host}:{port}/?Action=connect&DBUser={user}");
    let request = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::empty());
    let (instructions, _) = sign(request.ok()?, &parameters).ok()?.into_parts();
    let mut token = format!("{host}:{port}/?Action=connect&DBUser={user}");
    for (name, value) in instructions.params() {
        token.push_str(&format!("&{name}={}", escaped(value)));
    }
    Some(Secret::new(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str) -> Endpoint {
        Endpoint { host: host.to_owned(), port: 3306, zone: None }
    }

    /// The vector of AWS's own SDK, in `aws-sdk-rds`.
    #[test]
    fn a_token_is_what_awss_own_sdk_makes() {
        let keys = Credentials::new("akid", "secret", None, None, "test");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_724_709_600);
        let host = endpoint("prod-instance.us-east-1.rds.amazonaws.com");
        let token = signed(&keys, "us-east-1", &host, "peccy", now).unwrap();
        assert_eq!(
            std::str::from_utf8(token.expose()).unwrap(),
            "prod-instance.us-east-1.rds.amazonaws.com:3306/?Action=connect&DBUser=peccy\
             &X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=akid%2F20240826%2Fus-east-1%2Frds-db%2Faws4_request\
             &X-Amz-Date=20240826T220000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=dd0cba843009474347af724090233265628ace491ea17ce3eb3da098b983ad89"
        );
    }

    /// The vector of botocore 1.44, for keys of a role and a name that has to be escaped.
    #[test]
    fn a_roles_token_is_what_botocore_makes() {
        let keys = Credentials::new("akid", "secret", Some("TOKEN+/==".into()), None, "test");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_724_709_600);
        let host = endpoint("prod-instance.us-east-1.rds.amazonaws.com");
        let token = signed(&keys, "us-east-1", &host, "app user@x/1", now).unwrap();
        let token = std::str::from_utf8(token.expose()).unwrap();
        for part in [
            "?Action=connect&DBUser=app%20user%40x%2F1&",
            "&X-Amz-Security-Token=TOKEN%2B%2F%3D%3D",
            "&X-Amz-Signature=e5ffd364efaede3426a8f5f26535ba7ef526b4ee55ec88d457d4d64bf6a1b794",
        ] {
            assert!(token.contains(part), "{token}");
        }
    }

    #[test]
    fn a_servers_name_tells_its_region() {
        for (host, region) in [
            ("shop.abc123.eu-west-1.rds.amazonaws.com", Some("eu-west-1")),
            ("shop.cluster-ro-abc.us-gov-west-1.rds.amazonaws.com.", Some("us-gov-west-1")),
            ("shop.abc123.rds.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("db.internal", None),
            ("rds.amazonaws.com", None),
            ("127.0.0.1", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
    }
}
