//! How a client is spoken to: in the form in which it spoke last.
//!
//! Job: turn messages into frames. Called by everything in the channel that says something. Never
//! keeps a frame.

use sheaf_protocol::control::{Binary, DocUpdate, FileId, Form, Reply, pack, write};

use crate::document::awareness::Shown;
use crate::document::fanout::Framing;
use crate::relay::websocket::{HEADER_BYTES_MAX, Opcode, frame_header};

/// How a client is spoken to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice {
    pub(super) form: Form,
    /// Large binary frames go compressed.
    pub(super) is_packed: bool,
}

impl Voice {
    /// Appends a message as a whole frame.
    pub(super) fn write(self, reply: &Reply, out: &mut Vec<u8>) {
        let message = write(reply, self.form);
        let (opcode, message) = match self.form {
            Form::Json => (Opcode::Text, message),
            Form::MessagePack if self.is_packed => (Opcode::Binary, pack(message)),
            Form::MessagePack => (Opcode::Binary, message),
        };
        out.reserve(HEADER_BYTES_MAX + message.len());
        frame_header(opcode, message.len(), out);
        out.extend_from_slice(&message);
    }

    /// A message as a whole frame.
    pub(super) fn frame(self, reply: &Reply) -> Vec<u8> {
        let mut frame = Vec::new();
        self.write(reply, &mut frame);
        frame
    }
}

/// The edits of one document, for one client.
pub(super) struct Edits {
    pub(super) voice: Voice,
    pub(super) id: FileId,
}

impl Framing for Edits {
    fn slot(&self) -> Option<usize> {
        None
    }

    fn frame_update(&self, update: &[u8], out: &mut Vec<u8>) {
        let update = Binary(update.to_vec());
        self.voice.write(&Reply::DocUpdate(DocUpdate { re: None, id: self.id, update }), out);
    }

    // Who joins by the channel is a program: notes and presence are for people.
    fn frame_note(&self, _: &[u8], _: &mut Vec<u8>) {}

    fn frame_presence(&self, _: &[Shown], _: &mut Vec<u8>) {}
}
