//! A socket's life: accepted, upgraded, framed.
//!
//! `app` binds and serves [`listen`]. Never touches yrs or the store.

pub mod address;
mod bind;
pub mod caps;
pub mod channel;
pub mod dialect;
mod head;
pub mod listen;
pub mod outbound;
mod patience;
pub mod proxy;
pub mod pulse;
pub mod session;
pub mod stream;
pub mod tls;
pub mod upgrade;
pub mod websocket;
