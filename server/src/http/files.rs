//! `/v1/vaults/{vault}/files`: listing files, and reading them.
//!
//! For backends. Writing is in `writing`. Never serves a file as a page of our origin: text goes
//! out as plain text in a sandbox.

use std::collections::BTreeMap;

use hyper::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::{DocId, VaultName};
use sheaf_protocol::vault::check_path;
use utoipa::ToSchema;
use warp::Reply;
use warp::reply::Response;

use super::State;
use super::ask::{Ask, Place};
use super::blobs;
use super::body;
use super::condition::{Conditions, roots_tag, tag};
use super::error::{Error, Problem};
use super::route::Route;
use super::tree;
use super::versions::{self, Blame, Difference, VersionList};
use super::writing;
use crate::auth::Role;
use crate::blob::Hash;
use crate::document::handle::Handle;
use crate::document::snapshot::{Content, ReadError};
use crate::document::submission::Failure;
use crate::vault::condition::At;
use crate::vault::upload::Settled;
use crate::vault::{self, File, Kind};
use sheaf_ground::task;

/// What a file's document holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Text.
    Text,
    /// Something else: maps, arrays, XML, or several texts.
    Other,
    /// Nothing yet.
    Empty,
    /// Bytes of any kind.
    Blob,
}

/// A file, without what it holds.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FileInfo {
    /// Where it is in the vault.
    pub path: String,
    /// The id of its document; it stays when the file moves.
    pub id: String,
    /// What it holds.
    pub kind: FileKind,
    /// The number that its latest change has in the vault's feed.
    pub version: u64,
    /// Names its state, for `If-Match`.
    pub etag: String,
    /// Bytes of its text, or of its state if it is no text.
    pub size: u64,
    /// SHA-256 of its text, in hex.
    pub hash: Option<String>,
    /// When it was made, in Unix milliseconds.
    pub created_ms: u64,
    /// When it changed last, in Unix milliseconds.
    pub updated_ms: u64,
    /// Who changed it last, if that is somebody with a name.
    pub by: Option<String>,
}

/// A page of files.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FileList {
    /// By path, in byte order.
    pub files: Vec<FileInfo>,
    /// What to give as `after` for the next page; `null` on the last one.
    pub next: Option<String>,
}

/// Every root type of a document with what it holds, by name: `{"content": {"type": "text",
/// "value": "…"}, …}`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Roots(BTreeMap<String, Root>);

/// One root type of a document.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Root {
    /// Its kind: `text`, `map`, `array` or `xml`.
    pub r#type: String,
    /// What it holds.
    pub value: Value,
}

impl From<Kind> for FileKind {
    fn from(kind: Kind) -> FileKind {
        match kind {
            Kind::Text => FileKind::Text,
            Kind::Other => FileKind::Other,
            Kind::Empty => FileKind::Empty,
            Kind::Blob => FileKind::Blob,
        }
    }
}

impl From<File> for FileInfo {
    fn from(file: File) -> FileInfo {
        let etag = tag(file.at());
        FileInfo {
            path: file.path.to_string(),
            id: file.id.to_string(),
            kind: file.kind.into(),
            version: file.seq,
            etag,
            size: file.size,
            hash: file.hash.map(|hash| blake3::Hash::from(hash).to_hex().to_string()),
            created_ms: file.created_ms,
            updated_ms: file.updated.ms(),
            by: file.by.map(|by| by.to_string()),
        }
    }
}

/// The routes of this file and of `writing`.
pub fn routes() -> Vec<Route> {
    vec![
        Route::at("/v1/vaults/{vault}/files", "files").on(Method::GET, list),
        Route::at("/v1/vaults/{vault}/files/{path}", "file")
            .on(Method::GET, read)
            .on(Method::PUT, writing::put)
            .on(Method::PATCH, writing::patch)
            .on(Method::POST, tree::relocate)
            .on(Method::DELETE, tree::delete),
    ]
}

