//! The single values that messages are made of.
//!
//! Called by `request` and `reply`. Each reads what it may be in both forms, and keeps no more than
//! its own bound.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, DeserializeOwned, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::request::Operation;
use crate::ids::DocId;
use crate::limits::{BATCH_ITEMS_MAX, DIFF_STEPS_MAX, RE_BYTES_MAX};
use crate::stamp::Stamp;

/// Reads any one of several types of value.
macro_rules! visitor {
    ($value:ty, $what:expr, { $($method:item)* }) => {{
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = $value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($what)
            }
            $($method)*
        }
        Reading
    }};
}

/// What a client calls its request; the answer has the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Re {
    /// A whole number.
    Number(i64),
    /// A text of at most 128 bytes.
    Text(String),
}

impl<'de> Deserialize<'de> for Re {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Re, D::Error> {
        from.deserialize_any(visitor!(Re, "a whole number, or a text of at most 128 bytes", {
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Re, E> {
                Ok(Re::Number(number))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Re, E> {
                number.try_into().map(Re::Number).map_err(|_| E::custom("a number too large"))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Re, E> {
                let fits = text.len() <= RE_BYTES_MAX;
                fits.then(|| Re::Text(text.to_owned())).ok_or(E::custom("a text too long"))
            }
        }))
    }
}

/// Bytes: binary in MessagePack, base64 in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binary(pub Vec<u8>);

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            to.serialize_str(&STANDARD.encode(&self.0))
        } else {
            to.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Binary, D::Error> {
        from.deserialize_any(visitor!(Binary, "bytes, or base64", {
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Binary, E> {
                Ok(Binary(bytes.to_vec()))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Binary, E> {
                STANDARD.decode(text).map(Binary).map_err(|_| E::custom("this is no base64"))
            }
        }))
    }
}

/// A file's content: text, or bytes where MessagePack has them.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// Text; or what [`Encoding`] says.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Content {
    /// Bytes, in a form that can be written as JSON too; how they are written stands beside them.
    #[must_use]
    pub fn of_bytes(bytes: &[u8], is_json: bool) -> (Content, Option<Encoding>) {
        match is_json {
            true => (Content::Text(STANDARD.encode(bytes)), Some(Encoding::Base64)),
            false => (Content::Bytes(bytes.to_vec()), None),
        }
    }

    /// The bytes that are meant; none if it is no base64 where it should be.
    #[must_use]
    pub fn into_bytes(self, encoding: Option<Encoding>) -> Option<Vec<u8>> {
        match (self, encoding) {
            (Content::Text(text), Some(Encoding::Base64)) => STANDARD.decode(text).ok(),
            (Content::Text(text), _) => Some(text.into_bytes()),
            (Content::Bytes(bytes), _) => Some(bytes),
        }
    }
}

/// What a user wrote gets into no log.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Content::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Content::Text(text) => to.serialize_str(text),
            Content::Bytes(bytes) => to.serialize_bytes(bytes),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Content, D::Error> {
        from.deserialize_any(visitor!(Content, "text or bytes", {
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Content, E> {
                Ok(Content::Bytes(bytes.to_vec()))
            }
        }))
    }
}

/// How content stands in a text.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As it is.
    #[serde(rename = "utf-8", alias = "utf8")]
    Utf8,
    /// In base64, with padding.
    Base64,
}

/// What the numbers of a diff count.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// UTF-16 code units, as in JavaScript.
    #[default]
    Utf16,
    /// Code points, as in Python.
    Unicode,
    /// Bytes of UTF-8, as in Rust and Go.
    Utf8,
}

/// A secret: never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Something that is written as a text.
macro_rules! as_text {
    ($type:ident, $what:expr, $self:ident => $write:expr, $text:ident => $read:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let $self = self;
                to.collect_str(&$write)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<$type, D::Error> {
                from.deserialize_str(visitor!($type, $what, {
                    fn visit_str<E: de::Error>(self, $text: &str) -> Result<$type, E> {
                        $read.map($type).ok_or(E::custom(concat!("expected ", $what)))
                    }
                }))
            }
        }
    };
}

/// A replica's own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device(pub u64);

as_text!(Device, "16 hex digits", it => format_args!("{:016x}", it.0), text => hex_number(text));

