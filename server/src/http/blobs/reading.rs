//! Blobs on their way out: whole, in part, or what they consist of.
//!
//! For `blobs`, which has the routes. Never says that all is well before the first chunk is right.

use std::ops::Range;

use bytes::Bytes;
use futures::stream;
use hyper::http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::VaultNo;
use warp::Reply;
use warp::reply::Response;

use super::{ChunkInfo, ChunkList, at, named};
use crate::auth::Role;
use crate::blob::cut::CHUNK_BYTES_MAX;
use crate::blob::{self, Blob, Chunk, Hash, Reading};
use crate::http::State;
use crate::http::ask::Ask;
use crate::http::body;
use crate::http::condition::Conditions;
use crate::http::error::{Error, Problem};
use crate::http::files::seal;
use crate::http::range::{self, Wanted};
use crate::memory::Permit;
use sheaf_ground::task;

/// Reads a blob, or part of it.
#[utoipa::path(
    get,
    path = "/v1/vaults/{vault}/blobs/{hash}",
    tag = "blobs",
    operation_id = "readBlob",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("hash" = String, Path, description = "SHA-256 of its bytes, in hex"),
        ("chunks" = Option<String>, Query, description = "1: what it consists of, as JSON"),
        ("Range" = Option<String>, Header, description = "Only these bytes"),
        ("If-Range" = Option<String>, Header, description = "The range is of this tag"),
        ("If-Match" = Option<String>, Header, description = "Tags wanted"),
        ("If-None-Match" = Option<String>, Header, description = "Tags held"),
    ),
    responses(
        (status = 200, description = "The blob", headers(("ETag" = String)), content(
            (Vec<u8> = "application/octet-stream"),
            (ChunkList = "application/json"),
        )),
        (status = 206, description = "Part of it", body = Vec<u8>,
            content_type = "application/octet-stream",
            headers(("ETag" = String), ("Content-Range" = String))),
        (status = 304, description = "The caller holds it"),
        (status = 404, description = "The vault does not have it; Upload-Offset tells how much of \
            an upload is here", body = Problem, headers(("Upload-Offset" = u64))),
        (status = 412, description = "Another one is wanted", body = Problem),
        (status = 416, description = "It ends before that range", body = Problem),
    )
)]
pub(in crate::http) async fn read(state: State, ask: Ask) -> Result<Response, Error> {
    let chunks = ask.query(&["chunks"])?.is_on("chunks")?;
    let found = match find(&state, &ask).await? {
        Found::Blob(found) => found,
        Found::Answer(response) => return Ok(response),
    };
    if chunks {
        let listed = |chunk: &Chunk| ChunkInfo { hash: chunk.hash.to_string(), size: chunk.bytes };
        let list = ChunkList { chunks: found.blob.chunks().iter().map(listed).collect() };
        return Ok(crate::http::unstored(&list));
    }
    answer(&state, &ask.headers, found)
}

/// The bytes of a file.
pub(in crate::http) fn file(
    state: &State,
    (headers, conditions): (&HeaderMap, &Conditions),
    (vault, hash): (VaultNo, Hash),
) -> Result<Response, Error> {
    let Some(blob) = task::block(|| state.blobs.find(vault, &hash))? else {
        let what = "the bytes of this file are not here";
        return Err(Refusal { code: Code::Damaged, at: 0, what }.into());
    };
    let tag = format!("\"{hash}\"");
    if conditions.check_unchanging(&tag)? {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        seal(response.headers_mut(), &tag);
        return Ok(response);
    }
    let mut response = answer(state, headers, Here { blob, tag: tag.clone() })?;
    // The file may hold something else tomorrow.
    seal(response.headers_mut(), &tag);
    Ok(response)
}

fn answer(state: &State, headers: &HeaderMap, found: Here) -> Result<Response, Error> {
    let size = found.blob.size();
    match range::wanted(headers, &found.tag, size) {
        Wanted::All => send(state, found, 0..size, StatusCode::OK),
        Wanted::Part(part) => send(state, found, part, StatusCode::PARTIAL_CONTENT),
        Wanted::Nothing => {
            let message = "the blob ends before that range";
            let error = Error::new(Code::RangeUnsatisfiable, message, json!({ "size": size }));
            let mut response = error.into_response();
            let all = HeaderValue::try_from(format!("bytes */{size}")).expect("plain ASCII");
            response.headers_mut().insert(header::CONTENT_RANGE, all);
            Ok(response)
        }
    }
}