/// Lists files by path, a page at a time.
#[utoipa::path(
    get,
    path = "/v1/vaults/{vault}/files",
    tag = "files",
    operation_id = "listFiles",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("prefix" = Option<String>, Query, description = "Only paths that begin with this"),
        ("after" = Option<String>, Query, description = "Only paths behind this one"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000,
            description = "Files on the page; 100 unless given"),
    ),
    responses(
        (status = 200, description = "A page of files", body = FileList),
        (status = 404, description = "There is no such vault", body = Problem),
    )
)]
async fn list(state: State, ask: Ask) -> Result<impl Reply, Error> {
    let vault = ask.vault()?;
    let query = ask.query(&["prefix", "after", "limit"])?;
    let prefix = query.text("prefix").unwrap_or_default();
    let is_whole = check_listing(&ask, &vault, prefix).await?;
    let limit = query.page(&state)?;
    let page = task::block(|| state.vaults.files(&vault, prefix, query.text("after"), limit))?;
    // A folder's grant covers no names that somebody could read as leading out of it.
    let is_shown = |file: &File| is_whole || check_path(&file.path).is_ok();
    let files = page.items.into_iter().filter(is_shown).map(FileInfo::from).collect();
    Ok(super::unstored(&FileList { files, next: page.next.map(|next| next.to_string()) }))
}

/// Whether the caller may list a whole vault; if not, a folder that it may read will do.
async fn check_listing(ask: &Ask, vault: &VaultName, prefix: &str) -> Result<bool, Error> {
    if prefix.ends_with('/') {
        ask.caller.grant_under(vault, prefix, Role::Read).await?;
        return Ok(ask.caller.may(vault, None, Role::Read).await == Ok(true));
    }
    ask.caller.grant(vault, None, Role::Read).await?;
    Ok(true)
}

/// Reads a file: its text, all its root types as JSON, or what is known about it.
///
/// Text is the configured root, or the one root that holds something. A document whose content is
/// no text answers 409 `not_text` and names the root: ask for `?roots=1`.
#[utoipa::path(
    get,
    path = "/v1/vaults/{vault}/files/{path}",
    tag = "files",
    operation_id = "readFile",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("path" = String, Path, description = "The file's path, with its slashes as they are"),
        ("roots" = Option<String>, Query, description = "1: every root type, as JSON"),
        ("meta" = Option<String>, Query, description = "1: what is known about the file, as JSON"),
        ("versions" = Option<String>, Query, description = "1: its versions, newest first"),
        ("before" = Option<u64>, Query, description = "With `versions`: only those below this one"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000,
            description = "With `versions`: how many; 100 unless given"),
        ("at" = Option<u64>, Query, description = "The file as it was at this version"),
        ("diff" = Option<u64>, Query,
            description = "What changed since this version, until `at` or now"),
        ("blame" = Option<String>, Query, description = "1: who wrote each piece of the text"),
        ("If-Match" = Option<String>, Header, description = "Tags of the states wanted"),
        ("If-None-Match" = Option<String>, Header, description = "Tags of the states held"),
    ),
    responses(
        (status = 200, description = "The file", headers(("ETag" = String),
            ("Sheaf-Version" = u64), ("Sheaf-Epoch" = u64)), content(
            (String = "text/plain; charset=utf-8"),
            (String = "text/x-diff; charset=utf-8"),
            (FileForm = "application/json"),
        )),
        (status = 304, description = "It is still at a state that the caller holds"),
        (status = 404, description = "There is no such vault or file", body = Problem),
        (status = 409, description = "It is no text", body = Problem),
        (status = 412, description = "It is at another state", body = Problem),
    )
)]
pub(super) async fn read(state: State, ask: Ask) -> Result<Response, Error> {
    let place = ask.place()?;
    ask.grant(&place, Role::Read).await?;
    let query =
        ask.query(&["roots", "meta", "versions", "before", "limit", "at", "diff", "blame"])?;
    let page = versions::page(&state, &query)?;
    if query.is_on("versions")? {
        return versions::list(&state, &place, page).await;
    }
    if query.is_on("blame")? {
        return versions::blame(&state, &place).await;
    }
    let at = versions::seq(&query, "at")?;
    if let Some(from) = versions::seq(&query, "diff")? {
        return versions::difference(&state, (&place, &ask.headers), (from, at)).await;
    }
    if let Some(at) = at {
        return versions::read_at(&state, (&place, &ask.headers), at).await;
    }
    let conditions = Conditions::of(&ask)?;
    let wants_roots = query.is_on("roots")? || prefers_json(&ask.headers);
    if query.is_on("meta")? {
        return meta(&state, &place, &conditions).await;
    }
    if let Some((hash, version)) = bytes_of(&state, &place).await? {
        let vault = state.vaults.number(&place.vault)?;
        let read = (&ask.headers, &conditions);
        let mut response = blobs::reading::file(&state, read, (vault, hash))?;
        versions::tell(response.headers_mut(), &state, &place.vault, version);
        return Ok(response);
    }
    let wanted = Wanted { state: &state, place: &place, conditions: &conditions };
    if wants_roots { roots(&wanted).await } else { text(&wanted).await }
}

