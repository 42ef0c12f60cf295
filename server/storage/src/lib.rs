//! The durable half of the server: the journal that every change enters first, and the store that
//! it is folded into.
//!
//! Opened by the server's `app`; used by its domain. Never knows what a document, a session or a
//! request is, and never re-exports: that would hide who uses what.

pub mod journal;
pub mod store;
