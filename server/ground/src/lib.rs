//! What every part of the server stands on: clocks, randomness and supervised tasks.
//!
//! Used by `storage` and by every module of the server. Never knows any of them, and never
//! re-exports: that would hide who uses what.

pub mod task;
pub mod time;
