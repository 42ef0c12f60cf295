//! `/v1/vaults`: which there are, making and deleting one.
//!
//! For backends and operators. Never tells a caller without access whether a vault exists.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use hyper::http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sheaf_protocol::control::Limits;
use sheaf_protocol::error::Code;
use sheaf_protocol::ids::VaultName;
use utoipa::ToSchema;
use warp::Reply;
use warp::reply::{Response, with_status};

use super::State;
use super::ask::Ask;
use super::error::{Error, Problem};
use super::route::Route;
use crate::auth::{Caller, Role};
use crate::vault::{Cursor, Vault};

/// Vaults that somebody else is asked about for one listing, and how many of them at a time.
pub(super) const ASKED_MAX: usize = 100;
const ASKED_AT_ONCE: usize = 8;
/// How long that may take.
const ASKING: Duration = Duration::from_secs(5);

/// A vault.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VaultInfo {
    /// Its name.
    pub name: String,
    /// Its life: another one after it was deleted and made again. A decimal number, as text since
    /// JavaScript has no numbers of this size.
    pub epoch: String,
    /// When it was made, in Unix milliseconds.
    pub created_ms: u64,
    /// How many files it has.
    pub files: u64,
    /// How much is stored of them, and of deleted ones, in bytes: what the quota counts.
    pub bytes: u64,
    /// The number of its latest change.
    pub seq: u64,
    /// The place of its latest change, to read the changes after it.
    pub cursor: String,
    /// The server's bounds, where one vault is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsInfo>,
}

/// What is refused beyond.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LimitsInfo {
    /// Bytes of a message, and of an update.
    pub frame_bytes: u64,
    /// Bytes of a text file.
    pub document_bytes: u64,
    /// Bytes of a file.
    pub file_bytes: u64,
    /// Files or changes on a page.
    pub page_items: u64,
    /// Operations of a push.
    pub batch_items: u64,
    /// Seconds that a request for changes may wait.
    pub wait_s: u64,
    /// Milliseconds that a stamp may be ahead of the server's time.
    pub clock_drift_ms: u64,
}

impl From<Limits> for LimitsInfo {
    fn from(limits: Limits) -> LimitsInfo {
        LimitsInfo {
            frame_bytes: limits.frame_bytes,
            document_bytes: limits.document_bytes,
            file_bytes: limits.file_bytes,
            page_items: limits.page_items,
            batch_items: limits.batch_items,
            wait_s: limits.wait_s,
            clock_drift_ms: limits.clock_drift_ms,
        }
    }
}

/// Vaults.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VaultList {
    /// Those that the caller may read, by name.
    pub vaults: Vec<VaultInfo>,
}

impl From<Vault> for VaultInfo {
    fn from(vault: Vault) -> VaultInfo {
        let Vault { name, epoch, created_ms, files, bytes, seq, horizon: _ } = vault;
        let cursor = Cursor::at(epoch, seq).to_string();
        let (name, epoch) = (String::from(name), epoch.to_string());
        VaultInfo { name, epoch, created_ms, files, bytes, seq, cursor, limits: None }
    }
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    vec![
        Route::at("/v1/vaults", "vaults").on(Method::GET, list),
        Route::at("/v1/vaults/{vault}", "vault")
            .on(Method::GET, info)
            .on_admin(Method::PUT, create)
            .on_admin(Method::DELETE, delete),
    ]
}

/// Lists the vaults that the caller may read.
#[utoipa::path(
    get,
    path = "/v1/vaults",
    tag = "vaults",
    operation_id = "listVaults",
    responses((status = 200, description = "The vaults, by name", body = VaultList))
)]
async fn list(state: State, ask: Ask) -> Result<impl Reply, Error> {
    ask.query(&[])?;
    let vaults = readable_now(&state, &ask).await?;
    let mut vaults: Vec<VaultInfo> = vaults.into_iter().map(VaultInfo::from).collect();
    vaults.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(super::unstored(&VaultList { vaults }))
}

