//! Tasks with a name, an owner, a stop signal and a law for their death.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Before a task that panicked is begun again: one that panics each time must not do so in a flood.
const PAUSE: Duration = Duration::from_millis(100);

/// What the end of a task means before it was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// It may end at any time: a client's connection.
    Mortal,
    /// Nothing works without it: its end, or its panic, is reported by [`Tasks::death`].
    Vital,
}

/// A vital task that ended without being told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Death {
    /// It returned.
    #[error("the task \"{0}\" ended by itself")]
    Ended(&'static str),
    /// It panicked, or was aborted.
    #[error("the task \"{0}\" panicked")]
    Panicked(&'static str),
}

/// Names of tasks that did not end in time, with how many there are of each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Unterminated(BTreeMap<&'static str, usize>);

impl fmt::Display for Unterminated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tasks that did not end:")?;
        for (index, (name, count)) in self.0.iter().enumerate() {
            write!(f, "{} {count} × \"{name}\"", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// A group of tasks that stop together. A clone is another handle of the same group.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<Group>);

#[derive(Debug, Default)]
struct Group {
    tracker: TaskTracker,
    stop: CancellationToken,
    running: Mutex<BTreeMap<&'static str, usize>>,
    death: watch::Sender<Option<Death>>,
}

impl Tasks {
    /// A group without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` as a task of the current runtime until it ends. It is expected to end soon
    /// after [`Tasks::stop_signal`] was given.
    pub fn spawn(
        &self,
        name: &'static str,
        law: Law,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let entry = Entry::new(self, name, law);
        self.0.tracker.spawn(async move {
            future.await;
            entry.end();
        })
    }

    /// Runs what `begin` gives until it returns or the tasks are told to stop. Should it panic, it is
    /// begun again a moment later: whoever depends on it waits, and nobody else notices.
    pub fn keep<F>(
        &self,
        name: &'static str,
        mut begin: impl FnMut() -> F + Send + 'static,
    ) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = self.clone();
        // What dies here is what runs in it, so that this one lives on.
        self.spawn(name, Law::Mortal, async move {
            while let Err(death) = tasks.spawn(name, Law::Mortal, begin()).await {
                if !death.is_panic() {
                    return;
                }
                tracing::error!(task = name, "a task panicked; it is begun again");
                let pause = tokio::time::sleep(PAUSE);
                if tasks.stop_signal().run_until_cancelled(pause).await.is_none() {
                    return;
                }
            }
        })
    }

    /// What tells the tasks to stop: they select on it, or hand it down.
    pub fn stop_signal(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// How many tasks run.
    pub fn count(&self) -> usize {
        self.0.tracker.len()
    }

    /// The first death of a vital task; waits until there is one. Cancel safe.
    pub async fn death(&self) -> Death {
        let mut deaths = self.0.death.subscribe();
        loop {
            if let Some(death) = *deaths.borrow_and_update() {
                return death;
            }
            // This handle holds a sender, so there will be a change or a wait for ever.
            if deaths.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Tells all tasks to stop and waits until they have, at most `patience`. Those that have not
    /// are named; they go on until the runtime ends. Cancel safe: it may be called again.
    pub async fn drain(&self, patience: Duration) -> Result<(), Unterminated> {
        self.0.stop.cancel();
        self.0.tracker.close();
        tokio::time::timeout(patience, self.0.tracker.wait())
            .await
            .map_err(|_| Unterminated(self.0.running.lock().clone()))
    }
}

/// The place of one running task in the register.
struct Entry {
    name: &'static str,
    law: Law,
    /// What its end is, should it come now.
    death: Death,
    tasks: Tasks,
}

impl Entry {
    fn new(tasks: &Tasks, name: &'static str, law: Law) -> Self {
        *tasks.0.running.lock().entry(name).or_default() += 1;
        Self { name, law, death: Death::Panicked(name), tasks: tasks.clone() }
    }

    /// The task has returned.
    fn end(mut self) {
        self.death = Death::Ended(self.name);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut running = self.tasks.0.running.lock();
        if let Some(count) = running.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                running.remove(self.name);
            }
        }
        drop(running);
        if self.law == Law::Vital && !self.tasks.0.stop.is_cancelled() {
            self.tasks.0.death.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert(self.death);
                is_first
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn tasks_that_stop_are_waited_for() {
        let tasks = Tasks::new();
        for _ in 0..3 {
            let stop = tasks.stop_signal().clone();
            tasks.spawn("serve", Law::Mortal, async move { stop.cancelled().await });
        }
        tokio::task::yield_now().await;
        assert_eq!(tasks.count(), 3);
        assert_eq!(tasks.drain(SECOND).await, Ok(()));
        assert_eq!(tasks.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_do_not_stop_are_named() {
        let tasks = Tasks::new();
        tasks.spawn("deaf", Law::Mortal, pending());
        tasks.spawn("deaf", Law::Mortal, pending());
        tasks.spawn("blind", Law::Vital, pending());
        tasks.spawn("quick", Law::Mortal, async {});
        let unterminated = tasks.drain(SECOND).await.unwrap_err();
        let expected = "tasks that did not end: 1 × \"blind\", 2 × \"deaf\"";
        assert_eq!(unterminated.to_string(), expected);
    }

    #[tokio::test]
    async fn the_death_of_a_vital_task_is_reported() {
        let tasks = Tasks::new();
        tasks.spawn("client", Law::Mortal, async {});
        tasks.spawn("listener", Law::Vital, async {});
        assert_eq!(tasks.death().await, Death::Ended("listener"));
        tasks.spawn("later", Law::Vital, async {});
        tokio::task::yield_now().await;
        assert_eq!(tasks.death().await, Death::Ended("listener"), "the first counts");
    }

    #[tokio::test]
    async fn a_panic_is_a_death_too() {
        let tasks = Tasks::new();
        let handle = tasks.spawn("upkeep", Law::Vital, async { panic!("on purpose") });
        assert_eq!(tasks.death().await, Death::Panicked("upkeep"));
        assert!(handle.await.unwrap_err().is_panic());
        assert_eq!(tasks.drain(SECOND).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_is_kept_is_begun_again_when_it_panics_and_only_then() {
        let tasks = Tasks::new();
        let mut begun = 0;
        let kept = tasks.keep("supervisor", move || {
            begun += 1;
            async move { assert!(begun == 3, "on purpose") }
        });
        kept.await.unwrap();
        let begun = Arc::new(AtomicU32::new(0));
        let counted = begun.clone();
        tasks.keep("probe", move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async { panic!("on purpose") }
        });
        tokio::time::sleep(PAUSE + PAUSE / 2).await;
        assert_eq!(tasks.drain(SECOND).await, Ok(()));
        assert_eq!(*tasks.0.death.borrow(), None);
        assert_eq!(begun.load(Ordering::Relaxed), 2, "not any more once it was told to stop");
    }

    #[tokio::test]
    async fn a_vital_task_may_end_once_it_was_told_to() {
        let tasks = Tasks::new();
        let stop = tasks.stop_signal().clone();
        tasks.spawn("listener", Law::Vital, async move { stop.cancelled().await });
        assert_eq!(tasks.drain(SECOND).await, Ok(()));
        assert_eq!(*tasks.0.death.borrow(), None);
    }
}
