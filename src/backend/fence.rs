//! How whoever waits for a connection hears that its server was given up.
//!
//! A connection is used by one task at a time, and each statement waits for an answer: there is one
//! place to wait for each connection, and no list that all connections share.

use atomic_waker::AtomicWaker;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;

/// The fence of one connection.
#[derive(Debug, Clone, Default)]
pub struct Fence(Arc<Post>);

#[derive(Debug, Default)]
struct Post {
    closed: AtomicBool,
    waiting: AtomicWaker,
}

/// The fences of all connections that are given up together.
#[derive(Debug, Default)]
pub struct Fences(Mutex<Posts>);

#[derive(Debug, Default)]
struct Posts {
    closed: bool,
    all: Vec<Weak<Post>>,
}

impl Fence {
    /// Waits until the server is given up. Only the task that uses the connection may.
    ///
    /// Cancel safe.
    pub async fn closed(&self) {
        poll_fn(|context| {
            if self.0.closed.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            self.0.waiting.register(context.waker());
            // Closed meanwhile, it may have found nobody to wake.
            if self.0.closed.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Post {
    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.waiting.wake();
    }
}

impl Fences {
    /// A fence for a new connection.
    pub fn enclose(&self) -> Fence {
        let fence = Fence::default();
        let mut posts = self.0.lock();
        if posts.closed {
            fence.0.close();
        } else {
            posts.all.retain(|post| post.strong_count() > 0);
            posts.all.push(Arc::downgrade(&fence.0));
        }
        fence
    }

    /// Closes all fences, and those that are still to come.
    pub fn close(&self) {
        let all = {
            let mut posts = self.0.lock();
            posts.closed = true;
            std::mem::take(&mut posts.all)
        };
        for post in all.iter().filter_map(Weak::upgrade) {
            post.close();
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test's tasks end with it")]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn all_who_wait_hear_of_it_and_those_who_come_later() {
        let fences = Fences::default();
        let (one, other) = (fences.enclose(), fences.enclose());
        assert!(timeout(Duration::from_millis(5), one.closed()).await.is_err());
        let waiting = tokio::spawn(async move { one.closed().await });
        tokio::task::yield_now().await;
        fences.close();
        waiting.await.unwrap();
        other.closed().await;
        fences.enclose().closed().await;
    }
}
