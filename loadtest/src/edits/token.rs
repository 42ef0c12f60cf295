//! Stamps: the text that is typed is made of them, each one insertion, so that every reader can
//! tell from the text alone what came, when it was due, and what did not come.

/// `~`, five digits of number, seven of microseconds, 64 values a digit.
pub(crate) const TOKEN_BYTES: usize = 13;
/// More would not fit its digits.
pub(crate) const NUMBERS_MAX: u32 = 1 << 30;
/// What the root text is called, as in every editor demo and in Sheaf.
pub(crate) const ROOT: &str = "content";

const NUMBER_DIGITS: usize = 5;
const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
/// Not a digit.
const NONE: u8 = 64;
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut at = 0;
    while at < DIGITS.len() {
        values[DIGITS[at] as usize] = at as u8;
        at += 1;
    }
    values
};

/// One insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Token {
    /// Counts from 0.
    pub(crate) number: u32,
    /// When it was due to be sent, in microseconds since the start of the load.
    pub(crate) due_us: u64,
}

impl Token {
    /// Its text.
    pub(crate) fn bytes(self) -> [u8; TOKEN_BYTES] {
        let mut out = [b'~'; TOKEN_BYTES];
        let (number, due) = out[1..].split_at_mut(NUMBER_DIGITS);
        write(number, u64::from(self.number));
        write(due, self.due_us);
        out
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
        let digits: &[u8; TOKEN_BYTES - 1] = digits.first_chunk()?;
        let (number, due) = digits.split_at(NUMBER_DIGITS);
        Some(Self { number: u32::try_from(value(number)?).ok()?, due_us: value(due)? })
    }
}

fn write(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        *digit = DIGITS[(value % 64) as usize];
        value /= 64;
    }
}

fn value(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| match VALUES[usize::from(*digit)] {
        NONE => None,
        digit => Some(value * 64 + u64::from(digit)),
    })
}

#[cfg(test)]
mod tests;