/// The hash of a file's bytes and their version, if it is no document.
async fn bytes_of(state: &State, place: &Place) -> Result<Option<(Hash, u64)>, Error> {
    let look = || match task::block(|| state.vaults.file(&place.vault, &place.path)) {
        Ok(File { kind: Kind::Blob, hash, seq, .. }) => Ok(hash.map(|hash| (Hash(hash), seq))),
        Ok(_) => Ok(None),
        Err(error) => Err(Error::from(error)),
    };
    if look()?.is_none() {
        return Ok(None);
    }
    // A text that was put over them may not have settled; while nothing can be written, it waits.
    match state.vaults.settle_if_behind(&place.vault, &place.path).await {
        Ok(()) | Err(vault::Error::Failed(_)) => look(),
        Err(error) => Err(error.into()),
    }
}

/// As [`read`], without the body.
#[utoipa::path(
    head,
    path = "/v1/vaults/{vault}/files/{path}",
    tag = "files",
    operation_id = "headFile",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("path" = String, Path, description = "The file's path, with its slashes as they are"),
        ("roots" = Option<String>, Query, description = "1: every root type, as JSON"),
        ("meta" = Option<String>, Query, description = "1: what is known about the file, as JSON"),
        ("If-Match" = Option<String>, Header, description = "Tags of the states wanted"),
        ("If-None-Match" = Option<String>, Header, description = "Tags of the states held"),
    ),
    responses(
        (status = 200, description = "It exists", headers(("ETag" = String),
            ("Sheaf-Version" = u64), ("Sheaf-Epoch" = u64))),
        (status = 304, description = "It is still at a state that the caller holds"),
        (status = 404, description = "There is no such vault or file"),
        (status = 409, description = "It is no text"),
        (status = 412, description = "It is at another state"),
    )
)]
#[expect(dead_code, reason = "HEAD is served by GET's handler; this describes it")]
fn head() {}

/// What a file is as JSON.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum FileForm {
    /// With `?meta=1`.
    Meta(FileInfo),
    /// With `?versions=1`.
    Versions(VersionList),
    /// With `?blame=1`.
    Blame(Blame),
    /// With `?diff=` and `Accept: application/json`.
    Difference(Difference),
    /// With `?roots=1` or `Accept: application/json`.
    Roots(Roots),
}

