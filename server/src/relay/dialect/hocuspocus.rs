//! The framing of Hocuspocus: each frame begins with the address of the document it is about.
//!
//! Job: write the server's messages for one address. Called by `lanes` and by talks and, for
//! updates, by whoever is first to need a chunk's frames. Reading is `protocol::hocuspocus`. Never
//! answers to another address than the client's own: a frame it does not know, it drops in silence.

use std::sync::Arc;

use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::hocuspocus as wire;
use sheaf_protocol::hocuspocus::Scope;

use super::{Acks, Dialect, entries, message};
use crate::document::awareness::Shown;
use crate::document::fanout::Framing;
use crate::relay::websocket::{Opcode, frame_header};

/// One address of one socket.
#[derive(Clone, Debug)]
pub struct Hocuspocus {
    address: Arc<str>,
    /// The address is the document's name, so others' frames are the same.
    is_plain: bool,
}

impl Hocuspocus {
    /// Frames for an address; `name` is the document's.
    #[must_use]
    pub fn new(address: Arc<str>, name: &str) -> Self {
        Self { is_plain: *address == *name, address }
    }
}

impl Framing for Hocuspocus {
    fn slot(&self) -> Option<usize> {
        self.is_plain.then_some(1)
    }

    fn frame_update(&self, update: &[u8], out: &mut Vec<u8>) {
        frame_header(Opcode::Binary, wire::update_len(&self.address, update.len()), out);
        wire::write_update(out, &self.address, update);
    }

    fn frame_note(&self, note: &[u8], out: &mut Vec<u8>) {
        let note = str::from_utf8(note).expect("a note is UTF-8");
        let len = self.address.len() + note.len();
        message(out, len, |out| wire::write_stateless(out, &self.address, note));
    }

    fn frame_presence(&self, shown: &[Shown], out: &mut Vec<u8>) {
        let entries = entries(shown);
        let len = self.address.len() + entries.len();
        message(out, len, |out| wire::write_awareness(out, &self.address, &entries));
    }
}

impl Dialect for Hocuspocus {
    const ACKS: Acks = Acks::OfUpdates;

    fn write_step1(&self, state_vector: &[u8], out: &mut Vec<u8>) {
        let len = self.address.len() + state_vector.len();
        message(out, len, |out| wire::write_step1(out, &self.address, state_vector));
    }

    fn write_step2_head(&self, update_len: usize, out: &mut Vec<u8>) {
        let mut head = Vec::with_capacity(self.address.len() + 12);
        wire::write_step2_head(&mut head, &self.address, update_len);
        frame_header(Opcode::Binary, head.len() + update_len, out);
        out.extend_from_slice(&head);
    }

    fn write_ack(&self, _: &[u8], out: &mut Vec<u8>) {
        message(out, self.address.len(), |out| wire::write_sync_status(out, &self.address, true));
    }

    fn write_refused(&self, out: &mut Vec<u8>) {
        message(out, self.address.len(), |out| wire::write_sync_status(out, &self.address, false));
    }

    fn write_scope(&self, can_write: bool, out: &mut Vec<u8>) {
        let scope = if can_write { Scope::ReadWrite } else { Scope::ReadOnly };
        message(out, self.address.len(), |out| wire::write_auth_scope(out, &self.address, scope));
    }

    /// The provider has no message for it that it would not take for something else.
    fn write_notice(&self, _: &str, _: &mut Vec<u8>) {}

    fn write_keep_alive(&self, out: &mut Vec<u8>) {
        message(out, self.address.len(), |out| wire::write_keep_alive(out, &self.address));
    }
}

/// Whether a client is told by a refusal of one address, and keeps its socket for the others.
pub fn is_denial(code: Code) -> bool {
    matches!(code, Code::Unauthorised | Code::Forbidden | Code::EpochChanged)
}

/// Refuses an address; the client may try it again with another token.
pub fn write_auth_denied(address: &str, refusal: Refusal, out: &mut Vec<u8>) {
    // Programs look for the words of Hocuspocus; who may not is told no more than that.
    let reason = match refusal.code {
        Code::EpochChanged => refusal.what,
        _ => "permission-denied",
    };
    let len = address.len() + reason.len();
    message(out, len, |out| wire::write_auth_denied(out, address, reason));
}
