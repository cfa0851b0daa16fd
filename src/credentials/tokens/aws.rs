//! Tokens that are requests to AWS' Security Token Service: "who am I?", signed by the client for a
//! few minutes. Millpond sends the request in the client's place; whom AWS answers about has signed
//! it. Kubernetes clusters in AWS know their clients in the same way.
//!
//! What is sent is not what the client says but what is left of it once nothing else is possible:
//! this one question, to this service.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

mod request;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::{ACCEPT, HeaderName};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Semaphore;

pub(super) use self::request::is_request;
use self::request::{HEADER, Request};
use super::TokenError;
use crate::config::AwsIamConfig;
use crate::net::http::{HttpClient, HttpRequest};

/// How long the service may take for its answer.
const LIMIT: Duration = Duration::from_secs(3);
/// How many questions are under way at a time.
const AT_A_TIME: usize = 16;
/// How many answers are remembered.
const MOST: usize = 10_000;
/// The longest answer, in bytes.
const LONGEST_ANSWER: usize = 16 * 1024;

/// AWS, as far as it says who somebody is.
#[derive(Debug)]
pub struct AwsIam {
    config: AwsIamConfig,
    client: HttpClient,
    turns: Semaphore,
    /// What is known of tokens, by keyed hashes of them, until they expire.
    known: Mutex<HashMap<[u64; 2], Known>>,
    hashers: [RandomState; 2],
}

#[derive(Debug)]
struct Known {
    arn: Arc<str>,
    /// Seconds since 1970.
    until: u64,
}

impl AwsIam {
    pub(super) fn new(config: AwsIamConfig, client: HttpClient) -> Self {
        Self {
            config,
            client,
            turns: Semaphore::new(AT_A_TIME),
            known: Mutex::default(),
            hashers: Default::default(),
        }
    }

    /// Whose token it is.
    ///
    /// Cancel safe.
    pub(super) async fn verify(&self, token: &str) -> Result<Arc<str>, TokenError> {
        let now = seconds();
        let request = Request::read(token, &self.config, now)?;
        let hash = [0, 1].map(|index: usize| self.hashers[index].hash_one(token));
        if let Some(arn) = self.recall(&hash, now) {
            return Ok(arn);
        }
        let asking = async {
            // It is never closed.
            let _turn = self.turns.acquire().await;
            self.recall(&hash, now).map_or_else(|| Err(()), Ok)
        };
        if let Ok(arn) = asking.await {
            return Ok(arn);
        }
        let arn = self.ask(&request).await?;
        self.remember(hash, Known { arn: arn.clone(), until: request.expires }, now);
        Ok(arn)
    }

    async fn ask(&self, request: &Request) -> Result<Arc<str>, TokenError> {
        let _turn = self.turns.acquire().await;
        let mut question = HttpRequest::get(request.url.clone())
            .at_most(LONGEST_ANSWER)
            .with(ACCEPT, "application/json")?;
        if let Some(audience) = &self.config.audience {
            question = question.with(HeaderName::from_static(HEADER), audience)?;
        }
        let answer = self.client.send(question, LIMIT).await?;
        match answer.status.as_u16() {
            200 => arn(&answer.body).ok_or_else(|| TokenError::Answer("no ARN in it".into())),
            // Expired, or signed by keys that are no more, or for another audience.
            status @ 400..=499 => Err(TokenError::Invalid(format!("AWS says {status}"))),
            status => Err(TokenError::Answer(format!("status {status}"))),
        }
    }

    fn recall(&self, hash: &[u64; 2], now: u64) -> Option<Arc<str>> {
        let known = self.known.lock();
        known.get(hash).filter(|known| now < known.until).map(|known| known.arn.clone())
    }

    fn remember(&self, hash: [u64; 2], found: Known, now: u64) {
        let mut known = self.known.lock();
        if known.len() >= MOST {
            known.retain(|_, known| now < known.until);
        }
        if known.len() >= MOST {
            // It is a help, not a truth.
            known.clear();
        }
        known.insert(hash, found);
    }
}

/// Reads a request and looks at what would be sent.
pub(super) fn fuzz(text: &str) {
    let config = AwsIamConfig { endpoint: None, audience: None, ca: None };
    // 2026-11-26, as in the seeds.
    if let Ok(request) = Request::read(text, &config, 1_795_709_760) {
        let url = request.url.expose();
        assert!(url.starts_with("https://sts"), "{url}");
        assert!(request.url.host().contains("amazonaws.com"), "{url}");
        assert_eq!(url.matches("Action=").count(), 1, "{url}");
        assert!(url.contains("/?Action=GetCallerIdentity&Version=2011-06-15&"), "{url}");
    }
}

/// Seconds since 1970, by the clock that tokens are dated by.
fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The ARN in an answer, which is JSON or, where a service knows nothing else, XML.
fn arn(answer: &[u8]) -> Option<Arc<str>> {
    let text = std::str::from_utf8(answer).ok()?;
    let arn = match serde_json::from_str::<Value>(text) {
        Ok(json) => {
            let path = "/GetCallerIdentityResponse/GetCallerIdentityResult/Arn";
            json.pointer(path)?.as_str()?.to_owned()
        }
        Err(_) => {
            let (_, rest) = text.split_once("<Arn>")?;
            let (arn, rest) = rest.split_once("</Arn>")?;
            (!rest.contains("<Arn>")).then(|| arn.to_owned())?
        }
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/-_.@=+,".contains(&byte);
    let right = arn.starts_with("arn:") && arn.len() <= 2_048 && arn.bytes().all(plain);
    right.then(|| arn.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_one_arn() {
        let json = br#"{"GetCallerIdentityResponse":{"GetCallerIdentityResult":
            {"Account":"1","Arn":"arn:aws:sts::1:assumed-role/orders/i-1","UserId":"A:i-1"}}}"#;
        let xml = b"<GetCallerIdentityResponse><GetCallerIdentityResult>\
            <Arn>arn:aws:sts::1:assumed-role/orders/i-1</Arn></GetCallerIdentityResult>";
        for answer in [&json[..], xml] {
            assert_eq!(arn(answer).as_deref(), Some("arn:aws:sts::1:assumed-role/orders/i-1"));
        }
        for answer in [
            &b""[..],
            b"{}",
            b"<Arn>arn:aws:iam::1:user/a</Arn><Arn>arn:aws:iam::1:user/b</Arn>",
            b"<Arn>arn:aws:iam::1:user/a&lt;</Arn>",
            b"<Arn></Arn>",
            b"\xFF<Arn>arn:aws:iam::1:user/a</Arn>",
        ] {
            assert_eq!(arn(answer), None, "{}", answer.escape_ascii());
        }
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded_and_ends() {
        let config = AwsIamConfig { endpoint: None, audience: None, ca: None };
        let aws = AwsIam::new(config, HttpClient::system());
        for index in 0..MOST as u64 + 5 {
            aws.remember([index, 0], Known { arn: "arn:".into(), until: 100 }, 50);
        }
        assert!(aws.known.lock().len() <= MOST);
        let last = [MOST as u64 + 4, 0];
        assert!(aws.recall(&last, 99).is_some());
        assert!(aws.recall(&last, 100).is_none());
    }
}