/// The vaults that the caller may read, in any order.
///
/// # Errors
/// `Unauthorised` without a valid token where one is needed; `TryLater` where somebody else is to
/// be asked about more vaults than there is time for.
pub(super) async fn readable_now(state: &State, ask: &Ask) -> Result<Vec<Vault>, Error> {
    // Whoever has no token at all is told so, however many vaults there are.
    ask.caller.may(&VaultName::default(), None, Role::Read).await?;
    let all = state.vaults.list();
    if !ask.caller.is_asked_about() {
        return readable(&ask.caller, all).await;
    }
    if all.len() > ASKED_MAX {
        return Err(too_many_to_ask());
    }
    let asked = state.clock.deadline(ASKING, readable(&ask.caller, all)).await;
    asked.unwrap_or_else(|_| Err(too_many_to_ask()))
}

async fn readable(caller: &Caller, all: Vec<Vault>) -> Result<Vec<Vault>, Error> {
    let look = |vault: Vault| async move {
        let may = caller.may(&vault.name, None, Role::Read).await?;
        Ok::<_, Error>(may.then_some(vault))
    };
    let looked = stream::iter(all).map(look).buffer_unordered(ASKED_AT_ONCE);
    looked.try_filter_map(async |vault| Ok(vault)).try_collect().await
}

fn too_many_to_ask() -> Error {
    let message = "there are too many vaults to ask about each of them in time; ask for one by its \
                   name at /v1/vaults/{vault}";
    Error::new(Code::TryLater, message, json!({ "vaults_max": ASKED_MAX }))
}

/// Tells about a vault.
#[utoipa::path(
    get,
    path = "/v1/vaults/{vault}",
    tag = "vaults",
    operation_id = "getVault",
    params(("vault" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The vault", body = VaultInfo),
        (status = 404, description = "There is none", body = Problem),
    )
)]
async fn info(state: State, ask: Ask) -> Result<impl Reply, Error> {
    let vault = ask.vault()?;
    ask.caller.grant(&vault, None, Role::Read).await?;
    ask.query(&[])?;
    let vault = state.vaults.get(&vault).ok_or_else(Error::no_vault)?;
    let limits = Some(LimitsInfo::from(state.limits));
    Ok(super::unstored(&VaultInfo { limits, ..VaultInfo::from(vault) }))
}

/// Makes a vault; one that exists already stays as it is.
#[utoipa::path(
    put,
    path = "/v1/vaults/{vault}",
    tag = "vaults",
    operation_id = "createVault",
    params(("vault" = String, Path, description = "1 to 64 of A-Z a-z 0-9 . _ -")),
    responses(
        (status = 200, description = "It existed", body = VaultInfo),
        (status = 201, description = "It is made", body = VaultInfo),
        (status = 507, description = "There can be no more vaults", body = Problem),
    )
)]
async fn create(state: State, ask: Ask) -> Result<impl Reply, Error> {
    let vault = ask.name(0)?.parse::<VaultName>();
    let vault = vault.map_err(|bad| Error::new(Code::InvalidPath, bad.to_string(), json!({})))?;
    let grant = ask.caller.grant(&vault, None, Role::Admin).await?;
    ask.query(&[])?;
    let is_new = state.vaults.create(&vault, &grant.principal).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let vault = state.vaults.get(&vault).ok_or_else(Error::no_vault)?;
    Ok(with_status(super::unstored(&VaultInfo::from(vault)), status))
}

/// Deletes a vault with all it holds and closes its sessions.
#[utoipa::path(
    delete,
    path = "/v1/vaults/{vault}",
    tag = "vaults",
    operation_id = "deleteVault",
    params(("vault" = String, Path, description = "Its name")),
    responses(
        (status = 204, description = "It is deleted, durably"),
        (status = 404, description = "There is none", body = Problem),
    )
)]
async fn delete(state: State, ask: Ask) -> Result<Response, Error> {
    let vault = ask.vault()?;
    let grant = ask.caller.grant(&vault, None, Role::Admin).await?;
    ask.query(&[])?;
    state.vaults.delete(&vault, &grant.principal).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
