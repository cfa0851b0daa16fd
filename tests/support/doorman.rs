//! A server that is stopped when nobody is connected, and started when somebody connects, as a
//! socket unit of systemd would, or a serverless database.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::server::Server;

/// For how long nobody has to be connected until the server is stopped.
const IDLE: Duration = Duration::from_millis(300);

/// A port in front of a server that comes and goes.
pub(crate) struct Doorman {
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    door: Arc<Door>,
}

struct Door {
    server: &'static Server,
    connected: AtomicUsize,
    open: AtomicBool,
    /// Starting and stopping exclude each other.
    turning: Mutex<()>,
    /// The server is not stopped any more.
    stays: AtomicBool,
}

impl Doorman {
    /// In front of a server that runs; works until its runtime ends.
    #[allow(clippy::disallowed_methods, reason = "tasks end with their test")]
    pub(crate) async fn before(server: &'static Server) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let door = Arc::new(Door {
            server,
            connected: AtomicUsize::new(0),
            open: AtomicBool::new(true),
            turning: Mutex::default(),
            stays: AtomicBool::new(false),
        });
        let doors = door.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(doors.clone().serve(client));
            }
        });
        tokio::spawn(door.clone().close_when_idle());
        Self { port, door }
    }

    /// Whether the server runs.
    pub(crate) fn is_open(&self) -> bool {
        self.door.open.load(Ordering::SeqCst)
    }

    /// Stops nothing any more; the server runs when this returns.
    pub(crate) async fn leave_open(&self) {
        self.door.stays.store(true, Ordering::SeqCst);
        self.door.open().await;
    }
}

impl Door {
    async fn open(&self) {
        let _turn = self.turning.lock().await;
        if !self.open.load(Ordering::SeqCst) {
            let server = self.server;
            tokio::task::spawn_blocking(move || server.start_again()).await.expect("a start");
            self.open.store(true, Ordering::SeqCst);
        }
    }

    async fn serve(self: Arc<Self>, mut client: TcpStream) {
        self.connected.fetch_add(1, Ordering::SeqCst);
        self.open().await;
        if let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server.port)).await {
            // Whoever ends it.
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
        self.connected.fetch_sub(1, Ordering::SeqCst);
    }

    async fn close_when_idle(self: Arc<Self>) {
        let mut idle = Duration::ZERO;
        let step = IDLE / 6;
        loop {
            sleep(step).await;
            let nobody = self.connected.load(Ordering::SeqCst) == 0;
            idle = if nobody { idle + step } else { Duration::ZERO };
            if idle < IDLE || !self.open.load(Ordering::SeqCst) {
                continue;
            }
            let _turn = self.turning.lock().await;
            if self.connected.load(Ordering::SeqCst) == 0 && !self.stays.load(Ordering::SeqCst) {
                self.open.store(false, Ordering::SeqCst);
                let server = self.server;
                tokio::task::spawn_blocking(move || server.stop()).await.expect("a stop");
            }
        }
    }
}
