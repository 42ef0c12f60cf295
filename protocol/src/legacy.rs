//! Content that Yjs still reads and yrs does not, rewritten into what both read.
//!
//! Called by the document before yrs sees an update. Never changes ids, lengths or places.

use crate::error::Refusal;
use crate::scan::{Block, Content};
use crate::value::Value;
use crate::varint::{Reader, write_uint};

const KIND: u8 = 0x0f;
const ANY: u8 = 8;

/// Appends `block`, whose content is `Content::Json`, as a whole block with `Content::Any` of the
/// same values: yrs 0.28.1 reads one element too many of the former. Refuses JSON that yrs could
/// not hold (half a surrogate pair, a number beyond 64-bit floats) and any other content; `out` is
/// then as before.
pub fn json_to_any(block: &Block<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let start = out.len();
    out.extend_from_slice(&block.bytes[..block.content_at]);
    out[start] = as_any(out[start]);
    write_uint(out, u64::from(block.len));
    write_values(block, out).inspect_err(|_| out.truncate(start))
}

/// The info byte of a block whose content becomes `Any`.
pub(crate) fn as_any(info: u8) -> u8 {
    info & !KIND | ANY
}

/// Appends the values of a block of `Content::Json` as `Any`. Fails as `json_to_any`, but leaves in
/// `out` what it wrote.
pub(crate) fn write_values(block: &Block<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let Content::Json(elements) = block.content else {
        return Err(Refusal::malformed(0, "not a block of JSON"));
    };
    let mut reader = Reader::new(elements);
    for _ in 0..block.len {
        let at = block.bytes.len() - reader.remaining();
        let value = reader.text().and_then(element).map_err(|refusal| refusal.shifted(at))?;
        value.write(out);
    }
    Ok(())
}

/// The value of one element of `Content::Json`.
pub(crate) fn element(text: &str) -> Result<Value, Refusal> {
    if text == "undefined" { Ok(Value::Undefined) } else { Value::from_json(text) }
}

#[cfg(test)]
mod tests;
