//! A web service on this machine for the tests of stores: it answers as it is told, and remembers
//! what it was asked.
#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Occasion, SecretStore, StoreError, VersionedSecret};
use crate::config::{Config, StoreConfig};

/// What was asked: the first line without `HTTP/1.1`, headers in lower case, the body.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) line: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// A status and a body.
    Status(u16, String),
    /// Bytes that are no HTTP.
    Garbage,
    /// Nothing, for longer than anybody waits.
    Silence,
}

/// A good answer.
pub(super) fn ok(body: impl ToString) -> Reply {
    Reply::Status(200, body.to_string())
}

type Answer = Box<dyn Fn(&Asked) -> Reply + Send + Sync>;

pub(super) struct Service {
    pub(super) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Mutex<Arc<Answer>>>,
}

impl Service {
    pub(super) fn new(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer: Arc<Mutex<Arc<Answer>>> = Arc::new(Mutex::new(Arc::new(Box::new(answer))));
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answers, log) = (answer.clone(), asked.clone());
        // They end with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, log) = (answers.clone(), log.clone());
                thread::spawn(move || serve(stream, &answers, &log));
            }
        });
        Self { address, asked, answer }
    }

    /// From now on it answers like this.
    pub(super) fn answers(&self, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        *self.answer.lock() = Arc::new(Box::new(answer));
    }

    /// What it was asked since the last time.
    pub(super) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock())
    }
}

fn serve(stream: TcpStream, answer: &Mutex<Arc<Answer>>, log: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream);
    let Some(asked) = read(&mut reader) else { return };
    log.lock().push(asked.clone());
    let answer = answer.lock().clone();
    let reply = answer(&asked);
    let mut stream = reader.into_inner();
    // Whoever does not listen any more is not to be told.
    let _ = match reply {
        Reply::Garbage => stream.write_all(b"hunter2 \xff\x00 is no HTTP\r\n\r\n"),
        Reply::Silence => {
            thread::sleep(Duration::from_secs(30));
            Ok(())
        }
        Reply::Status(status, body) => {
            let length = body.len();
            write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}")
        }
    };
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let line = line.trim_end().strip_suffix(" HTTP/1.1")?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let mut asked = Asked { line, headers, body: String::new() };
    let length = asked.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    asked.body = String::from_utf8(body).unwrap();
    Some(asked)
}

/// The configuration of the one store in this section.
pub(super) fn configured(section: &str) -> StoreConfig {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    let service = "[services.a]\nlisten = \"127.0.0.1:0\"\nbackend.endpoints = [\"h:1\"]\n\
                   users.a.password = \"x\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[secrets.main]\n";
    std::fs::write(&path, format!("{service}{section}")).unwrap();
    let config = Config::load(&path, []).unwrap_or_else(|error| panic!("{error}"));
    config.secrets["main"].clone()
}

/// Fetches as a matter of routine.
pub(super) async fn fetch(
    store: &impl SecretStore,
    key: &str,
) -> Result<VersionedSecret, StoreError> {
    store.fetch(key, Occasion::Routine).await
}

/// What every store behind HTTP says of a service that fails, and that it says nothing of what it
/// was answered. `known` has to be in the store, and whatever the store asks first is answered, too.
pub(super) async fn fails_well(store: &impl SecretStore, service: &Service, known: &str) {
    for (reply, expected, definite) in [
        (Reply::Status(500, "hunter2".into()), "has failed (500)", false),
        (Reply::Status(503, "{\"errors\": [\"hunter2\"]}".into()), "has failed (503)", false),
        (Reply::Status(429, "hunter2".into()), "is asked too often", false),
        (Reply::Garbage, "does not speak HTTP", false),
        (ok("hunter2"), "the answer is not what it should be", false),
        (ok("{\"hunter2\": 1}"), "the answer is not what it should be", false),
    ] {
        let said = reply.clone();
        service.answers(move |_| said.clone());
        let error = fetch(store, known).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{reply:?}: {error}");
        assert_eq!(error.is_definite(), definite, "{reply:?}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    }
}

/// A service that does not answer is given up.
pub(super) async fn gives_up(store: &impl SecretStore, service: &Service, known: &str) {
    service.answers(|_| Reply::Silence);
    let error = fetch(store, known).await.unwrap_err();
    assert!(error.to_string().contains("has not answered in time"), "{error}");
}
