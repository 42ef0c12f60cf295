//! `/v1/vaults/{vault}/update` and `/awareness`: a live document as Yjs sees it.
//!
//! For backends that hold a Yjs document of their own. Bytes that come in pass the guard like those
//! of a socket. Never re-encodes what it was given.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::http::{HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sheaf_protocol::error::Refusal;
use utoipa::ToSchema;
use warp::Reply;
use warp::reply::Response;

use super::State;
use super::ask::{Ask, Place};
use super::body;
use super::condition::{Conditions, tag};
use super::error::{Error, Problem};
use super::files::{Fetched, Wanted, seal};
use super::route::Route;
use super::writing::{self, veiled};
use crate::auth::Role;
use crate::document::author::Written;
use crate::document::handle::Handle;
use crate::vault::condition::{Absent, At};

/// What came of an update.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UpdateResult {
    /// How many entries the document has now.
    pub n: u64,
    /// Names its state, for `If-Match`.
    pub etag: String,
    /// Whether the update brought anything new.
    pub changed: bool,
}

/// Who is in a document.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PresentList {
    /// Those present, by client id.
    pub clients: Vec<PresentClient>,
}

/// One client's presence.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PresentClient {
    /// Its Yjs client id.
    pub client: u64,
    /// Counts its changes.
    pub clock: u32,
    /// What it shows: name, colour, cursor, as it likes.
    pub state: Value,
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    vec![
        Route::at("/v1/vaults/{vault}/update/{path}", "update")
            .on(Method::GET, read)
            .on(Method::POST, submit),
        Route::at("/v1/vaults/{vault}/awareness/{path}", "awareness").on(Method::GET, present),
    ]
}

/// Reads a document as one Yjs update, v1 encoding: all of it, or what a state vector lacks.
#[utoipa::path(
    get,
    path = "/v1/vaults/{vault}/update/{path}",
    tag = "live",
    operation_id = "readUpdate",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("path" = String, Path, description = "The file's path, with its slashes as they are"),
        ("sv" = Option<String>, Query, description = "A state vector, in base64url"),
        ("If-Match" = Option<String>, Header, description = "Tags of the states wanted"),
        ("If-None-Match" = Option<String>, Header, description = "Tags of the states held"),
    ),
    responses(
        (status = 200, description = "The update", body = Vec<u8>,
            content_type = "application/octet-stream", headers(("ETag" = String))),
        (status = 304, description = "It is still at a state that the caller holds"),
        (status = 404, description = "There is no such vault or file", body = Problem),
        (status = 412, description = "It is at another state", body = Problem),
    )
)]
async fn read(state: State, ask: Ask) -> Result<Response, Error> {
    let place = ask.place()?;
    ask.grant(&place, Role::Read).await?;
    let query = ask.query(&["sv"])?;
    let vector = query.text("sv").map(|text| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')));
    let vector = vector
        .transpose()
        .map_err(|_| Error::from(Refusal::malformed(0, "sv is no state vector in base64url")))?;
    let conditions = Conditions::of(&ask)?;
    encoded(&state, &place, &conditions, vector.as_deref()).await
}

/// What a document has beyond a state vector, or all of it, as one update.
pub(super) async fn encoded(
    state: &State,
    place: &Place,
    conditions: &Conditions,
    vector: Option<&[u8]>,
) -> Result<Response, Error> {
    let wanted = Wanted { state, place, conditions };
    let read = |handle: &Handle| handle.encode_since(vector);
    let (doc, (n, bytes)) = match wanted.fetch(tag, read).await? {
        Fetched::Held(response) => return Ok(response),
        Fetched::Read(doc, read) => (doc, read),
    };
    let mut response = Response::new(body::sent(&state.memory, bytes)?.into());
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    seal(headers, &tag(At { doc, n, bytes: None }));
    Ok(response)
}

/// Brings a Yjs update, v1 encoding, into a document; makes the document if there is none.
#[utoipa::path(
    post,
    path = "/v1/vaults/{vault}/update/{path}",
    tag = "live",
    operation_id = "submitUpdate",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("path" = String, Path, description = "The file's path, with its slashes as they are"),
        ("room" = Option<bool>, Query, description = "Whether a new one may have any name, as one \
            that a session opens"),
        ("If-Match" = Option<String>, Header, description = "Only if it is at one of these"),
        ("Sheaf-Device" = Option<String>, Header,
            description = "The device it comes from, 16 hex digits"),
        ("If-None-Match" = Option<String>, Header, description = "*: only if there is none yet"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "It is in, durably", body = UpdateResult,
            headers(("ETag" = String))),
        (status = 201, description = "It is in a new document, durably", body = UpdateResult,
            headers(("ETag" = String))),
        (status = 404, description = "There is no such vault", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 409, description = "It stands on something that the document does not have, \
            the path is taken, or it is of a document that was deleted here", body = Problem),
        (status = 412, description = "It is at another state", body = Problem),
        (status = 413, description = "The update is too large", body = Problem),
        (status = 415, description = "It holds what this server does not store", body = Problem),
        (status = 507, description = "A quota of the vault is used up", body = Problem),
    )
)]
async fn submit(state: State, ask: Ask) -> Result<Response, Error> {
    let place = ask.place()?;
    ask.grant(&place, Role::Write).await?;
    let query = ask.query(&["room"])?;
    let absent = if query.is_on("room")? { Absent::Room } else { Absent::Made };
    let conditions = Conditions::of(&ask)?;
    let (at, written) = taken(&state, &ask, &place, &conditions, absent).await?;
    let result = UpdateResult { n: at.n, etag: tag(at), changed: written.has_changed };
    let mut response = warp::reply::json(&result).into_response();
    if written.is_created {
        *response.status_mut() = StatusCode::CREATED;
    }
    let tag = HeaderValue::try_from(result.etag).expect("an id, a number and quotes are legal");
    response.headers_mut().insert(header::ETAG, tag);
    Ok(response)
}

