use std::fs;

use hyper::header::AUTHORIZATION;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::{CertificateFiles, FrontTls, FrontTlsMode};

const LIMIT: Duration = Duration::from_secs(20);

/// Answers one connection with `answer`, in plain or in TLS, and gives back what was asked. The
/// connection stays open until the client closes it, so that nothing ends by its end.
async fn serve(listener: TcpListener, tls: Option<&FrontTls>, answer: &[u8]) -> Vec<u8> {
    let (tcp, _) = listener.accept().await.unwrap();
    let mut stream = match tls {
        None => Stream::Plain(tcp),
        Some(tls) => {
            let acceptor = tls::acceptor(tls).unwrap().unwrap();
            match tls::accept(&acceptor, tcp, bytes::BytesMut::new()).await {
                Ok(stream) => stream,
                Err(_) => return Vec::new(),
            }
        }
    };
    let mut asked = vec![0; 4_096];
    let length = stream.read(&mut asked).await.unwrap();
    asked.truncate(length);
    stream.write_all(answer).await.unwrap();
    stream.flush().await.unwrap();
    let _ = stream.read(&mut [0; 16]).await;
    asked
}

async fn ask(
    answer: &[u8],
    limit: Duration,
    most: usize,
) -> (Vec<u8>, Result<HttpResponse, HttpError>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a%2Fb?c=d", listener.local_addr().unwrap());
    let request = HttpRequest::post(url.parse().unwrap(), "body of hunter2")
        .with(AUTHORIZATION, "Bearer hunter3")
        .unwrap()
        .at_most(most);
    assert!(!format!("{request:?}").contains("hunter"), "{request:?}");
    let client = HttpClient { tls: None };
    tokio::join!(serve(listener, None, answer), client.send(request, limit))
}

#[tokio::test]
async fn an_answer_is_read_whatever_its_form_and_status() {
    for answer in [
        &b"HTTP/1.1 403 No\r\nContent-Length: 7\r\nX-Y: z\r\n\r\nhunter4"[..],
        b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\nX-Y: z\r\n\r\n4\r\nhunt\r\n3\r\ner4\r\n0\r\n\r\n",
    ] {
        let (asked, answer) = ask(answer, LIMIT, 7).await;
        let asked = String::from_utf8(asked).unwrap();
        assert!(asked.starts_with("POST /a%2Fb?c=d HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("authorization: Bearer hunter3\r\n"), "{asked}");
        assert!(asked.contains("content-length: 15\r\n"), "{asked}");
        assert!(asked.contains("host: 127.0.0.1:"), "{asked}");
        let answer = answer.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (403, &b"hunter4"[..]));
        assert_eq!(answer.headers["x-y"], "z");
        assert!(!format!("{answer:?}").contains("hunter"), "{answer:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_without_what_came() {
    let huge = [&b"HTTP/1.1 200 OK\r\nX: "[..], &vec![b'x'; 100_000]].concat();
    for (answer, expected) in [
        (&b"hunter2 what?\r\n\r\n"[..], "it does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhunter44", "more than 7 bytes"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhunter44\r\n0\r\n\r\n",
            "more than 7 bytes",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: hunter4\r\n\r\n", "it does not speak HTTP"),
        (&huge, "it does not speak HTTP"),
    ] {
        let error = ask(answer, LIMIT, 7).await.1.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    }
    for silent in
        [&b""[..], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nh"]
    {
        let error = ask(silent, Duration::from_millis(50), 7).await.1.unwrap_err();
        assert!(matches!(error, HttpError::Timeout), "{error:?}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let request = HttpRequest::get(format!("http://{closed}/").parse().unwrap());
    let error = HttpClient { tls: None }.send(request, LIMIT).await.unwrap_err();
    assert!(matches!(error, HttpError::Connect(_)), "{error:?}");
    let request = HttpRequest::get(format!("http://{closed}/").parse().unwrap());
    assert!(matches!(request.with(AUTHORIZATION, "a\nb"), Err(HttpError::Request)));
}

#[tokio::test]
async fn only_a_service_that_is_trusted_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut params = rcgen::CertificateParams::new([]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = rcgen::CertifiedIssuer::self_signed(params, key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    fs::write(at("ca.pem"), authority.pem()).unwrap();
    fs::write(at("cert.pem"), leaf.signed_by(&key, &authority).unwrap().pem()).unwrap();
    fs::write(at("key.pem"), key.serialize_pem()).unwrap();
    let identity = Some(CertificateFiles { certificate: at("cert.pem"), key: at("key.pem") });
    let tls = FrontTls { mode: FrontTlsMode::Preferred, identity, client_ca: None };
    let answer = b"HTTP/1.1 204 Nothing\r\n\r\n";

    let ask = async |client: HttpClient, host: &str| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("https://{host}:{port}/").parse().unwrap();
        tokio::join!(serve(listener, Some(&tls), answer), client.send(HttpRequest::get(url), LIMIT))
            .1
    };
    let trusting = HttpClient::trusting(&at("ca.pem")).unwrap();
    assert_eq!(ask(trusting.clone(), "localhost").await.unwrap().status, StatusCode::NO_CONTENT);
    let other_name = ask(trusting, "127.0.0.1").await.unwrap_err();
    assert!(matches!(other_name, HttpError::Tls(_)), "{other_name:?}");
    let system = ask(HttpClient::system(), "localhost").await.unwrap_err();
    assert!(matches!(system, HttpError::Tls(_) | HttpError::NoAuthorities), "{system:?}");
    assert!(HttpClient::trusting(&at("none.pem")).is_err());
}
