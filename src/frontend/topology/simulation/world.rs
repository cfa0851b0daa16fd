//! Servers that do as they are told, and what must be true whatever they do.

use super::super::*;
use super::{SERVERS, SESSIONS};
use crate::backend::control::ControlError;
use crate::backend::login::LoginError;
use crate::failover::probe::{Asking, Connecting, Prober, Questioned};
use crate::failover::verdict::{Answer, Claim};
use std::collections::HashMap;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What a server does at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Writes,
    Reads,
    /// It is not there: connections to it break, and none can be opened.
    Gone,
    /// It takes connections and says nothing.
    Hangs,
    /// It writes, and takes about as long for each answer as anybody waits.
    Crawls,
}

/// All that is true, and all that must be.
#[derive(Debug)]
pub(super) struct World {
    pub(super) doing: watch::Sender<[Doing; SERVERS as usize]>,
    /// Statements that each session has run.
    pub(super) run: Mutex<[u64; SESSIONS]>,
    /// Since when a server must not be used any more.
    pub(super) fenced: Mutex<HashMap<ServerId, Instant>>,
    /// The writer of each epoch.
    pub(super) writers: Mutex<HashMap<u64, ServerId>>,
    /// How many probes are to panic over what they hear next.
    pub(super) panics: AtomicU32,
    /// Of this schedule.
    pub(super) seed: u64,
}

impl World {
    /// Where the first server writes, and the others read.
    pub(super) fn new(seed: u64) -> Arc<Self> {
        let first = [Doing::Writes, Doing::Reads, Doing::Reads];
        Arc::new(Self {
            doing: watch::Sender::new(first),
            run: Mutex::default(),
            fenced: Mutex::default(),
            writers: Mutex::default(),
            panics: AtomicU32::new(0),
            seed,
        })
    }

    pub(super) fn doing(&self, server: ServerId) -> Doing {
        self.doing.borrow()[server.0 as usize]
    }

    pub(super) fn set(&self, server: u32, doing: Doing) {
        self.doing.send_modify(|all| all[server as usize] = doing);
    }

    /// Waits until a server ends its connections.
    pub(super) async fn gone(&self, server: ServerId) {
        let mut changes = self.doing.subscribe();
        while self.doing(server) != Doing::Gone {
            changes.changed().await.unwrap();
        }
    }

    /// Somebody sees this.
    pub(super) fn seen(&self, snapshot: &Snapshot) {
        let Writer::Confirmed(writer) = snapshot.writer else { return };
        let known = *self.writers.lock().entry(snapshot.epoch).or_insert(writer);
        assert_eq!(known, writer, "two writers in epoch {}, seed {}", snapshot.epoch, self.seed);
        let mut fenced = self.fenced.lock();
        fenced.remove(&writer);
        for server in snapshot.servers.iter().filter(|server| server.id != writer) {
            fenced.entry(server.id).or_insert_with(Instant::now);
        }
    }
}

/// As long as an answer takes of a server that crawls.
pub(super) fn crawl() -> Duration {
    Duration::from_millis(fastrand::u64(300..700))
}

/// A probe's connection.
pub(super) struct Scripted(Arc<World>, ServerId);

impl Questioned for Scripted {
    fn ask(&mut self) -> Asking<'_> {
        Box::pin(async move {
            sleep(Duration::from_micros(fastrand::u64(100..4_000))).await;
            let claim = match self.0.doing(self.1) {
                Doing::Writes => Claim::Writer,
                Doing::Reads => Claim::Reader,
                Doing::Gone => {
                    let closed = crate::net::link::LinkError::Closed;
                    return Err(ControlError::Link(closed));
                }
                Doing::Hangs => pending().await,
                Doing::Crawls => {
                    sleep(crawl()).await;
                    Claim::Writer
                }
            };
            let panics = &self.0.panics;
            let less = |left: u32| left.checked_sub(1);
            assert!(panics.fetch_update(Relaxed, Relaxed, less).is_err(), "on purpose");
            Ok(Answer { claim, lag: None }.into())
        })
    }

    fn ended(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.gone(self.1))
    }
}

#[derive(Debug)]
pub(super) struct Script(pub(super) Arc<World>);

impl Prober for Script {
    fn connect(&self, server: &ServerState) -> Connecting {
        let (world, server) = (self.0.clone(), server.id);
        Box::pin(async move {
            match world.doing(server) {
                Doing::Gone => Err(LoginError::Io(io::ErrorKind::ConnectionRefused.into())),
                Doing::Hangs => pending().await,
                _ => Ok(Box::new(Scripted(world, server)) as Box<dyn Questioned>),
            }
        })
    }
}
