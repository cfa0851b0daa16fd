//! Who vouches for clients that come with a token in place of a password.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::given::Choice;
use super::pattern::Pattern;
use super::section::Section;
use super::show::Shown;
use super::url::HttpUrl;

/// `[identity.<name>]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityConfig {
    /// The AWS account that a role or user belongs to.
    AwsIam(AwsIamConfig),
    /// An issuer of signed tokens.
    Jwt(JwtConfig),
}

/// Tokens that are requests to AWS' Security Token Service, signed by the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsIamConfig {
    /// The only service that is asked; without it, AWS' own in any region.
    pub endpoint: Option<HttpUrl>,
    /// What the signed header `x-millpond-audience` has to say; without it, tokens for other services
    /// are taken too.
    pub audience: Option<String>,
    /// Authorities to trust in place of the system's.
    pub ca: Option<PathBuf>,
}

/// Tokens that an issuer has signed, as OpenID Connect has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtConfig {
    /// The issuer, as it stands in the tokens.
    pub issuer: String,
    /// For whom tokens have to be: one of these.
    pub audience: Vec<String>,
    /// Where its keys are; without it, where its discovery document says.
    pub jwks_url: Option<HttpUrl>,
    /// How tokens may be signed.
    pub algorithms: Vec<JwtAlgorithm>,
    /// How far the issuer's clock may be from this one.
    pub leeway: Duration,
    /// How often the keys are fetched again.
    pub refresh: Duration,
    /// Authorities to trust in place of the system's.
    pub ca: Option<PathBuf>,
}

/// How a token may be signed. None of these has a key that both sides know.
#[allow(missing_docs, reason = "their names are RFC 7518's")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAlgorithm {
    EdDSA,
    ES256,
    ES384,
    PS256,
    PS384,
    PS512,
    RS256,
    RS384,
    RS512,
}

impl Choice for JwtAlgorithm {
    const EXPECTED: &'static str = "one of EdDSA, ES256, ES384, PS256, PS384, PS512, RS256, RS384 \
                                    and RS512";
    const NAMES: &'static [(&'static str, Self)] = &[
        ("EdDSA", Self::EdDSA),
        ("ES256", Self::ES256),
        ("ES384", Self::ES384),
        ("PS256", Self::PS256),
        ("PS384", Self::PS384),
        ("PS512", Self::PS512),
        ("RS256", Self::RS256),
        ("RS384", Self::RS384),
        ("RS512", Self::RS512),
    ];
}

impl JwtAlgorithm {
    /// Its name in RFC 7518.
    pub fn rfc_name(self) -> &'static str {
        self.name()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    AwsIam,
    Jwt,
}

impl Choice for Kind {
    const EXPECTED: &'static str = r#""jwt" or "aws_iam""#;
    const NAMES: &'static [(&'static str, Self)] = &[("jwt", Self::Jwt), ("aws_iam", Self::AwsIam)];
}

/// Keys of one kind only.
const OF_JWT: [&str; 5] = ["issuer", "jwks_url", "algorithms", "leeway", "refresh"];
const OF_AWS: [&str; 1] = ["endpoint"];
const AUDIENCE: &str = "for whom tokens have to be";

impl IdentityConfig {
    /// `None` after a refusal.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let kind = section.setting::<Kind>("kind");
        if !section.had("kind") {
            section.missing("kind", Kind::EXPECTED);
        }
        let ca = section.path("ca");
        let audience = section.texts("audience", AUDIENCE);
        let endpoint = service(section, "endpoint");
        let jwt = JwtConfig::read(section);
        let kind = kind?;
        let (foreign, other): (&[&str], _) = match kind {
            Kind::AwsIam => (&OF_JWT, Kind::Jwt),
            Kind::Jwt => (&OF_AWS, Kind::AwsIam),
        };
        for key in foreign {
            if section.had(key) {
                section.conflict(key, format!("only for kind = \"{}\"", other.name()));
            }
        }
        match kind {
            Kind::AwsIam => {
                let mut audience = audience.unwrap_or_default();
                if audience.len() > 1 {
                    section.conflict("audience", "for kind = \"aws_iam\": expected one text");
                }
                Some(Self::AwsIam(AwsIamConfig { endpoint, audience: audience.pop(), ca }))
            }
            Kind::Jwt => {
                if !section.had("audience") {
                    section.missing("audience", AUDIENCE);
                }
                if !section.had("issuer") {
                    section.missing("issuer", "the issuer, as it stands in the tokens");
                }
                let jwt = jwt?;
                if jwt.jwks_url.is_none() && !section.had("jwks_url") && !is_safe(&jwt.issuer) {
                    section.missing("jwks_url", "where the keys are: `issuer` is no https address");
                }
                Some(Self::Jwt(JwtConfig { audience: audience?, ca, ..jwt }))
            }
        }
    }

    pub(super) fn show(&self) -> Shown {
        let ca = |ca: &Option<PathBuf>| ca.as_ref().map(|path| path.display().to_string());
        match self {
            Self::AwsIam(aws) => Shown::new()
                .put("kind", Kind::AwsIam.name())
                .maybe("endpoint", aws.endpoint.as_ref().map(HttpUrl::to_string))
                .maybe("audience", aws.audience.clone().map(|audience| vec![audience]))
                .maybe("ca", ca(&aws.ca)),
            Self::Jwt(jwt) => {
                let names: Vec<_> = jwt.algorithms.iter().map(|one| one.name()).collect();
                Shown::new()
                    .put("kind", Kind::Jwt.name())
                    .put("issuer", jwt.issuer.as_str())
                    .put("audience", jwt.audience.clone())
                    .maybe("jwks_url", jwt.jwks_url.as_ref().map(HttpUrl::to_string))
                    .put("algorithms", names)
                    .duration("leeway", jwt.leeway)
                    .duration("refresh", jwt.refresh)
                    .maybe("ca", ca(&jwt.ca))
            }
        }
    }
}

