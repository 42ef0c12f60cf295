//! Versions of files: listing, reading, comparing, restoring, naming.
//!
//! For backends and people with curl; `files` leads here by the query. Never shows a version to who
//! may not read the file that has the path now.

use hyper::http::{HeaderMap, HeaderValue, Method, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::Reply;
use warp::reply::Response;

use super::State;
use super::ask::{Ask, Place, Query};
use super::blobs;
use super::body;
use super::condition::Conditions;
use super::error::{Error, Problem};
use super::files::FileKind;
use super::route::Route;
use crate::auth::{Grant, Role};
use crate::blob::Hash;
use crate::document::author::Author;
use crate::history::compare::{self, Fate};
use crate::vault::versions::{Dated, Held};
use sheaf_ground::task;
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::VaultName;

/// A version of a file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VersionInfo {
    /// Its number: the vault's feed gave it.
    pub version: u64,
    /// The number of the version before it; 0 for the first. Where that is not listed, versions
    /// between were thinned.
    pub previous: u64,
    /// The id of the file.
    pub id: String,
    /// The file's path then.
    pub path: String,
    /// What it held.
    pub kind: FileKind,
    /// The file was deleted with it.
    pub deleted: bool,
    /// Bytes of its content.
    pub size: u64,
    /// SHA-256 of its content, in hex.
    pub hash: Option<String>,
    /// When it was made, in Unix milliseconds.
    pub created_ms: u64,
    /// Who changed it last, if that is somebody with a name.
    pub by: Option<String>,
    /// Everyone who wrote in it, the latest last; `null` is nobody in particular.
    pub authors: Vec<Option<String>>,
    /// The device it came from, in hex, where one was named.
    pub device: Option<String>,
    /// Its name, if it was given one: such a version is kept for ever.
    pub name: Option<String>,
    /// The version whose content it has again, if it was restored.
    pub restored: Option<u64>,
    /// The file's path before, if it was moved with it.
    pub from: Option<String>,
    /// Another change of the same base came first, and only one of both could stay.
    pub conflict: bool,
    /// When it was written by the client's own clock, in Unix milliseconds, if the client said.
    pub client_ms: Option<u64>,
}

/// A page of versions.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VersionList {
    /// Newest first.
    pub versions: Vec<VersionInfo>,
    /// What to give as `before` for the next page; `null` on the last one.
    pub next: Option<u64>,
}

/// What is different between two versions.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// The older one.
    pub from: u64,
    /// The newer one.
    pub to: u64,
    /// The places where they differ, with three lines around each.
    pub hunks: Vec<HunkInfo>,
}

/// A place where two texts differ.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HunkInfo {
    /// Its first line in the older text, from 1.
    pub from_line: usize,
    /// Its first line in the newer text, from 1.
    pub to_line: usize,
    /// Its lines, in order.
    pub lines: Vec<LineInfo>,
}

/// A line of a difference.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LineInfo {
    /// What became of it.
    pub op: LineOp,
    /// The line, with its end.
    pub text: String,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LineOp {
    /// It is in both.
    Same,
    /// It is in the older text alone.
    Removed,
    /// It is in the newer text alone.
    Added,
}

/// Who wrote the text of a file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Blame {
    /// The version that the text is of.
    pub version: u64,
    /// The whole text in pieces, in order.
    pub pieces: Vec<PieceInfo>,
}

/// A piece of a text that one person wrote within a minute.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PieceInfo {
    /// The piece.
    pub text: String,
    /// Who wrote it, if that is somebody with a name.
    pub by: Option<String>,
    /// The minute in which it was written, in Unix milliseconds; `null` if it was written before
    /// that was kept.
    pub written_ms: Option<u64>,
}

/// What a version is that was restored or named.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VersionResult {
    /// The file's path.
    pub path: String,
    /// The version: after a restoration the new one.
    pub version: u64,
}

