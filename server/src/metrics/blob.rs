//! Metrics of blobs: bytes in, out and removed, and what is damaged.
//!
//! Counted by `blob`. Never labels with a vault or a hash.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Unit;

use super::Names;

/// Metrics of `blob`. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Blob {
    /// Bytes taken in, also of what is not stored in the end.
    pub received_bytes: Counter,
    /// Bytes given out.
    pub sent_bytes: Counter,
    /// Bytes of files that the sweep removed.
    pub swept_bytes: Counter,
    /// How often something was read that is not what was written.
    pub damaged: Counter,
}

impl Blob {
    pub(super) fn new(names: &mut Names) -> Blob {
        let blob = Blob::default();
        let bytes = [
            ("blob_received", "Bytes of blobs taken in", &blob.received_bytes),
            ("blob_sent", "Bytes of blobs given out", &blob.sent_bytes),
            ("blob_swept", "Bytes of blobs removed that nothing refers to", &blob.swept_bytes),
        ];
        for (name, help, counter) in bytes {
            names.0.register_with_unit(name, help, Unit::Bytes, counter.clone());
        }
        names.add("blobs_damaged", "Reads of blobs that are damaged", blob.damaged.clone());
        blob
    }
}
