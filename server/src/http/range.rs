//! Parts of a body: `Range` and `If-Range` of who reads, `Content-Range` of who writes
//! (RFC 9110 §14).
//!
//! Called by `blobs`. Never reads a header that it does not know as if it said something else: a
//! range that is not understood is a request for everything.

use std::ops::Range;

use hyper::http::{HeaderMap, header};

/// What a reader wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Everything.
    All,
    /// These bytes; some.
    Part(Range<u64>),
    /// Bytes behind the end.
    Nothing,
}

/// What of `size` bytes a reader of the representation with this tag wants. Of several ranges, as
/// of one in other units, everything is sent.
#[must_use]
pub fn wanted(headers: &HeaderMap, tag: &str, size: u64) -> Wanted {
    let mut ranges = headers.get_all(header::RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Wanted::All };
    // A date never is this tag, and neither is a weak one.
    let condition = headers.get(header::IF_RANGE);
    if condition.is_some_and(|condition| condition.as_bytes() != tag.as_bytes()) {
        return Wanted::All;
    }
    let range = range.to_str().ok().and_then(|range| range.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.trim().split_once('-')) else {
        return Wanted::All;
    };
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..size.min(last.saturating_add(1)),
        (Some(first), None) if last.is_empty() => first..size,
        (None, Some(count)) if first.is_empty() => size.saturating_sub(count)..size,
        _ => return Wanted::All,
    };
    if range.is_empty() { Wanted::Nothing } else { Wanted::Part(range) }
}

/// What a writer sends: these bytes of so many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Where they belong; some.
    pub part: Range<u64>,
    /// Bytes of the whole.
    pub size: u64,
}

/// What part a writer sends; none without the header, which is everything.
///
/// # Errors
/// What is wrong with the header.
pub fn sent(headers: &HeaderMap) -> Result<Option<Sent>, &'static str> {
    let mut ranges = headers.get_all(header::CONTENT_RANGE).iter();
    let Some(range) = ranges.next() else { return Ok(None) };
    let parse = || {
        let (part, size) = range.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = part.split_once('-')?;
        let (first, last, size) = (number(first)?, number(last)?, number(size)?);
        (first <= last && last < size).then(|| Sent { part: first..last + 1, size })
    };
    let sent = parse().filter(|_| ranges.next().is_none());
    sent.map(Some).ok_or("Content-Range is written as bytes <first>-<last>/<size>")
}

/// Digits alone: the standard library takes a sign as well.
fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