impl From<Dated> for VersionInfo {
    fn from(dated: Dated) -> VersionInfo {
        let Dated { doc, version, label } = dated;
        let (item, made) = (version.item, version.made);
        VersionInfo {
            version: item.seq,
            previous: version.prev_seq,
            id: doc.to_string(),
            path: item.path.to_string(),
            kind: item.body.into(),
            deleted: item.is_deleted,
            size: item.size,
            hash: item.hash.map(|hash| blake3::Hash::from(hash).to_hex().to_string()),
            created_ms: item.updated.ms(),
            by: item.author.map(|by| by.to_string()),
            authors: made.authors.iter().map(|it| it.as_deref().map(str::to_owned)).collect(),
            device: (item.device != 0).then(|| format!("{:016x}", item.device)),
            name: label.map(|label| label.name.to_string()),
            restored: (made.restored != 0).then_some(made.restored),
            from: item.from.map(|from| from.to_string()),
            conflict: made.is_conflict,
            client_ms: made.client_ms,
        }
    }
}

/// The route of this file; the others are those of `files`.
pub fn routes() -> Vec<Route> {
    vec![Route::at("/v1/vaults/{vault}/activity", "activity").on(Method::GET, activity)]
}

/// What happened in a vault: the versions of all its files, newest first.
#[utoipa::path(
    get,
    path = "/v1/vaults/{vault}/activity",
    tag = "files",
    operation_id = "listActivity",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("before" = Option<u64>, Query, description = "Only versions below this one"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000,
            description = "Versions on the page; 100 unless given"),
    ),
    responses(
        (status = 200, description = "A page of versions", body = VersionList),
        (status = 404, description = "There is no such vault", body = Problem),
    )
)]
async fn activity(state: State, ask: Ask) -> Result<impl Reply, Error> {
    let vault = ask.vault()?;
    let query = ask.query(&["before", "limit"])?;
    ask.caller.grant(&vault, None, Role::Read).await?;
    let (before, limit) = page(&state, &query)?;
    let found = task::block(|| state.vaults.activity(&vault, before, limit))?;
    let versions = found.items.into_iter().map(VersionInfo::from).collect();
    Ok(super::unstored(&VersionList { versions, next: found.next }))
}

/// Which versions are asked for.
///
/// # Errors
/// `Malformed`.
pub(super) fn page(state: &State, query: &Query) -> Result<(Option<u64>, usize), Error> {
    let before = seq(query, "before")?;
    Ok((before, query.page(state)?))
}

/// A version in the query. Described as what JSON's readers hold in 64 bits with a sign.
///
/// # Errors
/// `Malformed`.
pub(super) fn seq(query: &Query, name: &'static str) -> Result<Option<u64>, Error> {
    query.number(name, 0..=i64::MAX as u64)
}

/// Says which version an answer shows or made, and of which of the vault's epochs: in text, as its
/// numbers are beyond what JavaScript holds.
pub(super) fn tell(headers: &mut HeaderMap, state: &State, vault: &VaultName, version: u64) {
    headers.insert("sheaf-version", HeaderValue::from(version));
    if let Some(vault) = state.vaults.get(vault) {
        headers.insert("sheaf-epoch", HeaderValue::from(vault.epoch));
    }
}

/// The versions of a file, newest first.
pub(super) async fn list(
    state: &State,
    place: &Place,
    (before, limit): (Option<u64>, usize),
) -> Result<Response, Error> {
    let Place { vault, path, .. } = place;
    let found = task::block(|| state.vaults.versions(vault, path, before, limit))?;
    let versions = found.items.into_iter().map(VersionInfo::from).collect();
    Ok(super::unstored(&VersionList { versions, next: found.next }).into_response())
}

/// The text of a file in pieces, by who wrote them.
pub(super) async fn blame(state: &State, place: &Place) -> Result<Response, Error> {
    let (version, pieces) = state.vaults.blame(&place.vault, &place.path).await?;
    let pieces = pieces.into_iter().map(|piece| PieceInfo {
        text: piece.text,
        by: piece.author.map(|author| author.to_string()),
        written_ms: piece.minute.map(|minute| minute * 60_000),
    });
    let blame = Blame { version, pieces: pieces.collect() };
    Ok(super::unstored(&blame).into_response())
}

