//! The framing of the Hocuspocus provider: y-protocols messages with the document's address in
//! front, and what else its clients and servers say.
//!
//! Called by that dialect, and by the clients that test it. Borrows: no payload is copied or
//! decoded here; `scan` checks what is inside. One frame holds one message; nothing may follow it.

use std::fmt;

use crate::error::Refusal;
use crate::frame::{self, AUTH, AWARENESS, QUERY_AWARENESS, SYNC, bounded, read_sync};
use crate::limits::{
    DOCUMENT_NAME_BYTES_MAX, MESSAGE_BYTES_MAX, PROVIDER_VERSION_BYTES_MAX, REASON_BYTES_MAX,
    SESSION_ID_BYTES_MAX, STATELESS_BYTES_MAX, TOKEN_BYTES_MAX,
};
use crate::varint::{Reader, uint_len, write_text, write_uint};

// Type 4 is a reply between servers, which no provider takes.
const STATELESS: u64 = 5;
const BROADCAST_STATELESS: u64 = 6;
const CLOSE: u64 = 7;
const SYNC_STATUS: u64 = 8;

/// From a client: a token. From the server, without a payload: send it again.
const TOKEN: u64 = 0;
const DENIED: u64 = 1;
const SCOPE: u64 = 2;

/// A whole frame: a server asks whether the client is there. Providers before 4 throw on it.
pub const PING: [u8; 1] = [9];

/// A whole frame: the answer to `PING`.
pub const PONG: [u8; 1] = [10];

/// One frame, borrowed from its bytes; `M` is what clients say, or what servers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a, M = Message<'a>> {
    /// "Are you there?"
    Ping,
    /// "I am."
    Pong,
    /// A message of one document's session.
    Addressed {
        /// Whose.
        address: Address<'a>,
        /// What it says.
        message: M,
    },
}

/// To whom a frame belongs: a document's name, or `name \0 session`.
///
/// A client looks its provider up by the exact string and drops what it does not know, so every
/// answer carries `whole`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address<'a> {
    whole: &'a str,
    name_len: usize,
}

impl<'a> Address<'a> {
    /// The string of the frame, without its length.
    #[must_use]
    pub const fn whole(&self) -> &'a str {
        self.whole
    }

    /// The document's name: 1 to 1,024 bytes without NUL.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.whole[..self.name_len]
    }

    /// What tells two sessions of one socket with the same document apart: at most
    /// `limits::SESSION_ID_BYTES_MAX`, possibly empty, without NUL.
    #[must_use]
    pub fn session(&self) -> Option<&'a str> {
        self.whole.get(self.name_len + 1..)
    }

    fn read(reader: &mut Reader<'a>) -> Result<Address<'a>, Refusal> {
        let at = reader.at();
        let whole = reader.text()?;
        let (name, session) = whole.split_once('\0').unwrap_or((whole, ""));
        if name.is_empty() || session.contains('\0') {
            return Err(Refusal::malformed(at, "an address is a name, or name, NUL and session"));
        }
        bounded(at, name, DOCUMENT_NAME_BYTES_MAX)?;
        bounded(at, session, SESSION_ID_BYTES_MAX)?;
        Ok(Address { whole, name_len: name.len() })
    }
}

/// A token as it came. Its `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token<'a>(pub &'a str);

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What a client says, borrowed from its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// What every family says: `Step1`, `Step2`, `Update`, `Awareness` or `QueryAwareness`.
    Document(frame::Message<'a>),
    /// "This is who I am."
    Auth {
        /// Empty if the program has none; at most `limits::TOKEN_BYTES_MAX`.
        token: Token<'a>,
        /// Providers before 4 do not say it; at most `limits::PROVIDER_VERSION_BYTES_MAX`.
        provider_version: Option<&'a str>,
    },
    /// Text for the program at the other end; at most `limits::STATELESS_BYTES_MAX`.
    Stateless(&'a str),
    /// What servers send to each other past the program. No provider sends it, so from a client it
    /// is to be refused; its text is not handed on.
    BroadcastStateless,
    /// "I leave this document."
    Close,
}

/// What a server says, borrowed from its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// What every family says: `Step1`, `Step2`, `Update` or `Awareness`.
    Document(frame::Message<'a>),
    /// "Send your token again." Providers from 3 on take it.
    AuthAgain,
    /// Refused, with a reason for a person.
    AuthDenied(&'a str),
    /// Allowed, and how much.
    AuthScope(Scope),
    /// Text for the program.
    Stateless(&'a str),
    /// The document stays closed to this client, with a reason for a person. Providers before 3
    /// throw on it.
    Close(&'a str),
    /// Whether a change was taken: each `true` takes one off the provider's unsynced changes.
    SyncStatus(bool),
}

/// What an allowed client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Read and write.
    ReadWrite,
    /// Read.
    ReadOnly,
}

impl Scope {
    /// The word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Scope::ReadWrite => "read-write",
            Scope::ReadOnly => "readonly",
        }
    }
}

/// Reads a frame of a client. Nothing is allocated.
///
/// A frame that is cut short, unknown, only said by servers or has bytes left over is malformed;
/// one over `limits::MESSAGE_BYTES_MAX`, or with a part over its own bound, is too large.
pub fn frame(bytes: &[u8]) -> Result<Frame<'_>, Refusal> {
    read(bytes, read_message)
}

