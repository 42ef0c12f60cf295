//! `past`: the log below the newest checkpoint. Key: vault, kind, document id, n of the last entry
//! in it; chunked. Value: groups as `log` has them, many in one, compressed. Written when a log is
//! thinned, read when an older state is asked for, thinned with the versions.
//! Never read to open a document.

use sheaf_protocol::ids::DocKey;

use super::Key;

/// The key of a piece of the past.
#[must_use]
pub fn key(doc: DocKey, last_n: u64) -> Vec<u8> {
    super::doc_number(doc, Key::Past, last_n)
}