/// What a file was at a version.
pub(super) async fn read_at(
    state: &State,
    (place, headers): (&Place, &HeaderMap),
    seq: u64,
) -> Result<Response, Error> {
    let read = state.vaults.read_at(&place.vault, &place.path, Some(seq)).await?;
    let version = read.dated.version.item.seq;
    let (kind, content) = match read.held {
        Held::Text(text) => ("text/plain; charset=utf-8", text.into_bytes()),
        Held::Roots(roots) => {
            let misshapen = |_| Refusal { code: Code::Internal, at: 0, what: "a root is no JSON" };
            ("application/json", serde_json::to_vec(&roots).map_err(misshapen)?)
        }
        Held::Blob { hash, .. } => {
            let vault = state.vaults.number(&place.vault)?;
            let bytes = (vault, Hash(hash));
            let mut response =
                blobs::reading::file(state, (headers, &Conditions::default()), bytes)?;
            tell(response.headers_mut(), state, &place.vault, version);
            return Ok(response);
        }
    };
    let mut response = Response::new(body::sent(&state.memory, content)?.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    super::files::seal(response.headers_mut(), &format!("\"{}.v{version}\"", read.dated.doc));
    tell(response.headers_mut(), state, &place.vault, version);
    Ok(response)
}

/// What is different between two versions; the newer one is the present one unless it is given.
pub(super) async fn difference(
    state: &State,
    (place, headers): (&Place, &HeaderMap),
    (from, to): (u64, Option<u64>),
) -> Result<Response, Error> {
    let path = &place.path;
    let (from, old) = text_at(state, place, Some(from)).await?;
    let (to, new) = text_at(state, place, to).await?;
    if super::files::prefers_json(headers) {
        let hunks = task::block(|| compare::hunks(&old, &new)).into_iter().map(|hunk| HunkInfo {
            from_line: hunk.old_line,
            to_line: hunk.new_line,
            lines: hunk.lines.into_iter().map(LineInfo::from).collect(),
        });
        let difference = Difference { from, to, hunks: hunks.collect() };
        return Ok(super::unstored(&difference).into_response());
    }
    let names = (format!("{path}\t{from}"), format!("{path}\t{to}"));
    let text = task::block(|| compare::unified((&names.0, &old), (&names.1, &new)));
    let mut response = Response::new(body::sent(&state.memory, text.into_bytes())?.into());
    let kind = HeaderValue::from_static("text/x-diff; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    super::files::seal(response.headers_mut(), &format!("\"{from}.{to}\""));
    Ok(response)
}

impl From<compare::Line> for LineInfo {
    fn from(line: compare::Line) -> LineInfo {
        let op = match line.fate {
            Fate::Same => LineOp::Same,
            Fate::Removed => LineOp::Removed,
            Fate::Added => LineOp::Added,
        };
        LineInfo { op, text: line.text }
    }
}

async fn text_at(state: &State, place: &Place, seq: Option<u64>) -> Result<(u64, String), Error> {
    let read = state.vaults.read_at(&place.vault, &place.path, seq).await?;
    let version = read.dated.version.item.seq;
    match read.held {
        Held::Text(text) => Ok((version, text)),
        Held::Roots(roots) => {
            Err(Error::not_text(&roots.keys().map(String::as_str).collect::<Vec<_>>().join(", ")))
        }
        Held::Blob { .. } => Err(Error::not_text("a blob")),
    }
}

/// Makes a file what it was.
pub(super) async fn restore(
    state: &State,
    place: &Place,
    (by, conditions): (Author<'_>, &Conditions),
    seq: u64,
) -> Result<Response, Error> {
    let Place { vault, path, .. } = place;
    let when = |now| conditions.check_write(now);
    let (path, version) = state.vaults.restore(vault, path, seq, (by, &when)).await?;
    let result = VersionResult { path: path.to_string(), version };
    let mut response = super::unstored(&result).into_response();
    tell(response.headers_mut(), state, vault, version);
    Ok(response)
}

/// Names a version, or takes its name away.
pub(super) async fn name(
    state: &State,
    place: &Place,
    (grant, seq, name): (&Grant, Option<u64>, &str),
) -> Result<Response, Error> {
    let Place { vault, path, .. } = place;
    let name = Some(name).filter(|name| !name.is_empty());
    let version = state.vaults.label(vault, path, seq, (name, &grant.principal)).await?;
    let result = VersionResult { path: path.clone(), version };
    Ok(super::unstored(&result).into_response())
}