/// Reads a frame of a server, as `frame` does one of a client.
pub fn answer(bytes: &[u8]) -> Result<Frame<'_, Answer<'_>>, Refusal> {
    read(bytes, read_answer)
}

fn read<'a, M>(
    bytes: &'a [u8],
    read_message: fn(&mut Reader<'a>) -> Result<M, Refusal>,
) -> Result<Frame<'a, M>, Refusal> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(Refusal::too_large(0, "message too long"));
    }
    // An address has a byte and a type behind its length, so one byte is never the start of one.
    if bytes == PING {
        return Ok(Frame::Ping);
    }
    if bytes == PONG {
        return Ok(Frame::Pong);
    }
    let mut reader = Reader::new(bytes);
    let address = Address::read(&mut reader)?;
    let message = read_message(&mut reader)?;
    reader.check_end()?;
    Ok(Frame::Addressed { address, message })
}

fn read_message<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, Refusal> {
    let at = reader.at();
    match reader.uint()? {
        SYNC => read_sync(reader).map(Message::Document),
        AWARENESS => read_awareness(reader).map(Message::Document),
        AUTH => read_auth(reader),
        QUERY_AWARENESS => Ok(Message::Document(frame::Message::QueryAwareness)),
        STATELESS => read_text(reader, STATELESS_BYTES_MAX).map(Message::Stateless),
        BROADCAST_STATELESS => {
            read_text(reader, STATELESS_BYTES_MAX).map(|_| Message::BroadcastStateless)
        }
        CLOSE => Ok(Message::Close),
        _ => Err(Refusal::malformed(at, "unknown message type")),
    }
}

fn read_awareness<'a>(reader: &mut Reader<'a>) -> Result<frame::Message<'a>, Refusal> {
    reader.buffer().map(frame::Message::Awareness)
}

fn read_auth<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, Refusal> {
    let at = reader.at();
    if reader.uint()? != TOKEN {
        return Err(Refusal::malformed(at, "unknown auth message"));
    }
    let token = Token(read_text(reader, TOKEN_BYTES_MAX)?);
    let provider_version = if reader.is_at_end() {
        None
    } else {
        Some(read_text(reader, PROVIDER_VERSION_BYTES_MAX)?)
    };
    Ok(Message::Auth { token, provider_version })
}

fn read_answer<'a>(reader: &mut Reader<'a>) -> Result<Answer<'a>, Refusal> {
    let at = reader.at();
    match reader.uint()? {
        SYNC => read_sync(reader).map(Answer::Document),
        AWARENESS => read_awareness(reader).map(Answer::Document),
        AUTH => read_auth_answer(reader),
        STATELESS => read_text(reader, STATELESS_BYTES_MAX).map(Answer::Stateless),
        CLOSE => read_text(reader, REASON_BYTES_MAX).map(Answer::Close),
        SYNC_STATUS => {
            let is_taken = reader.uint_below(2, "a sync status is 0 or 1")? == 1;
            Ok(Answer::SyncStatus(is_taken))
        }
        _ => Err(Refusal::malformed(at, "unknown message type")),
    }
}

fn read_auth_answer<'a>(reader: &mut Reader<'a>) -> Result<Answer<'a>, Refusal> {
    let at = reader.at();
    match reader.uint()? {
        TOKEN => Ok(Answer::AuthAgain),
        DENIED => read_text(reader, REASON_BYTES_MAX).map(Answer::AuthDenied),
        SCOPE => {
            let at = reader.at();
            let word = reader.text()?;
            let mut scopes = [Scope::ReadWrite, Scope::ReadOnly].into_iter();
            let scope = scopes.find(|scope| scope.word() == word);
            scope.map(Answer::AuthScope).ok_or(Refusal::malformed(at, "unknown scope"))
        }
        _ => Err(Refusal::malformed(at, "unknown auth message")),
    }
}

