//! `/doc/…`, `/d/…`, `/check_store`, `/ready`: what the SDKs of Y-Sweet ask a server.
//!
//! For their backends, which make documents and let browsers in, and for what holds a document's
//! token. An id is the name of a document in the vault `default`, a document's token is a ticket.
//! Never makes a file: an id is a room, whose name no rule of paths holds for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::{Principal, VaultName, check_url_name};
use utoipa::ToSchema;
use warp::Reply;
use warp::reply::Response;

use super::State;
use super::ask::{Ask, Place};
use super::condition::Conditions;
use super::error::{Error, Problem};
use super::route::Route;
use super::update;
use super::writing;
use crate::auth::ticket::VALID_S_MAX;
use crate::auth::{Grant, Holder, Role, TicketAsk};
use crate::document::handle::Handle;
use crate::vault::condition::{ANYHOW, Absent};
use sheaf_ground::task;

/// What a request holds besides an update: an id of 1,024 bytes, a name, a few words.
const WANTED_BYTES_MAX: usize = 16 << 10;
/// Seconds a document's token is good for unless said otherwise.
const VALID_S: u64 = 3600;
/// Random bytes of an id that nobody has chosen.
const ID_BYTES: usize = 16;
/// The one parameter of all these requests, so that no cache answers them.
const QUERY: [&str; 1] = ["z"];

/// Whether what is written is kept.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StoreState {
    /// Whether writes can be made durable now.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A document to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DocWanted {
    /// Its id: 1 to 1,024 of `A-Za-z0-9_-`. A random one unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc_id: Option<String>,
}

/// A document that is there.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DocMade {
    /// Its id.
    pub doc_id: String,
}

/// What the holder of a document's token may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Authorization {
    /// Read and write.
    #[default]
    Full,
    /// Read.
    ReadOnly,
}

/// What a document's token shall be good for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenWanted {
    /// What its holder may do; everything unless given.
    #[serde(default)]
    pub authorization: Authorization,
    /// Whose name the holder bears; nobody's unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// How long, in seconds: 3,600 unless given, at most 86,400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub valid_for_seconds: Option<u64>,
}

/// What a client needs to reach one document.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientToken {
    /// Where its WebSocket goes, with a slash and the id behind it.
    pub url: String,
    /// Where its requests go.
    pub base_url: String,
    /// The document.
    pub doc_id: String,
    /// To be sent along; absent where nobody needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What it is good for.
    pub authorization: Authorization,
}

impl Authorization {
    fn role(self) -> Role {
        match self {
            Authorization::Full => Role::Write,
            Authorization::ReadOnly => Role::Read,
        }
    }
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    vec![
        Route::at("/ready", "health").on(Method::GET, ready),
        Route::at("/check_store", "ysweet_store")
            .on(Method::POST, check_store)
            .on(Method::GET, check_store),
        Route::at("/doc/new", "ysweet_new").on(Method::POST, make),
        Route::at("/doc/{doc}/auth", "ysweet_auth").on(Method::POST, admit),
        Route::at("/d/{doc}/as-update", "ysweet_read").on(Method::GET, read),
        Route::at("/d/{doc}/update", "ysweet_update").on(Method::POST, submit),
        Route::at("/doc/{doc}/as-update", "ysweet_read").on(Method::GET, read),
        Route::at("/doc/{doc}/update", "ysweet_update").on(Method::POST, submit),
    ]
}

async fn ready(state: State, _ask: Ask) -> Result<impl Reply, Error> {
    state.health.check_ready()?;
    Ok(super::unstored(&StoreState { ok: true, error: None }))
}

/// Tells a Y-Sweet backend whether writes can be made durable.
#[utoipa::path(
    post,
    path = "/check_store",
    tag = "y-sweet",
    operation_id = "ysweetCheckStore",
    params(("z" = Option<String>, Query, description = "Anything, against caches")),
    responses((status = 200, description = "Whether they can", body = StoreState))
)]
async fn check_store(state: State, ask: Ask) -> Result<impl Reply, Error> {
    ask.caller.grant(&VaultName::default(), None, Role::Write).await?;
    ask.query(&QUERY)?;
    let error = state.health.check_ready().err().map(|refusal| refusal.what.to_owned());
    Ok(super::unstored(&StoreState { ok: error.is_none(), error }))
}

/// Makes an empty document; one that is there already stays as it is.
#[utoipa::path(
    post,
    path = "/doc/new",
    tag = "y-sweet",
    operation_id = "ysweetMakeDoc",
    params(("z" = Option<String>, Query, description = "Anything, against caches")),
    request_body(content = DocWanted, content_type = "application/json"),
    responses(
        (status = 200, description = "It is there, durably", body = DocMade),
        (status = 404, description = "There is no vault `default`", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 413, description = "The body is too large", body = Problem),
        (status = 415, description = "It is not plain JSON", body = Problem),
        (status = 507, description = "A quota of the vault is used up", body = Problem),
    )
)]
async fn make(state: State, ask: Ask) -> Result<impl Reply, Error> {
    // Who has no token is told so before anything of the body is read.
    ask.caller.may(&VaultName::default(), None, Role::Write).await?;
    ask.query(&QUERY)?;
    let wanted: DocWanted = ask.json(&state, WANTED_BYTES_MAX).await?;
    let fresh = || URL_SAFE_NO_PAD.encode(rand::random::<[u8; ID_BYTES]>());
    let place = place_of(wanted.doc_id.unwrap_or_else(fresh))?;
    let grant = ask.grant(&place, Role::Write).await?;
    let by = writing::author(&ask, &grant)?;
    let at = (&place.vault, &*place.path);
    let make = |handle: &Handle, _| handle.make(by);
    let (handle, written) = state.vaults.write(at, (Absent::Room, ANYHOW), &make).await?;
    // What others wrote into one that was there keeps nobody waiting.
    if written.is_created {
        handle.durable(written.end).await?;
    }
    Ok(super::unstored(&DocMade { doc_id: place.path }))
}

