//! Dialects: client-visible framings over the same documents.
//!
//! Job: turn what a document has into the bytes of one protocol family. Called by sessions. Never
//! knows the journal, the store or another dialect.

use sheaf_protocol::varint;

use super::websocket::write_binary;
use crate::document::awareness::Shown;
use crate::document::fanout::Framing;

pub mod family;
pub mod hocuspocus;
pub mod ysweet;
pub mod ywebsocket;

/// What a family's clients expect an acknowledgement for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// For bytes that they send for it, and get back; nothing more once something was refused.
    /// Clients on Yjs 14 also get their updates back.
    OfEchoes,
    /// For such bytes, whatever was refused; the first ones when the client's answer is durable, of
    /// which it speaks before it has sent it. Until they come it must hear something.
    OfEveryEcho,
    /// For every update, and for the answer to what they are asked when they begin.
    OfUpdates,
}

/// How one family of clients is spoken to. What they say is read by the session that knows the
/// family: the messages inside are the same.
pub trait Dialect: Framing + Send + Unpin + 'static {
    /// What is acknowledged.
    const ACKS: Acks;

    /// Asks for what the client has beyond a state vector.
    fn write_step1(&self, state_vector: &[u8], out: &mut Vec<u8>);
    /// Begins an answer to the client's state vector; the update's own bytes follow it.
    fn write_step2_head(&self, update_len: usize, out: &mut Vec<u8>);
    /// Gives an acknowledgement: all before it is durable. `bytes` is the message to give back,
    /// where there is one.
    fn write_ack(&self, bytes: &[u8], out: &mut Vec<u8>);
    /// Says no to what would be acknowledged.
    fn write_refused(&self, out: &mut Vec<u8>);
    /// Tells whether the client may write from now on.
    fn write_scope(&self, can_write: bool, out: &mut Vec<u8>);
    /// Tells something to whoever reads the client's log.
    fn write_notice(&self, words: &str, out: &mut Vec<u8>);
    /// A frame that means nothing, for watchdogs that only count frames.
    fn write_keep_alive(&self, out: &mut Vec<u8>);
}

/// What an awareness message holds, in every family.
fn entries(shown: &[Shown]) -> Vec<u8> {
    let mut entries = Vec::new();
    varint::write_uint(&mut entries, shown.len() as u64);
    for entry in shown {
        varint::write_uint(&mut entries, entry.client);
        varint::write_uint(&mut entries, u64::from(entry.clock));
        varint::write_text(&mut entries, entry.state.as_deref().unwrap_or("null"));
    }
    entries
}

/// Writes one protocol message of about `len` payload bytes as one frame.
fn message(out: &mut Vec<u8>, len: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let mut payload = Vec::with_capacity(len + 16);
    write(&mut payload);
    write_binary(&payload, out);
}
