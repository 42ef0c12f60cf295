//! Rates: how often something may happen, for each of many keys.
//!
//! Job: the generic cell rate algorithm (ITU-T I.371) with one moment per key. Called by `auth` for
//! requests, sessions and failed tokens. Never keeps more than a bounded number of keys.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;

use sheaf_ground::time::{Clock, Moment};

/// Keys that are kept, at about 100 bytes each. Those that have been quiet go first.
const KEYS_MAX: usize = 65_536;
/// Seconds' worth of a rate that may come at once.
const BURST_S: u64 = 10;

/// A rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    interval: Duration,
    burst: Duration,
}

impl Rate {
    /// So many in each `period`; none for 0, which means without limit.
    pub(super) fn new(count: u64, period: Duration) -> Option<Rate> {
        let count = u32::try_from(count).ok().filter(|count| *count > 0)?;
        Some(Rate { interval: period / count, burst: period * BURST_S as u32 })
    }
}

/// When each key may come again.
#[derive(Debug)]
pub(super) struct Meter<K> {
    clock: Clock,
    full: Mutex<HashMap<K, Moment>>,
}

impl<K: Eq + Hash> Meter<K> {
    pub(super) fn new(clock: &Clock) -> Meter<K> {
        Meter { clock: clock.clone(), full: Mutex::default() }
    }

    /// Counts one event, unless it is one too many: then, how long to wait.
    pub(super) fn take(&self, key: K, rate: Option<Rate>) -> Result<(), Duration> {
        let Some(rate) = rate else { return Ok(()) };
        let now = self.clock.now();
        let mut full = self.full.lock();
        let by = full.get(&key).copied().filter(|by| *by > now).unwrap_or(now);
        let ahead = by.since(now) + rate.interval;
        if ahead > rate.burst {
            return Err(ahead - rate.burst);
        }
        if full.len() >= KEYS_MAX {
            full.retain(|_, by| *by > now);
        }
        // With every key busy a new one goes uncounted: the caps on connections still hold.
        if full.len() < KEYS_MAX || full.contains_key(&key) {
            full.insert(key, by + rate.interval);
        }
        Ok(())
    }

    /// As [`Meter::take`], without counting.
    pub(super) fn check(&self, key: &K, rate: Option<Rate>) -> Result<(), Duration> {
        let Some(rate) = rate else { return Ok(()) };
        let now = self.clock.now();
        let ahead = self.full.lock().get(key).map_or(Duration::ZERO, |by| by.since(now));
        let ahead = ahead + rate.interval;
        if ahead > rate.burst { Err(ahead - rate.burst) } else { Ok(()) }
    }
}

/// Events that were counted already: the same one counts once in a while.
#[derive(Debug)]
pub(super) struct Once<K> {
    clock: Clock,
    until: Mutex<HashMap<K, Moment>>,
}

impl<K: Eq + Hash> Once<K> {
    pub(super) fn new(clock: &Clock) -> Once<K> {
        Once { clock: clock.clone(), until: Mutex::default() }
    }

    /// Whether it was counted in the last `period`.
    pub(super) fn is_counted(&self, key: &K) -> bool {
        let now = self.clock.now();
        self.until.lock().get(key).is_some_and(|until| *until > now)
    }

    /// It has been counted now. With too many kept it is forgotten, and counts again.
    pub(super) fn counted(&self, key: K, period: Duration) {
        let now = self.clock.now();
        let mut until = self.until.lock();
        if until.len() >= KEYS_MAX {
            until.retain(|_, until| *until > now);
        }
        if until.len() < KEYS_MAX {
            until.insert(key, now + period);
        }
    }
}

/// What counts as one address: one of IPv4, one /64 of IPv6. None on loopback, which is not
/// limited.
pub(super) fn network(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V6(v6) => Some(Ipv6Addr::from(u128::from(v6) >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => Some(v4),
    }
}

#[cfg(test)]
mod tests;
