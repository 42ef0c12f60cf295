//! Compressed frames: `{"z": bytes}` in MessagePack, the bytes a message under zstd.
//!
//! Called by `form` for what comes in, and by whoever sends large frames. Never inflates beyond
//! the bound of a message.

use zstd::bulk;
use zstd::zstd_safe::get_frame_content_size;

use super::form::Misread;
use crate::error::Code;
use crate::limits::MESSAGE_BYTES_MAX;

/// A message of fewer bytes is not worth it.
pub const PACK_BYTES_MIN: usize = 1024;

/// Fast: a message waits for it.
const LEVEL: i32 = 1;

/// A map of one, its key `z`.
const HEAD: [u8; 3] = [0x81, 0xa1, b'z'];

/// The message in a compressed frame; the message itself where it is a better one.
#[must_use]
pub fn pack(message: Vec<u8>) -> Vec<u8> {
    if message.len() < PACK_BYTES_MIN {
        return message;
    }
    let Ok(packed) = bulk::compress(&message, LEVEL) else { return message };
    if packed.len() + 8 >= message.len() {
        return message;
    }
    let mut frame = Vec::with_capacity(packed.len() + 8);
    frame.extend_from_slice(&HEAD);
    let length = packed.len();
    match (u8::try_from(length), u16::try_from(length), u32::try_from(length)) {
        (Ok(length), ..) => frame.extend_from_slice(&[0xc4, length]),
        (_, Ok(length), _) => {
            frame.push(0xc5);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        (_, _, Ok(length)) => {
            frame.push(0xc6);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        _ => return message,
    }
    frame.extend_from_slice(&packed);
    frame
}

/// What a frame holds, if it is a compressed one. Its shape has been checked.
pub(super) fn packed(frame: &[u8]) -> Option<&[u8]> {
    let bytes = frame.strip_prefix(&HEAD)?;
    // One binary, and nothing behind it: its length says nothing that is not known.
    let header = match bytes.first()? {
        0xc4 => 2,
        0xc5 => 3,
        0xc6 => 5,
        _ => return None,
    };
    bytes.get(header..)
}

/// The message, inflated.
pub(super) fn inflate(packed: &[u8]) -> Result<Vec<u8>, Misread> {
    let too_large = || Misread::of(Code::TooLarge, "it inflates beyond the bound of a message");
    let size = get_frame_content_size(packed).map_err(|_| Misread::shape("this is no zstd"))?;
    let size = size.map_or(MESSAGE_BYTES_MAX, |size| usize::try_from(size).unwrap_or(usize::MAX));
    if size > MESSAGE_BYTES_MAX {
        return Err(too_large());
    }
    bulk::decompress(packed, size).map_err(|_| match size {
        MESSAGE_BYTES_MAX => too_large(),
        _ => Misread::shape("this zstd is damaged"),
    })
}
