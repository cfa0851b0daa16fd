//! The client's request, looked at until nothing but the one question is possible. No I/O.

use super::TokenError;
use crate::config::{AwsIamConfig, HttpUrl, escaped};

/// The header by which a client signs for whom its token is.
pub(super) const HEADER: &str = "x-millpond-audience";
/// What clusters in AWS put in front of the request in base64.
const OF_CLUSTERS: &str = "k8s-aws-v1.";
/// The longest that a request may be valid, in seconds.
const LONGEST: u64 = 900;
/// How far the client's clock may be ahead, in seconds.
const AHEAD: u64 = 300;

/// A request that asks AWS who has signed it.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    /// What to ask for.
    pub(super) url: HttpUrl,
    /// Until when it is valid, in seconds since 1970.
    pub(super) expires: u64,
}

/// Whether a text can be such a request.
pub(crate) fn is_request(text: &str) -> bool {
    ["https://", "http://", OF_CLUSTERS].iter().any(|start| text.starts_with(start))
}

/// What a request has behind the `?`; all are there at most once, and nothing else is.
#[derive(Default)]
struct Parameters {
    action: Option<String>,
    version: Option<String>,
    algorithm: Option<String>,
    credential: Option<String>,
    date: Option<String>,
    expires: Option<String>,
    signed_headers: Option<String>,
    signature: Option<String>,
    session: Option<String>,
}

impl Request {
    /// `now` is in seconds since 1970.
    pub(super) fn read(token: &str, config: &AwsIamConfig, now: u64) -> Result<Self, TokenError> {
        let decoded = match token.strip_prefix(OF_CLUSTERS) {
            Some(encoded) => Some(base64url(encoded).ok_or(TokenError::Form("its base64"))?),
            None => None,
        };
        let text = decoded.as_deref().unwrap_or(token);
        let url: HttpUrl = text.parse().map_err(|_| TokenError::Form("no address"))?;
        check_service(&url, config)?;
        if !matches!(url.path(), "" | "/") {
            return Err(TokenError::Form("its path is not /"));
        }
        let query = text.split_once('?').map_or("", |(_, query)| query);
        let parameters = Parameters::read(query)?;
        let expires = parameters.check(config, now)?;
        // Written anew, so that it says to the service what was understood of it here.
        let origin = text.split(['?']).next().unwrap_or_default().trim_end_matches('/');
        let url = format!("{origin}/?{}", parameters.written());
        let url = url.parse().map_err(|_| TokenError::Form("no address"))?;
        Ok(Self { url, expires })
    }
}

/// Whether the request goes to a service whose answer is believed.
fn check_service(url: &HttpUrl, config: &AwsIamConfig) -> Result<(), TokenError> {
    match &config.endpoint {
        Some(endpoint) => {
            let same = url.is_encrypted() == endpoint.is_encrypted()
                && url.host().eq_ignore_ascii_case(endpoint.host())
                && url.port() == endpoint.port();
            match same {
                true => Ok(()),
                false => Err(TokenError::Form("it is not for the service of `endpoint`")),
            }
        }
        None if url.is_encrypted() && url.port() == 443 && is_aws(url.host()) => Ok(()),
        None => Err(TokenError::Form("it is not for AWS' service")),
    }
}

/// `sts.amazonaws.com`, and one for each region.
fn is_aws(host: &str) -> bool {
    let region = ["amazonaws.com", "amazonaws.com.cn"].iter().find_map(|domain| {
        let rest = host.strip_suffix(domain)?;
        rest.strip_prefix("sts.").or_else(|| rest.strip_prefix("sts-fips."))
    });
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    region.is_some_and(|region| {
        let name = region.strip_suffix('.').unwrap_or(region);
        region.is_empty() || (!name.is_empty() && name != region && name.bytes().all(letter))
    })
}