/// Makes a document's token, with the addresses to use it at.
#[utoipa::path(
    post,
    path = "/doc/{doc}/auth",
    tag = "y-sweet",
    operation_id = "ysweetAuthDoc",
    params(
        ("doc" = String, Path, description = "The document's id"),
        ("z" = Option<String>, Query, description = "Anything, against caches"),
    ),
    request_body(content = TokenWanted, content_type = "application/json"),
    responses(
        (status = 200, description = "The token", body = ClientToken),
        (status = 404, description = "There is no such document", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 413, description = "The body is too large", body = Problem),
        (status = 415, description = "It is not plain JSON", body = Problem),
    )
)]
async fn admit(state: State, ask: Ask) -> Result<impl Reply, Error> {
    let place = place(&ask)?;
    ask.grant(&place, Role::Read).await?;
    ask.query(&QUERY)?;
    let wanted: TokenWanted = ask.json(&state, WANTED_BYTES_MAX).await?;
    let authorization = wanted.authorization;
    let grant = ask.grant(&place, authorization.role()).await?;
    task::block(|| state.vaults.file(&place.vault, &place.path))?;
    let base = state.public_url.as_ref().or(ask.base.as_ref());
    let what = "the request names no host, and no public_url is configured";
    let base = base.ok_or(Refusal::malformed(0, what))?;
    let token = token(&state, &ask, (&place, &grant), wanted).await?;
    let doc_id = place.path;
    Ok(super::unstored(&ClientToken {
        url: format!("{}/d/{doc_id}/ws", base.websocket()),
        base_url: format!("{}/d/{doc_id}", base.http()),
        doc_id,
        token,
        authorization,
    }))
}

/// A ticket for the document, unless whoever comes without one may do as much.
async fn token(
    state: &State,
    ask: &Ask,
    (place, grant): (&Place, &Grant),
    wanted: TokenWanted,
) -> Result<Option<String>, Error> {
    let TokenWanted { authorization, user_id, valid_for_seconds } = wanted;
    let is_for_anyone = authorization == Authorization::Full && user_id.is_none();
    if is_for_anyone && grant.principal == Principal::Anonymous && state.auth.is_open() {
        return Ok(None);
    }
    let holder = match user_id {
        Some(user) => Holder::User(user),
        None if grant.role == Role::Admin => Holder::Nobody,
        None => Holder::Maker,
    };
    let asked = TicketAsk {
        vault: place.vault.clone(),
        path: Some(place.path.clone()),
        role: authorization.role(),
        valid_s: valid_for_seconds.unwrap_or(VALID_S).min(VALID_S_MAX),
        holder,
    };
    Ok(Some(state.auth.ticket(&ask.caller, asked).await?.token))
}

/// Reads a whole document as one Yjs update, v1 encoding.
#[utoipa::path(
    get,
    path = "/d/{doc}/as-update",
    tag = "y-sweet",
    operation_id = "ysweetReadDoc",
    params(
        ("doc" = String, Path, description = "The document's id"),
        ("z" = Option<String>, Query, description = "Anything, against caches"),
    ),
    responses(
        (status = 200, description = "The update", body = Vec<u8>,
            content_type = "application/octet-stream"),
        (status = 404, description = "There is no such document", body = Problem),
    )
)]
async fn read(state: State, ask: Ask) -> Result<Response, Error> {
    let place = place(&ask)?;
    ask.grant(&place, Role::Read).await?;
    ask.query(&QUERY)?;
    update::encoded(&state, &place, &Conditions::default(), None).await
}

/// Brings a Yjs update, v1 encoding, into a document; makes the document if there is none.
#[utoipa::path(
    post,
    path = "/d/{doc}/update",
    tag = "y-sweet",
    operation_id = "ysweetUpdateDoc",
    params(
        ("doc" = String, Path, description = "The document's id"),
        ("z" = Option<String>, Query, description = "Anything, against caches"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "It is in, durably"),
        (status = 404, description = "There is no vault `default`", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 409, description = "It stands on something that the document does not have",
            body = Problem),
        (status = 413, description = "The update is too large", body = Problem),
        (status = 415, description = "It holds what this server does not store", body = Problem),
        (status = 507, description = "A quota of the vault is used up", body = Problem),
    )
)]
async fn submit(state: State, ask: Ask) -> Result<Response, Error> {
    let place = place(&ask)?;
    ask.grant(&place, Role::Write).await?;
    ask.query(&QUERY)?;
    update::taken(&state, &ask, &place, &Conditions::default(), Absent::Room).await?;
    Ok(StatusCode::OK.into_response())
}

/// The document in the path.
fn place(ask: &Ask) -> Result<Place, Error> {
    place_of(ask.name(0)?)
}

fn place_of(id: String) -> Result<Place, Error> {
    check_url_name(&id).map_err(|bad| Error::new(Code::InvalidPath, bad.to_string(), json!({})))?;
    Ok(Place { vault: VaultName::default(), path: id, has_escaped_slash: false })
}
