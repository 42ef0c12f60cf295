//! Which versions stay.
//!
//! Job: a rule over times and names. Called by `thin`. Never reads a clock or a store: the same
//! versions at the same time give the same answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const HOUR_MS: u64 = 60 * 60 * 1_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// How long versions are kept. Those with a name are kept for ever, and so is the latest; one that
/// a device has, until it has a later one or is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// All versions, for so many hours.
    pub all_hours: u64,
    /// After that the last one of every hour, until they are so many days old.
    pub hourly_days: u64,
    /// After that the last one of every day (UTC), until they are so many days old.
    pub daily_days: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config { all_hours: 24, hourly_days: 7, daily_days: 90 }
    }
}

/// A version, as far as the rule goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aged {
    /// When it was made, in Unix milliseconds.
    pub ms: u64,
    /// It has a name, or somebody may come with what he made of it.
    pub is_needed: bool,
}

impl Config {
    /// Versions made before this are thinned.
    #[must_use]
    pub fn all_since(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.all_hours.saturating_mul(HOUR_MS))
    }

    /// Which of a file's versions stay, oldest first as they are given.
    #[must_use]
    pub fn kept(&self, versions: &[Aged], now_ms: u64) -> Vec<bool> {
        let mut kept = vec![false; versions.len()];
        let mut newer: Option<u64> = None;
        for (at, version) in versions.iter().enumerate().rev() {
            let age_ms = now_ms.saturating_sub(version.ms);
            let span_ms = if age_ms < self.all_hours.saturating_mul(HOUR_MS) {
                1
            } else if age_ms < self.hourly_days.saturating_mul(DAY_MS) {
                HOUR_MS
            } else if age_ms < self.daily_days.saturating_mul(DAY_MS) {
                DAY_MS
            } else {
                u64::MAX
            };
            // The last one of its span is the first that is met on the way back.
            let is_last =
                newer.is_none_or(|ms| span_ms == 1 || ms / span_ms > version.ms / span_ms);
            let is_latest = at + 1 == versions.len();
            kept[at] = version.is_needed || is_latest || (is_last && span_ms < u64::MAX);
            newer = Some(version.ms.min(newer.unwrap_or(u64::MAX)));
        }
        kept
    }
}

#[cfg(test)]
mod tests;
