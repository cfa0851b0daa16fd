//! How much of the readers' work a server gets that was away: little at first, and none for a while
//! when it comes and goes. Nothing but values and moments.
//!
//! ```text
//!            down           up, slow_start over
//!  all of it ────▶ away ────▶ a growing share ────▶ all of it
//!                   │                 ▲
//!                   └─▶ held out ─────┘
//!    the flap_limit-th time     flap_hold, twice as long each further time
//!    within flap_window
//! ```
//!
//! This is about who reads. There is one writer at most, and holding that one out would help
//! nobody; only where several could write, as in a Galera cluster, one that is held out comes last.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// The longest time for which a server is held out.
const LONGEST_HOLD: Duration = Duration::from_secs(600);

/// A server's part in the readers' work, in percent of what it gets when all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u8);

impl Share {
    /// As much as any other.
    pub const FULL: Self = Self(100);
    /// Nothing, as long as there is another.
    pub const NONE: Self = Self(0);

    /// So many percent, at most 100.
    pub fn of_percent(percent: u8) -> Self {
        Self(percent.min(100))
    }

    /// In percent.
    pub fn percent(self) -> u8 {
        self.0
    }
}

/// How servers come back. The default has them back at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoverySettings {
    /// Over how long the share grows; `None`: not at all.
    pub slow_start: Option<Duration>,
    /// From how many failures within the window on a server is held out; 0: never.
    pub flap_limit: usize,
    /// In which failures count together.
    pub flap_window: Duration,
    /// For how long a server is held out at first.
    pub flap_hold: Duration,
}

/// What is remembered of one server.
#[derive(Debug, Clone, Default)]
pub(super) struct Recovery {
    /// When it went down, the latest last; no more than count.
    downs: VecDeque<Instant>,
    held_until: Option<Instant>,
    /// How often it was held out without having been calm in between.
    holds: u32,
    /// Since when it is back.
    back: Option<Instant>,
}

impl Recovery {
    /// It answered before, and does not any more.
    pub(super) fn went_down(&mut self, now: Instant, settings: &RecoverySettings) {
        self.back = None;
        if settings.flap_limit == 0 {
            return;
        }
        let last = self.held_until.max(self.downs.back().copied());
        if last.is_some_and(|last| now.saturating_duration_since(last) >= settings.flap_window) {
            (self.holds, self.held_until) = (0, None);
        }
        self.downs.push_back(now);
        let counts = |down: &Instant| now.saturating_duration_since(*down) < settings.flap_window;
        self.downs.retain(counts);
        while self.downs.len() > settings.flap_limit {
            self.downs.pop_front();
        }
        if self.downs.len() == settings.flap_limit {
            let hold = settings.flap_hold.saturating_mul(1 << self.holds.min(16));
            self.held_until = Some(now + hold.min(LONGEST_HOLD));
            self.holds += 1;
        }
    }

    /// It answers again, or for the first time.
    pub(super) fn came_up(&mut self, now: Instant) {
        self.back = Some(now);
    }

    /// What it gets now.
    pub(super) fn share(&self, now: Instant, settings: &RecoverySettings) -> Share {
        if self.held_until.is_some_and(|until| now < until) {
            return Share::NONE;
        }
        // A hold ends with a slow start, too.
        let (Some(back), Some(whole)) = (self.back, settings.slow_start) else {
            return Share::FULL;
        };
        let since = now.saturating_duration_since(self.held_until.map_or(back, |u| u.max(back)));
        // In tenths: whoever reads elsewhere looks again with each step.
        let tenth = (since.as_secs_f64() / whole.as_secs_f64() * 10.0).floor().min(9.0);
        match since >= whole {
            true => Share::FULL,
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 9")]
            false => Share(10 * (1 + tenth as u8)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn settings() -> RecoverySettings {
        RecoverySettings {
            slow_start: Some(10 * SECOND),
            flap_limit: 3,
            flap_window: 60 * SECOND,
            flap_hold: 20 * SECOND,
        }
    }

    /// A server that goes down at these seconds, each time for half a second.
    fn flapping(start: Instant, downs: &[u32]) -> Recovery {
        let mut server = Recovery::default();
        for at in downs {
            server.went_down(start + *at * SECOND, &settings());
            server.came_up(start + *at * SECOND + SECOND / 2);
        }
        server
    }

    /// Its share so many half seconds after the start.
    fn shares(server: &Recovery, start: Instant, halves: &[u32]) -> Vec<u8> {
        let at = |halves: &u32| start + *halves * SECOND / 2;
        halves.iter().map(|h| server.share(at(h), &settings()).percent()).collect()
    }

    #[test]
    fn a_server_that_was_never_away_has_all_and_one_that_was_gets_it_back_by_steps() {
        let start = Instant::now();
        assert_eq!(Recovery::default().share(start, &settings()), Share::FULL);
        let server = flapping(start, &[0]);
        assert_eq!(shares(&server, start, &[1, 2, 3, 11, 20, 21]), [10, 10, 20, 60, 100, 100]);
        let at_once = RecoverySettings { slow_start: None, ..settings() };
        assert_eq!(server.share(start + SECOND, &at_once), Share::FULL);
    }

    #[test]
    fn one_that_comes_and_goes_is_held_out_for_longer_each_time() {
        let start = Instant::now();
        let twice = flapping(start, &[0, 5]);
        assert_eq!(shares(&twice, start, &[12]), [10]);
        let thrice = flapping(start, &[0, 5, 10]);
        // Until 30 s, and a slow start after that.
        assert_eq!(shares(&thrice, start, &[22, 59, 60, 79, 80]), [0, 0, 10, 100, 100]);
        let again = flapping(start, &[0, 5, 10, 31]);
        assert_eq!(shares(&again, start, &[2 * 70, 2 * 71]), [0, 10], "40 s");
        let fifth = flapping(start, &[0, 5, 10, 31, 35]);
        assert_eq!(shares(&fifth, start, &[2 * 114, 2 * 115]), [0, 10], "80 s");
    }

    #[test]
    fn who_was_calm_for_the_window_begins_anew() {
        let start = Instant::now();
        let apart = flapping(start, &[0, 61, 122]);
        assert_eq!(shares(&apart, start, &[2 * 133]), [100]);
        // Held until 30, calm until 90.
        let later = flapping(start, &[0, 5, 10, 91, 92, 93]);
        assert_eq!(shares(&later, start, &[2 * 112, 2 * 113]), [0, 10], "20 s as at first");
    }

    #[test]
    fn a_hold_has_an_end_however_often_it_fails() {
        let start = Instant::now();
        let downs: Vec<u32> = (0..200).collect();
        let server = flapping(start, &downs);
        let end = start + 199 * SECOND + LONGEST_HOLD;
        assert_eq!(server.share(end - SECOND, &settings()), Share::NONE);
        assert_eq!(server.share(end, &settings()).percent(), 10);
        let never = RecoverySettings { flap_limit: 0, ..settings() };
        let mut undamped = Recovery::default();
        for at in 0..200 {
            undamped.went_down(start + at * SECOND, &never);
        }
        assert_eq!(undamped.share(start + 200 * SECOND, &never), Share::FULL);
    }
}
