//! A link to a server that can be cut in two ways.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of what is sent over the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// It arrives.
    Up,
    /// It vanishes, and nobody is told: a black hole.
    Swallows,
    /// Connections end, and new ones end at once.
    Down,
    /// The next connection on which this text is sent ends before it arrives; then it is up again.
    EndsAt(&'static str),
}

/// A port in front of a server's.
pub(crate) struct Relay {
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    link: Arc<watch::Sender<Link>>,
}

impl Relay {
    /// To a port of this machine; it works until its runtime ends.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let link = Arc::new(watch::Sender::new(Link::Up));
        let state = link.clone();
        #[allow(clippy::disallowed_methods, reason = "it ends with its test")]
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, port, state.clone()));
            }
        });
        Self { port: own, link }
    }

    /// Makes the link this from now on.
    pub(crate) fn set(&self, link: Link) {
        self.link.send_replace(link);
    }

    /// Has the next connection on which this text is sent end before it arrives.
    pub(crate) fn end_at(&self, text: &'static str) {
        self.set(Link::EndsAt(text));
    }

    /// Waits until it has.
    pub(crate) async fn ended(&self) {
        let mut link = self.link.subscribe();
        let ended = link.wait_for(|link| *link == Link::Up);
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), ended).await;
        ended.expect("the text was never sent").expect("the link");
    }
}

async fn serve(client: TcpStream, port: u16, link: Arc<watch::Sender<Link>>) {
    if *link.borrow() == Link::Down {
        return;
    }
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let down = link.subscribe();
    tokio::select! {
        () = copy(from_client, to_server, &link) => {}
        () = copy(from_server, to_client, &link) => {}
        () = is_down(down) => {}
    }
}

async fn is_down(mut link: watch::Receiver<Link>) {
    let down = link.wait_for(|link| *link == Link::Down).await.is_ok();
    if !down {
        std::future::pending::<()>().await;
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, link: &watch::Sender<Link>) {
    let mut buffer = [0; 16 << 10];
    // What was swallowed once breaks the rest of the connection, too.
    let mut broken = false;
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            if broken {
                // An end, too, vanishes.
                std::future::pending::<()>().await;
            }
            return;
        };
        let sent = &buffer[..length];
        let ends = link.send_if_modified(|link| {
            let Link::EndsAt(text) = *link else { return false };
            let ends = sent.windows(text.len()).any(|part| part == text.as_bytes());
            if ends {
                *link = Link::Up;
            }
            ends
        });
        if ends {
            return;
        }
        broken |= *link.borrow() == Link::Swallows;
        if !broken && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
