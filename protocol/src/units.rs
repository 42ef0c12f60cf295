//! A block's content as one unit for each clock, to compare what two senders hold there.
//!
//! Called by the document when somebody sends clocks it already has. yrs encodes maps in any order
//! and forgets some details, so units compare by meaning, not by bytes.

use crate::legacy;
use crate::scan::{Block, Content};
use crate::value::Value;
use crate::varint::Reader;

/// What stands at one clock.
#[derive(Clone, Copy, Debug)]
pub enum Unit<'a> {
    /// A UTF-16 unit of text.
    Code(u16),
    /// One encoded `Any`.
    Any(&'a [u8]),
    /// One JSON text of the legacy kind, or `undefined`.
    Json(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
    /// JSON embedded in a text.
    Embed(&'a str),
    /// A mark in a text: attribute and JSON.
    Format(&'a str, &'a str),
    /// A shared type: its kind and, for XML elements, its name.
    Type(u8, &'a [u8]),
    /// A subdocument's id. Options are not compared: yrs keeps only those it knows.
    Doc(&'a str),
}

impl Unit<'_> {
    /// Whether both may be the same element. A unit of an emoji whose other half was split off
    /// reads as U+FFFD, so that matches every half.
    pub fn is_same(&self, other: &Unit<'_>) -> bool {
        match (self, other) {
            (Unit::Code(a), Unit::Code(b)) => {
                a == b || is_lost_half(*a, *b) || is_lost_half(*b, *a)
            }
            (Unit::Binary(a), Unit::Binary(b)) => a == b,
            (Unit::Type(a, a_name), Unit::Type(b, b_name)) => (a, a_name) == (b, b_name),
            (Unit::Doc(a), Unit::Doc(b)) => a == b,
            (Unit::Embed(a), Unit::Embed(b)) => a == b || is_same_json(a, b),
            (Unit::Format(a, a_json), Unit::Format(b, b_json)) => {
                a == b && (a_json == b_json || is_same_json(a_json, b_json))
            }
            (Unit::Any(a), Unit::Any(b)) if a == b => true,
            (Unit::Json(a), Unit::Json(b)) if a == b => true,
            (Unit::Any(_) | Unit::Json(_), Unit::Any(_) | Unit::Json(_)) => {
                matches!((self.value(), other.value()), (Some(a), Some(b)) if a == b)
            }
            _ => false,
        }
    }

    fn value(&self) -> Option<Value> {
        match self {
            Unit::Any(bytes) => Value::read(&mut Reader::new(bytes)).ok(),
            Unit::Json(text) => legacy::element(text).ok(),
            _ => None,
        }
    }
}

fn is_lost_half(lost: u16, half: u16) -> bool {
    lost == 0xfffd && (0xd800..0xe000).contains(&half)
}

fn is_same_json(a: &str, b: &str) -> bool {
    matches!((Value::from_json(a), Value::from_json(b)), (Ok(a), Ok(b)) if a == b)
}

/// The units of `block`, one for each of its clocks in order; none if it is deleted, collected or a
/// hole, since then it may have been anything (and eleven bytes may claim 2^31 such clocks). Does
/// not allocate.
pub fn units<'a>(block: &Block<'a>) -> Units<'a> {
    let rest = match block.content {
        Content::Gc | Content::Skip | Content::Deleted => Rest::None,
        Content::String(text) => Rest::Text(text.encode_utf16()),
        Content::Any { bytes, .. } => Rest::Any(Reader::new(bytes)),
        Content::Json(bytes) => Rest::Json(Reader::new(bytes)),
        Content::Binary(bytes) => Rest::One(Unit::Binary(bytes)),
        Content::Embed(json) => Rest::One(Unit::Embed(json)),
        Content::Format { key, value } => Rest::One(Unit::Format(key, value)),
        Content::Type { kind } => Rest::One(Unit::Type(kind, &block.content_bytes()[1..])),
        Content::Doc(bytes) => {
            let id = Reader::new(bytes).text().expect("the same bytes passed the scan");
            Rest::One(Unit::Doc(id))
        }
    };
    let left = if matches!(rest, Rest::None) { 0 } else { block.len };
    Units { left, rest }
}

/// Iterator of `units`.
#[derive(Clone, Debug)]
pub struct Units<'a> {
    left: u32,
    rest: Rest<'a>,
}

#[derive(Clone, Debug)]
enum Rest<'a> {
    None,
    Text(std::str::EncodeUtf16<'a>),
    Any(Reader<'a>),
    Json(Reader<'a>),
    One(Unit<'a>),
}

impl<'a> Iterator for Units<'a> {
    type Item = Unit<'a>;

    fn next(&mut self) -> Option<Unit<'a>> {
        const PASSED: &str = "the same bytes passed the scan";
        self.left = self.left.checked_sub(1)?;
        Some(match &mut self.rest {
            Rest::None => return None,
            Rest::Text(units) => Unit::Code(units.next().expect(PASSED)),
            Rest::Any(reader) => {
                let from = reader.at();
                crate::scan::skip_any(reader).expect(PASSED);
                Unit::Any(reader.since(from))
            }
            Rest::Json(reader) => Unit::Json(reader.text().expect(PASSED)),
            Rest::One(unit) => *unit,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

#[cfg(test)]
mod tests;
