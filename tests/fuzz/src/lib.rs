//! What the fuzz targets do with the bytes they are given.

pub mod bodies;

#[cfg(feature = "document")]
#[path = "../../tests/integration/guard/drive.rs"]
mod drive;

/// What the scan accepts, an empty document survives.
#[cfg(feature = "document")]
pub fn document(bytes: &[u8]) {
    drive::drive(bytes, None, sheaf_protocol::plan::Source::Step2);
}
