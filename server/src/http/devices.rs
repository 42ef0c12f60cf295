//! `/v1/vaults/{vault}/devices` and `/ack`: who follows a vault, and how far.
//!
//! For programs that keep a copy of a vault, and for whoever lost one. Every request that names its
//! device passes here first. Never lets one acknowledge for another.

use hyper::http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::VaultName;
use utoipa::ToSchema;
use warp::Reply;

use super::State;
use super::ask::Ask;
use super::error::{Error, Problem};
use super::route::Route;
use crate::auth::{Grant, Role};
use crate::vault::devices::{Change, Changer, Shown, Standing};
use crate::vault::{self, Cursor};

/// Bytes of a request about a device.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// A device: a copy of a vault somewhere.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeviceInfo {
    /// 16 hex digits, as the device says them.
    pub id: String,
    /// What people call it.
    pub name: Option<String>,
    /// How it came first: `channel` or `http`.
    pub kind: String,
    /// Whose it is; none where nobody says who they are.
    pub user: Option<String>,
    /// `connected`, `away`, `stale` (away for so long that nothing is kept for it) or `revoked`.
    pub state: String,
    /// The vault's seq when it came first.
    pub registered: u64,
    /// It holds everything up to here; none: it never said so.
    pub acked: Option<u64>,
    /// How many numbers it is behind.
    pub behind: u64,
    /// When it was seen last, in Unix milliseconds; after a restart of the server exact to the
    /// hour.
    pub last_seen_ms: u64,
    /// When it acknowledged more last, in Unix milliseconds.
    pub last_acked_ms: Option<u64>,
}

/// The devices of a vault.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeviceList {
    /// By id.
    pub devices: Vec<DeviceInfo>,
    /// The number of the vault's latest change.
    pub seq: u64,
    /// Changes up to here are forgotten where they were deletions: a cursor below it has expired. 0
    /// for none.
    pub horizon: u64,
}

/// What is to be changed of a device.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceChange {
    /// What people call it; empty for nothing.
    pub name: Option<String>,
    /// Whether it is refused. Its sessions end at once.
    pub revoked: Option<bool>,
}

/// "I hold everything up to here."
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Acknowledge {
    /// Which device, in 16 hex digits, unless `Sheaf-Device` says it.
    pub device: Option<String>,
    /// The number of a change of the vault as it is now; or
    pub version: Option<u64>,
    /// a place in the feed, as an answer gave it.
    pub cursor: Option<String>,
}

/// What was acknowledged.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Acknowledged {
    /// The device.
    pub device: String,
    /// What it holds, as far as the server knows now: never less than before.
    pub version: u64,
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    vec![
        Route::at("/v1/vaults/{vault}/devices", "devices").on(Method::GET, list),
        Route::at("/v1/vaults/{vault}/devices/{device}", "device")
            .on(Method::PATCH, change)
            .on(Method::DELETE, forget),
        Route::at("/v1/vaults/{vault}/ack", "ack").on(Method::POST, acknowledge),
    ]
}

/// Takes in which device a request is from, where it says so and the caller may read the vault: it
/// is registered with its first one.
///
/// # Errors
/// `Malformed` for what is no device; `DeviceTaken`; `DeviceRevoked`; `TooManyDevices`.
pub(super) async fn meet(state: &State, ask: &Ask) -> Result<(), Error> {
    let device = ask.device()?;
    let Some(vault) = ask.vault().ok().filter(|_| device != 0) else { return Ok(()) };
    // Who may not is told by who answers.
    let Ok(grant) = ask.caller.grant(&vault, None, Role::Read).await else { return Ok(()) };
    meet_in(state, device, (&vault, &grant)).await
}

/// The same in a vault that the caller may read.
///
/// # Errors
/// As [`meet`].
pub(super) async fn meet_in(
    state: &State,
    device: u64,
    (vault, grant): (&VaultName, &Grant),
) -> Result<(), Error> {
    if device == 0 {
        return Ok(());
    }
    match state.vaults.meet(vault, (device, false), &grant.principal).await {
        Ok(()) | Err(vault::Error::NoVault) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Lists the devices of a vault.
#[utoipa::path(
    get,
    path = "/v1/vaults/{vault}/devices",
    tag = "devices",
    operation_id = "listDevices",
    params(("vault" = String, Path, description = "The vault's name")),
    responses(
        (status = 200, description = "The devices, by id", body = DeviceList),
        (status = 404, description = "There is no such vault", body = Problem),
    )
)]
async fn list(state: State, ask: Ask) -> Result<impl Reply, Error> {
    let vault = ask.vault()?;
    ask.caller.grant(&vault, None, Role::Read).await?;
    ask.query(&[])?;
    let shown = state.vaults.get(&vault).ok_or_else(Error::no_vault)?;
    let devices = state.vaults.devices(&vault)?;
    let devices = devices.into_iter().map(|device| info(device, shown.seq)).collect();
    Ok(super::unstored(&DeviceList { devices, seq: shown.seq, horizon: shown.horizon }))
}

