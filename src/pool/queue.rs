//! Who waits for a connection, and since when.

use super::{AcquireError, Pool};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

/// The borrowers that wait, in the order of their coming.
///
/// They are mostly served in that order, so that what is taken out is nearly always in front; a
/// place left in the middle is cleared when all before it are gone.
#[derive(Debug, Default)]
pub(in crate::pool) struct Queue {
    places: VecDeque<Option<Instant>>,
    /// The number of the first place.
    first: u64,
}

impl Queue {
    /// Since when the borrower that has waited longest waits.
    pub(in crate::pool) fn oldest(&self) -> Option<Instant> {
        self.places.front().copied().flatten()
    }

    /// Adds one; its number takes it out again.
    fn enter(&mut self, since: Instant) -> u64 {
        self.places.push_back(Some(since));
        self.first + self.places.len() as u64 - 1
    }

    fn leave(&mut self, number: u64) {
        let Some(place) = self.places.get_mut((number - self.first) as usize) else { return };
        *place = None;
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
    }
}

/// A place among the waiting; leaving it is dropping it.
pub(in crate::pool) struct Waiting<'a> {
    pool: &'a Pool,
    /// `None` for a borrower that was refused, and never stood in the queue.
    number: Option<u64>,
}

impl<'a> Waiting<'a> {
    /// Joins the queue.
    ///
    /// # Errors
    ///
    /// [`AcquireError::QueueFull`] when there is no place.
    pub(in crate::pool) fn enter(pool: &'a Pool) -> Result<Self, AcquireError> {
        let before = pool.waiting.fetch_add(1, Ordering::SeqCst);
        let mut place = Self { pool, number: None };
        if before >= pool.settings().max_waiting {
            return Err(AcquireError::QueueFull);
        }
        place.number = Some(pool.queue.lock().enter(Instant::now()));
        pool.metrics.waiting.inc();
        Ok(place)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_found_whoever_leaves_first() {
        let at = Instant::now();
        let later = |seconds| at + std::time::Duration::from_secs(seconds);
        let mut queue = Queue::default();
        let numbers: Vec<_> = (0..4).map(|i| queue.enter(later(i))).collect();
        queue.leave(numbers[1]);
        assert_eq!(queue.oldest(), Some(later(0)));
        queue.leave(numbers[0]);
        assert_eq!(queue.oldest(), Some(later(2)));
        queue.leave(numbers[3]);
        queue.leave(numbers[2]);
        assert_eq!(queue.oldest(), None);
        let again = queue.enter(later(9));
        assert_eq!(queue.oldest(), Some(later(9)));
        queue.leave(again);
        assert_eq!(queue.oldest(), None);
    }
}
