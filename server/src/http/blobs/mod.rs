//! `/v1/vaults/{vault}/blobs`: bytes by their SHA-256, in and out.
//!
//! For whoever keeps files that are no text, and for mirrors. A blob belongs to a vault: who may
//! read all of that may read it, and whether another vault has it tells nobody. Never holds more of
//! a transfer than a chunk, and never serves a blob as a page of our origin.

pub(super) mod reading;
pub(super) mod upload;

use hyper::http::{HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sheaf_protocol::error::Code;
use sheaf_protocol::ids::VaultName;
use utoipa::ToSchema;
use warp::Reply;
use warp::reply::Response;

use super::State;
use super::ask::Ask;
use super::error::{Error, Problem};
use super::route::Route;
use crate::auth::Role;
use crate::blob::cut::CHUNK_BYTES_MIN;
use crate::blob::{self, Chunk, Hash, Stored};
use sheaf_ground::task;

/// Hashes in one question.
const WANTED_MAX: usize = 1_000;
/// A question of so many hashes, with what JSON may put between them.
const WANT_BYTES_MAX: usize = 256 << 10;
/// A chunk in a list, as JSON with some blanks.
const LISTED_BYTES: u64 = 160;
/// How far an upload is (the name is that of the draft of RFC "Resumable Uploads for HTTP").
const UPLOAD_OFFSET: &str = "upload-offset";

/// Which of these blobs must be sent?
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Want {
    /// SHA-256 of each, in hex; at most 1,000.
    pub want: Vec<String>,
}

/// These.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Missing {
    /// Those that the vault does not have. The others stay for a day.
    pub missing: Vec<String>,
}

/// What a blob consists of, in order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChunkList {
    /// Each a blob of its own.
    pub chunks: Vec<ChunkInfo>,
}

/// Part of a blob.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChunkInfo {
    /// SHA-256 of its bytes, in hex.
    pub hash: String,
    /// How many it has: 65,536 to 1,048,576, the last one from 1 on.
    pub size: u32,
}

/// A blob that is here.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BlobInfo {
    /// SHA-256 of its bytes, in hex.
    pub hash: String,
    /// How many it has.
    pub size: u64,
    /// Whether the vault did not have it.
    pub created: bool,
}

/// An upload that is not complete.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UploadInfo {
    /// Bytes that are here: where to go on.
    pub offset: u64,
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    vec![
        Route::at("/v1/vaults/{vault}/blobs", "blobs").on(Method::POST, want),
        Route::at("/v1/vaults/{vault}/blobs/{hash}", "blob")
            .on(Method::HEAD, reading::head)
            .on(Method::GET, reading::read)
            .on(Method::PUT, upload::put)
            .on(Method::POST, assemble),
    ]
}

/// Asks which blobs the vault does not have. Those that it has stay for a day, so that there is
/// time to refer to them.
#[utoipa::path(
    post,
    path = "/v1/vaults/{vault}/blobs",
    tag = "blobs",
    operation_id = "wantBlobs",
    params(("vault" = String, Path, description = "The vault's name")),
    request_body = Want,
    responses(
        (status = 200, description = "What must be sent", body = Missing),
        (status = 404, description = "There is no such vault", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 413, description = "These are too many", body = Problem),
        (status = 415, description = "It is not plain JSON", body = Problem),
    )
)]
async fn want(state: State, ask: Ask) -> Result<impl Reply, Error> {
    let vault = ask.vault()?;
    ask.caller.grant(&vault, None, Role::Write).await?;
    ask.query(&[])?;
    let Want { want } = ask.json(&state, WANT_BYTES_MAX).await?;
    if want.len() > WANTED_MAX {
        let message = format!("a question has at most {WANTED_MAX} hashes");
        return Err(Error::new(Code::BatchTooLarge, message, json!({ "count_max": WANTED_MAX })));
    }
    let wanted = want.iter().enumerate().map(|(place, text)| hash(text, place));
    let wanted = wanted.collect::<Result<Vec<Hash>, Error>>()?;
    let vault = state.vaults.number(&vault)?;
    let missing = task::block(|| {
        let mut missing = Vec::new();
        for hash in &wanted {
            if !state.blobs.want(vault, hash)? {
                missing.push(hash.to_string());
            }
        }
        Ok::<_, blob::Error>(missing)
    })?;
    Ok(super::unstored(&Missing { missing }))
}

/// Makes a large blob out of chunks that were put before, each a blob of its own.
#[utoipa::path(
    post,
    path = "/v1/vaults/{vault}/blobs/{hash}",
    tag = "blobs",
    operation_id = "assembleBlob",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("hash" = String, Path, description = "SHA-256 of its bytes, in hex"),
    ),
    request_body = ChunkList,
    responses(
        (status = 200, description = "It has been here", body = BlobInfo),
        (status = 201, description = "It is here, durably", body = BlobInfo),
        (status = 404, description = "There is no such vault", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 409, description = "Chunks are missing; details.missing lists them. The others \
            stay for a day", body = Problem),
        (status = 413, description = "It is too large", body = Problem),
        (status = 415, description = "It is not plain JSON", body = Problem),
        (status = 422, description = "These chunks make another blob", body = Problem),
        (status = 507, description = "A quota of the vault is used up", body = Problem),
    )
)]
async fn assemble(state: State, ask: Ask) -> Result<Response, Error> {
    let (name, blob) = named(&ask)?;
    ask.caller.grant(&name, None, Role::Write).await?;
    ask.query(&[])?;
    let count_max = state.blobs.file_bytes_max() / CHUNK_BYTES_MIN as u64 + 2;
    let list: ChunkList = ask.json(&state, (count_max * LISTED_BYTES) as usize).await?;
    let chunk = |(place, chunk): (usize, &ChunkInfo)| {
        Ok(Chunk { hash: hash(&chunk.hash, place)?, bytes: chunk.size })
    };
    let chunks = list.chunks.iter().enumerate().map(chunk).collect::<Result<Vec<_>, Error>>()?;
    // The body may have outlived the grant.
    ask.caller.grant(&name, None, Role::Write).await?;
    let vault = state.vaults.number(&name)?;
    // What was put before is moved, and nothing is written twice.
    state.vaults.check_quota(&name, 0)?;
    Ok(stored(&task::block(|| state.blobs.assemble(vault, &blob, &chunks))?))
}

fn stored(stored: &Stored) -> Response {
    let Stored { hold, is_new } = stored;
    let (hash, size) = (hold.hash().to_string(), hold.size());
    let tag = HeaderValue::try_from(format!("\"{hash}\"")).expect("plain ASCII");
    let mut response = super::unstored(&BlobInfo { hash, size, created: *is_new });
    if *is_new {
        *response.status_mut() = StatusCode::CREATED;
    }
    response.headers_mut().insert(header::ETAG, tag);
    response
}

/// Tells where an upload is.
fn at(mut response: Response, offset: u64) -> Response {
    response.headers_mut().insert(UPLOAD_OFFSET, offset.into());
    response
}

/// The vault and the blob in the path.
fn named(ask: &Ask) -> Result<(VaultName, Hash), Error> {
    let parsed = ask.name(1)?.parse();
    let parsed = parsed.map_err(|bad: blob::NotAHash| {
        Error::new(Code::Malformed, bad.to_string(), json!({ "parameter": "hash" }))
    });
    Ok((ask.vault()?, parsed?))
}

fn hash(text: &str, place: usize) -> Result<Hash, Error> {
    text.parse().map_err(|bad: blob::NotAHash| {
        Error::new(Code::Malformed, bad.to_string(), json!({ "at": place }))
    })
}
