//! Dialects: client-visible framings over the same documents.
//!
//! Job: turn bytes of one protocol family into submissions and back. Called by `session`. Never
//! knows the journal, the store or another dialect.

pub mod family;
pub mod ywebsocket;
