//! Tokens in place of passwords: who vouches for a client, and whether a token proves a user.

pub mod aws;
pub mod fuzzing;
pub mod jwt;
pub mod metrics;

use std::sync::Arc;

use serde_json::Value;

use self::aws::AwsIam;
use self::jwt::Jwt;
use self::metrics::{TokenMetrics, Verdict};
use crate::config::{IdentityConfig, Pattern, TokenRule};
use crate::net::http::{HttpClient, HttpError};
use crate::net::tls::TlsError;

/// The longest token that is looked at, in bytes.
pub const LONGEST: usize = 16 * 1024;

/// Who vouches for clients.
#[derive(Debug)]
pub struct Provider {
    name: String,
    kind: Kind,
    metrics: TokenMetrics,
}

#[derive(Debug)]
enum Kind {
    AwsIam(AwsIam),
    Jwt(Jwt),
}

/// What a token says, once it is known to be true.
#[derive(Debug, Clone)]
pub enum Identity {
    /// Whom AWS knows by this name.
    Arn(Arc<str>),
    /// These claims.
    Claims(serde_json::Map<String, Value>),
}

/// Which tokens prove a user.
#[derive(Debug, Clone)]
pub struct TokenLogin {
    provider: Arc<Provider>,
    rule: TokenRule,
}

/// Why a token proves nothing. For the log: no text holds anything of the token but what it says of
/// whom it is for.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is not of the form that it has to be.
    #[error("it is no token as it has to be: {0}")]
    Form(&'static str),
    /// It is not, or not yet, or no longer valid.
    #[error("it is not valid: {0}")]
    Invalid(String),
    /// The provider could not be asked.
    #[error("its provider cannot be asked: {0}")]
    Unreachable(#[from] HttpError),
    /// The provider's answer is of no use.
    #[error("its provider's answer is of no use: {0}")]
    Answer(String),
    /// It is somebody else's.
    #[error("it is not the user's: {0}")]
    NotTheUsers(String),
}

impl Provider {
    /// Nobody is asked yet.
    ///
    /// Reads files: for the start of the program, not for its event loop.
    ///
    /// # Errors
    ///
    /// When the authorities' file cannot be used.
    pub fn new(
        name: &str,
        config: &IdentityConfig,
        metrics: TokenMetrics,
    ) -> Result<Self, TlsError> {
        let client = |ca: &Option<std::path::PathBuf>| match ca {
            Some(path) => HttpClient::trusting(path),
            None => Ok(HttpClient::system()),
        };
        let kind = match config {
            IdentityConfig::AwsIam(aws) => Kind::AwsIam(AwsIam::new(aws.clone(), client(&aws.ca)?)),
            IdentityConfig::Jwt(jwt) => Kind::Jwt(Jwt::new(jwt.clone(), client(&jwt.ca)?)),
        };
        Ok(Self { name: name.to_owned(), kind, metrics })
    }

    /// Whether a client's answer can be one of its tokens, and not a password.
    fn issues(&self, text: &str) -> bool {
        match &self.kind {
            Kind::AwsIam(_) => aws::is_request(text),
            Kind::Jwt(_) => jwt::is_token(text),
        }
    }

    async fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Form("it is too long"));
        }
        match &self.kind {
            Kind::AwsIam(aws) => aws.verify(token).await.map(Identity::Arn),
            Kind::Jwt(jwt) => jwt.verify(token).await.map(Identity::Claims),
        }
    }
}

impl TokenLogin {
    /// Tokens of `provider` that fit `rule`.
    pub fn new(provider: Arc<Provider>, rule: TokenRule) -> Self {
        Self { provider, rule }
    }

    /// Whether a client's answer is to be taken for a token, and not for a password.
    pub fn looks_like_one(&self, answer: &[u8]) -> bool {
        std::str::from_utf8(answer).is_ok_and(|text| self.provider.issues(text))
    }

