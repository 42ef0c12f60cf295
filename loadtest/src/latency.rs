//! Latencies of many readers put together, and cut into the curve that reports draw.

use hdrhistogram::Histogram;

use crate::outcome;

/// Where latencies are cut off; a minute is not a latency but an outage.
const LATENCY_US_MAX: u64 = 60_000_000;
/// The curve's points for each halving of what is left towards 100 %.
const POINTS_PER_HALF: u32 = 4;
/// Beyond 99.9999 % there is nothing that a run of seconds could tell.
const HALVES_MAX: u32 = 20;

/// A histogram of the rig: microseconds, three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_US_MAX, 3).expect("bounds that the crate allows")
}

/// What a histogram says, or nothing if nothing was measured.
pub(crate) fn summary(all: &Histogram<u64>) -> Option<outcome::Latency> {
    if all.is_empty() {
        return None;
    }
    let at = |share| all.value_at_quantile(share);
    let steps = 0..=HALVES_MAX * POINTS_PER_HALF;
    let share = |step| 1.0 - 0.5_f64.powf(f64::from(step) / f64::from(POINTS_PER_HALF));
    let mut curve: Vec<(f64, u64)> = Vec::new();
    for quantile in steps.map(share) {
        // Past the last value the curve would only be a line straight on.
        let is_over = curve.last().is_some_and(|(_, us)| *us >= all.max());
        if !is_over {
            curve.push((quantile, at(quantile)));
        }
    }
    Some(outcome::Latency {
        p50_us: at(0.5),
        p90_us: at(0.9),
        p99_us: at(0.99),
        p999_us: at(0.999),
        max_us: all.max(),
        curve,
    })
}

#[cfg(test)]
mod tests;