/// A vault's epoch: beyond what JavaScript holds as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(pub u64);

as_text!(Epoch, "a number as text", it => it.0, text => text.parse().ok());

/// SHA-256, in hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

as_text!(Hash, "64 hex digits", it => it, text => digest(text));

/// A stamp, as a ULID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StampText(pub Stamp);

as_text!(StampText, "26 characters of Crockford's base 32", it => it.0, text => text.parse().ok());

/// A file's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId(pub DocId);

as_text!(FileId, "26 characters of Crockford's base 32", it => it.0, text => text.parse().ok());

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn hex_number(text: &str) -> Option<u64> {
    let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    for (at, byte) in hash.iter_mut().enumerate().take_while(|_| is_hex) {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    is_hex.then_some(hash)
}

/// One step of the way from one text to another.
#[derive(Clone, PartialEq, Eq)]
pub enum DiffStep {
    /// So much stays: a number above 0.
    Keep(u64),
    /// So much goes: a number below 0.
    Delete(u64),
    /// This comes in: a text.
    Insert(String),
}

impl fmt::Debug for DiffStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiffStep::Keep(count) => write!(f, "Keep({count})"),
            DiffStep::Delete(count) => write!(f, "Delete({count})"),
            DiffStep::Insert(text) => write!(f, "Insert({} bytes)", text.len()),
        }
    }
}

impl Serialize for DiffStep {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            DiffStep::Keep(count) => to.serialize_u64(*count),
            DiffStep::Delete(count) => to.serialize_i64(-i64::try_from(*count).unwrap_or(i64::MAX)),
            DiffStep::Insert(text) => to.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for DiffStep {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<DiffStep, D::Error> {
        from.deserialize_any(visitor!(DiffStep, "a whole number or a text", {
            fn visit_i64<E: de::Error>(self, count: i64) -> Result<DiffStep, E> {
                let size = count.unsigned_abs();
                Ok(if count < 0 { DiffStep::Delete(size) } else { DiffStep::Keep(size) })
            }
            fn visit_u64<E: de::Error>(self, count: u64) -> Result<DiffStep, E> {
                Ok(DiffStep::Keep(count))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<DiffStep, E> {
                Ok(DiffStep::Insert(text.to_owned()))
            }
        }))
    }
}

/// `[3, "ins", -2]`: keep three, insert a text, delete two; what follows stays. At most 65,536
/// steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diff(pub Vec<DiffStep>);

impl<'de> Deserialize<'de> for Diff {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Diff, D::Error> {
        let (steps, count) = from.deserialize_seq(First::new(DIFF_STEPS_MAX))?;
        let fits = count <= DIFF_STEPS_MAX;
        fits.then_some(Diff(steps)).ok_or(de::Error::custom("a diff has at most 65536 steps"))
    }
}

/// Operations of a push: those beyond 1,000 are counted and not kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// What is kept.
    pub items: Vec<Operation>,
    /// How many there were.
    pub count: usize,
}

impl Batch {
    /// All of these.
    #[must_use]
    pub fn of(items: Vec<Operation>) -> Batch {
        Batch { count: items.len(), items }
    }
}

impl Serialize for Batch {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.items.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Batch, D::Error> {
        let (items, count) = from.deserialize_seq(First::new(BATCH_ITEMS_MAX))?;
        Ok(Batch { items, count })
    }
}

/// Reads a list, and keeps the first so many: an element of the wire may be one byte, and one in
/// memory three hundred.
struct First<T> {
    max: usize,
    of: PhantomData<T>,
}

impl<T> First<T> {
    fn new(max: usize) -> First<T> {
        First { max, of: PhantomData }
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for First<T> {
    type Value = (Vec<T>, usize);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut kept, mut count) = (Vec::new(), 0);
        while kept.len() < self.max {
            let Some(element) = list.next_element()? else { return Ok((kept, count)) };
            kept.push(element);
            count += 1;
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok((kept, count))
    }
}

/// Reads a list of at most so many.
pub(super) fn at_most<'de, const MAX: usize, T, D>(from: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    let (kept, count) = from.deserialize_seq(First::new(MAX))?;
    if count > MAX { Err(de::Error::custom("a list too long")) } else { Ok(Some(kept)) }
}