/// Takes the update that is the body; it is durable when this returns. The caller may write.
pub(super) async fn taken(
    state: &State,
    ask: &Ask,
    place: &Place,
    conditions: &Conditions,
    absent: Absent,
) -> Result<(At, Written), Error> {
    let update = ask.bytes(state, state.limits.frame_bytes as usize).await?;
    // The body may have outlived the grant.
    let grant = ask.grant(place, Role::Write).await?;
    let by = writing::author(ask, &grant)?;
    // The document is what it is, whether or not bytes are the file's content.
    let when = |now: Option<At>| conditions.check_write(now.map(|at| At { bytes: None, ..at }));
    let write = |handle: &Handle, only_if| handle.post_update(by, &update, only_if);
    let Place { vault, path, has_escaped_slash } = place;
    if *has_escaped_slash && absent == Absent::Made {
        writing::check_is_file(state, place)?;
    }
    let (handle, written) = match state.vaults.write((vault, path), (absent, &when), &write).await {
        Ok(done) => done,
        Err(error) => return Err(veiled(ask, vault, error).await),
    };
    handle.durable(written.end).await?;
    Ok((At { doc: handle.key().doc, n: written.n, bytes: None }, written))
}

/// Lists who is in a document and what they show.
#[utoipa::path(
    get,
    path = "/v1/vaults/{vault}/awareness/{path}",
    tag = "live",
    operation_id = "readAwareness",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("path" = String, Path, description = "The file's path, with its slashes as they are"),
    ),
    responses(
        (status = 200, description = "Those present", body = PresentList),
        (status = 404, description = "There is no such vault or file", body = Problem),
    )
)]
async fn present(state: State, ask: Ask) -> Result<impl Reply, Error> {
    let place = ask.place()?;
    ask.grant(&place, Role::Read).await?;
    ask.query(&[])?;
    let handle = state.vaults.open(&place.vault, &place.path).await?;
    let mut clients: Vec<PresentClient> = handle
        .presence()
        .into_iter()
        .map(|it| PresentClient { client: it.client, clock: it.clock, state: it.state })
        .collect();
    clients.sort_by_key(|it| it.client);
    Ok(super::unstored(&PresentList { clients }))
}
