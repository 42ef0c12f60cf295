//! Bodies: of requests, read under a bound and in time; of answers, as long as they are sent.
//!
//! Called by the handlers that take or give one, after they know that the caller may. Never holds
//! more than the bound it is given, and nothing large without a permit for its memory.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use hyper::http::{HeaderMap, header};
use serde_json::json;
use sheaf_protocol::error::{Code, Refusal};

use super::State;
use super::error::Error;
use crate::memory::{Budget, Permit};
use sheaf_ground::time::Clock;

/// What every body gets, and the rate that gives a large one more: half a megabit a second, below
/// which a phone shows no page either.
const TIME: Duration = Duration::from_secs(10);
const BYTES_PER_SECOND: u64 = 64 * 1024;

/// Bytes that a body has without a permit: most are smaller.
pub const PERMIT_FREE_BYTES: usize = 64 << 10;

/// What is collected before it is given to the disk: frames of the network are smaller.
pub const FRAME_BYTES: usize = 128 << 10;

/// What is taken of a body that was refused: twice the largest file, unless that is configured.
/// Whoever sends more does not listen.
const DRAINED_BYTES_MAX: u64 = 1 << 30;

/// A body as it comes in.
pub type Chunks = BoxStream<'static, Result<Bytes, warp::Error>>;

/// A body that is here as a whole.
#[derive(Debug)]
pub struct Read {
    /// All of it.
    pub bytes: Bytes,
    /// To be kept as long as anything of it is.
    pub permit: Option<Permit>,
}

/// Reads a body to its end.
///
/// # Errors
/// `TooLarge` over `bytes_max` (by the announced length before anything is read), `Timeout` when
/// the time is over, `Malformed` when the body breaks off, `TryLater` without memory for it.
pub async fn read(
    headers: &HeaderMap,
    chunks: &mut Chunks,
    bytes_max: usize,
    clock: &Clock,
    memory: &Budget,
) -> Result<Read, Error> {
    let announced = announced(headers);
    if announced.is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large(bytes_max));
    }
    let bytes = announced.unwrap_or(bytes_max as u64);
    let all = collect(chunks, bytes_max, memory);
    clock.deadline(time(bytes), all).await.unwrap_or_else(|_| Err(late()))
}

/// The length that a request says its body has.
#[must_use]
pub fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What a body of so many bytes gets.
#[must_use]
pub fn time(bytes: u64) -> Duration {
    TIME + Duration::from_secs(bytes / BYTES_PER_SECOND)
}

/// The time is over.
#[must_use]
pub fn late() -> Error {
    let what = "the request's body did not come in time";
    Refusal { code: Code::Timeout, at: 0, what }.into()
}

/// The body ended before its end.
#[must_use]
pub fn broke_off(at: usize) -> Error {
    Refusal::malformed(at, "the request's body broke off").into()
}

/// Takes the rest of a body that is refused, beside the answer: a client that reads only when it
/// has sent all learns why, and its connection stays. Not of one that waits to be told to go on.
pub fn drain(state: &State, headers: &HeaderMap, mut chunks: Chunks) {
    let is_endless = announced(headers).is_some_and(|length| length > DRAINED_BYTES_MAX);
    if is_endless || headers.contains_key(header::EXPECT) {
        return;
    }
    let State { clock, tasks, .. } = state.clone();
    let mut left = DRAINED_BYTES_MAX;
    let time = time(left);
    let stopping = tasks.stopping().clone();
    tasks.spawn("drain", async move {
        let rest = async {
            while let Some(Ok(chunk)) = chunks.next().await {
                left = left.saturating_sub(chunk.len() as u64);
                if left == 0 {
                    break;
                }
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            _ = clock.deadline(time, rest) => {}
        }
    });
}

async fn collect(chunks: &mut Chunks, bytes_max: usize, memory: &Budget) -> Result<Read, Error> {
    let mut all = BytesMut::new();
    let mut permit = None;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| broke_off(all.len()))?;
        if all.len() + chunk.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        // As it comes, not as it is announced: a promise alone takes nothing from others.
        cover(memory, &mut permit, all.len() + chunk.len())?;
        all.extend_from_slice(&chunk);
    }
    Ok(Read { bytes: all.freeze(), permit })
}

/// What is sent, with the permit for its memory.
struct Sent<T> {
    content: T,
    _permit: Option<Permit>,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Sent<T> {
    fn as_ref(&self) -> &[u8] {
        self.content.as_ref()
    }
}

/// The body of an answer, which has its memory until it is sent or given up.
///
/// # Errors
/// `TryLater` without memory for it.
pub fn sent<T>(memory: &Budget, content: T) -> Result<Bytes, Error>
where
    T: AsRef<[u8]> + Send + 'static,
{
    let mut permit = None;
    cover(memory, &mut permit, content.as_ref().len())?;
    Ok(Bytes::from_owner(Sent { content, _permit: permit }))
}

/// Makes a permit cover so many bytes; a few are free.
///
/// # Errors
/// `TryLater` without memory for them.
pub fn cover(memory: &Budget, permit: &mut Option<Permit>, bytes: usize) -> Result<(), Error> {
    if bytes <= PERMIT_FREE_BYTES || memory.try_cover(permit, bytes) {
        return Ok(());
    }
    let what = "the server has no memory left for a body of this size now";
    Err(Refusal { code: Code::TryLater, at: 0, what }.into())
}

/// More came than the bound.
#[must_use]
pub fn too_large(bytes_max: usize) -> Error {
    let message = format!("the request's body is over {bytes_max} bytes");
    Error::new(Code::TooLarge, message, json!({ "bytes_max": bytes_max }))
}

#[cfg(test)]
mod tests;
