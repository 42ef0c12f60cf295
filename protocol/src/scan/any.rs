//! lib0's `Any` values, passed over without building them.

use crate::error::Refusal;
use crate::limits::ANY_DEPTH_MAX;
use crate::varint::Reader;

/// Passes over one `Any`, at most `limits::ANY_DEPTH_MAX` deep.
pub fn skip(reader: &mut Reader<'_>) -> Result<(), Refusal> {
    let Some(container) = scalar(reader)? else { return Ok(()) };
    let mut open = [Container { left: 0, has_keys: false }; ANY_DEPTH_MAX];
    open[0] = container;
    let mut depth = 1;
    while depth > 0 {
        let top = &mut open[depth - 1];
        if top.left == 0 {
            depth -= 1;
            continue;
        }
        top.left -= 1;
        if top.has_keys {
            reader.key()?;
        }
        let at = reader.at();
        if let Some(container) = scalar(reader)? {
            if depth == ANY_DEPTH_MAX {
                return Err(Refusal::too_large(at, "values nested too deep"));
            }
            open[depth] = container;
            depth += 1;
        }
    }
    Ok(())
}

/// An array or map whose elements are still to be passed over.
#[derive(Clone, Copy)]
struct Container {
    left: u32,
    has_keys: bool,
}

/// Passes over a value's head: all of a scalar, or the count of a container, which it returns.
#[inline]
fn scalar(reader: &mut Reader<'_>) -> Result<Option<Container>, Refusal> {
    let at = reader.at();
    match reader.byte()? {
        // undefined, null, false, true
        127 | 126 | 121 | 120 => {}
        125 => {
            reader.int()?;
        }
        // 32-bit float
        124 => {
            reader.bytes(4)?;
        }
        // 64-bit float, 64-bit integer
        123 | 122 => {
            reader.bytes(8)?;
        }
        119 => {
            reader.text()?;
        }
        118 => return Ok(Some(Container { left: reader.count()?, has_keys: true })),
        117 => return Ok(Some(Container { left: reader.count()?, has_keys: false })),
        116 => {
            reader.buffer()?;
        }
        _ => return Err(Refusal::malformed(at, "unknown kind of value")),
    }
    Ok(None)
}
