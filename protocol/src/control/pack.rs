//! Compressed frames: `{"z": bytes}` in MessagePack, the bytes a message under zstd.
//!
//! Called by `form` for what comes in, and by whoever sends large frames. Never inflates beyond
//! the bound of a message.

use zstd::bulk;
use zstd::zstd_safe::get_frame_content_size;

use super::form::Misread;
use crate::error::Code;

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

/// Bytes of the message, where that is said.
pub(super) fn size(packed: &[u8]) -> Option<usize> {
    let size = get_frame_content_size(packed).ok()??;
    Some(usize::try_from(size).unwrap_or(usize::MAX))
}

/// The message, inflated, of at most `bytes_max` bytes.
pub(super) fn inflate(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, Misread> {
    let too_large = || Misread::of(Code::TooLarge, "it inflates beyond the bound of a message");
    if get_frame_content_size(packed).is_err() {
        return Err(Misread::shape("this is no zstd"));
    }
    let size = size(packed);
    if size.is_some_and(|size| size > bytes_max) {
        return Err(too_large());
    }
    bulk::decompress(packed, size.unwrap_or(bytes_max)).map_err(|_| match size {
        None => too_large(),
        Some(_) => Misread::shape("this zstd is damaged"),
    })
}
