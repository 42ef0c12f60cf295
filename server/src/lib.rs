//! The Sheaf server as a library.
//!
//! The binary and the tests call `app` and `cli`. Never re-exports: that would hide who uses what.

pub mod app;
pub mod auth;
pub mod blob;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod document;
pub mod history;
pub mod http;
pub mod memory;
pub mod metrics;
pub mod relay;
pub mod vault;
pub mod webhook;
