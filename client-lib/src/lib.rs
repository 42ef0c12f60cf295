//! A replica of a Sheaf document: one Yjs document kept in step with a server over y-websocket
//! framing.
//!
//! Used by the load rig, the tests, and every binding and agent. Works against any y-websocket
//! server; only [`Replica::durable`] needs one that echoes message 102, as Sheaf does. It never
//! imports the server.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use sheaf_client::replica::{Options, Replica};
//!
//! let replica = Replica::connect(Options::new("ws://127.0.0.1:1234", "minutes"));
//! replica.synced(Duration::from_secs(5)).await?;
//! replica.insert(0, "Hello ")?;
//! replica.durable(Duration::from_secs(5)).await?; // on the server's disk
//! # Ok(()) }
//! ```

pub mod backoff;
pub mod error;
mod link;
mod outbox;
mod presence;
pub mod replica;
pub mod state;
