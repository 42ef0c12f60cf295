//! A socket's life: accepted, upgraded, framed.
//!
//! `app` binds and serves [`listen`]. Never touches yrs or the store.

pub mod budget;
pub mod dialect;
pub mod listen;
pub mod outbound;
pub mod session;
pub mod upgrade;
pub mod websocket;
