//! Threads for work that would hold up those that serve clients.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// A fixed number of threads. A clone is another handle of the same.
///
/// It is a runtime of its own and not a queue of closures: a login computes and waits for its client
/// in turn, and does both here. Sockets stay with the runtime that opened them.
#[derive(Clone, Debug)]
pub struct Workers(Arc<Threads>);

#[derive(Debug)]
struct Threads {
    handle: Handle,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

/// The work panicked, or the threads are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work did not come to its end")]
pub struct Unfinished;

impl Workers {
    /// Starts `threads` threads of this name; at least one.
    ///
    /// # Errors
    ///
    /// When the system has no room for them.
    pub fn start(name: &str, threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name(name)
            .enable_all()
            .build()?;
        Ok(Self(Arc::new(Threads { handle: runtime.handle().clone(), runtime: Some(runtime) })))
    }

    /// Runs `work` there.
    ///
    /// Cancel safe: the work is dropped at its next wait.
    ///
    /// # Errors
    ///
    /// When it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Unfinished> {
        let mut working = Working(self.0.handle.spawn(work));
        (&mut working.0).await.map_err(|_| Unfinished)
    }
}

/// Work that ends when nobody waits for it any more.
struct Working<T>(JoinHandle<T>);

impl<T> Drop for Working<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // The last handle may be dropped by a task, which must not wait for threads.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn work_is_done_on_threads_of_its_own() {
        let workers = Workers::start("logins", 2).unwrap();
        let name = workers.run(async { std::thread::current().name().map(str::to_owned) }).await;
        assert_eq!(name, Ok(Some("logins".to_owned())));
        assert_eq!(workers.run(async { panic!("on purpose") }).await, Err::<(), _>(Unfinished));
        assert_eq!(workers.run(async { 7 }).await, Ok(7), "a panic takes no thread with it");
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_ends() {
        let workers = Workers::start("logins", 1).unwrap();
        let (alive, ended) = oneshot::channel::<()>();
        let work = async move {
            let _alive = alive;
            pending::<()>().await;
        };
        let given_up = tokio::time::timeout(std::time::Duration::from_millis(1), workers.run(work));
        assert!(given_up.await.is_err());
        assert!(ended.await.is_err(), "it was dropped");
    }
}
