//! Events that are posted to a web service.

use super::load::{settings, table};
use crate::support::millpond::Millpond;
use crate::support::servers;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// A web service that takes what it is sent, but not the first time.
#[derive(Default)]
struct Taken {
    events: Vec<Value>,
    requests: Vec<String>,
}

async fn serve(listener: TcpListener, taken: Arc<Mutex<Taken>>) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        let body = loop {
            let mut part = [0; 4_096];
            let length = stream.read(&mut part).await.expect("a request");
            request.extend_from_slice(&part[..length]);
            let text = String::from_utf8(request.clone()).expect("text");
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if announced.expect("a length").parse() == Ok(body.len()) {
                break body.to_owned();
            }
        };
        let mut taken = taken.lock().await;
        taken.requests.push(String::from_utf8(request).expect("text"));
        let status = match taken.requests.len() {
            1 => "503 Not now",
            _ => {
                let told: Value = serde_json::from_str(&body).expect("JSON");
                taken.events.extend(told["events"].as_array().expect("events").clone());
                "204 Thanks"
            }
        };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.expect("to answer");
    }
}

#[test]
fn events_are_posted_until_they_are_taken_and_the_secret_is_nowhere_else() {
    servers::each_pair(async |pair| {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let taken = Arc::new(Mutex::new(Taken::default()));
        tokio::spawn(serve(listener, taken.clone()));
        let mut settings = settings(pair);
        settings.other = format!(
            "[events]\nwebhook = \"http://127.0.0.1:{port}/hook/sesame\"\n\
             webhook_authorization = \"Bearer simsim\"\n"
        );
        let millpond = Millpond::start(&pair.writer, &settings);
        table(pair, &millpond).await;
        pair.writer.kill();
        pair.promote().await;
        let promoted = |events: &[Value]| events.iter().any(|e| e["reason"] == "promoted");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !promoted(&taken.lock().await.events) {
            assert!(Instant::now() < deadline, "{}", millpond.log());
            sleep(Duration::from_millis(50)).await;
        }
        let page: Value =
            serde_json::from_str(&millpond.page("/events")).expect("what is remembered");
        let remembered = page["events"].as_array().expect("events");
        let taken = taken.lock().await;
        // Each once, in order, from the first one on, although the first request was refused.
        assert_eq!(taken.events[..], remembered[..taken.events.len()]);
        for request in &taken.requests {
            assert!(request.starts_with("POST /hook/sesame HTTP/1.1\r\n"), "{request}");
            assert!(request.contains("authorization: Bearer simsim\r\n"), "{request}");
        }
        let metrics = millpond.page("/metrics");
        assert!(metrics.contains("millpond_webhook_posts_total{outcome=\"failed\"} 1"));
        for told in [metrics, millpond.log(), millpond.page("/status")] {
            assert!(!told.contains("sesame") && !told.contains("simsim"), "{told}");
        }
    });
}