impl JwtConfig {
    /// What only this kind has. `None` without an issuer.
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let issuer = section.text("issuer");
        let jwks_url = service(section, "jwks_url");
        let names = "algorithms such as \"RS256\", \"ES256\" and \"EdDSA\", none with a shared key";
        let algorithms = section.list("algorithms", names, |text| {
            JwtAlgorithm::NAMES.iter().find(|(name, _)| *name == text).map(|(_, value)| *value)
        });
        let usual = || vec![JwtAlgorithm::RS256, JwtAlgorithm::ES256, JwtAlgorithm::EdDSA];
        let leeway = section.duration("leeway", Duration::ZERO..=Duration::from_secs(300));
        let refresh =
            section.duration("refresh", Duration::from_secs(10)..=Duration::from_secs(86_400));
        Some(Self {
            issuer: issuer.filter(|issuer| !issuer.is_empty())?,
            audience: Vec::new(),
            jwks_url,
            algorithms: algorithms.unwrap_or_else(usual),
            leeway: leeway.unwrap_or(Duration::from_secs(30)),
            refresh: refresh.unwrap_or(Duration::from_secs(600)),
            ca: None,
        })
    }
}

/// The address of a service whose answers are believed, so nobody on the way may write them.
fn service(section: &mut Section<'_>, name: &str) -> Option<HttpUrl> {
    let url: HttpUrl = section.setting(name)?;
    if !is_safe(&url.expose()) {
        section.conflict(name, "it is not encrypted: expected https, or http to this machine");
        return None;
    }
    Some(url)
}

fn is_safe(url: &str) -> bool {
    url.parse().is_ok_and(|url: HttpUrl| {
        url.is_encrypted() || ["localhost", "127.0.0.1", "::1"].contains(&url.host())
    })
}

/// `[services.<name>.users.<user>.token]`: whose tokens prove the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRule {
    /// Who vouches: a name under `[identity]`.
    pub provider: String,
    /// What the token has to say, all of it: names of claims and what they have to be.
    pub claims: Vec<(String, Pattern)>,
    /// The identity in AWS has to be one of these.
    pub arn: Vec<Pattern>,
}

impl TokenRule {
    /// `None` after a refusal.
    pub(super) fn read(
        section: &mut Section<'_>,
        providers: &BTreeMap<String, Option<IdentityConfig>>,
    ) -> Option<Self> {
        let provider = section.text("provider");
        let patterns = "identities such as \"arn:aws:sts::123456789012:assumed-role/orders/*\", in \
                        which * stands for any characters";
        let arn = section.list("arn", patterns, |text| text.parse().ok()).unwrap_or_default();
        let claims = section.patterns("claims");
        if !section.had("provider") {
            section.missing("provider", "the name of a section [identity.<name>]");
        }
        let provider = provider?;
        let Some(known) = providers.get(&provider) else {
            let names: Vec<_> = providers.keys().map(String::as_str).collect();
            let why = match names.is_empty() {
                true => "no such provider: expected a section [identity.<name>] for it".to_owned(),
                false => format!("no such provider: expected one of {}", names.join(", ")),
            };
            section.conflict("provider", why);
            return None;
        };
        // Without a rule, anybody with a token would be this user.
        match known {
            Some(IdentityConfig::Jwt(_)) if claims.is_empty() => {
                section.missing("claims", "what the token has to say, such as { sub = \"…\" }");
            }
            Some(IdentityConfig::AwsIam(_)) if arn.is_empty() => section.missing("arn", patterns),
            Some(IdentityConfig::Jwt(_)) if section.had("arn") => {
                section.conflict("arn", "only for a provider of kind = \"aws_iam\"");
            }
            Some(IdentityConfig::AwsIam(_)) if !claims.is_empty() => {
                section.conflict("claims", "only for a provider of kind = \"jwt\"");
            }
            _ => {}
        }
        Some(Self { provider, claims, arn })
    }

    pub(super) fn show(&self) -> Shown {
        let arn: Vec<String> = self.arn.iter().map(Pattern::to_string).collect();
        let claims = self
            .claims
            .iter()
            .fold(Shown::new(), |all, (name, pattern)| all.put(name, pattern.to_string()));
        let shown = Shown::new()
            .put("provider", self.provider.as_str())
            .maybe("arn", (!arn.is_empty()).then_some(arn));
        match self.claims.is_empty() {
            true => shown,
            false => shown.section("claims", claims),
        }
    }
}
