//! How many connections a pool has, as the metrics know it.

use parking_lot::Mutex;
use prometheus::IntGauge;

/// What connections do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Occupation {
    /// Run a statement, or are kept by a session.
    Borrowed,
    /// Left with a session, and to be had by whoever needs one.
    Deposited,
    /// Nothing.
    Idle,
}

impl Occupation {
    /// All of them, in alphabetical order.
    pub const ALL: [Self; 3] = [Self::Borrowed, Self::Deposited, Self::Idle];

    /// The label in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Borrowed => "borrowed",
            Self::Deposited => "deposited",
            Self::Idle => "idle",
        }
    }
}

/// One pool's part in gauges that it shares with other pools; dropping it takes that part back.
#[derive(Debug)]
pub struct Census {
    gauges: [IntGauge; 3],
    told: Mutex<[i64; 3]>,
}

impl Census {
    /// A part of nothing, in the order of [`Occupation::ALL`].
    pub fn new(gauges: [IntGauge; 3]) -> Self {
        Self { gauges, told: Mutex::default() }
    }

    /// The pool has this many now.
    pub fn tell(&self, counts: Counts) {
        let borrowed = counts.open.saturating_sub(counts.idle).saturating_sub(counts.deposited);
        let now = [borrowed, counts.deposited, counts.idle];
        self.are(now.map(|n| i64::try_from(n).unwrap_or(i64::MAX)));
    }

    fn are(&self, now: [i64; 3]) {
        let mut told = self.told.lock();
        for ((gauge, told), now) in self.gauges.iter().zip(told.iter_mut()).zip(now) {
            gauge.add(now - *told);
            *told = now;
        }
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        self.are([0; 3]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_share_gauges_and_take_back_their_part() {
        let gauges = ["a", "b", "c"].map(|name| IntGauge::new(name, "help").unwrap());
        let (one, other) = (Census::new(gauges.clone()), Census::new(gauges.clone()));
        one.tell(Counts { open: 5, idle: 2, deposited: 1, waiting: 0 });
        other.tell(Counts { open: 3, idle: 3, deposited: 0, waiting: 0 });
        assert_eq!(gauges.each_ref().map(IntGauge::get), [2, 1, 5]);
        one.tell(Counts { open: 5, idle: 5, deposited: 0, waiting: 0 });
        drop(other);
        assert_eq!(gauges.each_ref().map(IntGauge::get), [0, 0, 5]);
    }
}

/// A moment of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Connections to the server.
    pub open: usize,
    /// Connections that anybody may have.
    pub idle: usize,
    /// Connections left with their sessions.
    pub deposited: usize,
    /// Borrowers that wait.
    pub waiting: usize,
}
