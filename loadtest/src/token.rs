//! The text that is typed: stamps, each one insertion, so that every reader can tell from the text
//! alone what came, when it was due, and what did not come.

use sheaf_protocol::varint::{write_text, write_uint};

/// `~`, six hexadecimal digits of number, eight of microseconds.
pub(crate) const TOKEN_BYTES: usize = 15;
/// More would not fit its digits.
pub(crate) const NUMBERS_MAX: u32 = 1 << 24;
/// What the root text is called, as in every editor demo and in Sheaf.
pub(crate) const ROOT: &str = "content";

/// One insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// Counts from 0.
    pub(crate) number: u32,
    /// When it was due to be sent, in microseconds since the start of the load.
    pub(crate) due_us: u32,
}

impl Token {
    pub(crate) fn text(self) -> String {
        format!("~{:06x}{:08x}", self.number, self.due_us)
    }

    /// The tokens in the bytes of an update, in order. Their letters lie in it as they were typed,
    /// in one piece or joined with others.
    pub(crate) fn find(mut bytes: &[u8]) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            loop {
                let at = bytes.iter().position(|byte| *byte == b'~')?;
                bytes = &bytes[at + 1..];
                if let Some(token) = Self::read(bytes) {
                    bytes = &bytes[TOKEN_BYTES - 1..];
                    return Some(token);
                }
            }
        })
    }

    fn read(digits: &[u8]) -> Option<Self> {
        let digits = std::str::from_utf8(digits.get(..TOKEN_BYTES - 1)?).ok()?;
        let number = u32::from_str_radix(&digits[..6], 16).ok()?;
        let due_us = u32::from_str_radix(&digits[6..], 16).ok()?;
        Some(Self { number, due_us })
    }

    /// The Yjs update that appends this token to the text that `client` alone has typed so far.
    ///
    /// By hand, because a CRDT in the rig would cost more than the server that is measured.
    pub(crate) fn update(self, client: u32) -> Vec<u8> {
        const HAS_ORIGIN: u8 = 0x80;
        const STRING: u8 = 4;
        let clock = u64::from(self.number) * TOKEN_BYTES as u64;
        let mut out = Vec::with_capacity(48);
        for number in [1, 1, u64::from(client), clock] {
            write_uint(&mut out, number); // one client, one block, from this clock
        }
        if clock == 0 {
            out.extend([STRING, 1]);
            write_text(&mut out, ROOT);
        } else {
            out.push(STRING | HAS_ORIGIN);
            write_uint(&mut out, u64::from(client));
            write_uint(&mut out, clock - 1);
        }
        write_text(&mut out, &self.text());
        out.push(0); // nothing deleted
        out
    }
}

#[cfg(test)]
mod tests;
