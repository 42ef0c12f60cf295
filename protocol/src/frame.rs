//! y-protocols messages: sync, awareness, auth, query, and our echo (102).
//!
//! Called by every dialect, by `hocuspocus` and by the client library. Borrows: no payload is
//! copied or decoded here; `scan` checks what is inside.

use crate::error::Refusal;
use crate::limits::{ECHO_BYTES_MAX, MESSAGE_BYTES_MAX, REASON_BYTES_MAX};
use crate::varint::{Reader, uint_len, write_buffer, write_text, write_uint};

pub(crate) const SYNC: u64 = 0;
pub(crate) const AWARENESS: u64 = 1;
pub(crate) const AUTH: u64 = 2;
pub(crate) const QUERY_AWARENESS: u64 = 3;
const ECHO: u64 = 102;

const STEP_1: u64 = 0;
const STEP_2: u64 = 1;
const UPDATE: u64 = 2;

const DENIED: u64 = 0;

/// An awareness message without entries: every stock client takes it as a sign of life (their
/// watchdogs do not see WebSocket pings) and does nothing with it.
pub const EMPTY_AWARENESS: [u8; 3] = [1, 1, 0];

/// One message of a frame, borrowed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// "This is what I hold": a state vector.
    Step1(&'a [u8]),
    /// "This is what you lack": an update that answers a `Step1`.
    Step2(&'a [u8]),
    /// An update that was just made.
    Update(&'a [u8]),
    /// Presence entries.
    Awareness(&'a [u8]),
    /// "Tell me everyone's presence."
    QueryAwareness,
    /// The server refuses, with a reason for a person.
    AuthDenied(&'a str),
    /// Opaque bytes the server returns when everything before them is durable.
    Echo(&'a [u8]),
}

/// The messages of one WebSocket frame, in order.
///
/// Several are accepted, though stock y-websocket up to 3.1 reads only the first, so we send one a
/// frame. A message that is cut short, unknown or too long is an `Err` and ends the iteration; so
/// does a frame over `limits::MESSAGE_BYTES_MAX`. An empty frame holds none.
pub fn messages(frame: &[u8]) -> Messages<'_> {
    Messages { reader: Reader::new(frame), is_over: false }
}

/// Iterator of `messages`.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    reader: Reader<'a>,
    is_over: bool,
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over || self.reader.is_at_end() {
            return None;
        }
        let message = self.read();
        self.is_over = message.is_err();
        Some(message)
    }
}

impl<'a> Messages<'a> {
    /// The bytes that were not read yet: what a caller keeps to go on later.
    pub fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }

    fn read(&mut self) -> Result<Message<'a>, Refusal> {
        let reader = &mut self.reader;
        let at = reader.at();
        if at + reader.remaining() > MESSAGE_BYTES_MAX {
            return Err(Refusal::too_large(at, "message too long"));
        }
        match reader.uint()? {
            SYNC => read_sync(reader),
            AWARENESS => Ok(Message::Awareness(reader.buffer()?)),
            AUTH => {
                let at = reader.at();
                match reader.uint()? {
                    DENIED => {
                        bounded(at, reader.text()?, REASON_BYTES_MAX).map(Message::AuthDenied)
                    }
                    _ => Err(Refusal::malformed(at, "unknown auth message")),
                }
            }
            QUERY_AWARENESS => Ok(Message::QueryAwareness),
            ECHO => {
                let at = reader.at();
                bounded(at, reader.buffer()?, ECHO_BYTES_MAX).map(Message::Echo)
            }
            _ => Err(Refusal::malformed(at, "unknown message type")),
        }
    }
}

/// What stands behind the type of a sync message.
pub(crate) fn read_sync<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, Refusal> {
    let at = reader.at();
    match reader.uint()? {
        STEP_1 => reader.buffer().map(Message::Step1),
        STEP_2 => reader.buffer().map(Message::Step2),
        UPDATE => reader.buffer().map(Message::Update),
        _ => Err(Refusal::malformed(at, "unknown sync message")),
    }
}

/// Refuses a payload of more than `bytes_max`; `at` is where it stands.
pub(crate) fn bounded<T: AsRef<[u8]>>(
    at: usize,
    payload: T,
    bytes_max: usize,
) -> Result<T, Refusal> {
    if payload.as_ref().len() > bytes_max {
        return Err(Refusal::too_large(at, "payload too long"));
    }
    Ok(payload)
}

/// Appends a SyncStep1 with an encoded state vector.
pub fn write_step1(out: &mut Vec<u8>, state_vector: &[u8]) {
    write_sync(out, STEP_1, state_vector);
}

/// Appends a SyncStep2 with an encoded update.
pub fn write_step2(out: &mut Vec<u8>, update: &[u8]) {
    write_sync(out, STEP_2, update);
}

/// Appends what stands before the update in a SyncStep2.
pub fn write_step2_head(out: &mut Vec<u8>, update_len: usize) {
    write_uint(out, SYNC);
    write_uint(out, STEP_2);
    write_uint(out, update_len as u64);
}

/// Appends an Update with an encoded update.
pub fn write_update(out: &mut Vec<u8>, update: &[u8]) {
    write_sync(out, UPDATE, update);
}

/// Bytes of an Update message whose encoded update has so many.
#[must_use]
pub fn update_len(update_len: usize) -> usize {
    2 + uint_len(update_len as u64) + update_len
}

/// Appends an awareness message with an encoded awareness update.
pub fn write_awareness(out: &mut Vec<u8>, awareness: &[u8]) {
    write_uint(out, AWARENESS);
    write_buffer(out, awareness);
}

/// Appends a query for everyone's presence.
pub fn write_query_awareness(out: &mut Vec<u8>) {
    write_uint(out, QUERY_AWARENESS);
}

/// Appends an auth-denied message with a reason for a person.
pub fn write_auth_denied(out: &mut Vec<u8>, reason: &str) {
    write_uint(out, AUTH);
    write_uint(out, DENIED);
    write_text(out, reason);
}

/// Appends an echo (102) of opaque bytes.
pub fn write_echo(out: &mut Vec<u8>, payload: &[u8]) {
    write_uint(out, ECHO);
    write_buffer(out, payload);
}

fn write_sync(out: &mut Vec<u8>, step: u64, payload: &[u8]) {
    write_uint(out, SYNC);
    write_uint(out, step);
    write_buffer(out, payload);
}

#[cfg(test)]
mod tests;
