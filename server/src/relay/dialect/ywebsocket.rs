//! The framing of y-websocket: one protocol message per binary WebSocket frame.
//!
//! Job: write the server's messages. Called by `session` and, for updates, by whoever is first to
//! need a chunk's frames. Reading is `protocol::frame`. Never puts two messages into one frame:
//! stock clients up to 3.1 read only the first and lose the rest in silence.

use sheaf_protocol::frame;

use super::{Acks, Dialect, entries, message};
use crate::document::awareness::Shown;
use crate::document::fanout::Framing;
use crate::relay::websocket::{Opcode, frame_header, write_binary};

/// The dialect; it has no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct YWebsocket;

impl Framing for YWebsocket {
    fn slot(&self) -> Option<usize> {
        Some(0)
    }

    fn frame_update(&self, update: &[u8], out: &mut Vec<u8>) {
        frame_header(Opcode::Binary, frame::update_len(update.len()), out);
        frame::write_update(out, update);
    }

    /// Clients have no word for it.
    fn frame_note(&self, _: &[u8], _: &mut Vec<u8>) {}

    fn frame_presence(&self, shown: &[Shown], out: &mut Vec<u8>) {
        let entries = entries(shown);
        message(out, entries.len(), |payload| frame::write_awareness(payload, &entries));
    }
}

impl Dialect for YWebsocket {
    const ACKS: Acks = Acks::OfEchoes;

    fn write_step1(&self, state_vector: &[u8], out: &mut Vec<u8>) {
        message(out, state_vector.len(), |payload| frame::write_step1(payload, state_vector));
    }

    fn write_step2_head(&self, update_len: usize, out: &mut Vec<u8>) {
        let mut head = Vec::with_capacity(12);
        frame::write_step2_head(&mut head, update_len);
        frame_header(Opcode::Binary, head.len() + update_len, out);
        out.extend_from_slice(&head);
    }

    fn write_ack(&self, bytes: &[u8], out: &mut Vec<u8>) {
        write_binary(bytes, out);
    }

    /// Clients have no word for it.
    fn write_refused(&self, _: &mut Vec<u8>) {}

    /// Clients have no word for it.
    fn write_scope(&self, _: bool, _: &mut Vec<u8>) {}

    fn write_notice(&self, words: &str, out: &mut Vec<u8>) {
        message(out, words.len(), |payload| frame::write_auth_denied(payload, words));
    }

    fn write_keep_alive(&self, out: &mut Vec<u8>) {
        write_binary(&frame::EMPTY_AWARENESS, out);
    }
}
