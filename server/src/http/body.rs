//! Bodies of requests, read under a bound and in time.
//!
//! Called by the handlers that take one, after they know that the caller may send it. Never holds
//! more than the bound it is given.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use hyper::http::{HeaderMap, header};
use serde_json::json;
use sheaf_protocol::error::{Code, Refusal};

use super::error::Error;
use crate::time::Clock;

/// What every body gets, and the rate that gives a large one more: half a megabit a second, below
/// which a phone shows no page either.
const TIME: Duration = Duration::from_secs(10);
const BYTES_PER_SECOND: u64 = 64 * 1024;

/// A body as it comes in.
pub type Chunks = BoxStream<'static, Result<Bytes, warp::Error>>;

/// Reads a body to its end.
///
/// # Errors
/// `TooLarge` over `bytes_max` (by the announced length before anything is read), `Timeout` when
/// the time is over, `Malformed` when the body breaks off.
pub async fn read(
    headers: &HeaderMap,
    chunks: Chunks,
    bytes_max: usize,
    clock: &Clock,
) -> Result<Bytes, Error> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large(bytes_max));
    }
    let bytes = announced.unwrap_or(bytes_max as u64);
    let time = TIME + Duration::from_secs(bytes / BYTES_PER_SECOND);
    let all = collect(chunks, bytes_max);
    clock.deadline(time, all).await.unwrap_or_else(|_| {
        let what = "the request's body did not come in time";
        Err(Refusal { code: Code::Timeout, at: 0, what }.into())
    })
}

async fn collect(mut chunks: Chunks, bytes_max: usize) -> Result<Bytes, Error> {
    let mut all = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| {
            Error::from(Refusal::malformed(all.len(), "the request's body broke off"))
        })?;
        if all.len() + chunk.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}

fn too_large(bytes_max: usize) -> Error {
    let message = format!("the request's body is over {bytes_max} bytes");
    Error::new(Code::TooLarge, message, json!({ "bytes_max": bytes_max }))
}

#[cfg(test)]
mod tests;
