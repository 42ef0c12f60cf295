//! What a journal counts of itself.
//!
//! Made by whoever opens a journal, and exported there; `journal` alone counts. Never a label:
//! there is one journal a server.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

/// Handles on the counts of one journal; a clone counts the same.
#[derive(Clone, Debug)]
pub struct Meters {
    /// Records appended.
    pub records: Counter,
    /// Group syncs made.
    pub fsyncs: Counter,
    /// Group syncs that failed; at most 1, the journal is read-only after it.
    pub fsync_failures: Counter,
    /// Time of one group sync.
    pub fsync_seconds: Histogram,
    /// Time of one append, lock and `write(2)`; not every one is timed.
    pub append_seconds: Histogram,
    /// Time of one fold into the store.
    pub fold_seconds: Histogram,
    /// Folds that failed and were, or will be, tried again.
    pub fold_failures: Counter,
    /// Appends that failed and were cut back.
    pub append_failures: Counter,
}

impl Default for Meters {
    /// Counts that nobody exports.
    fn default() -> Self {
        let seconds = || Histogram::new([]);
        Self {
            records: Counter::default(),
            fsyncs: Counter::default(),
            fsync_failures: Counter::default(),
            fsync_seconds: seconds(),
            append_seconds: seconds(),
            fold_seconds: seconds(),
            fold_failures: Counter::default(),
            append_failures: Counter::default(),
        }
    }
}
