//! The Sheaf server as a library.
//!
//! The binary and the tests call `app` and `cli`. Never re-exports: that would hide who uses what.

pub mod document;
pub mod journal;
pub mod metrics;
pub mod store;
pub mod task;
pub mod time;
