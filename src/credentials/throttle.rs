//! Who may try a password at all, after many that were wrong. No I/O, time is an argument.
//!
//! Failures are counted by address, by user, and by both together:
//!
//! - too many from one *address*: it is refused, except for users who have logged in from there
//!   lately;
//! - too many of one *user*: addresses from which it has failed are refused for this user. From any
//!   other address its password is looked at as always, so nobody can lock a user out.
//!
//! Time lifts each. A login that succeeds takes back what the same user had failed from there. What
//! is remembered is bounded: beyond that, the harmless is forgotten first.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::LoginLimits;

/// How long a user is known at an address after a login.
const KNOWN_FOR: Duration = Duration::from_secs(3_600);
/// How many addresses, users, and pairs of both are remembered, each.
const MOST: usize = 16_384;

/// Why a login is refused without a look at its proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Whose failures were too many.
    pub whose: Whose,
    /// How many there were.
    pub failures: u32,
    /// How long the block was meant to be.
    pub length: Duration,
    /// How long it goes on.
    pub remaining: Duration,
}

/// Whose failed logins were too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those from an address.
    Address,
    /// Those of a user.
    User,
}

/// What is remembered of failed logins.
#[derive(Debug, Default)]
pub struct Throttle {
    counts: Mutex<Counts>,
    /// Names and addresses are kept as keyed hashes: of one size, whatever a stranger sends.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Counts {
    addresses: HashMap<u64, Count>,
    users: HashMap<u64, Count>,
    pairs: HashMap<u64, Count>,
}

/// What is remembered of one address, user, or pair.
#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    /// When the first of them was.
    since: Instant,
    /// Until when logins are refused.
    blocked_until: Option<Instant>,
    /// When the last login succeeded.
    succeeded: Option<Instant>,
}

/// Where a login comes from and whose it says it is.
#[derive(Debug, Clone, Copy)]
struct Keys {
    address: u64,
    user: u64,
    pair: u64,
}

impl Throttle {
    /// Whether a client from `host`, an address or `localhost`, is refused before it has said who it
    /// is.
    pub fn greets(&self, limits: &LoginLimits, host: &str, now: Instant) -> Result<(), Blocked> {
        let counts = self.counts.lock();
        match counts.addresses.get(&self.address(host)) {
            // Somebody there may be known.
            Some(address) if !address.is_known(now) => {
                address.blocked(Whose::Address, limits, now).map_or(Ok(()), Err)
            }
            _ => Ok(()),
        }
    }

    /// Whether a login is refused, be its proof right or wrong. Asked before the proof is looked at
    /// and after it was, since others are under way at the same time.
    pub fn admits(
        &self,
        limits: &LoginLimits,
        host: &str,
        user: &str,
        now: Instant,
    ) -> Result<(), Blocked> {
        let keys = self.keys(host, user);
        let counts = self.counts.lock();
        let pair = counts.pairs.get(&keys.pair);
        let known = pair.is_some_and(|pair| pair.is_known(now));
        if !known && let Some(address) = counts.addresses.get(&keys.address) {
            address.blocked(Whose::Address, limits, now).map_or(Ok(()), Err)?;
        }
        // Whoever is known here may err as often as if it were alone.
        let allowed = if known { limits.per_user.unwrap_or(u32::MAX) } else { 1 };
        let failed_here = pair.map_or(0, |pair| pair.failures) >= allowed;
        match counts.users.get(&keys.user) {
            Some(user) if failed_here => user.blocked(Whose::User, limits, now).map_or(Ok(()), Err),
            _ => Ok(()),
        }
    }

    /// A login has failed. Says whose failures are too many from now on, if that is new.
    pub fn failed(
        &self,
        limits: &LoginLimits,
        host: &str,
        user: &str,
        now: Instant,
    ) -> Option<Whose> {
        let keys = self.keys(host, user);
        let mut counts = self.counts.lock();
        let Counts { addresses, users, pairs } = &mut *counts;
        count(pairs, keys.pair, limits, now).fail(None, limits, now);
        let user = count(users, keys.user, limits, now).fail(limits.per_user, limits, now);
        let address =
            count(addresses, keys.address, limits, now).fail(limits.per_address, limits, now);
        user.then_some(Whose::User).or(address.then_some(Whose::Address))
    }

