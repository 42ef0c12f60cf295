//! The WebSocket framing of RFC 6455, server side, over byte slices.
//!
//! A session calls [`parse`] on the bytes it has just read and [`Assembler::push`] on each frame,
//! and writes with [`frame_header`] and its relatives. Sessions read into one buffer per thread, so
//! a frame is unmasked where it lies and is lent, not copied; a session keeps bytes only while a
//! frame is [`Parsed::Incomplete`]. Never does I/O and never keeps a buffer for an idle session.

use std::borrow::Cow;

use sheaf_protocol::error::Refusal;

/// Payload of a control frame, RFC 6455 §5.5.
const CONTROL_BYTES_MAX: usize = 125;
/// Two bytes of head, eight of length; a server masks nothing.
pub const HEADER_BYTES_MAX: usize = 10;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
const MASK_BYTES: usize = 4;

/// The kinds of frame RFC 6455 §5.2 defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A further part of a fragmented message.
    Continuation,
    /// UTF-8 text. Where the dialect is binary, [`Assembler::push`] refuses it.
    Text,
    /// Bytes.
    Binary,
    /// End of the connection, with an optional code and reason.
    Close,
    /// Asks for a pong with the same payload.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    const fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }
}

/// One whole frame, its payload already unmasked in place.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Whether this is the last frame of its message.
    pub fin: bool,
    /// The kind of frame.
    pub opcode: Opcode,
    /// The payload, in the caller's buffer.
    pub payload: &'a mut [u8],
    /// Bytes of the buffer this frame took, header included; the next frame starts there.
    pub consumed: usize,
}

/// What the front of a buffer holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A whole frame, and the bytes behind it.
    Frame(Frame<'a>, &'a mut [u8]),
    /// Less than a frame; nothing in the buffer was changed.
    Incomplete {
        /// Bytes the buffer must hold before calling again can help: the whole frame once its
        /// header has arrived, the header until then. Always more than the buffer holds now.
        needed: usize,
    },
}

/// What the header at the front of a buffer says.
#[derive(Clone, Copy, Debug)]
struct Header {
    fin: bool,
    opcode: Opcode,
    /// Bytes of the header itself.
    bytes: usize,
    /// Bytes of the payload behind it.
    length: usize,
}

/// Bytes that `buf` must hold before [`parse`] can give a frame: the whole frame once its header
/// has arrived, the header until then. Changes nothing.
///
/// # Errors
/// As [`parse`].
pub fn needed(buf: &[u8], message_bytes_max: usize) -> Result<usize, Refusal> {
    Ok(match header(buf, message_bytes_max)? {
        Ok(header) => header.bytes + header.length,
        Err(needed) => needed,
    })
}

/// A frame of a message that is over the bound, to be passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlong {
    /// The last one of its message.
    pub fin: bool,
    /// Text, binary or a continuation.
    pub opcode: Opcode,
    /// Bytes from the beginning of its header to the end of its payload.
    pub bytes: usize,
}

/// The frame at the front of `buf`, if it is over the bound; none also for what is no frame.
#[must_use]
pub fn overlong(buf: &[u8], message_bytes_max: usize) -> Option<Overlong> {
    let Ok(Ok(Header { fin, opcode, bytes, length })) = header(buf, usize::MAX) else {
        return None;
    };
    let is_over = length > message_bytes_max;
    is_over.then(|| Overlong { fin, opcode, bytes: bytes.saturating_add(length) })
}

/// Reads the frame at the front of `buf` and unmasks its payload in place.
///
/// `message_bytes_max` bounds the payload before any of it has arrived, so an oversized frame is
/// refused from its header alone and never buffered.
///
/// # Errors
/// `Malformed` for what RFC 6455 forbids a client (no mask, reserved bits or opcodes, a long or
/// fragmented control frame, a length not in its shortest form); `TooLarge` over the bound.
pub fn parse(buf: &mut [u8], message_bytes_max: usize) -> Result<Parsed<'_>, Refusal> {
    let Header { fin, opcode, bytes, length } = match header(buf, message_bytes_max)? {
        Ok(header) => header,
        Err(needed) => return Ok(Parsed::Incomplete { needed }),
    };
    let total = bytes + length;
    if buf.len() < total {
        return Ok(Parsed::Incomplete { needed: total });
    }
    let (head, rest) = buf.split_at_mut(bytes);
    let mut mask = [0; MASK_BYTES];
    mask.copy_from_slice(&head[bytes - MASK_BYTES..]);
    let (payload, rest) = rest.split_at_mut(length);
    unmask(payload, mask);
    Ok(Parsed::Frame(Frame { fin, opcode, payload, consumed: total }, rest))
}

