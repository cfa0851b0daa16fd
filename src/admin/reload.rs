//! Asking for the configuration to be read again.

use tokio::sync::{mpsc, oneshot};

/// How many may ask at a time; they are answered one after another.
const MOST: usize = 16;

/// What came of a reload. Both are full keys, such as `services.orders.max_clients`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// What is in force now and was not before.
    pub changed: Vec<String>,
    /// What is otherwise in the configuration, but can only change by a restart.
    pub needs_restart: Vec<String>,
}

/// Why everything stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReloaded {
    /// The configuration is wrong, or something that it names can't be had.
    #[error("nothing was changed: configuration refused\n{0}")]
    Refused(String),
    /// Millpond is stopping, or not serving yet.
    #[error("nothing was changed: Millpond is stopping")]
    Stopping,
}

/// Where the outcome goes.
type Answer = oneshot::Sender<Result<Reloaded, NotReloaded>>;

/// Those who ask.
pub type ReloadRequests = mpsc::Receiver<Option<Answer>>;

/// Asks for reloads.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<Option<Answer>>);

impl Reloads {
    /// Both ends.
    pub fn channel() -> (Self, ReloadRequests) {
        let (sender, requests) = mpsc::channel(MOST);
        (Self(sender), requests)
    }

    /// Asks for one; the log tells what came of it.
    pub fn request(&self) {
        // With so many asked for already, one more would find nothing new.
        let _ = self.0.try_send(None);
    }

    /// Asks for one and waits for what comes of it.
    ///
    /// Cancel safe: one that was asked for is done all the same.
    ///
    /// # Errors
    ///
    /// See [`NotReloaded`].
    pub async fn ask(&self) -> Result<Reloaded, NotReloaded> {
        let (answer, outcome) = oneshot::channel();
        let sent = self.0.send(Some(answer)).await;
        sent.map_err(|_| NotReloaded::Stopping)?;
        outcome.await.unwrap_or(Err(NotReloaded::Stopping))
    }
}
