//! lib0's `Any` as a value: for rewriting legacy content and for comparing what two encoders wrote.
//!
//! Called by `legacy` and `units`, on bytes that passed `scan` and so are at most 64 levels deep;
//! never on raw bytes from the network.

use std::collections::BTreeMap;

use crate::error::Refusal;
use crate::varint::{Reader, write_buffer, write_int, write_text, write_uint};

/// A value as JavaScript sees it: numbers are one kind, and the order of keys does not matter.
#[derive(Clone, Debug)]
pub enum Value {
    /// `undefined`
    Undefined,
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// Every number, 64-bit integers included.
    Number(f64),
    /// A string.
    String(String),
    /// A `Uint8Array`.
    Buffer(Vec<u8>),
    /// An array.
    Array(Vec<Value>),
    /// An object.
    Map(BTreeMap<String, Value>),
}

impl PartialEq for Value {
    /// Equality of content: NaN equals itself, and -0 equals 0.
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Undefined, Value::Undefined) | (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Number(a), Value::Number(b)) => a == b || (a.is_nan() && b.is_nan()),
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Buffer(a), Value::Buffer(b)) => a == b,
            (Value::Array(a), Value::Array(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => a == b,
            _ => false,
        }
    }
}

impl Value {
    /// Reads one encoded `Any` that passed `scan::skip_any`.
    pub fn read(reader: &mut Reader<'_>) -> Result<Value, Refusal> {
        let at = reader.at();
        Ok(match reader.byte()? {
            127 => Value::Undefined,
            126 => Value::Null,
            125 => Value::Number(reader.int()? as f64),
            124 => Value::Number(f64::from(f32::from_be_bytes(array(reader)?))),
            123 => Value::Number(f64::from_be_bytes(array(reader)?)),
            122 => Value::Number(i64::from_be_bytes(array(reader)?) as f64),
            121 => Value::Bool(false),
            120 => Value::Bool(true),
            119 => Value::String(reader.text()?.to_owned()),
            118 => {
                let mut map = BTreeMap::new();
                for _ in 0..reader.count()? {
                    let key = reader.key()?.to_owned();
                    map.insert(key, Value::read(reader)?);
                }
                Value::Map(map)
            }
            117 => {
                let len = reader.count()?;
                Value::Array((0..len).map(|_| Value::read(reader)).collect::<Result<_, _>>()?)
            }
            116 => Value::Buffer(reader.buffer()?.to_vec()),
            _ => return Err(Refusal::malformed(at, "unknown kind of value")),
        })
    }

    /// Reads JSON text that passed `scan::check_json`. The parser also refuses half a surrogate
    /// pair and numbers beyond 64-bit floats, which JavaScript reads.
    pub fn from_json(text: &str) -> Result<Value, Refusal> {
        serde_json::from_str::<serde_json::Value>(text)
            .map(Value::from)
            .map_err(|_| Refusal::malformed(0, "JSON that has no exact value"))
    }

    /// Appends the value in lib0's encoding, integers of up to 31 bits and floats of up to 32 in
    /// their short forms as Yjs writes them.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Undefined => out.push(127),
            Value::Null => out.push(126),
            Value::Bool(value) => out.push(if *value { 120 } else { 121 }),
            Value::Number(number) => write_number(out, *number),
            Value::String(text) => {
                out.push(119);
                write_text(out, text);
            }
            Value::Map(map) => {
                out.push(118);
                write_uint(out, map.len() as u64);
                for (key, value) in map {
                    write_text(out, key);
                    value.write(out);
                }
            }
            Value::Array(values) => {
                out.push(117);
                write_uint(out, values.len() as u64);
                for value in values {
                    value.write(out);
                }
            }
            Value::Buffer(bytes) => {
                out.push(116);
                write_buffer(out, bytes);
            }
        }
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Value {
        match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(number) => {
                Value::Number(number.as_f64().expect("without arbitrary precision it is one"))
            }
            serde_json::Value::String(text) => Value::String(text),
            serde_json::Value::Array(values) => {
                Value::Array(values.into_iter().map(Value::from).collect())
            }
            serde_json::Value::Object(map) => {
                Value::Map(map.into_iter().map(|(key, value)| (key, Value::from(value))).collect())
            }
        }
    }
}

fn write_number(out: &mut Vec<u8>, number: f64) {
    let is_short = number.fract() == 0.0 && number.abs() <= f64::from(i32::MAX);
    if is_short && !(number == 0.0 && number.is_sign_negative()) {
        out.push(125);
        write_int(out, number as i64);
    } else if f64::from(number as f32) == number {
        out.push(124);
        out.extend_from_slice(&(number as f32).to_be_bytes());
    } else {
        out.push(123);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn array<const N: usize>(reader: &mut Reader<'_>) -> Result<[u8; N], Refusal> {
    Ok(reader.bytes(N)?.try_into().expect("as many as were asked for"))
}

#[cfg(test)]
mod tests;
