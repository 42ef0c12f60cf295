//! Harness of the integration tests: a server in this process or as the real binary, a proxy that
//! misbehaves on purpose, a socket that says anything, and waiting for conditions instead of
//! sleeping.

pub mod documents;
pub mod eventually;
pub mod http;
pub mod model;
pub mod process;
pub mod proxy;
pub mod receiver;
pub mod seed;
pub mod server;
pub mod socket;
pub mod wire;
