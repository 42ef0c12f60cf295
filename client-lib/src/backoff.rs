//! How long to wait before the next connection attempt. Called by the link; pure, its randomness is
//! seeded.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Bounds of the wait between connection attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Longest wait before the first retry.
    pub first: Duration,
    /// Longest wait ever.
    pub cap: Duration,
}

impl Default for Backoff {
    /// As stock y-websocket starts, but capped higher: a thousand clients of a dead server must not
    /// knock four hundred times a second.
    fn default() -> Self {
        Self { first: Duration::from_millis(200), cap: Duration::from_secs(10) }
    }
}

/// The waits of one replica: doubling, each drawn from the upper half of its bound.
///
/// Without the draw all clients of a restarted server come back in the same millisecond.
#[derive(Debug)]
pub(crate) struct Waits {
    bounds: Backoff,
    attempt: u32,
    draw: StdRng,
}

impl Waits {
    pub(crate) fn new(bounds: Backoff, seed: u64) -> Self {
        Self { bounds, attempt: 0, draw: StdRng::seed_from_u64(seed) }
    }

    /// The next wait; longer each time until [`Waits::reset`].
    pub(crate) fn next(&mut self) -> Duration {
        let doubled = self.bounds.first.saturating_mul(1 << self.attempt.min(16));
        self.attempt = self.attempt.saturating_add(1);
        doubled.min(self.bounds.cap).mul_f64(self.draw.random_range(0.5..=1.0))
    }

    /// Starts over. Called after a sync, not after a mere connect: a server that accepts and drops
    /// at once would be hammered otherwise.
    pub(crate) fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests;
