//! One task for each server: asks it again and again, on a connection of its own.

use super::roster::Finding;
use super::snapshot::{ServerId, ServerState};
use crate::backend::control::ControlError;
use crate::backend::login::LoginError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// A future in a box: what a [`Prober`] returns.
pub type Connecting = Pin<Box<dyn Future<Output = Result<Box<dyn Questioned>, LoginError>> + Send>>;

/// A future in a box: what a server says of itself.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Finding, ControlError>> + Send + 'a>>;

/// A connection on which one server is asked.
pub trait Questioned: Send {
    /// Asks what the server is.
    ///
    /// Not cancel safe: a connection on which this was interrupted must be dropped.
    fn ask(&mut self) -> Asking<'_>;

    /// Waits until the server ends the connection.
    ///
    /// Cancel safe.
    fn ended(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Opens connections for probes. Given by whoever knows how to log in.
pub trait Prober: Send + Sync + fmt::Debug {
    /// Begins to connect to a server. The caller sets a limit.
    fn connect(&self, server: &ServerState) -> Connecting;
}

/// How often a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// All is well.
    Calm,
    /// Something is not: as often as makes sense.
    Alert,
    /// Not at all, and without a connection: nobody needs the server.
    Asleep,
}

/// How probes go about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSettings {
    /// Between two questions when all is well.
    pub calm: Duration,
    /// Between two questions in doubt.
    pub alert: Duration,
    /// How long a server may take to answer, connecting included.
    pub limit: Duration,
}

/// What a probe sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sight {
    /// The server answered what it was asked at that moment.
    Answered(Finding, Instant),
    /// It could not be reached, or did not answer in time.
    Failed,
    /// It ended the connection.
    Lost,
}

/// The probe of one server.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    pub server: ServerState,
    pub prober: Arc<dyn Prober>,
    pub settings: ProbeSettings,
    pub pace: watch::Receiver<Pace>,
    pub at_once: Arc<Notify>,
    /// Given when the server does not belong to the service any more.
    pub over: CancellationToken,
    pub seen: mpsc::Sender<(ServerId, Sight)>,
    /// Questions without an answer, one after another.
    pub failures: u32,
    /// The last one panicked over this server's answer, or over its not coming.
    pub died: bool,
}

impl Probe {
    /// Asks until nobody listens, or the server is given up.
    pub(super) async fn run(self) {
        let over = self.over.clone();
        tokio::select! {
            () = over.cancelled() => {}
            () = self.ask_on() => {}
        }
    }

    async fn ask_on(mut self) {
        let mut connection = None;
        if self.died && self.seen.send((self.server.id, Sight::Failed)).await.is_err() {
            return;
        }
        loop {
            let asked = timeout(self.settings.limit, self.ask(connection.take())).await;
            let sight = match asked {
                Ok(Ok((kept, answer, at))) => {
                    connection = Some(kept);
                    Sight::Answered(answer, at)
                }
                Ok(Err(error)) => {
                    if self.failures == 0 {
                        tracing::warn!(server = self.server.name(), %error, "a probe failed");
                    }
                    Sight::Failed
                }
                Err(_) => {
                    if self.failures == 0 {
                        tracing::warn!(
                            server = self.server.name(),
                            "a probe got no answer in time"
                        );
                    }
                    Sight::Failed
                }
            };
            self.failures = match sight {
                Sight::Failed => (self.failures + 1).min(1_000),
                _ => 0,
            };
            if self.seen.send((self.server.id, sight)).await.is_err() {
                return;
            }
            if self.rest(&mut connection).await.is_err() {
                return;
            }
        }
    }

    async fn ask(
        &self,
        connection: Option<Box<dyn Questioned>>,
    ) -> Result<(Box<dyn Questioned>, Finding, Instant), ProbeError> {
        let mut connection = match connection {
            Some(connection) => connection,
            None => self.prober.connect(&self.server).await?,
        };
        let asked = Instant::now();
        let answer = connection.ask().await?;
        Ok((connection, answer, asked))
    }

    /// Waits for the next question: its time, a wish, or the end of the connection, which is the
    /// first sign of a server that dies.
    async fn rest(&mut self, connection: &mut Option<Box<dyn Questioned>>) -> Result<(), ()> {
        let pace = *self.pace.borrow_and_update();
        let pause = match pace {
            Pace::Asleep => {
                *connection = None;
                let awake = self.pace.wait_for(|pace| *pace != Pace::Asleep).await;
                return awake.map(drop).map_err(drop);
            }
            Pace::Calm => self.settings.calm.mul_f64(0.9 + 0.2 * fastrand::f64()),
            // Who is away for long is not asked ever so often.
            Pace::Alert => self.settings.alert.mul_f64(1.0 + f64::from(self.failures) / 25.0),
        };
        let lost = async {
            match connection {
                Some(connection) => connection.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = sleep(pause) => Ok(()),
            () = self.at_once.notified() => Ok(()),
            changed = self.pace.changed() => changed.map_err(|_| ()),
            () = lost => {
                *connection = None;
                self.seen.send((self.server.id, Sight::Lost)).await.map_err(|_| ())
            }
        }
    }
}

/// Why a probe was not answered.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error(transparent)]
    Control(#[from] ControlError),
}
