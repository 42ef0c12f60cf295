//! What holds for all vaults of a server, as it is configured.
//!
//! Read by `config`, handed to `Vaults` by `app`. Never holds anything of one vault.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::history::keep;

/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// How vaults come to be.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The first write to a vault that does not exist makes it, from a socket or by PUT. If not,
    /// vaults are made by an administrator alone.
    pub auto_create: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config { auto_create: true }
    }
}

/// Devices that follow a vault, and how long deleted files are kept for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Devices {
    /// Deleted files are not kept for a device that was not seen for so many days. When it comes
    /// back it may have to list the files anew.
    pub stale_after_days: u64,
    /// A deleted file is kept for so many days at least, with its history.
    pub tombstones_days_min: u64,
    /// After that until all devices know that it is deleted, and for so many days at most. One with
    /// a named version is kept until that has no name any more.
    pub tombstones_days_max: u64,
    /// Names of forgotten files that are remembered, for each vault: clients with an old copy are
    /// then told so, and cannot mix it into a new file of that name. Of more, the latest.
    pub former_names_max: u64,
    /// Devices of one vault.
    pub vault_devices_max: u64,
    /// Devices of one user in one vault. Those that were not seen for long make room.
    pub user_devices_max: u64,
}

impl Default for Devices {
    fn default() -> Devices {
        Devices {
            stale_after_days: 30,
            tombstones_days_min: 7,
            tombstones_days_max: 90,
            former_names_max: 65_536,
            vault_devices_max: 10_000,
            user_devices_max: 256,
        }
    }
}

impl Devices {
    /// A device that was seen last at `seen_ms` is stale by now.
    #[must_use]
    pub(super) fn is_stale(&self, seen_ms: u64, now_ms: u64) -> bool {
        now_ms.saturating_sub(seen_ms) >= self.stale_after_days.saturating_mul(DAY_MS)
    }

    /// What came before this, in Unix milliseconds, is not tried again by a device that counts.
    #[must_use]
    pub(super) fn stale_before_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.stale_after_days.saturating_mul(DAY_MS))
    }

    /// Whether a deletion of that time may be forgotten, if all devices know of it or not.
    #[must_use]
    pub(super) fn is_over(&self, deleted_ms: u64, now_ms: u64, is_known: bool) -> bool {
        let days = match is_known {
            true => self.tombstones_days_min.min(self.tombstones_days_max),
            false => self.tombstones_days_max,
        };
        now_ms.saturating_sub(deleted_ms) >= days.saturating_mul(DAY_MS)
    }
}

/// How long what was is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// Versions of files.
    pub versions: keep::Config,
    /// Deleted files, and devices.
    pub devices: Devices,
}
