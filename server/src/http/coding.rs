//! Content codings: bodies that come compressed, and answers for those who can read them so.
//!
//! Called by `ask` for a body that is read as a whole, and by the front for every answer. Never
//! holds more of a body than its bound, however little came, and never touches a stream.

use std::io::Read as _;

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::read::GzEncoder;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use hyper::http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::json;
use sheaf_protocol::error::{Code, Refusal};
use warp::Reply;
use warp::reply::Response;

use super::body::{self, Read};
use super::error::Error;
use crate::memory::Budget;
use sheaf_ground::task;

/// Answers below this are sent as they are: a packet holds them.
const ENCODED_BYTES_MIN: u64 = 1024;

/// Bytes decoded before the bound is looked at again.
const PIECE_BYTES: usize = 64 << 10;

/// The largest window of zstd that a reader must have (RFC 9659): 8 MiB.
const WINDOW_LOG_MAX: u32 = 23;

const ZSTD_LEVEL: i32 = 1;

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    fn of(name: &str) -> Option<Coding> {
        match name {
            _ if name.eq_ignore_ascii_case("gzip") => Some(Coding::Gzip),
            _ if name.eq_ignore_ascii_case("zstd") => Some(Coding::Zstd),
            _ => None,
        }
    }

    fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Coding::Gzip => "gzip",
            Coding::Zstd => "zstd",
        })
    }
}

/// How a request's body is compressed; none if it is not.
///
/// # Errors
/// `Unsupported` in any other way, and in several.
pub fn of_request(headers: &HeaderMap) -> Result<Option<Coding>, Error> {
    let Some(value) = list(headers, &header::CONTENT_ENCODING) else { return Ok(None) };
    let name = value.trim();
    if name.eq_ignore_ascii_case("identity") {
        return Ok(None);
    }
    let unknown = || {
        let what = "a body comes as it is, or in one of these content codings";
        Error::new(Code::Unsupported, what, json!({ "known": ["gzip", "zstd"] }))
    };
    Coding::of(name).map(Some).ok_or_else(unknown)
}

/// What a body was before it was compressed.
///
/// # Errors
/// `Malformed` where it is not so compressed; `TooLarge`; `TryLater` without memory for it.
pub fn decoded(
    coding: Coding,
    read: &Read,
    bytes_max: usize,
    memory: &Budget,
) -> Result<Read, Error> {
    let bad = |_| Error::from(Refusal::malformed(0, "the body is not in its content coding"));
    let bytes = &*read.bytes;
    let mut reader: Box<dyn std::io::Read> = match coding {
        Coding::Gzip => Box::new(MultiGzDecoder::new(bytes)),
        Coding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(bad)?;
            decoder.window_log_max(WINDOW_LOG_MAX).map_err(bad)?;
            Box::new(decoder)
        }
    };
    let (mut all, mut permit) = (BytesMut::new(), None);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match reader.read(&mut piece).map_err(bad)? {
            0 => return Ok(Read { bytes: all.freeze(), permit }),
            count => {
                if all.len() + count > bytes_max {
                    return Err(body::too_large(bytes_max));
                }
                body::cover(memory, &mut permit, all.len() + count)?;
                all.extend_from_slice(&piece[..count]);
            }
        }
    }
}

/// What an asker can read best of what is there: the coding of the greatest weight.
#[must_use]
pub fn wanted(headers: &HeaderMap) -> Option<Coding> {
    let value = list(headers, &header::ACCEPT_ENCODING)?;
    let mut best: Option<(Coding, f32)> = None;
    for part in value.split(',') {
        let (name, parameters) = part.split_once(';').unwrap_or((part, ""));
        let weight = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |it| it.parse().ok());
        let (Some(coding), Some(weight)) = (Coding::of(name.trim()), weight) else { continue };
        let is_better = best.is_none_or(|(_, other)| weight > other);
        let is_as_good = best.is_some_and(|(_, other)| weight >= other) && coding == Coding::Zstd;
        if weight > 0.0 && (is_better || is_as_good) {
            best = Some((coding, weight));
        }
    }
    best.map(|(coding, _)| coding)
}

/// An answer as its asker wants it. What is no text, is small, is part of something or comes bit by
/// bit goes as it is.
pub async fn encoded(wanted: Option<Coding>, mut response: Response) -> Response {
    if !is_text(response.headers()) || response.headers().contains_key(header::CONTENT_RANGE) {
        return response;
    }
    let size = response.body().size_hint().exact();
    if size.is_none_or(|size| size < ENCODED_BYTES_MIN) {
        return response;
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_name(header::ACCEPT_ENCODING));
    let Some(coding) = wanted else { return response };
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        let what = "an answer could not be read";
        return Error::from(Refusal { code: Code::Internal, at: 0, what }).into_response();
    };
    let packed = task::block(|| pack(coding, &bytes));
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::ACCEPT_RANGES);
    parts.headers.insert(header::CONTENT_ENCODING, coding.name());
    let mut response = packed.into_response();
    *response.headers_mut() = parts.headers;
    *response.status_mut() = parts.status;
    response
}

fn pack(coding: Coding, bytes: &Bytes) -> Vec<u8> {
    let packed = match coding {
        Coding::Gzip => {
            let mut out = Vec::new();
            GzEncoder::new(&**bytes, Compression::fast()).read_to_end(&mut out).map(|_| out)
        }
        Coding::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL),
    };
    packed.expect("memory takes all bytes")
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default();
    let is_coded = headers.contains_key(header::CONTENT_ENCODING);
    let is_stream = kind == "text/event-stream";
    let others = ["application/json", "application/javascript", "image/svg+xml"];
    !is_coded && !is_stream && (kind.starts_with("text/") || others.contains(&kind))
}

/// All lines of a header that is a list, if they are plain.
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<&str> =
        headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

#[cfg(test)]
mod tests;
