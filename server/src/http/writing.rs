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
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::VaultName;
use utoipa::ToSchema;
use warp::Reply;
use warp::reply::Response;

use super::State;
use super::ask::{Ask, Place, Sent};
use super::condition::{self, Conditions};
use super::error::{Error, Problem};
use crate::auth::{Grant, Role};
use crate::document::author::{Author, OnlyIf, WriteError, Written};
use crate::document::edit::{Edit, Unit};
use crate::document::handle::Handle;
use crate::document::submission::Failure;
use crate::vault;
use crate::vault::audience::From;
use crate::vault::upload::{Base, Upcoming, Upload};
use sheaf_ground::task;
use sheaf_protocol::stamp::Stamp;

/// A document may leave memory between being opened and being written; that it does so again and
/// again is no chance.
const TRIES: usize = 5;

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
            headers(("ETag" = String), ("Location" = String))),
        (status = 201, description = "Made, durably", body = WriteResult,
            headers(("ETag" = String), ("Location" = String))),
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
    let body = ask.body(&state, state.text_bytes_max).await.map_err(Error::of_file)?;
    // The body may have outlived the grant.
    let grant = ask.grant(&place, Role::Write).await?;
    let by = author(&ask, &grant)?;
    let file = task::block(|| state.vaults.file(&place.vault, &place.path));
    let before = file.map_or(0, |file| file.seq);
    let text = match body {
        Sent::Text(text) => text,
        Sent::Bytes(bytes) => {
            let (hash, size) = task::block(|| state.vaults.put_bytes(&place.vault, &bytes))?;
            let content = Upcoming::Blob { hash, size };
            let upload = upload(&ask, content)?;
            let result = put_upload(&state, &ask, &place, (by, upload, &conditions)).await?;
            return Ok(said(&state, &place, (before, &result), by));
        }
        Sent::Blob(hash) => {
            let upload = upload(&ask, Upcoming::Blob { hash: hash.0, size: 0 })?;
            let result = put_upload(&state, &ask, &place, (by, upload, &conditions)).await?;
            return Ok(said(&state, &place, (before, &result), by));
        }
    };
    let made = upload(&ask, Upcoming::Text(&text))?;
    if made.stamp.is_some() || made.base != Base::Now {
        let result = put_upload(&state, &ask, &place, (by, made, &conditions)).await?;
        return Ok(said(&state, &place, (before, &result), by));
    }
    let write = |handle: &Handle, only_if| handle.put_text(by, &text, only_if);
    let mut done = change(&state, &ask, &place, &conditions, Absent::Made, write).await?;
    done.written.has_changed |= state.vaults.set_text(&place.vault, done.handle.key().doc)?;
    let result = answer(&state, &place, done).await?;
    Ok(said(&state, &place, (before, &result), by))
}

/// Answers an upload, and says in the log that it came.
fn said(
    state: &State,
    place: &Place,
    (before, result): (u64, &WriteResult),
    by: Author<'_>,
) -> Response {
    if result.changed || result.created {
        let (file, from) = ((&place.vault, &*place.path), (From::Elsewhere, by.device));
        state.vaults.audience().uploaded(file, (before, result.version), from);
    }
    written(place, result)
}

/// What the headers make of a body.
fn upload<'a>(ask: &Ask, content: Upcoming<'a>) -> Result<Upload<'a>, Error> {
    let base = ask.number_header("sheaf-base")?.map_or(Base::Now, Base::Version);
    let stamp = ask.header("sheaf-stamp")?.map(str::parse::<Stamp>).transpose();
    let stamp = stamp.map_err(|bad| Error::new(Code::Malformed, bad.to_string(), json!({})))?;
    Ok(Upload { content, base, stamp, client_ms: None })
}

async fn put_upload(
    state: &State,
    ask: &Ask,
    place: &Place,
    (by, upload, conditions): (Author<'_>, Upload<'_>, &Conditions),
) -> Result<WriteResult, Error> {
    let before = existing(state, place, Absent::Made).await?;
    conditions.check_write(before.as_deref().map(state_of))?;
    drop(before);
    if place.has_escaped_slash {
        return Err(Error::invalid_path("a new path's slashes stand as they are, not as %2F"));
    }
    let Place { vault, path, .. } = place;
    let done = match state.vaults.upload(vault, path, by, upload).await {
        Ok(done) => done,
        Err(error) => return Err(veiled(ask, vault, error).await),
    };
    Ok(WriteResult {
        path: path.clone(),
        id: done.id.to_string(),
        version: done.version,
        etag: condition::State { doc: done.id, n: done.n }.tag(),
        size: done.size,
        created: done.is_created,
        changed: done.has_changed,
        hash: Some(blake3::Hash::from(done.hash).to_hex().to_string()),
        merged: done.is_merged,
        conflict: done.is_conflict,
        content: done.content,
    })
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
        ("Sheaf-Device" = Option<String>, Header,
            description = "The device it comes from, 16 hex digits"),
    ),
    request_body(content = Patch, content_type = "application/json"),
    responses(
        (status = 200, description = "Edited, durably", body = WriteResult,
            headers(("ETag" = String), ("Location" = String))),
        (status = 404, description = "There is no such vault or file", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 409, description = "It is no text", body = Problem),
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
    let write = |handle: &Handle, only_if: Option<OnlyIf>| {
        let Some(OnlyIf::At(n)) = only_if else {
            return Err(WriteError::Stale { n: handle.n() });
        };
        handle.patch_text(by, &edits, unit, n)
    };
    let done = change(&state, &ask, &place, &conditions, Absent::Missed, write).await?;
    let result = answer(&state, &place, done).await?;
    if result.changed {
        state.vaults.audience().changed(&place.vault, From::Elsewhere);
    }
    Ok(written(&place, &result))
}