    /// Whether this token proves the user; says whom it is for. Logs why not.
    ///
    /// Cancel safe.
    pub async fn proves(&self, user: &str, token: &[u8]) -> bool {
        let outcome = match std::str::from_utf8(token) {
            Ok(token) => self.provider.verify(token).await,
            Err(_) => Err(TokenError::Form("it is no text")),
        };
        let outcome = outcome.and_then(|identity| self.rule.accepts(&identity));
        let provider = &*self.provider.name;
        match outcome {
            Ok(()) => {
                self.provider.metrics.verdict(provider, Verdict::Accepted);
                true
            }
            Err(why) => {
                self.provider.metrics.verdict(provider, Verdict::of(&why));
                tracing::info!(user, provider, %why, "a token was refused");
                false
            }
        }
    }
}

impl TokenRule {
    fn accepts(&self, identity: &Identity) -> Result<(), TokenError> {
        match identity {
            Identity::Arn(arn) => match self.arn.iter().any(|pattern| pattern.fits(arn)) {
                true => Ok(()),
                false => Err(TokenError::NotTheUsers(format!("it is {}", shown(arn)))),
            },
            Identity::Claims(claims) => {
                let unfit = |(name, pattern): &&(String, Pattern)| {
                    !claims.get(name).is_some_and(|value| fits(pattern, value))
                };
                match self.claims.iter().find(unfit) {
                    None => Ok(()),
                    Some((name, _)) => {
                        let said = claims
                            .get(name)
                            .map_or("not there".to_owned(), |value| shown(&value.to_string()));
                        Err(TokenError::NotTheUsers(format!("its claim `{name}` is {said}")))
                    }
                }
            }
        }
    }
}

/// Whether a claim's value is as it has to be; of a list, one of its members.
fn fits(pattern: &Pattern, value: &Value) -> bool {
    match value {
        Value::String(text) => pattern.fits(text),
        Value::Bool(value) => pattern.fits(&value.to_string()),
        Value::Number(number) => pattern.fits(&number.to_string()),
        Value::Array(values) => {
            values.iter().any(|value| !value.is_array() && fits(pattern, value))
        }
        Value::Null | Value::Object(_) => false,
    }
}

/// What somebody else has written, for the log.
fn shown(text: &str) -> String {
    text.chars().take(200).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(claims: &[(&str, &str)], arn: &[&str]) -> TokenRule {
        let pattern = |text: &str| text.parse::<Pattern>().unwrap();
        TokenRule {
            provider: "corp".into(),
            claims: claims.iter().map(|(name, text)| ((*name).into(), pattern(text))).collect(),
            arn: arn.iter().map(|text| pattern(text)).collect(),
        }
    }

    #[test]
    fn every_claim_of_a_rule_has_to_fit() {
        let claims = serde_json::json!({
            "sub": "system:serviceaccount:shop:orders",
            "groups": ["readers", "writers", 7],
            "email_verified": true,
            "nested": { "sub": "x" },
        });
        let Value::Object(claims) = claims else { panic!("an object") };
        let identity = Identity::Claims(claims);
        for fit in [
            &[("sub", "system:serviceaccount:shop:*")][..],
            &[("groups", "writers"), ("email_verified", "true")],
            &[("groups", "7")],
        ] {
            assert!(rule(fit, &[]).accepts(&identity).is_ok(), "{fit:?}");
        }
        for (unfit, why) in [
            (&[("sub", "orders")][..], "`sub` is"),
            (&[("groups", "writers"), ("azp", "*")], "`azp` is not there"),
            (&[("groups", "write")], "`groups` is"),
            (&[("nested", "*")], "`nested` is"),
        ] {
            let error = rule(unfit, &[]).accepts(&identity).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn one_of_the_arns_of_a_rule_has_to_fit() {
        let arn = Identity::Arn("arn:aws:sts::1:assumed-role/orders/i-1".into());
        let patterns = ["arn:aws:iam::1:user/me", "arn:aws:sts::1:assumed-role/orders/*"];
        assert!(rule(&[], &patterns).accepts(&arn).is_ok());
        let error = rule(&[], &patterns[..1]).accepts(&arn).unwrap_err().to_string();
        assert!(error.contains("it is arn:aws:sts::1:assumed-role/orders/i-1"), "{error}");
    }
}
