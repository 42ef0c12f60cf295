//! One encoded block: its header, what it stands on, its content.

use super::any::skip;
use super::json::{self, Fault};
use crate::error::Refusal;
use crate::ids::Id;
use crate::limits::CLOCK_END;
use crate::varint::Reader;

const HAS_ORIGIN: u8 = 0x80;
const HAS_RIGHT_ORIGIN: u8 = 0x40;
const HAS_KEY: u8 = 0x20;
/// yrs takes four bits for the content's kind and Yjs five: with this one set they disagree.
const UNUSED: u8 = 0x10;

const GC: u8 = 0;
const SKIP: u8 = 10;

/// A block as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Its first element.
    pub id: Id,
    /// Elements, at least 1; `id.clock + len` is below 2^31.
    pub len: u32,
    /// The element it was inserted after.
    pub origin: Option<Id>,
    /// The element it was inserted before.
    pub right_origin: Option<Id>,
    /// Where it hangs.
    pub parent: Parent<'a>,
    /// The key under which it hangs, where the wire names it.
    pub key: Option<&'a str>,
    /// What it holds.
    pub content: Content<'a>,
    /// The whole encoded block.
    pub bytes: &'a [u8],
    /// Where the content begins in `bytes`, after info byte, origins, parent and key.
    pub content_at: usize,
}

/// What a block hangs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent<'a> {
    /// The parent of its origin or right origin; also of a Gc or a Skip, which have none.
    Inherited,
    /// A root type, by name.
    Root(&'a str),
    /// The type that is the content of this element.
    Item(Id),
}

