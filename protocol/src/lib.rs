//! What both ends of Sheaf must agree on, byte for byte. No tokio, no yrs, no I/O.
//!
//! The server and the client library call this crate; it calls nobody. The wire itself is described
//! in `docs/protocol.md`, and `tests/fixtures/wire/` holds the bytes both must produce.

mod chain;
pub mod control;
pub mod error;
pub mod frame;
pub mod hocuspocus;
pub mod ids;
pub mod join;
pub mod legacy;
pub mod limits;
pub mod plan;
pub mod scan;
pub mod stamp;
pub mod units;
pub mod value;
pub mod varint;
pub mod vault;
