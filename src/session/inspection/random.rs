//! The random numbers of a MariaDB session.
//!
//! A session's `rand_seed1` and `rand_seed2` are never told, and setting them as `@@rand_seed1` is
//! not reported (measured). But each number that `RAND()` gives is the whole of one half of its
//! state, so that two of them tell it. A state that does not follow from the one before was set.

/// `RAND()` counts modulo this.
const MODULUS: u64 = 0x3FFF_FFFF;
/// How many numbers may have been taken between two looks: more are not followed.
const MOST_DRAWS: u32 = 1 << 20;

/// The state between two numbers in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomState {
    first: u64,
    second: u64,
}

impl RandomState {
    /// From two numbers that were taken in a row, as texts; `None` if they are none.
    pub fn between(numbers: [Option<&[u8]>; 2]) -> Option<Self> {
        let half = |number: Option<&[u8]>| {
            let number: f64 = std::str::from_utf8(number?).ok()?.parse().ok()?;
            // Exact: a number has 53 bits, and this has 30.
            (0.0..=1.0).contains(&number).then(|| (number * MODULUS as f64).round() as u64)
        };
        let [one, two] = [half(numbers[0])? % MODULUS, half(numbers[1])? % MODULUS];
        Some(Self { first: one, second: (two + 3 * (MODULUS - one)) % MODULUS })
    }

    /// Says that the two numbers are the next ones again.
    pub fn put_back(self) -> Vec<u8> {
        let Self { first, second } = self.before();
        format!("SET @@SESSION.rand_seed1={first},@@SESSION.rand_seed2={second}").into_bytes()
    }

    /// A state that this one follows. There are three, which all go on alike.
    fn before(self) -> Self {
        let second = (self.second + 2 * MODULUS - self.first - 33) % MODULUS;
        // The modulus is a multiple of 3, so this is one, too.
        Self { first: (self.first + MODULUS - second) % MODULUS / 3, second }
    }

    /// Whether `later` is what this becomes when numbers are taken, and nothing else happens.
    pub fn leads_to(self, later: Self) -> bool {
        let mut state = self;
        for _ in 0..MOST_DRAWS {
            if state == later {
                return true;
            }
            state = state.next();
        }
        false
    }

    fn next(self) -> Self {
        let first = (3 * self.first + self.second) % MODULUS;
        Self { first, second: (first + self.second + 33) % MODULUS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four numbers in a row of MariaDB 10.11.
    const NUMBERS: [&[u8]; 4] = [
        b"0.08324008163366474",
        b"0.5395194129455084",
        b"0.44787685056019283",
        b"0.6208260446980838",
    ];

    fn between(one: &[u8], two: &[u8]) -> RandomState {
        RandomState::between([Some(one), Some(two)]).unwrap()
    }

    #[test]
    fn numbers_in_a_row_follow_from_each_other() {
        let early = between(NUMBERS[0], NUMBERS[1]);
        let late = between(NUMBERS[2], NUMBERS[3]);
        assert!(early.leads_to(late));
        assert_eq!(early.next(), between(NUMBERS[1], NUMBERS[2]));
    }

    #[test]
    fn numbers_are_put_back() {
        let state = between(NUMBERS[1], NUMBERS[2]);
        assert_eq!(state.before().next(), state);
        for (first, second) in [(5, 6), (0, 0), (MODULUS - 1, 1)] {
            let taken = RandomState { first, second }.next();
            assert_eq!(taken.before().next(), taken);
        }
    }

    #[test]
    fn other_seeds_are_noticed() {
        let early = between(NUMBERS[0], NUMBERS[1]);
        assert!(!early.leads_to(RandomState { first: 5, ..early }));
        assert!(!between(NUMBERS[2], NUMBERS[3]).leads_to(early));
    }

    #[test]
    fn what_is_no_number_tells_nothing() {
        for wrong in [None, Some(&b"x"[..]), Some(b"2"), Some(b"-0.5"), Some(b"NaN")] {
            assert_eq!(RandomState::between([Some(NUMBERS[0]), wrong]), None);
        }
    }
}
