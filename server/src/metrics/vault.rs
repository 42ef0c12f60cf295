//! Metrics of vaults: files, feeds, quotas.
//!
//! Counted by `vault` and by the ledger of `document`. Never labels with a vault.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
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
    /// Devices of all vaults: connected, away, stale, revoked.
    pub devices: [Gauge; 4],
    /// Deleted files that were forgotten.
    pub pruned: Counter,
    /// Writes refused because a quota is used up.
    pub quota_refusals: Counter,
}

/// How a device fares.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fares {
    state: &'static str,
}

impl Vault {
    pub(super) fn new(names: &mut Names) -> Vault {
        let family = Family::<Fares, Gauge>::default();
        names.add("devices", "Devices of all vaults", family.clone());
        let devices = ["connected", "away", "stale", "revoked"]
            .map(|state| family.get_or_create(&Fares { state }).clone());
        Vault {
            devices,
            pruned: names.counter("files_pruned", "Deleted files that were forgotten"),
            vaults: names.gauge("vaults", "Vaults that exist"),
            files: names.gauge("files", "Live files of all vaults"),
            unsettled: names.gauge("files_unsettled", "Files whose last change has no seq yet"),
            commits: names.counter("feed_commits", "Changes shown in the feeds"),
            settle_seconds: names.seconds("settle", "Time to read, hash and commit a body"),
            quota_refusals: names.counter("quota_refusals", "Writes refused by a quota"),
        }
    }
}