/// What a write does where there is no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// It makes one, by the rules of paths.
    Made,
    /// It makes one of any name, as a session does.
    Room,
    /// It fails.
    Missed,
}

/// A write that is written and not yet durable.
pub(super) struct Done {
    /// The document.
    pub handle: Arc<Handle>,
    /// What came of it.
    pub written: Written,
}

/// On whose behalf a write is made.
///
/// # Errors
/// `Malformed` if the device is none.
pub(super) fn author<'a>(ask: &Ask, grant: &'a Grant) -> Result<Author<'a>, Error> {
    let (principal, may_relay) = (&grant.principal, grant.may_relay());
    Ok(Author { principal, may_relay, device: ask.device()? })
}

/// Finds the document, checks the conditions, and writes.
pub(super) async fn change<F>(
    state: &State,
    ask: &Ask,
    place: &Place,
    conditions: &Conditions,
    absent: Absent,
    write: F,
) -> Result<Done, Error>
where
    F: Fn(&Handle, Option<OnlyIf>) -> Result<Written, WriteError>,
{
    for _ in 0..TRIES {
        let before = existing(state, place, absent).await?;
        let only_if = conditions.check_write(before.as_deref().map(state_of))?;
        let handle = match before {
            Some(handle) => handle,
            None if absent == Absent::Room => {
                state.vaults.open_room(&place.vault, &place.path).await?
            }
            None => make(state, ask, place).await?,
        };
        let written = {
            let _turn = handle.turn().await?;
            task::block(|| write(&handle, only_if))
        };
        match written {
            Ok(written) => return Ok(Done { handle, written }),
            Err(WriteError::Failed(Failure::Dropped)) => {}
            Err(WriteError::Stale { n }) => {
                let doc = handle.key().doc;
                return Err(condition::failed(Some(condition::State { doc, n })));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let what = "the document leaves memory again and again";
    Err(Refusal { code: Code::Unavailable, at: 0, what }.into())
}

async fn existing(
    state: &State,
    place: &Place,
    absent: Absent,
) -> Result<Option<Arc<Handle>>, Error> {
    match state.vaults.open(&place.vault, &place.path).await {
        Ok(handle) => Ok(Some(handle)),
        Err(vault::Error::NoFile | vault::Error::NoVault) if absent != Absent::Missed => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn make(state: &State, ask: &Ask, place: &Place) -> Result<Arc<Handle>, Error> {
    if place.has_escaped_slash {
        return Err(Error::invalid_path("a new path's slashes stand as they are, not as %2F"));
    }
    match state.vaults.open_or_create(&place.vault, &place.path).await {
        Ok(handle) => Ok(handle),
        Err(error) => Err(veiled(ask, &place.vault, error).await),
    }
}

/// An error that names no file to a caller who may not read it.
pub(super) async fn veiled(ask: &Ask, vault: &VaultName, error: vault::Error) -> Error {
    let vault::Error::PathTaken { path } = &error else { return error.into() };
    if ask.caller.may(vault, Some(path), Role::Read).await == Ok(true) {
        return error.into();
    }
    Error::new(Code::PathTaken, "the path is taken by another file", json!({}))
}

pub(super) fn state_of(handle: &Handle) -> condition::State {
    condition::State { doc: handle.key().doc, n: handle.n() }
}

/// Waits until the write is durable and listed, and tells what came of it.
async fn answer(state: &State, place: &Place, done: Done) -> Result<WriteResult, Error> {
    let Done { handle, written } = done;
    handle.durable(written.end).await?;
    state.vaults.settle(&place.vault, &place.path).await?;
    let file = task::block(|| state.vaults.file(&place.vault, &place.path))?;
    let now = condition::State { doc: handle.key().doc, n: written.n };
    Ok(WriteResult {
        path: place.path.clone(),
        id: now.doc.to_string(),
        version: file.seq,
        etag: now.tag(),
        size: file.size,
        created: written.is_created,
        changed: written.has_changed,
        hash: file.hash.map(|hash| blake3::Hash::from(hash).to_hex().to_string()),
        merged: false,
        conflict: false,
        content: None,
    })
}

/// The answer to a write.
fn written(place: &Place, result: &WriteResult) -> Response {
    let mut response = warp::reply::json(result).into_response();
    if result.created {
        *response.status_mut() = StatusCode::CREATED;
    }
    let headers = response.headers_mut();
    let tag = HeaderValue::try_from(&result.etag).expect("an id, a number and quotes are legal");
    headers.insert(header::ETAG, tag);
    let path = utf8_percent_encode(&place.path, PATH);
    let location = format!("/v1/vaults/{}/files/{path}", place.vault);
    let location = HeaderValue::try_from(location).expect("escaped to plain ASCII");
    headers.insert(header::LOCATION, location);
    headers.insert("sheaf-version", HeaderValue::from(result.version));
    response
}
