//! Who waits for a connection, and since when.

use super::{AcquireError, Pool};
use crate::runtime::Law;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How much later than it should a borrower may be told that it has waited long enough. In return,
/// waiting takes no timer: most borrowers wait for less than a millisecond.
const TICK: Duration = Duration::from_millis(10);
/// After how many ticks without a borrower nobody looks at the clock any more.
const QUIET: u32 = 100;

/// The borrowers that wait, in the order of their coming.
///
/// They are mostly served in that order, so that what is taken out is nearly always in front; a
/// place left in the middle is cleared when all before it are gone.
#[derive(Debug, Default)]
pub(in crate::pool) struct Queue {
    places: VecDeque<Option<Place>>,
    /// The number of the first place.
    first: u64,
    /// Nobody's time is over before this moment.
    soonest: Option<Instant>,
    /// Whether somebody looks at the clock.
    watched: bool,
}

#[derive(Debug)]
struct Place {
    since: Instant,
    deadline: Instant,
    late: bool,
    waker: Option<Waker>,
}

impl Queue {
    /// Since when the borrower that has waited longest waits.
    pub(in crate::pool) fn oldest(&self) -> Option<Instant> {
        self.places.front()?.as_ref().map(|place| place.since)
    }

    /// Adds one; its number takes it out again.
    fn enter(&mut self, since: Instant, deadline: Instant) -> u64 {
        self.soonest = Some(self.soonest.map_or(deadline, |soonest| soonest.min(deadline)));
        self.places.push_back(Some(Place { since, deadline, late: false, waker: None }));
        self.first + self.places.len() as u64 - 1
    }

    fn place(&mut self, number: u64) -> Option<&mut Option<Place>> {
        self.places.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn leave(&mut self, number: u64) {
        let Some(place) = self.place(number) else { return };
        *place = None;
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
    }

    /// Those whose time is over by `now`, and who have not been told.
    fn late(&mut self, now: Instant) -> Vec<Waker> {
        if self.soonest.is_none_or(|soonest| soonest > now) {
            return Vec::new();
        }
        let mut wakers = Vec::new();
        for place in self.places.iter_mut().flatten().filter(|place| place.deadline <= now) {
            place.late = true;
            wakers.extend(place.waker.take());
        }
        let waiting = self.places.iter().flatten().filter(|place| !place.late);
        self.soonest = waiting.map(|place| place.deadline).min();
        wakers
    }
}

/// A place among the waiting; leaving it is dropping it.
pub(in crate::pool) struct Waiting<'a> {
    pool: &'a Pool,
    /// `None` for a borrower that was refused, and never stood in the queue.
    number: Option<u64>,
}

impl<'a> Waiting<'a> {
    /// Joins the queue at `now`, at most until `deadline`.
    ///
    /// # Errors
    ///
    /// [`AcquireError::QueueFull`] when there is no place.
    pub(in crate::pool) fn enter(
        pool: &'a Arc<Pool>,
        now: Instant,
        deadline: Instant,
    ) -> Result<Self, AcquireError> {
        let before = pool.waiting.fetch_add(1, Ordering::SeqCst);
        let mut place = Self { pool, number: None };
        if before >= pool.settings().max_waiting {
            return Err(AcquireError::QueueFull);
        }
        let unwatched = {
            let mut queue = pool.queue.lock();
            place.number = Some(queue.enter(now, deadline));
            !std::mem::replace(&mut queue.watched, true)
        };
        if unwatched {
            let watching = watch(pool.clone());
            pool.tasks.spawn("watching the time of those who wait", Law::Mortal, watching);
        }
        pool.metrics.waiting.inc();
        Ok(place)
    }

    /// Waits until the deadline, or a little longer.
    ///
    /// Cancel safe.
    pub(in crate::pool) async fn late(&self) {
        poll_fn(|context| {
            let mut queue = self.pool.queue.lock();
            let place = self.number.and_then(|number| queue.place(number)?.as_mut());
            let Some(place) = place.filter(|place| !place.late) else { return Poll::Ready(()) };
            if !place.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                place.waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pool.waiting.fetch_sub(1, Ordering::SeqCst);
        if let Some(number) = self.number {
            self.pool.queue.lock().leave(number);
            self.pool.metrics.waiting.dec();
        }
    }
}

impl Pool {
    /// What a borrower is told that has waited in vain.
    pub(in crate::pool) fn in_vain(&self) -> AcquireError {
        match self.settings().user_limit {
            Some(limit) if self.bounds.allowance.is_spent() => {
                AcquireError::UserLimit { user: self.key.user.clone(), limit }
            }
            _ => AcquireError::BorrowTimeout,
        }
    }
}

/// Wakes those who have waited long enough, as long as there are any who wait.
async fn watch(pool: Arc<Pool>) {
    let mut quiet = 0;
    loop {
        sleep(TICK).await;
        let late = {
            let mut queue = pool.queue.lock();
            quiet = if queue.places.is_empty() { quiet + 1 } else { 0 };
            let stopping = quiet > 0 && pool.tasks.stop_signal().is_cancelled();
            if quiet >= QUIET || stopping {
                queue.watched = false;
                return;
            }
            queue.late(Instant::now())
        };
        late.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_found_whoever_leaves_first() {
        let at = Instant::now();
        let later = |seconds| at + std::time::Duration::from_secs(seconds);
        let mut queue = Queue::default();
        let numbers: Vec<_> = (0..4).map(|i| queue.enter(later(i), later(99))).collect();
        queue.leave(numbers[1]);
        assert_eq!(queue.oldest(), Some(later(0)));
        queue.leave(numbers[0]);
        assert_eq!(queue.oldest(), Some(later(2)));
        queue.leave(numbers[3]);
        queue.leave(numbers[2]);
        assert_eq!(queue.oldest(), None);
        let again = queue.enter(later(9), later(99));
        assert_eq!(queue.oldest(), Some(later(9)));
        queue.leave(again);
        assert_eq!(queue.oldest(), None);
    }
    #[test]
    fn those_whose_time_is_over_are_told_once_and_in_any_order() {
        let at = Instant::now();
        let later = |seconds| at + Duration::from_secs(seconds);
        let mut queue = Queue::default();
        let slow = queue.enter(at, later(9));
        let quick = queue.enter(at, later(2));
        for number in [slow, quick] {
            queue.place(number).unwrap().as_mut().unwrap().waker = Some(Waker::noop().clone());
        }
        assert_eq!(queue.late(later(1)).len(), 0);
        assert_eq!(queue.late(later(2)).len(), 1);
        let late = |queue: &mut Queue, number| queue.place(number).unwrap().as_ref().unwrap().late;
        assert!(late(&mut queue, quick) && !late(&mut queue, slow));
        assert_eq!(queue.soonest, Some(later(9)));
        queue.leave(quick);
        assert_eq!(queue.late(later(8)).len(), 0);
        assert_eq!(queue.late(later(10)).len(), 1);
        assert_eq!(queue.soonest, None);
    }
}
