//! lib0's numbers, strings and buffers: read with every bound checked, written as lib0 does.
//!
//! Called by `frame`, `scan`, `value` and the dialects. Reading never allocates and never panics.

use crate::error::Refusal;
use crate::limits::{CLIENT_ID_END, CLOCK_END, KEY_BYTES_MAX};

/// The greatest number lib0 reads, 2^53 - 1: JavaScript holds no larger whole number.
pub const UINT_MAX: u64 = (1 << 53) - 1;

/// A place in borrowed bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub const fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// Offset of the next byte.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Bytes not read yet.
    pub const fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Whether everything is read.
    pub const fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The bytes from offset `from` up to the next one. `from` must not lie beyond it.
    pub fn since(&self, from: usize) -> &'a [u8] {
        &self.bytes[from..self.at]
    }

    /// Refuses bytes that are left over.
    pub fn check_end(&self) -> Result<(), Refusal> {
        if self.is_at_end() {
            Ok(())
        } else {
            Err(Refusal::malformed(self.at, "bytes after the end"))
        }
    }

    /// One byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, Refusal> {
        match self.bytes.get(self.at) {
            Some(byte) => {
                self.at += 1;
                Ok(*byte)
            }
            None => Err(Refusal::malformed(self.at, "ends within a value")),
        }
    }

    /// The next `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Refusal> {
        if len > self.remaining() {
            return Err(Refusal::malformed(self.at, "length beyond the end"));
        }
        self.at += len;
        Ok(self.since(self.at - len))
    }

    /// lib0 `varUint`: seven bits a byte, low ones first. At most ten bytes and 53 bits; padding
    /// with zero groups is allowed, as lib0 allows it.
    #[inline]
    pub fn uint(&mut self) -> Result<u64, Refusal> {
        let first = self.byte()?;
        if first < 0x80 { Ok(u64::from(first)) } else { self.groups(u64::from(first & 0x7f), 7) }
    }

    /// A `varUint` below `end`; `what` names it in the refusal.
    #[inline]
    pub fn uint_below(&mut self, end: u64, what: &'static str) -> Result<u64, Refusal> {
        let at = self.at;
        match self.uint()? {
            value if value < end => Ok(value),
            _ => Err(Refusal::malformed(at, what)),
        }
    }

    /// lib0 `varInt`: six bits and a sign, then seven bits a byte. At most ten bytes and 53 bits
    /// (yrs shifts beyond 64 bits on the eleventh, which panics in a debug build).
    pub fn int(&mut self) -> Result<i64, Refusal> {
        let first = self.byte()?;
        let low = u64::from(first & 0x3f);
        let magnitude = if first & 0x80 == 0 { low } else { self.groups(low, 6)? };
        let value = i64::try_from(magnitude).expect("at most 53 bits");
        Ok(if first & 0x40 == 0 { value } else { -value })
    }

    /// A client id, below 2^53.
    #[inline]
    pub fn client(&mut self) -> Result<u64, Refusal> {
        self.uint_below(CLIENT_ID_END, "client id of 53 bits or more")
    }

    /// A clock or a length, below 2^31.
    #[inline]
    pub fn clock(&mut self) -> Result<u32, Refusal> {
        let clock = self.uint_below(CLOCK_END, "clock or length of 31 bits or more")?;
        Ok(clock as u32)
    }

    /// A count of things that take at least one byte each, so never more than the bytes left.
    #[inline]
    pub fn count(&mut self) -> Result<u32, Refusal> {
        let at = self.at;
        match self.uint()? {
            count if count <= self.remaining() as u64 && count < CLOCK_END => Ok(count as u32),
            _ => Err(Refusal::malformed(at, "count beyond the bytes left")),
        }
    }

    /// lib0 `varUint8Array`: length, then bytes.
    pub fn buffer(&mut self) -> Result<&'a [u8], Refusal> {
        let len = self.count()? as usize;
        self.bytes(len)
    }

    /// lib0 `varString`: length in bytes, then UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Refusal> {
        let bytes = self.buffer()?;
        std::str::from_utf8(bytes)
            .map_err(|_| Refusal::malformed(self.at - bytes.len(), "string is not UTF-8"))
    }

    /// A string that names something: at most `limits::KEY_BYTES_MAX`.
    pub fn key(&mut self) -> Result<&'a str, Refusal> {
        let at = self.at;
        let key = self.text()?;
        if key.len() > KEY_BYTES_MAX {
            Err(Refusal::too_large(at, "key too long"))
        } else {
            Ok(key)
        }
    }

    /// The groups of seven bits after the first byte, which gave `value` and `shift` bits.
    fn groups(&mut self, mut value: u64, mut shift: u32) -> Result<u64, Refusal> {
        loop {
            let byte = self.byte()?;
            let group = u64::from(byte & 0x7f);
            // Seven bits more are below 53 whatever they are, nearly always.
            if shift > 46 && (shift > 63 || group >> 53u32.saturating_sub(shift).min(7) != 0) {
                return Err(Refusal::malformed(self.at - 1, "number of more than 53 bits"));
            }
            value |= group << shift;
            shift += 7;
            if byte < 0x80 {
                return Ok(value);
            }
        }
    }
}

/// Appends a `varUint`.
pub fn write_uint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a `varInt`.
pub fn write_int(out: &mut Vec<u8>, value: i64) {
    let mut magnitude = value.unsigned_abs();
    let sign = if value < 0 { 0x40 } else { 0 };
    let more = if magnitude > 0x3f { 0x80 } else { 0 };
    out.push(more | sign | (magnitude as u8 & 0x3f));
    magnitude >>= 6;
    if more != 0 {
        write_uint(out, magnitude);
    }
}

/// Appends a length and the bytes.
pub fn write_buffer(out: &mut Vec<u8>, bytes: &[u8]) {
    write_uint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a length in bytes and the UTF-8.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    write_buffer(out, text.as_bytes());
}

/// Bytes that `write_uint` appends for `value`.
pub const fn uint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

#[cfg(test)]
mod tests;
