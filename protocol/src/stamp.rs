//! Hybrid logical clock values, which are also ids.
//!
//! Called wherever an id or an order across devices is needed; time is always an argument. A stamp
//! never moves backwards within one clock, whatever the wall clock does.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// 48-bit milliseconds since 1970, 16-bit counter, 64-bit device: ordered by time, then by count,
/// then by device. Its text is a ULID: 26 characters of Crockford's base 32, sorting as the value.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(u128);

/// Bits of the counter.
const COUNTER_BITS: u32 = 16;

const MS_END: u64 = 1 << 48;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl Stamp {
    /// The least stamp; no clock ever gives it out.
    pub const ZERO: Stamp = Stamp(0);
    /// Length of the text form.
    pub const TEXT_BYTES: usize = 26;

    /// A stamp of its parts. `ms` beyond 48 bits is held at the greatest value.
    pub const fn new(ms: u64, counter: u16, device: u64) -> Stamp {
        let ms = if ms < MS_END { ms } else { MS_END - 1 };
        Stamp((ms as u128) << 80 | (counter as u128) << 64 | device as u128)
    }

    /// Milliseconds since 1970.
    pub const fn ms(self) -> u64 {
        (self.0 >> 80) as u64
    }

    /// Place among the stamps of one device in one millisecond.
    pub const fn counter(self) -> u16 {
        (self.0 >> 64) as u16
    }

    /// The device that gave the stamp out.
    pub const fn device(self) -> u64 {
        self.0 as u64
    }

    /// Big-endian bytes, which sort as the stamps do.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The inverse of `to_bytes`; every sixteen bytes are a stamp.
    pub const fn from_bytes(bytes: [u8; 16]) -> Stamp {
        Stamp(u128::from_be_bytes(bytes))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; Stamp::TEXT_BYTES];
        for (place, byte) in text.iter_mut().enumerate() {
            let shift = 5 * (Stamp::TEXT_BYTES - 1 - place);
            *byte = ALPHABET[(self.0 >> shift & 31) as usize];
        }
        f.pad(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stamp({self})")
    }
}

/// A text that is no stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stamp is 26 characters of Crockford's base 32, the first at most 7")]
pub struct NotAStamp;

impl FromStr for Stamp {
    type Err = NotAStamp;

    /// Reads a ULID; case does not matter, and I, L and O stand for 1, 1 and 0 as Crockford asks.
    fn from_str(text: &str) -> Result<Stamp, NotAStamp> {
        let bytes = text.as_bytes();
        if bytes.len() != Stamp::TEXT_BYTES || digit(bytes[0]).is_none_or(|first| first > 7) {
            return Err(NotAStamp);
        }
        bytes
            .iter()
            .try_fold(0u128, |value, byte| Some(value << 5 | u128::from(digit(*byte)?)))
            .map(Stamp)
            .ok_or(NotAStamp)
    }
}

fn digit(byte: u8) -> Option<u8> {
    let upper = match byte.to_ascii_uppercase() {
        b'I' | b'L' => b'1',
        b'O' => b'0',
        other => other,
    };
    ALPHABET.iter().position(|letter| *letter == upper).map(|place| place as u8)
}

/// A stamp of a clock that is too far ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stamp is ahead of the clock")]
pub struct Ahead;

/// Gives out the stamps of one device, each greater than all before it. Shared by all who stamp for
/// that device.
#[derive(Debug)]
pub struct StampClock {
    device: u64,
    /// The last stamp given out or seen: 48 bits of milliseconds, 16 of the counter.
    last: AtomicU64,
}

impl StampClock {
    /// A clock that has given out nothing yet. After a restart call `raise` with the last stored
    /// stamp, or a wall clock that stepped back gives ids out twice.
    pub const fn new(device: u64) -> StampClock {
        StampClock { device, last: AtomicU64::new(0) }
    }

    /// The next stamp at wall time `now_ms`. With the wall clock behind, the counter goes on, and
    /// after 65,536 stamps the milliseconds do.
    pub fn tick(&self, now_ms: u64) -> Stamp {
        let wall = now_ms.min(MS_END - 1) << COUNTER_BITS;
        let next = |last: u64| wall.max(last.saturating_add(1));
        let before = self.last.fetch_update(Relaxed, Relaxed, |last| Some(next(last)));
        let last = before.unwrap_or_else(|last| last);
        assert!(last < u64::MAX, "stamps hold milliseconds until the year 10889");
        let next = next(last);
        Stamp::new(next >> COUNTER_BITS, next as u16, self.device)
    }

    /// Makes every later stamp greater than one of another clock.
    ///
    /// # Errors
    /// `Ahead` when that is more than `drift_ms` ahead of the wall time `now_ms`: taken in, it
    /// would drag this clock along for good. Nothing changes then.
    pub fn observe(&self, seen: Stamp, now_ms: u64, drift_ms: u64) -> Result<(), Ahead> {
        if seen.ms() > now_ms.saturating_add(drift_ms) {
            return Err(Ahead);
        }
        self.raise(seen);
        Ok(())
    }

    /// Makes every later stamp greater than `seen`, which was stored before a restart.
    pub fn raise(&self, seen: Stamp) {
        let seen = seen.ms() << COUNTER_BITS | u64::from(seen.counter());
        self.last.fetch_max(seen, Relaxed);
    }
}

#[cfg(test)]
mod tests;
