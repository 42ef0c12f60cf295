//! `/v1/vaults`: which there are, making and deleting one.
//!
//! For backends and operators. Never tells a caller without access whether a vault exists.

use hyper::http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::VaultName;
use utoipa::ToSchema;
use warp::Reply;
use warp::reply::{Response, with_status};

use super::State;
use super::ask::Ask;
use super::error::{Error, Problem};
use super::route::Route;
use crate::auth::Role;
use crate::vault::{Cursor, Vault};

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
}

/// Vaults.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VaultList {
    /// Those that the caller may read, by name.
    pub vaults: Vec<VaultInfo>,
}

impl From<Vault> for VaultInfo {
    fn from(vault: Vault) -> VaultInfo {
        let Vault { name, epoch, created_ms, files, bytes, seq } = vault;
        let cursor = Cursor { epoch, seq }.to_string();
        let (name, epoch) = (String::from(name), epoch.to_string());
        VaultInfo { name, epoch, created_ms, files, bytes, seq, cursor }
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
    // Whoever has no token at all is told so, however many vaults there are.
    match ask.caller.grant(&VaultName::default(), None, Role::Read).await {
        Err(refusal) if refusal.code != Code::Forbidden => return Err(refusal.into()),
        _ => {}
    }
    let mut vaults = Vec::new();
    for vault in state.vaults.list() {
        match ask.caller.grant(&vault.name, None, Role::Read).await {
            Ok(_) => vaults.push(VaultInfo::from(vault)),
            Err(Refusal { code: Code::Forbidden, .. }) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    vaults.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(warp::reply::json(&VaultList { vaults }))
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
    Ok(warp::reply::json(&VaultInfo::from(vault)))
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
    Ok(with_status(warp::reply::json(&VaultInfo::from(vault)), status))
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
