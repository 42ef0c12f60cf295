//! Where the randomness of tests comes from: fixed seeds, a fresh one per run that is printed, or
//! the one that `SHEAF_SEED` names to repeat a failure.

use std::ops::RangeInclusive;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The seeds of one run: `SHEAF_SEED` alone if it is set, else the fixed ones and a fresh one.
///
/// # Panics
/// When `SHEAF_SEED` is no number.
pub fn seeds(fixed: &[u64]) -> Vec<u64> {
    if let Ok(seed) = std::env::var("SHEAF_SEED") {
        return vec![seed.parse().expect("SHEAF_SEED is a number")];
    }
    fixed.iter().copied().chain([fresh()]).collect()
}

/// A seed that no run had before.
pub fn fresh() -> u64 {
    rand::random()
}

/// A generator that gives the same numbers on every machine.
pub fn generator(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Lets a drawn time pass, to do something to a server at a moment it does not expect. Never to
/// wait for an outcome: that is `eventually`.
#[expect(clippy::disallowed_methods, reason = "the moment of a fault is drawn, not waited for")]
pub async fn moment(draw: &mut ChaCha8Rng, milliseconds: RangeInclusive<u64>) {
    tokio::time::sleep(Duration::from_millis(draw.random_range(milliseconds))).await;
}
