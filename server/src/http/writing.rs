//! Writing files: whole texts, lists of edits.
//!
//! For backends; `files` has the routes. A write becomes an edit of the live document, so those who
//! type in it keep their carets, and is answered when it is durable. Never writes before it knows
//! that the caller may and that the state is the one the request names.

use std::ops::Not;
use std::sync::Arc;

use hyper::http::{HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sheaf_protocol::error::Code;
use sheaf_protocol::ids::VaultName;
use utoipa::ToSchema;
use warp::Reply;
use warp::reply::Response;

use super::State;
use super::ask::{Ask, Place};
use super::condition::{Conditions, tag};
use super::content::{self, Content};
use super::error::{Error, Problem};
use super::versions::tell;
use crate::auth::{Grant, Role};
use crate::blob::Hash;
use crate::document::author::Author;
use crate::document::edit::{Edit, Unit};
use crate::vault;
use crate::vault::audience::From;
use crate::vault::tree::Asked;
use crate::vault::upload::{Base, Upcoming, Upload, Uploaded};
use sheaf_ground::task;
use sheaf_protocol::stamp::Stamp;

/// A list of edits, in bytes.
const PATCH_BYTES_MAX: usize = 4 << 20;

/// What a path keeps as it is in the header `Location`.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What came of a write.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WriteResult {
    /// Where the file is in the vault.
    pub path: String,
    /// The id of its document.
    pub id: String,
    /// The number that its latest change has in the vault's feed.
    pub version: u64,
    /// Names the state after the write, for the next `If-Match`.
    pub etag: String,
    /// Bytes of its text, or of its state if it is no text.
    pub size: u64,
    /// Whether the file is new.
    pub created: bool,
    /// Whether anything is different now: writing what is there already changes nothing.
    pub changed: bool,
    /// SHA-256 of that version, in hex; absent where it is no text and no bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The version has others' changes beside what was written: `content` has all of it.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub merged: bool,
    /// Another change of the same base came first, and only one of both could stay.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub conflict: bool,
    /// The version's text, where it is merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// Edits of a text, all or none. Positions refer to the text at the state named by `If-Match`, and
/// the edits do not overlap.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// What positions and lengths count.
    pub unit: Unit,
    /// In any order.
    pub edits: Vec<Edit>,
}

/// Writes a whole file. The difference of a text to what is there goes into the live document as an
/// edit; what is no UTF-8 or has a zero byte is kept as bytes.
#[utoipa::path(
    put,
    path = "/v1/vaults/{vault}/files/{path}",
    tag = "files",
    operation_id = "writeFile",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("path" = String, Path, description = "The file's path, with its slashes as they are"),
        ("If-Match" = Option<String>, Header, description = "Only if it is at one of these"),
        ("If-None-Match" = Option<String>, Header, description = "*: only if there is none yet"),
        ("Sheaf-Base" = Option<u64>, Header,
            description = "The version that the text was made of: others' changes since are merged \
                with it. 0: none, what is there stays as well"),
        ("Sheaf-Stamp" = Option<String>, Header,
            description = "The change's own stamp: it is made once however often it comes"),
        ("Sheaf-Blob" = Option<String>, Header,
            description = "SHA-256, in hex, of bytes that were put as a blob before: the file \
                holds them. The body is empty"),
        ("Sheaf-Device" = Option<String>, Header,
            description = "The device it comes from, 16 hex digits"),
    ),
    request_body(content = String, content_type = "text/plain", description = "UTF-8 text"),
    responses(
        (status = 200, description = "Written, durably", body = WriteResult,
            headers(("ETag" = String), ("Location" = String),
                ("Sheaf-Version" = u64), ("Sheaf-Epoch" = u64))),
        (status = 201, description = "Made, durably", body = WriteResult,
            headers(("ETag" = String), ("Location" = String),
                ("Sheaf-Version" = u64), ("Sheaf-Epoch" = u64))),
        (status = 404, description = "There is no such vault", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 409, description = "It is no text, its path is taken, its base is not kept any \
            more, or its stamp is another change's or ahead of the clock", body = Problem),
        (status = 412, description = "It is at another state", body = Problem),
        (status = 413, description = "The text is too large", body = Problem),
        (status = 415, description = "It is not plain UTF-8", body = Problem),
        (status = 507, description = "A quota of the vault is used up", body = Problem),
    )
)]
pub(super) async fn put(state: State, ask: Ask) -> Result<Response, Error> {
    let place = ask.place()?;
    ask.grant(&place, Role::Write).await?;
    ask.query(&[])?;
    let conditions = Conditions::of(&ask)?;
    let content = content::read(&state, &ask, &place.vault).await.map_err(Error::of_file)?;
    // The body may have outlived the grant.
    let grant = ask.grant(&place, Role::Write).await?;
    let by = author(&ask, &grant)?;
    let content = match &content {
        Content::Text(text) => Upcoming::Text(text),
        Content::Blob(hash) => Upcoming::Blob { hash: hash.0, size: 0 },
    };
    let when = |now| conditions.check_write(now);
    let base = ask.number_header("sheaf-base")?.map_or(Base::Now, Base::Version);
    let upload = Upload { base, stamp: stamp(&ask)?, when: &when, ..Upload::of(content) };
    let Place { vault, path, .. } = &place;
    let before = task::block(|| state.vaults.file(vault, path)).map_or(0, |file| file.seq);
    if place.has_escaped_slash {
        check_is_file(&state, &place)?;
    }
    let caller = &ask.caller;
    let may =
        async move |now: Arc<str>| caller.may(vault, Some(&now), Role::Write).await == Ok(true);
    let done = match state.vaults.upload_or_follow((vault, path), by, upload, may).await {
        Ok(done) => done,
        Err(error) => return Err(veiled(&ask, vault, error).await),
    };
    if done.has_changed || done.is_created {
        let from = (From::Elsewhere, by.device);
        state.vaults.audience().uploaded(vault, (before, &done), from);
    }
    Ok(written(&state, vault, done))
}

