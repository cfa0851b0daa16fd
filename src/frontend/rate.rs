//! How often clients come from one address.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use tokio::time::Instant;

/// How many addresses are remembered, each for at most a second: more than can come in one.
const MOST: usize = 65_536;
/// What may come at once is what may come in this time.
const BURST: Duration = Duration::from_secs(1);

/// When clients came from each address lately.
///
/// What is kept for an address is the moment until which what has come from it uses up its share
/// (the virtual scheduling of the generic cell rate algorithm, ITU-T I.371): one number, and
/// worthless once it has passed, so that memory is bounded by what comes in a second.
#[derive(Debug, Default)]
pub struct Rates {
    used_up_to: Mutex<HashMap<IpAddr, Instant>>,
}

impl Rates {
    /// Whether one more may come from an address where so many may come in a second. An IPv6 address
    /// counts together with the others of its /64.
    pub fn admits(&self, address: IpAddr, per_second: u32, now: Instant) -> bool {
        let share = BURST / per_second.max(1);
        let mut known = self.used_up_to.lock();
        let source = source(address);
        if known.len() >= MOST && !known.contains_key(&source) {
            known.retain(|_, used_up_to| *used_up_to > now);
            if known.len() >= MOST {
                return true;
            }
        }
        let used_up_to = known.entry(source).or_insert(now);
        let begins = (*used_up_to).max(now);
        if begins + share > now + BURST {
            return false;
        }
        *used_up_to = begins + share;
        true
    }

    /// Forgets those who have not come lately. To be called about once a second.
    pub fn forget_old(&self, now: Instant) {
        let mut known = self.used_up_to.lock();
        if known.is_empty() {
            return;
        }
        known.retain(|_, used_up_to| *used_up_to > now);
        if known.capacity() > 4 * known.len() + 1_024 {
            known.shrink_to_fit();
        }
    }
}

fn source(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            Ipv6Addr::from(network).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_come_at_once_and_then_one_after_the_other() {
        let rates = Rates::default();
        let comes = |from| rates.admits(address(from), 4, Instant::now());
        assert!((0..4).all(|_| comes("192.0.2.1")));
        assert!(!comes("192.0.2.1"));
        assert!(comes("192.0.2.2"));
        tokio::time::advance(Duration::from_millis(250)).await;
        assert!(comes("192.0.2.1") && !comes("192.0.2.1"));
        // Who was refused has used up nothing.
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(comes("192.0.2.1") && comes("192.0.2.1") && !comes("192.0.2.1"));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!((0..9).filter(|_| comes("192.0.2.1")).count(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_of_one_customer_is_one_address() {
        let rates = Rates::default();
        let now = Instant::now();
        assert!(rates.admits(address("2001:db8:1:2::3"), 1, now));
        assert!(!rates.admits(address("2001:db8:1:2:ffff::4"), 1, now));
        assert!(rates.admits(address("2001:db8:1:3::3"), 1, now));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let rates = Rates::default();
        for number in 0..u32::try_from(MOST).unwrap() + 10 {
            let now = Instant::now();
            assert!(rates.admits(IpAddr::V4(number.into()), 1, now));
        }
        assert_eq!(rates.used_up_to.lock().len(), MOST);
        assert!(!rates.admits(IpAddr::V4(7.into()), 1, Instant::now()));
        tokio::time::advance(Duration::from_secs(2)).await;
        rates.forget_old(Instant::now());
        assert_eq!(rates.used_up_to.lock().len(), 0);
        assert!(rates.used_up_to.lock().capacity() < MOST);
    }
}