/// What a block holds. The number is the kind on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// 0: deleted and forgotten.
    Gc,
    /// 10: a hole, the sender lacks these clocks.
    Skip,
    /// 1: deleted; the place is kept.
    Deleted,
    /// 2: encoded strings of JSON, or `undefined`; one element each. yrs cannot read it, see
    /// `legacy::json_to_any`.
    Json(&'a [u8]),
    /// 3: bytes; one element.
    Binary(&'a [u8]),
    /// 4: text; an element for each UTF-16 unit.
    String(&'a str),
    /// 5: JSON in a text; one element.
    Embed(&'a str),
    /// 6: a mark in a text; one element.
    Format {
        /// Attribute name.
        key: &'a str,
        /// JSON; `null` ends the mark.
        value: &'a str,
    },
    /// 7: a shared type; one element. Array 0, map 1, text 2, XML element 3, fragment 4, text 6.
    Type {
        /// Number on the wire.
        kind: u8,
    },
    /// 8: encoded `Any` values, an element each.
    Any {
        /// Number of values.
        count: u32,
        /// The values, without the count.
        bytes: &'a [u8],
    },
    /// 9: a reference to a subdocument: its id as a string, its options as an `Any`; one element.
    Doc(&'a [u8]),
}

impl<'a> Block<'a> {
    /// Reads the block that begins at `reader` and whose first element is `id`. `is_checked` says
    /// that this very block passed before, so JSON need not be checked again.
    pub(super) fn read(
        reader: &mut Reader<'a>,
        id: Id,
        is_checked: bool,
    ) -> Result<Block<'a>, Refusal> {
        let start = reader.at();
        let info = reader.byte()?;
        let mut block = Block {
            id,
            len: 1,
            origin: None,
            right_origin: None,
            parent: Parent::Inherited,
            key: None,
            content: Content::Gc,
            bytes: &[],
            content_at: 1,
        };
        if info & UNUSED != 0 {
            return Err(Refusal::malformed(start, "unknown block"));
        }
        if info == GC || info == SKIP {
            block.len = reader.clock()?;
            block.content = if info == GC { Content::Gc } else { Content::Skip };
        } else {
            block.read_place(reader, info)?;
            block.content_at = reader.at() - start;
            block.read_content(reader, info & 0x0f, is_checked)?;
        }
        if block.len == 0 {
            return Err(Refusal::malformed(start, "block without elements"));
        }
        if u64::from(id.clock) + u64::from(block.len) >= CLOCK_END {
            return Err(Refusal::malformed(start, "clock and length of 31 bits or more"));
        }
        block.bytes = reader.since(start);
        Ok(block)
    }

    /// The encoded content, after info byte, origins, parent and key.
    pub fn content_bytes(&self) -> &'a [u8] {
        &self.bytes[self.content_at..]
    }

    /// Whether it is the value of a key. With an origin the key itself is not written.
    pub fn is_keyed(&self) -> bool {
        self.bytes[0] & HAS_KEY != 0
    }

    /// Whether it only goes on behind an element, in the place of a block that ended with it and
    /// was inserted before `right_origin`. A key's values never do: each replaces the one before.
    pub fn goes_on(&self, last: Id, right_origin: Option<Id>) -> bool {
        self.origin == Some(last) && self.right_origin == right_origin && !self.is_keyed()
    }

    /// The clock after the block's last element.
    pub fn end(&self) -> u32 {
        self.id.clock + self.len
    }

    /// The elements it stands on: origin, right origin, parent.
    pub fn needs(&self) -> impl Iterator<Item = Id> {
        let parent = match self.parent {
            Parent::Item(id) => Some(id),
            Parent::Inherited | Parent::Root(_) => None,
        };
        [self.origin, self.right_origin, parent].into_iter().flatten()
    }

    fn read_place(&mut self, reader: &mut Reader<'a>, info: u8) -> Result<(), Refusal> {
        if info & HAS_ORIGIN != 0 {
            self.origin = Some(self.read_need(reader)?);
        }
        if info & HAS_RIGHT_ORIGIN != 0 {
            self.right_origin = Some(self.read_need(reader)?);
        }
        if info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN) == 0 {
            self.parent = match reader.uint_below(2, "unknown kind of parent")? {
                1 => Parent::Root(reader.key()?),
                _ => Parent::Item(self.read_need(reader)?),
            };
            // With an origin the bit is set too, but the key is the origin's and is not written.
            if info & HAS_KEY != 0 {
                self.key = Some(reader.key()?);
            }
        }
        Ok(())
    }

    /// An element that this block stands on. Nothing stands on itself or on what its client wrote
    /// later: yrs parks such a block for ever, and every later encoding of the document panics.
    fn read_need(&self, reader: &mut Reader<'a>) -> Result<Id, Refusal> {
        let at = reader.at();
        let need = Id { client: reader.client()?, clock: reader.clock()? };
        if need.client == self.id.client && need.clock >= self.id.clock {
            return Err(Refusal::malformed(at, "block stands on itself"));
        }
        Ok(need)
    }

    fn read_content(
        &mut self,
        reader: &mut Reader<'a>,
        kind: u8,
        is_checked: bool,
    ) -> Result<(), Refusal> {
        let at = reader.at();
        self.content = match kind {
            1 => {
                self.len = reader.clock()?;
                Content::Deleted
            }
            2 => {
                self.len = reader.count()?;
                let start = reader.at();
                for _ in 0..self.len {
                    read_json(reader, is_checked, true)?;
                }
                Content::Json(reader.since(start))
            }
            3 => Content::Binary(reader.buffer()?),
            4 => {
                let text = reader.text()?;
                self.len = utf16_len(text);
                Content::String(text)
            }
            5 => Content::Embed(read_json(reader, is_checked, false)?),
            6 => {
                let key = reader.key()?;
                Content::Format { key, value: read_json(reader, is_checked, false)? }
            }
            7 => Content::Type { kind: read_type(reader)? },
            8 => {
                self.len = reader.count()?;
                let start = reader.at();
                for _ in 0..self.len {
                    skip(reader)?;
                }
                Content::Any { count: self.len, bytes: reader.since(start) }
            }
            9 => {
                let start = reader.at();
                reader.key()?;
                skip(reader)?;
                Content::Doc(reader.since(start))
            }
            _ => return Err(Refusal::malformed(at, "unknown content")),
        };
        Ok(())
    }
}

/// A type's number and, for XML elements, its name.
fn read_type(reader: &mut Reader<'_>) -> Result<u8, Refusal> {
    let at = reader.at();
    let kind = reader.byte()?;
    match kind {
        0..=2 | 4 | 6 => {}
        3 => {
            reader.key()?;
        }
        // Yjs writes a name after it that yrs does not read: it would take it for the next block.
        5 => return Err(Refusal::unsupported(at, "XML hooks are not stored")),
        _ => return Err(Refusal::malformed(at, "unknown type")),
    }
    Ok(kind)
}

fn read_json<'a>(
    reader: &mut Reader<'a>,
    is_checked: bool,
    may_be_undefined: bool,
) -> Result<&'a str, Refusal> {
    let text = reader.text()?;
    if is_checked || (may_be_undefined && text == "undefined") {
        return Ok(text);
    }
    let start = reader.at() - text.len();
    json::check(text).map_err(|fault| match fault {
        Fault::Grammar(at) => Refusal::malformed(start + at, "not JSON"),
        Fault::Depth(at) => Refusal::too_large(start + at, "values nested too deep"),
    })?;
    Ok(text)
}

/// Length in UTF-16 units, of which a text takes a clock each: one for each first byte of a
/// character, one more above U+FFFF. By bytes, which is many at a time.
pub fn utf16_len(text: &str) -> u32 {
    let units: usize =
        text.bytes().map(|byte| usize::from(byte & 0xc0 != 0x80) + usize::from(byte >= 0xf0)).sum();
    u32::try_from(units).unwrap_or(u32::MAX)
}