impl Parameters {
    fn read(query: &str) -> Result<Self, TokenError> {
        let mut parameters = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').ok_or(TokenError::Form("a parameter"))?;
            let name = unescaped(name).ok_or(TokenError::Form("a parameter's name"))?;
            let value = unescaped(value).ok_or(TokenError::Form("a parameter's value"))?;
            let Some(slot) = parameters.slot(&name) else {
                return Err(TokenError::Form("a parameter that it must not have"));
            };
            if slot.replace(value).is_some() {
                return Err(TokenError::Form("a parameter twice"));
            }
        }
        Ok(parameters)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "Action" => &mut self.action,
            "Version" => &mut self.version,
            "X-Amz-Algorithm" => &mut self.algorithm,
            "X-Amz-Credential" => &mut self.credential,
            "X-Amz-Date" => &mut self.date,
            "X-Amz-Expires" => &mut self.expires,
            "X-Amz-SignedHeaders" => &mut self.signed_headers,
            "X-Amz-Signature" => &mut self.signature,
            "X-Amz-Security-Token" => &mut self.session,
            _ => return None,
        })
    }

    /// Gives when it expires.
    fn check(&self, config: &AwsIamConfig, now: u64) -> Result<u64, TokenError> {
        for (value, right, what) in [
            (&self.action, "GetCallerIdentity", "its Action"),
            (&self.version, "2011-06-15", "its Version"),
            (&self.algorithm, "AWS4-HMAC-SHA256", "its X-Amz-Algorithm"),
        ] {
            if value.as_deref() != Some(right) {
                return Err(TokenError::Form(what));
            }
        }
        if self.credential.is_none() || self.signature.is_none() {
            return Err(TokenError::Form("it is not signed"));
        }
        let signed: Vec<&str> =
            self.signed_headers.as_deref().unwrap_or_default().split(';').collect();
        let expected: &[&str] = match config.audience {
            Some(_) => &["host", HEADER],
            None => &["host"],
        };
        if signed != expected {
            let what = match config.audience {
                Some(_) => "its signed headers are not `host` and `x-millpond-audience`",
                None => "its signed headers are not `host` alone",
            };
            return Err(TokenError::Form(what));
        }
        let date = self.date.as_deref().and_then(date).ok_or(TokenError::Form("its X-Amz-Date"))?;
        let lasts = self.expires.as_deref().and_then(|text| text.parse::<u64>().ok());
        let lasts = lasts.filter(|lasts| (1..=LONGEST).contains(lasts));
        let lasts = lasts.ok_or(TokenError::Form("its X-Amz-Expires is not from 1 to 900"))?;
        if date > now + AHEAD {
            return Err(TokenError::Invalid("it is dated in the future".into()));
        }
        let expires = date + lasts;
        if now >= expires {
            return Err(TokenError::Invalid("it has expired".into()));
        }
        Ok(expires)
    }

    fn written(&self) -> String {
        let pairs = [
            ("Action", &self.action),
            ("Version", &self.version),
            ("X-Amz-Algorithm", &self.algorithm),
            ("X-Amz-Credential", &self.credential),
            ("X-Amz-Date", &self.date),
            ("X-Amz-Expires", &self.expires),
            ("X-Amz-Security-Token", &self.session),
            ("X-Amz-SignedHeaders", &self.signed_headers),
            ("X-Amz-Signature", &self.signature),
        ];
        let written = pairs.iter().filter_map(|(name, value)| {
            value.as_ref().map(|value| format!("{name}={}", escaped(value)))
        });
        written.collect::<Vec<_>>().join("&")
    }
}

/// `20261126T161500Z` in seconds since 1970.
fn date(text: &str) -> Option<u64> {
    let bytes: &[u8; 16] = text.as_bytes().try_into().ok()?;
    if bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u64> {
        bytes[from..to].iter().try_fold(0, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    let right = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    right.then(|| days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Days from 1970 to a date: Howard Hinnant's `days_from_civil`, for years from 1970 on.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The text of what is escaped by `%`. A `+` is one: nothing here is a form.
fn unescaped(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let (high, low) = (bytes.next()?, bytes.next()?);
                let digit = |byte: u8| char::from(byte).to_digit(16);
                out.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

/// The text of what is in base64 for addresses, with or without its padding.
fn base64url(encoded: &str) -> Option<String> {
    let encoded = encoded.trim_end_matches('=').as_bytes();
    let mut out = Vec::with_capacity(encoded.len() * 3 / 4);
    for group in encoded.chunks(4) {
        let mut bits = 0u32;
        for byte in group {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'-' => 62,
                b'_' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        let bytes = match group.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            _ => return None,
        };
        let aligned = bits << (6 * (4 - group.len()));
        out.extend_from_slice(&aligned.to_be_bytes()[1..=bytes]);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests;
