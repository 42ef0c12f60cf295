//! Metrics of vaults: files, feeds, quotas.
//!
//! Counted by `vault` and by the ledger of `document`. Never labels with a vault.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::Names;

/// Metrics of `vault`.
#[derive(Debug)]
pub struct Vault {
    /// Vaults that exist.
    pub vaults: Gauge,
    /// Live files of all vaults.
    pub files: Gauge,
    /// Files that wait to settle.
    pub unsettled: Gauge,
    /// Changes shown in the feeds.
    pub commits: Counter,
    /// Time to read a body, hash it and write its record.
    pub settle_seconds: Histogram,
    /// Writes refused because a quota is used up.
    pub quota_refusals: Counter,
}

impl Vault {
    pub(super) fn new(names: &mut Names) -> Vault {
        Vault {
            vaults: names.gauge("vaults", "Vaults that exist"),
            files: names.gauge("files", "Live files of all vaults"),
            unsettled: names.gauge("files_unsettled", "Files whose last change has no seq yet"),
            commits: names.counter("feed_commits", "Changes shown in the feeds"),
            settle_seconds: names.seconds("settle", "Time to read, hash and commit a body"),
            quota_refusals: names.counter("quota_refusals", "Writes refused by a quota"),
        }
    }
}