    /// A login has succeeded.
    pub fn succeeded(&self, limits: &LoginLimits, host: &str, user: &str, now: Instant) {
        let keys = self.keys(host, user);
        let mut counts = self.counts.lock();
        let Counts { addresses, users, pairs } = &mut *counts;
        let pair = count(pairs, keys.pair, limits, now);
        let taken_back = std::mem::take(&mut pair.failures);
        pair.succeeded = Some(now);
        if taken_back > 0
            && let Some(user) = users.get_mut(&keys.user)
        {
            user.take_back(taken_back, limits.per_user);
        }
        let address = count(addresses, keys.address, limits, now);
        address.take_back(taken_back, limits.per_address);
        address.succeeded = Some(now);
    }

    fn keys(&self, host: &str, user: &str) -> Keys {
        let address = self.address(host);
        let user = self.hasher.hash_one(user);
        Keys { address, user, pair: self.hasher.hash_one((address, user)) }
    }

    /// Who has an IPv6 address mostly has 2⁶⁴ of them.
    fn address(&self, host: &str) -> u64 {
        match host.parse() {
            Ok(IpAddr::V6(address)) => {
                let network = u128::from(address) >> 64 << 64;
                self.hasher.hash_one(IpAddr::from(Ipv6Addr::from(network)))
            }
            Ok(address) => self.hasher.hash_one(address),
            Err(_) => self.hasher.hash_one(host),
        }
    }
}

impl Count {
    fn is_known(&self, now: Instant) -> bool {
        self.succeeded.is_some_and(|last| now < last + KNOWN_FOR)
    }

    fn blocked(&self, whose: Whose, limits: &LoginLimits, now: Instant) -> Option<Blocked> {
        let until = self.blocked_until.filter(|until| now < *until)?;
        let (failures, length) = (self.failures, limits.block_for);
        Some(Blocked { whose, failures, length, remaining: until - now })
    }

    /// Whether it begins to be blocked by that.
    fn fail(&mut self, limit: Option<u32>, limits: &LoginLimits, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        let before = self.blocked_until;
        if limit.is_some_and(|limit| self.failures >= limit) {
            self.blocked_until = Some(now + limits.block_for);
        }
        before.is_none() && self.blocked_until.is_some()
    }

    fn take_back(&mut self, failures: u32, limit: Option<u32>) {
        self.failures = self.failures.saturating_sub(failures);
        if limit.is_none_or(|limit| self.failures < limit) {
            self.blocked_until = None;
        }
    }

    /// Whether there is nothing in it that will matter.
    fn is_over(&self, limits: &LoginLimits, now: Instant) -> bool {
        match self.blocked_until {
            Some(until) => now >= until,
            None => now >= self.since + limits.window,
        }
    }
}

/// The count of a key as it is now. Makes room where there is none.
fn count<'c>(
    counts: &'c mut HashMap<u64, Count>,
    key: u64,
    limits: &LoginLimits,
    now: Instant,
) -> &'c mut Count {
    if counts.len() >= MOST && !counts.contains_key(&key) {
        counts.retain(|_, count| !count.is_over(limits, now) || count.is_known(now));
        if counts.len() > MOST / 2 {
            counts.retain(|_, count| count.blocked_until.is_some());
        }
        if counts.len() > MOST / 2 {
            counts.clear();
        }
    }
    let new = Count { failures: 0, since: now, blocked_until: None, succeeded: None };
    let count = counts.entry(key).or_insert(new);
    if count.is_over(limits, now) {
        *count = Count { succeeded: count.succeeded, ..new };
    }
    count
}

#[cfg(test)]
mod tests;
