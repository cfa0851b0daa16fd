//! Floor 3: tasks that have a name and an owner, signals, the log.

pub mod signals;
pub mod tracing;

use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of one process. Each has a name, for the log; all are waited for at the end; one that
/// panics takes nothing with it but what it owned.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Starts a task. It should end soon after [`Self::stopping`] does.
    #[allow(clippy::disallowed_methods, reason = "the one place where tasks are started")]
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let watched = self.tracker.spawn(future);
        self.tracker.spawn(async move {
            if let Err(error) = watched.await
                && error.is_panic()
            {
                ::tracing::error!(task = name, "a task panicked");
            }
        });
    }

    /// Starts a task that nobody waits for one by one: a client's. Cheaper than [`Self::spawn`].
    pub fn spawn_client(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(future);
    }

    /// Runs a task to its end even if the returned future is dropped. `None` when it panicked.
    pub fn run<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        name: &'static str,
        future: F,
    ) -> impl Future<Output = Option<T>> + use<T, F> {
        let handle = self.tracker.spawn(future);
        async move {
            match handle.await {
                Ok(value) => Some(value),
                Err(_) => {
                    ::tracing::error!(task = name, "a task panicked");
                    None
                }
            }
        }
    }

    /// Resolves when the process begins to stop.
    pub fn stopping(&self) -> impl Future<Output = ()> + use<> {
        let stop = self.stop.clone();
        async move { stop.cancelled().await }
    }

    /// Whether the process has begun to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells all tasks to stop, and waits for them. False when some did not end in time.
    pub async fn stop(&self, limit: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(limit, self.tracker.wait()).await.is_ok()
    }
}