/// Names a device, or refuses it from now on.
///
/// One's own with the role `write`; others' with `admin`, which a revoked one needs to be let in
/// again.
#[utoipa::path(
    patch,
    path = "/v1/vaults/{vault}/devices/{device}",
    tag = "devices",
    operation_id = "changeDevice",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("device" = String, Path, description = "The device, in 16 hex digits"),
    ),
    request_body = DeviceChange,
    responses(
        (status = 200, description = "What it is now, durably", body = DeviceInfo),
        (status = 404, description = "There is no such vault or device", body = Problem),
        (status = 413, description = "A body of more than 4 KiB, or a name of more than 256 bytes",
            body = Problem),
        (status = 415, description = "An encoded body, or another charset", body = Problem),
    )
)]
async fn change(state: State, ask: Ask) -> Result<impl Reply, Error> {
    let (vault, grant, device) = place(&ask).await?;
    let DeviceChange { name, revoked } = ask.json(&state, BODY_BYTES_MAX).await?;
    let name = name.map(|name| Some(name).filter(|name| !name.is_empty()));
    let change = Change { name, is_revoked: revoked };
    let changed = state.vaults.change_device(&vault, device, changer(&grant), change).await?;
    let seq = state.vaults.get(&vault).map_or(0, |vault| vault.seq);
    Ok(super::unstored(&info(changed, seq)))
}

/// Forgets a device: nothing is kept for it any more, and if it comes again it is a new one.
///
/// One's own with the role `write`; others', and revoked ones, with `admin`.
#[utoipa::path(
    delete,
    path = "/v1/vaults/{vault}/devices/{device}",
    tag = "devices",
    operation_id = "forgetDevice",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("device" = String, Path, description = "The device, in 16 hex digits"),
    ),
    responses(
        (status = 204, description = "It is forgotten, durably"),
        (status = 404, description = "There is no such vault or device", body = Problem),
    )
)]
async fn forget(state: State, ask: Ask) -> Result<impl Reply, Error> {
    let (vault, grant, device) = place(&ask).await?;
    state.vaults.forget_device(&vault, device, changer(&grant)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes in that a device holds everything up to a place.
///
/// Asking for changes `since` a place says the same. Deleted files are kept until every device that
/// is not stale holds their deletion.
#[utoipa::path(
    post,
    path = "/v1/vaults/{vault}/ack",
    tag = "devices",
    operation_id = "acknowledge",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("Sheaf-Device" = Option<String>, Header, description = "The device, in 16 hex digits"),
    ),
    request_body = Acknowledge,
    responses(
        (status = 200, description = "What it holds", body = Acknowledged),
        (status = 404, description = "There is no such vault", body = Problem),
        (status = 409, description = "The device is another user's, or there are too many",
            body = Problem),
        (status = 410, description = "The feed does not know this place", body = Problem),
        (status = 413, description = "A body of more than 4 KiB", body = Problem),
        (status = 415, description = "An encoded body, or another charset", body = Problem),
    )
)]
async fn acknowledge(state: State, ask: Ask) -> Result<impl Reply, Error> {
    let vault = ask.vault()?;
    let grant = ask.caller.grant(&vault, None, Role::Read).await?;
    ask.query(&[])?;
    let asked: Acknowledge = ask.json(&state, BODY_BYTES_MAX).await?;
    let device = match &asked.device {
        Some(text) => parse(text)?,
        None => ask.device()?,
    };
    if device == 0 {
        return Err(Refusal::malformed(0, "which device?").into());
    }
    let shown = state.vaults.get(&vault).ok_or_else(Error::no_vault)?;
    let cursor = match (asked.version, &asked.cursor) {
        (Some(seq), None) => Cursor::at(shown.epoch, seq),
        (None, Some(text)) => text.parse().map_err(|_| Refusal::malformed(0, "no cursor"))?,
        _ => return Err(Refusal::malformed(0, "a version, or a cursor").into()),
    };
    // A place that is none registers nobody.
    state.vaults.check_cursor(&vault, cursor)?;
    state.vaults.meet(&vault, (device, false), &grant.principal).await?;
    let version = state.vaults.acknowledge(&vault, device, &grant.principal, cursor)?;
    Ok(super::unstored(&Acknowledged { device: hex(device), version }))
}

async fn place(ask: &Ask) -> Result<(VaultName, Grant, u64), Error> {
    let vault = ask.vault()?;
    let grant = ask.caller.grant(&vault, None, Role::Write).await?;
    ask.query(&[])?;
    let device = ask.name(1)?;
    let none = |_| Error::new(Code::NotFound, "there is no such device", json!({}));
    Ok((vault, grant, parse(&device).map_err(none)?))
}

fn changer(grant: &Grant) -> Changer<'_> {
    Changer { by: &grant.principal, is_admin: grant.role == Role::Admin }
}

fn parse(text: &str) -> Result<u64, Refusal> {
    let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let device = u64::from_str_radix(text, 16).ok().filter(|_| is_hex);
    device.ok_or(Refusal::malformed(0, "a device has 16 hex digits"))
}

fn hex(device: u64) -> String {
    format!("{device:016x}")
}

fn info(shown: Shown, seq: u64) -> DeviceInfo {
    let Shown { id, device, standing } = shown;
    let state = match standing {
        Standing::Connected => "connected",
        Standing::Away => "away",
        Standing::Stale => "stale",
        Standing::Revoked => "revoked",
    };
    let given = |number: u64| (number > 0).then_some(number);
    DeviceInfo {
        id: hex(id),
        name: device.name.map(|name| name.to_string()),
        kind: if device.is_live { "channel" } else { "http" }.to_owned(),
        user: device.user.map(|user| user.to_string()),
        state: state.to_owned(),
        registered: device.registered,
        acked: given(device.acked),
        behind: seq.saturating_sub(given(device.acked).unwrap_or(device.registered)),
        last_seen_ms: device.seen_ms,
        last_acked_ms: given(device.acked_ms),
    }
}