async fn meta(state: &State, place: &Place, conditions: &Conditions) -> Result<Response, Error> {
    // The listing may be a moment behind; while nothing can be written, it is as it is.
    match state.vaults.settle(&place.vault, &place.path).await {
        Ok(_) | Err(vault::Error::Failed(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let file = task::block(|| state.vaults.file(&place.vault, &place.path))?;
    let (version, tag) = (file.seq, tag(file.at()));
    let mut response = if conditions.check_read(file.at(), &tag)? {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        seal(response.headers_mut(), &tag);
        response
    } else {
        warp::reply::json(&FileForm::Meta(FileInfo::from(file))).into_response()
    };
    versions::tell(response.headers_mut(), state, &place.vault, version);
    response.headers_mut().insert(header::CACHE_CONTROL, super::NO_STORE);
    Ok(response)
}

/// A document that somebody wants to read, in some form.
pub(super) struct Wanted<'a> {
    pub state: &'a State,
    pub place: &'a Place,
    pub conditions: &'a Conditions,
}

/// What came of reading.
pub(super) enum Fetched<T> {
    /// The caller holds this state already; the answer that says so.
    Held(Response),
    /// What was read of this document.
    Read(DocId, T),
}

impl Wanted<'_> {
    /// Opens the document and reads it; opens it again, once, if it left memory in between.
    pub(super) async fn fetch<T, R>(
        &self,
        tag: fn(At) -> String,
        read: R,
    ) -> Result<Fetched<T>, Error>
    where
        R: Fn(&Handle) -> Result<T, ReadError>,
    {
        let mut is_again = false;
        loop {
            let handle = self.state.vaults.open(&self.place.vault, &self.place.path).await?;
            let now = At { doc: handle.key().doc, n: handle.n(), bytes: None };
            if self.conditions.check_read(now, &tag(now))? {
                let mut response = StatusCode::NOT_MODIFIED.into_response();
                seal(response.headers_mut(), &tag(now));
                return Ok(Fetched::Held(response));
            }
            let _work = handle.work().await;
            match task::block(|| read(&handle)) {
                Err(ReadError::Failed(Failure::Dropped)) if !is_again => is_again = true,
                read => return Ok(Fetched::Read(now.doc, read?)),
            }
        }
    }
}

async fn text(wanted: &Wanted<'_>) -> Result<Response, Error> {
    let Wanted { state, place, conditions } = wanted;
    let now = state.vaults.state(&place.vault, &place.path).await?;
    if conditions.check_read(now, &tag(now))? {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        seal(response.headers_mut(), &tag(now));
        return Ok(response);
    }
    let (at, version, text) = match state.vaults.text(&place.vault, &place.path).await {
        Ok(Settled { at, version, text }) => (at, Some(version), text),
        // Nothing can be written now: what has not settled is no version.
        Err(vault::Error::Failed(_)) => unsettled(wanted).await?,
        Err(error) => return Err(error.into()),
    };
    let mut response = Response::new(body::sent(&state.memory, text)?.into());
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    seal(response.headers_mut(), &tag(at));
    if let Some(version) = version {
        versions::tell(response.headers_mut(), state, &place.vault, version);
    }
    Ok(response)
}

/// The text as it is in memory.
async fn unsettled(wanted: &Wanted<'_>) -> Result<(At, Option<u64>, String), Error> {
    let handle = wanted.state.vaults.open(&wanted.place.vault, &wanted.place.path).await?;
    let _work = handle.work().await;
    let snapshot = task::block(|| handle.snapshot())?;
    let at = At { doc: handle.key().doc, n: snapshot.n, bytes: None };
    match snapshot.content {
        Content::Empty => Ok((at, None, String::new())),
        Content::Text { text, .. } => Ok((at, None, text)),
        Content::Other { root } => Err(Error::not_text(&root)),
    }
}

async fn roots(wanted: &Wanted<'_>) -> Result<Response, Error> {
    let read = |handle: &Handle| Ok(handle.roots()?);
    let (doc, (n, roots)) = match wanted.fetch(roots_tag, read).await? {
        Fetched::Held(response) => return Ok(response),
        Fetched::Read(doc, read) => (doc, read),
    };
    let misshapen =
        |_| Refusal { code: Code::Internal, at: 0, what: "a root is shown in another shape" };
    let roots: Roots = serde_json::from_value(Value::Object(roots)).map_err(misshapen)?;
    let json = serde_json::to_vec(&FileForm::Roots(roots)).map_err(misshapen)?;
    let mut response = Response::new(body::sent(&wanted.state.memory, json)?.into());
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    seal(response.headers_mut(), &roots_tag(At { doc, n, bytes: None }));
    Ok(response)
}

/// What goes out with everything that users wrote. The front door adds `nosniff`.
pub(super) fn seal(headers: &mut HeaderMap, tag: &str) {
    let tag = HeaderValue::try_from(tag).expect("an id, a number and quotes are legal");
    headers.insert(header::ETAG, tag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Authorization"));
    let policy = HeaderValue::from_static("sandbox; default-src 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
}

/// Whether `Accept` wants JSON more than plain text.
pub(super) fn prefers_json(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let (mut json, mut text) = (Weight::default(), Weight::default());
    for range in lines.flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight =
            parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
        let weight: f32 = weight.unwrap_or(0.0);
        json.take(&kind, "application/json", weight);
        text.take(&kind, "text/plain", weight);
    }
    json.weight > text.weight
}

/// How much a media type is wanted; the range that names it most exactly decides.
#[derive(Default)]
struct Weight {
    exactness: u8,
    weight: f32,
}

impl Weight {
    fn take(&mut self, range: &str, kind: &str, weight: f32) {
        let exactness = match range.strip_suffix("/*") {
            _ if range == kind => 3,
            Some(family) if kind.split('/').next() == Some(family) => 2,
            Some("*") => 1,
            _ => return,
        };
        if exactness > self.exactness {
            *self = Weight { exactness, weight };
        }
    }
}