/// Tells whether the vault has a blob, or how much of an upload is here.
#[utoipa::path(
    head,
    path = "/v1/vaults/{vault}/blobs/{hash}",
    tag = "blobs",
    operation_id = "headBlob",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("hash" = String, Path, description = "SHA-256 of its bytes, in hex"),
        ("If-Match" = Option<String>, Header, description = "Tags wanted"),
        ("If-None-Match" = Option<String>, Header, description = "Tags held"),
    ),
    responses(
        (status = 200, description = "It is here", headers(("ETag" = String))),
        (status = 304, description = "The caller holds it"),
        (status = 404, description = "It is not; Upload-Offset tells how much of an upload is",
            headers(("Upload-Offset" = u64))),
        (status = 412, description = "Another one is wanted"),
    )
)]
pub(in crate::http) async fn head(state: State, ask: Ask) -> Result<Response, Error> {
    ask.query(&[])?;
    match find(&state, &ask).await? {
        Found::Answer(response) => Ok(response),
        Found::Blob(Here { blob, tag }) => {
            let mut response = Response::default();
            shown(response.headers_mut(), &tag);
            response.headers_mut().insert(header::CONTENT_LENGTH, blob.size().into());
            Ok(response)
        }
    }
}

/// A blob that was asked for.
enum Found {
    Blob(Here),
    /// It is not here, or the caller has it.
    Answer(Response),
}

struct Here {
    blob: Blob,
    tag: String,
}

async fn find(state: &State, ask: &Ask) -> Result<Found, Error> {
    let (name, hash) = named(ask)?;
    ask.caller.grant(&name, None, Role::Read).await?;
    let conditions = Conditions::of(ask)?;
    let vault = state.vaults.number(&name)?;
    let Some(blob) = task::block(|| state.blobs.find(vault, &hash))? else {
        let offset = task::block(|| state.blobs.offset(vault, &hash))?;
        let what = "the vault does not have this blob";
        let absent = Error::from(Refusal { code: Code::NotFound, at: 0, what });
        return Ok(Found::Answer(at(absent.into_response(), offset)));
    };
    let tag = format!("\"{hash}\"");
    if conditions.check_unchanging(&tag)? {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        shown(response.headers_mut(), &tag);
        return Ok(Found::Answer(response));
    }
    Ok(Found::Blob(Here { blob, tag }))
}

/// Sends part of a blob, or all of it.
fn send(
    state: &State,
    Here { blob, tag }: Here,
    part: Range<u64>,
    status: StatusCode,
) -> Result<Response, Error> {
    let mut permit = None;
    let length = part.end - part.start;
    body::cover(&state.memory, &mut permit, length.min(CHUNK_BYTES_MAX as u64) as usize)?;
    let size = blob.size();
    let range = format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1));
    let mut reading = blob.read(part);
    // Before anything is said: what is damaged is told where it can be.
    let first = task::block(|| reading.next())?;
    let sending = Sending { first, reading, _permit: permit };
    let chunks = stream::unfold(Some(sending), |sending| async move {
        let mut sending = sending?;
        match sending.next() {
            Ok(bytes) => bytes.map(|bytes| (Ok(bytes), Some(sending))),
            Err(error) => {
                tracing::error!(%error, "a blob was cut off");
                Some((Err(error), None))
            }
        }
    });
    let mut response = warp::reply::stream(chunks).into_response();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    shown(headers, &tag);
    headers.insert(header::CONTENT_LENGTH, length.into());
    if status == StatusCode::PARTIAL_CONTENT {
        let range = HeaderValue::try_from(range).expect("plain ASCII");
        headers.insert(header::CONTENT_RANGE, range);
    }
    Ok(response)
}

struct Sending {
    first: Option<Bytes>,
    reading: Reading,
    _permit: Option<Permit>,
}

impl Sending {
    fn next(&mut self) -> Result<Option<Bytes>, blob::Error> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => task::block(|| self.reading.next()),
        }
    }
}

/// What goes out with a blob. It never changes; whether its reader may see it can.
fn shown(headers: &mut HeaderMap, tag: &str) {
    seal(headers, tag);
    let forever = HeaderValue::from_static("private, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, forever);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
}
