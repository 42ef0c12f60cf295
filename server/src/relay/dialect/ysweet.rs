//! The framing of Y-Sweet: that of y-websocket, with other expectations.
//!
//! Job: write the server's messages. Called as that is, whose frames it shares. Never keeps such a
//! client waiting in silence for message 102: after three seconds without a frame it hangs up.

use super::ywebsocket::YWebsocket;
use super::{Acks, Dialect};
use crate::document::awareness::Shown;
use crate::document::fanout::Framing;

/// The dialect; it has no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct YSweet;

impl Framing for YSweet {
    fn slot(&self) -> Option<usize> {
        YWebsocket.slot()
    }

    fn frame_update(&self, update: &[u8], out: &mut Vec<u8>) {
        YWebsocket.frame_update(update, out);
    }

    fn frame_note(&self, _: &[u8], _: &mut Vec<u8>) {}

    fn frame_presence(&self, shown: &[Shown], out: &mut Vec<u8>) {
        YWebsocket.frame_presence(shown, out);
    }
}

impl Dialect for YSweet {
    const ACKS: Acks = Acks::OfEveryEcho;

    fn write_step1(&self, state_vector: &[u8], out: &mut Vec<u8>) {
        YWebsocket.write_step1(state_vector, out);
    }

    fn write_step2_head(&self, update_len: usize, out: &mut Vec<u8>) {
        YWebsocket.write_step2_head(update_len, out);
    }

    fn write_ack(&self, bytes: &[u8], out: &mut Vec<u8>) {
        YWebsocket.write_ack(bytes, out);
    }

    fn write_refused(&self, _: &mut Vec<u8>) {}

    fn write_scope(&self, _: bool, _: &mut Vec<u8>) {}

    /// The client has no log for it.
    fn write_notice(&self, _: &str, _: &mut Vec<u8>) {}

    fn write_keep_alive(&self, out: &mut Vec<u8>) {
        YWebsocket.write_keep_alive(out);
    }
}
