//! The shape of a message in MessagePack, before anything is built of it.
//!
//! Called by `form`. One walk without recursion or allocation: one map, nested no deeper than
//! honest messages are, every length within the bytes that are left, and nothing behind it.

use super::form::Misread;
use crate::limits::CONTROL_DEPTH_MAX;

/// Checks that the bytes are one map of MessagePack.
pub(super) fn check(bytes: &[u8]) -> Result<(), Misread> {
    if !matches!(bytes.first(), Some(0x80..=0x8f | 0xde | 0xdf)) {
        return Err(Misread::shape("a message is a map"));
    }
    // Values still to come, at each depth.
    let mut open = [0u64; CONTROL_DEPTH_MAX];
    let (mut depth, mut rest) = (0, bytes);
    open[0] = 1;
    loop {
        while open[depth] == 0 {
            if depth == 0 {
                let is_all = rest.is_empty();
                return is_all.then_some(()).ok_or(Misread::shape("bytes behind the message"));
            }
            depth -= 1;
        }
        open[depth] -= 1;
        let Walked { inside, behind } = value(rest).ok_or(Misread::shape("it is cut short"))?;
        rest = behind;
        if inside > 0 {
            depth += 1;
            let place = open.get_mut(depth).ok_or(Misread::shape("it is nested too deep"))?;
            *place = inside;
        }
    }
}

struct Walked<'a> {
    /// Values that belong to this one.
    inside: u64,
    behind: &'a [u8],
}

/// Walks over one value's own bytes; none if they are cut short or of no kind that is used here.
fn value(bytes: &[u8]) -> Option<Walked<'_>> {
    let (&marker, rest) = bytes.split_first()?;
    let over = |length: usize| rest.get(length..).map(|behind| Walked { inside: 0, behind });
    let run = |width: usize| {
        let (length, behind) = number(rest, width)?;
        let behind = behind.get(usize::try_from(length).ok()?..)?;
        Some(Walked { inside: 0, behind })
    };
    let many = |width: usize, each: u64| {
        let (count, behind) = number(rest, width)?;
        let inside = count * each;
        // Each takes a byte at least: a count beyond that is a lie.
        (inside <= behind.len() as u64).then_some(Walked { inside, behind })
    };
    let few = |count: u8, each: u64| Some(Walked { inside: u64::from(count) * each, behind: rest });
    match marker {
        0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => over(0),
        0x80..=0x8f => few(marker & 0x0f, 2),
        0x90..=0x9f => few(marker & 0x0f, 1),
        0xa0..=0xbf => over(usize::from(marker & 0x1f)),
        0xc4 | 0xd9 => run(1),
        0xc5 | 0xda => run(2),
        0xc6 | 0xdb => run(4),
        0xcc | 0xd0 => over(1),
        0xcd | 0xd1 => over(2),
        0xca | 0xce | 0xd2 => over(4),
        0xcb | 0xcf | 0xd3 => over(8),
        0xdc => many(2, 1),
        0xdd => many(4, 1),
        0xde => many(2, 2),
        0xdf => many(4, 2),
        // Extensions, and the one that is never used.
        0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => None,
    }
}

/// A big-endian number of so many bytes, and what is behind it.
fn number(bytes: &[u8], width: usize) -> Option<(u64, &[u8])> {
    let (number, behind) = bytes.split_at_checked(width)?;
    Some((number.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)), behind))
}
