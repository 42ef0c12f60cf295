//! `authors`: who wrote which clocks of a document, and in which minute. Key: vault, kind, document
//! id, n of the last entry it is about; chunked. Written when a log is thinned, never thinned
//! itself; read when somebody asks who wrote what.
//! Never says who may write: that is what `owners` is for.

use std::sync::Arc;

use sheaf_protocol::ids::DocKey;

use super::Key;
use crate::store::codec::{Reader, put_text_option, put_varint, unzigzag, zigzag};

/// Clocks of one client id that one person wrote within a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authored {
    /// The client id.
    pub client: u64,
    /// The first clock.
    pub clock: u32,
    /// How many.
    pub len: u32,
    /// Who; none is nobody in particular.
    pub author: Option<Arc<str>>,
    /// When, in minutes since 1970.
    pub minute: u64,
}

/// The key of what is known of the entries up to one.
#[must_use]
pub fn key(doc: DocKey, last_n: u64) -> Vec<u8> {
    super::doc_number(doc, Key::Authors, last_n)
}

/// author count varint, authors (text or none), then per span varints: author, client, zigzag of
/// (clock − end of the span before), length, zigzag of (minute − minute before).
#[must_use]
pub fn encode(spans: &[Authored]) -> Vec<u8> {
    let mut authors: Vec<&Option<Arc<str>>> = Vec::new();
    let (mut body, mut end, mut minute) = (Vec::new(), 0u64, 0u64);
    for span in spans {
        let known = authors.iter().position(|author| **author == span.author);
        let author = known.unwrap_or_else(|| {
            authors.push(&span.author);
            authors.len() - 1
        });
        put_varint(&mut body, author as u64);
        put_varint(&mut body, span.client);
        put_varint(&mut body, zigzag(u64::from(span.clock).wrapping_sub(end) as i64));
        put_varint(&mut body, u64::from(span.len));
        put_varint(&mut body, zigzag(span.minute.wrapping_sub(minute) as i64));
        (end, minute) = (u64::from(span.clock) + u64::from(span.len), span.minute);
    }
    let mut out = Vec::with_capacity(body.len() + authors.len() * 16 + 2);
    put_varint(&mut out, authors.len() as u64);
    authors.iter().for_each(|author| put_text_option(&mut out, author.as_deref()));
    out.extend_from_slice(&body);
    out
}

/// The inverse of `encode`.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Vec<Authored>> {
    let mut reader = Reader::new(bytes);
    let mut authors: Vec<Option<Arc<str>>> = Vec::new();
    for _ in 0..reader.varint()? {
        authors.push(reader.text_option()?.map(Arc::from));
    }
    let (mut spans, mut end, mut minute) = (Vec::new(), 0u64, 0u64);
    while !reader.is_empty() {
        let author = authors.get(usize::try_from(reader.varint()?).ok()?)?.clone();
        let client = reader.varint()?;
        let clock = end.wrapping_add(unzigzag(reader.varint()?) as u64);
        let len = reader.varint()?;
        minute = minute.wrapping_add(unzigzag(reader.varint()?) as u64);
        end = clock.checked_add(len)?;
        let (clock, len) = (u32::try_from(clock).ok()?, u32::try_from(len).ok()?);
        spans.push(Authored { client, clock, len, author, minute });
    }
    Some(spans)
}
