//! A web service whose answers a test writes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

/// What a page answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    /// The status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// How long it takes.
    pub(crate) delay: Duration,
}

impl Page {
    /// It is there.
    pub(crate) fn found(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), delay: Duration::ZERO }
    }

    /// It is not as it should be.
    pub(crate) fn broken(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

/// A running service. Its thread ends with the test's process.
#[derive(Clone)]
pub(crate) struct Web {
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    pages: Arc<Mutex<HashMap<String, Page>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// Starts one without pages.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let web = Self { port, pages: Arc::default(), asked: Arc::default() };
        let serving = web.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (serving, stream) = (serving.clone(), stream.expect("a client"));
                thread::spawn(move || serving.answer(stream));
            }
        });
        web
    }

    /// From now on the page at this path answers so.
    pub(crate) fn put(&self, path: &str, page: Page) {
        self.pages.lock().insert(path.to_owned(), page);
    }

    /// What it was asked so far: first lines and headers of each request.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }

    fn answer(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let target = head.split(' ').nth(1)?.to_owned();
        self.asked.lock().push(head);
        let path = target.split('?').next()?;
        let page = self.pages.lock().get(path).cloned();
        let Page { status, body, delay } = page.unwrap_or(Page::broken(404));
        thread::sleep(delay);
        let mut stream = stream;
        write!(stream, "HTTP/1.1 {status} -\r\nContent-Length: {}\r\n\r\n", body.len()).ok()?;
        stream.write_all(&body).ok()?;
        // Until the client has gone.
        let _ = reader.read(&mut [0; 1]);
        Some(())
    }
}
