//! The framing of y-websocket: one protocol message per binary WebSocket frame.
//!
//! Job: write the server's messages. Called by `session` and, for updates, by whoever is first to
//! need a chunk's frames. Reading is `protocol::frame`. Never puts two messages into one frame:
//! stock clients up to 3.1 read only the first and lose the rest in silence.

use sheaf_protocol::frame;
use sheaf_protocol::varint;

use crate::document::awareness::Shown;
use crate::document::fanout::Framing;
use crate::relay::websocket::{Opcode, frame_header, write_binary};

/// The dialect; it has no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct YWebsocket;

impl Framing for YWebsocket {
    fn slot(&self) -> usize {
        0
    }

    fn frame_update(&self, update: &[u8], out: &mut Vec<u8>) {
        frame_header(Opcode::Binary, frame::update_len(update.len()), out);
        frame::write_update(out, update);
    }

    fn frame_presence(&self, shown: &[Shown], out: &mut Vec<u8>) {
        let mut entries = Vec::new();
        varint::write_uint(&mut entries, shown.len() as u64);
        for entry in shown {
            varint::write_uint(&mut entries, entry.client);
            varint::write_uint(&mut entries, u64::from(entry.clock));
            varint::write_text(&mut entries, entry.state.as_deref().unwrap_or("null"));
        }
        message(out, entries.len(), |payload| frame::write_awareness(payload, &entries));
    }
}

impl YWebsocket {
    /// Asks for what the client has beyond a state vector.
    pub fn write_step1(&self, state_vector: &[u8], out: &mut Vec<u8>) {
        message(out, state_vector.len(), |payload| frame::write_step1(payload, state_vector));
    }

    /// Begins an answer to the client's state vector; the update's own bytes follow it.
    pub fn write_step2_head(&self, update_len: usize, out: &mut Vec<u8>) {
        let mut head = Vec::with_capacity(12);
        frame::write_step2_head(&mut head, update_len);
        frame_header(Opcode::Binary, head.len() + update_len, out);
        out.extend_from_slice(&head);
    }

    /// Gives message 102 back: everything before it is durable.
    pub fn write_echo(&self, bytes: &[u8], out: &mut Vec<u8>) {
        message(out, bytes.len(), |payload| frame::write_echo(payload, bytes));
    }

    /// Tells the client that something was not taken; stock clients log it.
    pub fn write_denied(&self, reason: &str, out: &mut Vec<u8>) {
        message(out, reason.len(), |payload| frame::write_auth_denied(payload, reason));
    }

    /// A frame that means nothing, for watchdogs that only count frames.
    pub fn write_keep_alive(&self, out: &mut Vec<u8>) {
        write_binary(&frame::EMPTY_AWARENESS, out);
    }
}

/// Writes one protocol message of about `len` payload bytes as one frame.
fn message(out: &mut Vec<u8>, len: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let mut payload = Vec::with_capacity(len + 12);
    write(&mut payload);
    write_binary(&payload, out);
}
