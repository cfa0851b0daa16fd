//! How long to wait before trying again: twice as long each time, and never in step with others.

use std::time::Duration;

/// Growing waits between a shortest and a longest, each lengthened by a random part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    shortest: Duration,
    longest: Duration,
    jitter: f64,
}

/// Why there is no such [`Backoff`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBackoff {
    /// It could grow without end, or is not a number.
    #[error("the jitter must be from 0 to 1")]
    Jitter,
    /// There is nothing between them.
    #[error("the longest wait must be at least the shortest")]
    Order,
    /// It would try again and again without a pause.
    #[error("the shortest wait must be more than nothing")]
    Zero,
}

impl Backoff {
    /// Waits from `shortest` to `longest`, each longer by a random part of up to `jitter` (0 to 1)
    /// of itself. The jitter may go beyond `longest`, or all would meet there.
    pub fn try_new(
        shortest: Duration,
        longest: Duration,
        jitter: f64,
    ) -> Result<Self, InvalidBackoff> {
        if shortest.is_zero() {
            return Err(InvalidBackoff::Zero);
        }
        if longest < shortest {
            return Err(InvalidBackoff::Order);
        }
        if !(0.0..=1.0).contains(&jitter) {
            return Err(InvalidBackoff::Jitter);
        }
        Ok(Self { shortest, longest, jitter })
    }

    /// The waits of one series of tries. It never ends.
    pub fn waits(self, random: fastrand::Rng) -> Waits {
        Waits { backoff: self, next: self.shortest, random }
    }
}

/// The waits of one series of tries; a success ends the series, and the next begins short again.
#[derive(Clone, Debug)]
pub struct Waits {
    backoff: Backoff,
    next: Duration,
    random: fastrand::Rng,
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.backoff.longest);
        Some(wait + wait.mul_f64(self.backoff.jitter * self.random.f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits = Backoff::try_new(SHORT, LONG, 0.0).unwrap().waits(fastrand::Rng::with_seed(1));
        let milliseconds: Vec<_> = waits.take(6).map(|wait| wait.as_millis()).collect();
        assert_eq!(milliseconds, [100, 200, 400, 800, 1_000, 1_000]);
    }

    #[test]
    fn jitter_only_lengthens_and_by_no_more_than_its_part() {
        let waits = Backoff::try_new(SHORT, SHORT, 0.5).unwrap().waits(fastrand::Rng::with_seed(7));
        let waits: Vec<_> = waits.take(1_000).collect();
        assert!(waits.iter().all(|wait| (SHORT..=SHORT * 3 / 2).contains(wait)));
        let late = waits.iter().filter(|wait| **wait > SHORT * 5 / 4).count();
        assert!((400..600).contains(&late), "{late} of 1000 in the upper half");
    }

    #[test]
    fn nonsense_is_refused() {
        let zero = Backoff::try_new(Duration::ZERO, LONG, 0.1);
        assert_eq!(zero, Err(InvalidBackoff::Zero));
        assert_eq!(Backoff::try_new(LONG, SHORT, 0.1), Err(InvalidBackoff::Order));
        for jitter in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Backoff::try_new(SHORT, LONG, jitter), Err(InvalidBackoff::Jitter));
        }
    }

    #[test]
    fn the_longest_possible_wait_does_not_overflow() {
        let backoff = Backoff::try_new(LONG, Duration::MAX / 4, 1.0).unwrap();
        assert!(backoff.waits(fastrand::Rng::with_seed(3)).take(200).all(|wait| wait >= LONG));
    }
}
