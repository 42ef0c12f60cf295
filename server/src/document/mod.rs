//! Live documents: own, merge, diff, presence, unload.
//!
//! Job: turn submissions from any edge into merged, journaled, published updates. Called by the
//! edges and services. Never knows a dialect, a socket or a file name on disk.

pub mod awareness;
pub mod checkpoint;
pub mod handle;
pub mod load;
mod merge;
pub mod owners;
pub mod readers;
pub mod registry;
pub mod state;
pub mod submission;
pub mod tail;

#[cfg(test)]
pub(crate) mod tests;