/// The header at the front of `buf`, or how many bytes it takes to read one.
fn header(buf: &[u8], message_bytes_max: usize) -> Result<Result<Header, usize>, Refusal> {
    let [first, second, ..] = *buf else { return Ok(Err(2)) };
    if first & RESERVED != 0 {
        return Err(malformed(0, "reserved bits without an extension"));
    }
    let opcode = Opcode::from_bits(first & 0x0F).ok_or(malformed(0, "unknown opcode"))?;
    let fin = first & FIN != 0;
    if second & MASKED == 0 {
        return Err(malformed(1, "a client frame without a mask"));
    }
    let short = usize::from(second & !MASKED);
    if opcode.is_control() && !fin {
        return Err(malformed(0, "a fragmented control frame"));
    }
    if opcode.is_control() && short > CONTROL_BYTES_MAX {
        return Err(malformed(1, "a control frame over 125 bytes"));
    }
    let length_bytes = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let bytes = 2 + length_bytes + MASK_BYTES;
    if buf.len() < bytes {
        return Ok(Err(bytes));
    }
    let length = if length_bytes == 0 {
        short
    } else {
        long_length(&buf[2..2 + length_bytes], message_bytes_max)?
    };
    if length > message_bytes_max {
        return Err(too_large());
    }
    Ok(Ok(Header { fin, opcode, bytes, length }))
}

/// The 16- or 64-bit length field `field`, which must not fit a shorter form.
fn long_length(field: &[u8], message_bytes_max: usize) -> Result<usize, Refusal> {
    let value = field.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    if value >> 63 != 0 {
        return Err(malformed(2, "a length with its top bit set"));
    }
    let shortest = if field.len() == 2 { 126 } else { 1 << 16 };
    if value < shortest {
        return Err(malformed(2, "a length not in its shortest form"));
    }
    match usize::try_from(value) {
        Ok(length) if length <= message_bytes_max => Ok(length),
        _ => Err(too_large()),
    }
}

/// Applies the client's mask, eight bytes at a time: the compiler turns this loop into vector code.
fn unmask(payload: &mut [u8], mask: [u8; MASK_BYTES]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// What a client's close frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// The close code; 1005 ("no status") when the frame carries none.
    pub code: u16,
    /// The reason, at most 123 bytes.
    pub reason: &'a str,
}

/// What a session has to react to, after one more frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A whole binary message: lent from the read buffer, or owned where it came in fragments.
    Message(Cow<'a, [u8]>),
    /// A whole text message, not yet known to be UTF-8; the same.
    Text(Cow<'a, [u8]>),
    /// A fragment was kept; the message goes on.
    Fragment,
    /// A message over the bound has begun, and is passed over.
    TooLarge,
    /// Answer with [`write_pong`] and the same payload.
    Ping(&'a [u8]),
    /// The peer is alive.
    Pong(&'a [u8]),
    /// Answer with [`write_close`] and end.
    Close(Close<'a>),
}

/// Puts fragmented messages together. Holds memory only between the first and last fragment.
#[derive(Debug)]
pub struct Assembler {
    /// `Some` while a fragmented message is open, even if all its fragments so far were empty.
    fragments: Option<Vec<u8>>,
    /// The open message is text.
    is_text: bool,
    takes_text: bool,
    /// What is over the bound is passed over.
    passes_over: bool,
    /// The open message is over the bound.
    is_over: bool,
    message_bytes_max: usize,
}

impl Assembler {
    /// For messages of at most `message_bytes_max` bytes, fragments together.
    #[must_use]
    pub fn new(message_bytes_max: usize) -> Self {
        Self {
            fragments: None,
            is_text: false,
            takes_text: false,
            passes_over: false,
            is_over: false,
            message_bytes_max,
        }
    }

    /// A message over the bound is no error: it is passed over.
    pub fn pass_over(&mut self) {
        self.passes_over = true;
    }

    /// Whether it is.
    #[must_use]
    pub fn passes_over(&self) -> bool {
        self.passes_over
    }

    /// Takes a frame over the bound, whose payload is to be passed over.
    ///
    /// # Errors
    /// `Malformed` for a continuation of nothing and a new message inside an open one.
    pub fn push_overlong(&mut self, frame: Overlong) -> Result<Received<'static>, Refusal> {
        let Overlong { fin, opcode, .. } = frame;
        let is_open = self.is_over || self.fragments.is_some();
        match (opcode, is_open) {
            (Opcode::Continuation, false) => Err(malformed(0, "a continuation of nothing")),
            (Opcode::Text | Opcode::Binary, true) => {
                Err(malformed(0, "a new message inside an open one"))
            }
            _ => Ok(self.go_on_over(fin)),
        }
    }

    /// Lets go of what is kept of a message over the bound; it is told once.
    fn go_on_over(&mut self, fin: bool) -> Received<'static> {
        let is_told = self.is_over;
        (self.fragments, self.is_over) = (None, !fin);
        if is_told { Received::Fragment } else { Received::TooLarge }
    }

    /// The dialect has text messages too.
    pub fn take_text(&mut self) {
        self.takes_text = true;
    }

    /// Takes the next frame of the connection.
    ///
    /// # Errors
    /// `Malformed` for a text frame, a continuation of nothing, a new message inside an open one
    /// and a bad close frame; `TooLarge` when the fragments together pass the bound, unless such a
    /// message is passed over.
    pub fn push<'a>(&mut self, frame: Frame<'a>) -> Result<Received<'a>, Refusal> {
        let Frame { fin, opcode, payload, .. } = frame;
        let payload: &'a [u8] = payload;
        match (opcode, &mut self.fragments) {
            (Opcode::Ping, _) => Ok(Received::Ping(payload)),
            (Opcode::Pong, _) => Ok(Received::Pong(payload)),
            (Opcode::Close, _) => close(payload).map(Received::Close),
            (Opcode::Text, _) if !self.takes_text => {
                Err(malformed(0, "a text frame; this dialect is binary"))
            }
            (Opcode::Text | Opcode::Binary, open) if self.is_over || open.is_some() => {
                Err(malformed(0, "a new message inside an open one"))
            }
            (Opcode::Continuation, None) if self.is_over => Ok(self.go_on_over(fin)),
            (Opcode::Continuation, None) => Err(malformed(0, "a continuation of nothing")),
            (Opcode::Text, _) if fin => Ok(Received::Text(Cow::Borrowed(payload))),
            (Opcode::Binary, _) if fin => Ok(Received::Message(Cow::Borrowed(payload))),
            (Opcode::Text | Opcode::Binary, open) => {
                *open = Some(payload.to_vec());
                self.is_text = opcode == Opcode::Text;
                Ok(Received::Fragment)
            }
            (Opcode::Continuation, Some(bytes)) => {
                if payload.len() > self.message_bytes_max.saturating_sub(bytes.len()) {
                    return if self.passes_over {
                        Ok(self.go_on_over(fin))
                    } else {
                        Err(too_large())
                    };
                }
                bytes.extend_from_slice(payload);
                if !fin {
                    return Ok(Received::Fragment);
                }
                let message = Cow::Owned(self.fragments.take().unwrap_or_default());
                Ok(match self.is_text {
                    true => Received::Text(message),
                    false => Received::Message(message),
                })
            }
        }
    }

    /// Bytes kept for an unfinished message, for the accounting of the session's permit.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.fragments.as_ref().map_or(0, Vec::len)
    }
}