/// A path whose slashes are escaped may be one that is there, and none to make.
///
/// # Errors
/// `InvalidPath`.
pub(super) fn check_is_file(state: &State, place: &Place) -> Result<(), Error> {
    match task::block(|| state.vaults.file(&place.vault, &place.path)) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::invalid_path("a new path's slashes stand as they are, not as %2F")),
    }
}

/// The stamp of a change.
///
/// # Errors
/// `Malformed`.
pub(super) fn stamp(ask: &Ask) -> Result<Option<Stamp>, Error> {
    let stamp = ask.header("sheaf-stamp")?.map(str::parse::<Stamp>).transpose();
    stamp.map_err(|bad| Error::new(Code::Malformed, bad.to_string(), json!({})))
}

/// Edits part of a text.
#[utoipa::path(
    patch,
    path = "/v1/vaults/{vault}/files/{path}",
    tag = "files",
    operation_id = "editFile",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("path" = String, Path, description = "The file's path, with its slashes as they are"),
        ("If-Match" = String, Header, description = "The state that the positions refer to"),
        ("Sheaf-Stamp" = Option<String>, Header,
            description = "The change's own stamp: it is made once however often it comes"),
        ("Sheaf-Device" = Option<String>, Header,
            description = "The device it comes from, 16 hex digits"),
    ),
    request_body(content = Patch, content_type = "application/json"),
    responses(
        (status = 200, description = "Edited, durably", body = WriteResult,
            headers(("ETag" = String), ("Location" = String),
                ("Sheaf-Version" = u64), ("Sheaf-Epoch" = u64))),
        (status = 404, description = "There is no such vault or file", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 409, description = "It is no text, or its stamp is another change's or ahead of \
            the clock", body = Problem),
        (status = 412, description = "It is at another state", body = Problem),
        (status = 413, description = "The edits are too large", body = Problem),
        (status = 415, description = "It is not plain JSON", body = Problem),
        (status = 428, description = "If-Match names no state", body = Problem),
        (status = 507, description = "A quota of the vault is used up", body = Problem),
    )
)]
pub(super) async fn patch(state: State, ask: Ask) -> Result<Response, Error> {
    let place = ask.place()?;
    ask.grant(&place, Role::Write).await?;
    ask.query(&[])?;
    let conditions = Conditions::of(&ask)?;
    conditions.check_names_state()?;
    let Patch { unit, edits } = ask.json(&state, PATCH_BYTES_MAX).await?;
    // The body may have outlived the grant.
    let grant = ask.grant(&place, Role::Write).await?;
    let by = author(&ask, &grant)?;
    let when = |now| conditions.check_write(now);
    let at = (&place.vault, &*place.path);
    let asked = Asked { stamp: stamp(&ask)?, when: &when };
    let done = state.vaults.edit(at, by, (&edits, unit), asked).await?;
    if done.has_changed {
        state.vaults.audience().changed(&place.vault, From::Elsewhere);
    }
    Ok(written(&state, &place.vault, done))
}

/// On whose behalf a write is made.
///
/// # Errors
/// `Malformed` if the device is none.
pub(super) fn author<'a>(ask: &Ask, grant: &'a Grant) -> Result<Author<'a>, Error> {
    let (principal, may_relay) = (&grant.principal, grant.may_relay());
    Ok(Author { principal, may_relay, device: ask.device()?, stamped: None })
}

/// An error that names no file to a caller who may not read it.
pub(super) async fn veiled(ask: &Ask, vault: &VaultName, error: vault::Error) -> Error {
    let vault::Error::PathTaken { path } = &error else { return error.into() };
    if ask.caller.may(vault, Some(path), Role::Read).await == Ok(true) {
        return error.into();
    }
    Error::new(Code::PathTaken, "the path is taken by another file", json!({}))
}

/// The answer to a write.
fn written(state: &State, vault: &VaultName, done: Uploaded) -> Response {
    let result = WriteResult {
        path: done.path.to_string(),
        id: done.at.doc.to_string(),
        version: done.version,
        etag: tag(done.at),
        size: done.size,
        created: done.is_created,
        changed: done.has_changed,
        hash: Some(Hash(done.hash).to_string()),
        merged: done.is_merged,
        conflict: done.is_conflict,
        content: done.content,
    };
    let mut response = warp::reply::json(&result).into_response();
    if result.created {
        *response.status_mut() = StatusCode::CREATED;
    }
    let headers = response.headers_mut();
    let tag = HeaderValue::try_from(result.etag).expect("an id, a number and quotes are legal");
    headers.insert(header::ETAG, tag);
    let path = utf8_percent_encode(&result.path, PATH);
    let location = format!("/v1/vaults/{vault}/files/{path}");
    let location = HeaderValue::try_from(location).expect("escaped to plain ASCII");
    headers.insert(header::LOCATION, location);
    tell(headers, state, vault, result.version);
    response
}
