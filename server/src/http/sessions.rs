//! `/v1/sessions` and `/v1/tickets`: who is connected, closing a session, short-lived tokens.
//!
//! For operators and for backends that let browsers in. Never shows a token but the ticket it was
//! asked for.

use hyper::http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::VaultName;
use utoipa::ToSchema;
use warp::Reply;
use warp::reply::{Response, with_status};

use super::State;
use super::ask::Ask;
use super::error::{Error, Problem};
use super::route::Route;
use crate::auth::{Holder, Role, Session, TicketAsk};

/// What a ticket shall be good for, in bytes: four short names and a path of 1,024.
const WANTED_BYTES_MAX: usize = 16 << 10;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rights {
    /// Join and read.
    Read,
    /// Join, read and change.
    Write,
    /// All that, and see and close sessions, make and delete the vault.
    Admin,
}

/// A session: one client at one document, or one reader of a vault's feed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SessionInfo {
    /// Its number, to close it with.
    pub id: u64,
    /// The vault.
    pub vault: String,
    /// The document's path; empty for a reader of the feed.
    pub document: String,
    /// Whose it is, if that is somebody with a name.
    pub user: Option<String>,
    /// What it may do.
    pub role: Rights,
    /// Where it comes from.
    pub address: String,
    /// The protocol it speaks; `feed` for a reader of the feed.
    pub dialect: String,
    /// When it began, in Unix milliseconds.
    pub since_ms: u64,
}

/// Sessions.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SessionList {
    /// By id, the oldest first.
    pub sessions: Vec<SessionInfo>,
}

/// What a ticket shall be good for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketWanted {
    /// The vault.
    pub vault: String,
    /// One document in it; all of them unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// At most what the caller may do itself.
    pub role: Rights,
    /// How long, in seconds.
    #[schema(minimum = 1)]
    pub valid_s: u64,
    /// In whose name; the caller's own unless given, which only an admin may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// A ticket: a token for a browser.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TicketInfo {
    /// The token.
    pub token: String,
    /// When it ends, in Unix milliseconds.
    pub expires_ms: u64,
}

impl From<Role> for Rights {
    fn from(role: Role) -> Rights {
        match role {
            Role::Read => Rights::Read,
            Role::Write => Rights::Write,
            Role::Admin => Rights::Admin,
        }
    }
}

impl From<Rights> for Role {
    fn from(rights: Rights) -> Role {
        match rights {
            Rights::Read => Role::Read,
            Rights::Write => Role::Write,
            Rights::Admin => Role::Admin,
        }
    }
}

impl From<Session> for SessionInfo {
    fn from(session: Session) -> SessionInfo {
        SessionInfo {
            id: session.id,
            vault: session.vault.to_string(),
            document: session.document.to_string(),
            user: session.principal.name().map(str::to_owned),
            role: session.role.into(),
            address: session.address.to_string(),
            dialect: session.dialect.to_owned(),
            since_ms: session.since_ms,
        }
    }
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    vec![
        Route::at("/v1/sessions", "sessions").on_admin(Method::GET, all),
        Route::at("/v1/sessions/{id}", "session").on_admin(Method::DELETE, close),
        Route::at("/v1/vaults/{vault}/sessions", "vault_sessions").on_admin(Method::GET, of_vault),
        Route::at("/v1/tickets", "tickets").on(Method::POST, ticket),
    ]
}

/// Lists all sessions, for an admin of all vaults.
#[utoipa::path(
    get,
    path = "/v1/sessions",
    tag = "sessions",
    operation_id = "listSessions",
    responses((status = 200, description = "The sessions", body = SessionList))
)]
async fn all(state: State, ask: Ask) -> Result<impl Reply, Error> {
    ask.caller.server_admin().await?;
    ask.query(&[])?;
    Ok(listed(&state, |_| true))
}

/// Lists the sessions of a vault, for its admins.
#[utoipa::path(
    get,
    path = "/v1/vaults/{vault}/sessions",
    tag = "sessions",
    operation_id = "listVaultSessions",
    params(("vault" = String, Path, description = "The vault's name")),
    responses(
        (status = 200, description = "The sessions", body = SessionList),
        (status = 404, description = "There is no such vault", body = Problem),
    )
)]
async fn of_vault(state: State, ask: Ask) -> Result<impl Reply, Error> {
    let vault = ask.vault()?;
    ask.caller.grant(&vault, None, Role::Admin).await?;
    ask.query(&[])?;
    state.vaults.get(&vault).ok_or_else(Error::no_vault)?;
    Ok(listed(&state, |session| session.vault == vault))
}

/// Closes a session, for an admin of its vault. Its client is told not to come back by itself.
#[utoipa::path(
    delete,
    path = "/v1/sessions/{id}",
    tag = "sessions",
    operation_id = "closeSession",
    params(("id" = u64, Path, description = "As the listing gives it")),
    responses(
        (status = 204, description = "It is told to end"),
        (status = 404, description = "There is none", body = Problem),
    )
)]
async fn close(state: State, ask: Ask) -> Result<Response, Error> {
    let id = ask.name(0)?.parse::<u64>().ok();
    let session = state.auth.sessions().into_iter().find(|session| Some(session.id) == id);
    // Whoever is no admin gets the same answer, after as long a time, whether it exists or not: if
    // somebody must be asked, then also about a session that is not there.
    let vault = session.as_ref().map(|session| session.vault.clone()).unwrap_or_default();
    let is_admin = match ask.caller.may(&vault, None, Role::Admin).await {
        Err(refusal) if refusal.code == Code::Unavailable => return Err(refusal.into()),
        may => may == Ok(true),
    };
    if session.is_none() || !is_admin {
        ask.caller.server_admin().await?;
    }
    ask.query(&[])?;
    if session.is_some_and(|session| state.auth.kick(session.id)) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let what = "there is no such session";
    Err(Refusal { code: Code::NotFound, at: 0, what }.into())
}

/// Makes a short-lived token for a vault or one document, to be given to a browser.
#[utoipa::path(
    post,
    path = "/v1/tickets",
    tag = "sessions",
    operation_id = "makeTicket",
    request_body(content = TicketWanted, content_type = "application/json"),
    responses(
        (status = 201, description = "The ticket", body = TicketInfo),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 413, description = "The body is too large", body = Problem),
        (status = 415, description = "It is not plain JSON", body = Problem),
    )
)]
async fn ticket(state: State, ask: Ask) -> Result<impl Reply, Error> {
    ask.caller.check_makes_tickets()?;
    ask.query(&[])?;
    let wanted: TicketWanted = ask.json(&state, WANTED_BYTES_MAX).await?;
    let vault: VaultName = wanted.vault.parse().map_err(|_| {
        Refusal::malformed(0, "a vault name is 1 to 64 of A-Z a-z 0-9 . _ - and neither . nor ..")
    })?;
    let TicketWanted { path, role, valid_s, user, .. } = wanted;
    let holder = user.map_or(Holder::Maker, Holder::User);
    let wanted = TicketAsk { vault, path, role: role.into(), valid_s, holder };
    let ticket = state.auth.ticket(&ask.caller, wanted).await?;
    let info = TicketInfo { token: ticket.token, expires_ms: ticket.expires_ms };
    Ok(with_status(super::unstored(&info), StatusCode::CREATED))
}

fn listed(state: &State, is_wanted: impl Fn(&Session) -> bool) -> Response {
    let sessions = state.auth.sessions().into_iter().filter(is_wanted);
    let mut sessions: Vec<SessionInfo> = sessions.map(SessionInfo::from).collect();
    sessions.sort_by_key(|session| session.id);
    super::unstored(&SessionList { sessions })
}
