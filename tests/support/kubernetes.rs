//! What a vault asks of a cluster of Kubernetes: whether a service account's token is good. The
//! cluster's own API server cannot run here; this answers its `TokenReview` as documented, by the
//! signatures of the tokens that it issued itself.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/>

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::issuer::{Key, now};

/// With what a vault is let ask.
pub(crate) const REVIEWER: &str = "token-of-the-reviewer";
/// Who tokens are for.
pub(crate) const AUDIENCE: &str = "vault";
/// The identity of the one service account, which is `millpond` in the namespace `shop`.
const UID: &str = "5f1c2a34-0d1e-4b57-9b60-6a9f3e1f8c11";

/// A running one. Its threads end with the test's process.
#[derive(Clone)]
pub(crate) struct Kubernetes {
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    cluster: Arc<Cluster>,
}

struct Cluster {
    key: Key,
    /// The names of the tokens that were reviewed and found good.
    taken: Mutex<Vec<String>>,
    /// The names of the tokens that are not good any more.
    ended: Mutex<Vec<String>>,
}

impl Kubernetes {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let key = Key::new("cluster");
        let cluster = Arc::new(Cluster { key, taken: Mutex::default(), ended: Mutex::default() });
        let serving = cluster.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || serving.serve(stream));
            }
        });
        Self { port, cluster }
    }

    /// The service account's token of this name, as the kubelet would mount it.
    pub(crate) fn token(&self, name: &str) -> String {
        self.cluster.key.sign(&json!({
            "iss": "https://kubernetes.default.svc", "aud": [AUDIENCE], "jti": name,
            "iat": now(), "exp": now() + 3_600,
            "sub": "system:serviceaccount:shop:millpond",
            "kubernetes.io": {
                "namespace": "shop",
                "serviceaccount": { "name": "millpond", "uid": UID },
            },
        }))
    }

    /// The names of the tokens that were found good, one for each question.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.cluster.taken.lock().clone()
    }

    /// This token is not good any more, as when it has expired or its pod is gone.
    pub(crate) fn end(&self, name: &str) {
        self.cluster.ended.lock().push(name.to_owned());
    }
}

impl Cluster {
    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if stream.read_line(&mut head).ok()? == 0 {
                    return None;
                }
            }
            let header = |name: &str| {
                head.lines().find_map(|line| {
                    let (known, value) = line.split_once(':')?;
                    known.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
                })
            };
            let length = header("content-length")?.parse().ok()?;
            let mut body = vec![0; length];
            stream.read_exact(&mut body).ok()?;
            let (status, answer) = if !head.starts_with(REVIEW) {
                (404, json!({ "kind": "Status", "status": "Failure", "code": 404 }))
            } else if header("authorization") != Some(format!("Bearer {REVIEWER}")) {
                (401, json!({ "kind": "Status", "status": "Failure", "code": 401 }))
            } else {
                (201, self.review(&serde_json::from_slice(&body).ok()?))
            };
            let answer = answer.to_string();
            let length = answer.len();
            let kind = "application/json";
            write!(
                stream.get_mut(),
                "HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n\
                 {answer}"
            )
            .ok()?;
        }
    }

    fn review(&self, asked: &Value) -> Value {
        let token = asked["spec"]["token"].as_str().unwrap_or_default();
        let claims = self.key.verified(token, AUDIENCE);
        let name = claims.as_ref().and_then(|claims| claims["jti"].as_str()).unwrap_or_default();
        let good = claims.is_some() && !self.ended.lock().iter().any(|ended| ended == name);
        let status = if good {
            self.taken.lock().push(name.to_owned());
            json!({
                "authenticated": true,
                "audiences": [AUDIENCE],
                "user": {
                    "username": "system:serviceaccount:shop:millpond",
                    "uid": UID,
                    "groups": ["system:serviceaccounts", "system:serviceaccounts:shop"],
                },
            })
        } else {
            json!({ "authenticated": false, "error": "the token is invalid or has expired" })
        };
        json!({ "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": status })
    }
}

const REVIEW: &str = "POST /apis/authentication.k8s.io/v1/tokenreviews ";