fn close(payload: &[u8]) -> Result<Close<'_>, Refusal> {
    match payload {
        [] => Ok(Close { code: 1005, reason: "" }),
        [_] => Err(malformed(0, "a close frame of one byte")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            // RFC 6455 §7.4: 1004–1006 and 1015 never travel; others here are reserved.
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(malformed(0, "a close code that must not be sent"));
            }
            let reason =
                str::from_utf8(reason).map_err(|_| malformed(2, "a close reason not in UTF-8"))?;
            Ok(Close { code, reason })
        }
    }
}

/// Appends the header of an unmasked, unfragmented frame with `length` bytes of payload.
pub fn frame_header(opcode: Opcode, length: usize, out: &mut Vec<u8>) {
    out.push(FIN | opcode.bits());
    // `as` is exact in each arm: the match bounds the value.
    match length {
        0..=125 => out.push(length as u8),
        126..=0xFFFF => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Appends one binary message as one frame.
pub fn write_binary(payload: &[u8], out: &mut Vec<u8>) {
    out.reserve(HEADER_BYTES_MAX + payload.len());
    frame_header(Opcode::Binary, payload.len(), out);
    out.extend_from_slice(payload);
}

/// Appends a ping; a payload over 125 bytes is cut, which no reader can tell from a shorter one.
pub fn write_ping(payload: &[u8], out: &mut Vec<u8>) {
    write_control(Opcode::Ping, payload, out);
}

/// Appends the answer to a ping.
pub fn write_pong(payload: &[u8], out: &mut Vec<u8>) {
    write_control(Opcode::Pong, payload, out);
}

/// Appends a close frame; a reason over 123 bytes is cut at a character. Code 1005 ("no status")
/// never travels and becomes an empty close frame, so a received [`Close`] can be echoed as it is.
pub fn write_close(code: u16, reason: &str, out: &mut Vec<u8>) {
    if code == 1005 {
        return frame_header(Opcode::Close, 0, out);
    }
    let mut end = reason.len().min(CONTROL_BYTES_MAX - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = &reason[..end];
    frame_header(Opcode::Close, 2 + reason.len(), out);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

fn write_control(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    let payload = &payload[..payload.len().min(CONTROL_BYTES_MAX)];
    frame_header(opcode, payload.len(), out);
    out.extend_from_slice(payload);
}

fn malformed(at: usize, what: &'static str) -> Refusal {
    Refusal::malformed(at, what)
}

fn too_large() -> Refusal {
    Refusal::too_large(0, "a message over the size limit")
}

#[cfg(test)]
mod tests;