fn read_text<'a>(reader: &mut Reader<'a>, bytes_max: usize) -> Result<&'a str, Refusal> {
    let at = reader.at();
    bounded(at, reader.text()?, bytes_max)
}

/// Bytes that an address takes at the head of a frame.
#[must_use]
pub const fn address_len(address: &str) -> usize {
    uint_len(address.len() as u64) + address.len()
}

/// Bytes of an Update for an address whose encoded update has so many.
#[must_use]
pub fn update_len(address: &str, update_len: usize) -> usize {
    address_len(address) + frame::update_len(update_len)
}

/// Appends a SyncStep1 with an encoded state vector.
pub fn write_step1(out: &mut Vec<u8>, address: &str, state_vector: &[u8]) {
    write_text(out, address);
    frame::write_step1(out, state_vector);
}

/// Appends a SyncStep2 with an encoded update.
pub fn write_step2(out: &mut Vec<u8>, address: &str, update: &[u8]) {
    write_text(out, address);
    frame::write_step2(out, update);
}

/// Appends what stands before the update in a SyncStep2.
pub fn write_step2_head(out: &mut Vec<u8>, address: &str, update_len: usize) {
    write_text(out, address);
    frame::write_step2_head(out, update_len);
}

/// Appends an Update with an encoded update.
pub fn write_update(out: &mut Vec<u8>, address: &str, update: &[u8]) {
    write_text(out, address);
    frame::write_update(out, update);
}

/// Appends an awareness message with an encoded awareness update.
pub fn write_awareness(out: &mut Vec<u8>, address: &str, awareness: &[u8]) {
    write_text(out, address);
    frame::write_awareness(out, awareness);
}

/// Appends an awareness message without entries: a sign of life that every provider takes, also
/// those that throw on `PING`.
pub fn write_keep_alive(out: &mut Vec<u8>, address: &str) {
    write_text(out, address);
    out.extend_from_slice(&frame::EMPTY_AWARENESS);
}

/// Appends a client's query for everyone's presence.
pub fn write_query_awareness(out: &mut Vec<u8>, address: &str) {
    write_text(out, address);
    frame::write_query_awareness(out);
}

/// Appends a client's token, and its version if it says one.
pub fn write_auth(out: &mut Vec<u8>, address: &str, token: &str, provider_version: Option<&str>) {
    write_head(out, address, AUTH);
    write_uint(out, TOKEN);
    write_text(out, token);
    if let Some(version) = provider_version {
        write_text(out, version);
    }
}

/// Appends the server's wish for the token once more.
pub fn write_auth_again(out: &mut Vec<u8>, address: &str) {
    write_head(out, address, AUTH);
    write_uint(out, TOKEN);
}

/// Appends the server's refusal with a reason for a person.
pub fn write_auth_denied(out: &mut Vec<u8>, address: &str, reason: &str) {
    write_head(out, address, AUTH);
    write_uint(out, DENIED);
    write_text(out, reason);
}

/// Appends what the client may do from now on.
pub fn write_auth_scope(out: &mut Vec<u8>, address: &str, scope: Scope) {
    write_head(out, address, AUTH);
    write_uint(out, SCOPE);
    write_text(out, scope.word());
}

/// Appends a text for the program at the other end.
pub fn write_stateless(out: &mut Vec<u8>, address: &str, text: &str) {
    write_head(out, address, STATELESS);
    write_text(out, text);
}

/// Appends the server's close of one document, with a reason for a person. The provider keeps its
/// socket and never comes back by itself, so this is only for what must stay closed.
pub fn write_close(out: &mut Vec<u8>, address: &str, reason: &str) {
    write_head(out, address, CLOSE);
    write_text(out, reason);
}

/// Appends a client's leave of one document.
pub fn write_leave(out: &mut Vec<u8>, address: &str) {
    write_head(out, address, CLOSE);
}

/// Appends whether one change was taken. Never one for several: the provider counts them.
pub fn write_sync_status(out: &mut Vec<u8>, address: &str, is_taken: bool) {
    write_head(out, address, SYNC_STATUS);
    out.push(u8::from(is_taken));
}

fn write_head(out: &mut Vec<u8>, address: &str, kind: u64) {
    write_text(out, address);
    write_uint(out, kind);
}

#[cfg(test)]
mod tests;
