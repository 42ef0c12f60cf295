//! Moving, restoring, naming and deleting what is at a path.
//!
//! For backends; `files` has the routes, `folders` what is about a folder. Never touches a file
//! that is at another state than the request names.

use hyper::http::StatusCode;
use sheaf_protocol::error::Refusal;
use warp::Reply;
use warp::reply::Response;

use super::State;
use super::ask::{Ask, Place};
use super::condition::Conditions;
use super::error::{Error, Problem};
use super::files::FileInfo;
use super::folders::{self, FolderResult, Relocated};
use super::versions;
use super::writing::{author, stamp, veiled};
use crate::auth::Role;
use crate::vault;
use crate::vault::audience::From;
use crate::vault::tree::{Act, Asked};
use sheaf_ground::task;

/// Moves a file to another path, where its document, its id and its history stay; or makes it what
/// it was at a version; or gives a version a name. Moves a folder, whose path ends with a slash, as
/// one change.
#[utoipa::path(
    post,
    path = "/v1/vaults/{vault}/files/{path}",
    tag = "files",
    operation_id = "moveFile",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("path" = String, Path, description = "The file's path, with its slashes as they are"),
        ("move" = Option<String>, Query, description = "The new path"),
        ("restore" = Option<u64>, Query, description = "The version that it is made again"),
        ("name" = Option<String>, Query,
            description = "The name of the version `at`, or of the present one; empty: none"),
        ("at" = Option<u64>, Query, description = "With `name`: the version"),
        ("If-Match" = Option<String>, Header, description = "Only if it is at one of these"),
        ("Sheaf-Stamp" = Option<String>, Header,
            description = "The change's own stamp: it is made once however often it comes"),
        ("Sheaf-Device" = Option<String>, Header,
            description = "The device it comes from, 16 hex digits"),
    ),
    responses(
        (status = 200, description = "Done, durably", body = Relocated,
            headers(("Sheaf-Version" = u64), ("Sheaf-Epoch" = u64))),
        (status = 404, description = "There is no such vault, file, folder or version",
            body = Problem),
        (status = 409, description = "The new path is taken, the version held no text, or the \
            stamp is another change's or ahead of the clock", body = Problem),
        (status = 412, description = "It is at another state", body = Problem),
        (status = 413, description = "More files than one change may be about", body = Problem),
    )
)]
pub(super) async fn relocate(state: State, ask: Ask) -> Result<Response, Error> {
    let place = ask.place()?;
    let query = ask.query(&["move", "restore", "name", "at"])?;
    let restored = versions::seq(&query, "restore")?;
    let missing = "say what with ?move=<new path>, ?restore=<version> or ?name=<name>";
    let is_one = [query.text("move"), query.text("restore"), query.text("name")];
    let is_one = is_one.into_iter().flatten().count() == 1;
    let to = query.text("move").unwrap_or_default();
    let to = if is_one { Ok(to) } else { Err(Refusal::malformed(0, missing)) };
    if let (Some(to), Some(grant)) =
        (query.text("move").filter(|_| is_one), folders::grant(&state, &ask, &place).await?)
    {
        return folders::relocate(&state, &ask, (&place, &grant), to).await;
    }
    let grant = ask.grant(&place, Role::Write).await?;
    let to = to?;
    let by = author(&ask, &grant)?;
    let conditions = Conditions::of(&ask)?;
    if let Some(seq) = restored {
        return versions::restore(&state, &place, (by, &conditions), seq).await;
    }
    if let Some(name) = query.text("name") {
        let at = versions::seq(&query, "at")?;
        if conditions.is_any() {
            conditions.check_write(Some(state.vaults.state(&place.vault, &place.path).await?))?;
        }
        return versions::name(&state, &place, (&grant, at, name)).await;
    }
    ask.caller.grant(&place.vault, Some(to), Role::Write).await?;
    let when = |now| conditions.check_write(now);
    let Place { vault, path, .. } = &place;
    let (seq, file) = match room_without_stamp(&ask, &place)? {
        true => match state.vaults.move_file(vault, path, to, by, &when).await {
            Ok(seq) => {
                state.vaults.audience().changed(vault, From::Elsewhere);
                (seq, task::block(|| state.vaults.file(vault, to))?)
            }
            Err(error) => return Err(veiled(&ask, vault, error).await),
        },
        false => {
            let asked = Asked { stamp: stamp(&ask)?, when: &when };
            let step = Act::Move { to, asked };
            let done = folders::change(&state, &ask, (&place, &grant), step).await?;
            let left = (done.id.ok_or(vault::Error::NoFile)?, done.seq);
            (done.seq, task::block(|| state.vaults.file_as_of(vault, to, left))?)
        }
    };
    let mut response = warp::reply::json(&FileInfo::from(file)).into_response();
    versions::tell(response.headers_mut(), &state, vault, seq);
    Ok(response)
}

/// Whether it is about a room that has the name of a folder. No stamp is kept for what becomes of
/// one.
fn room_without_stamp(ask: &Ask, place: &Place) -> Result<bool, Error> {
    let is_room = place.path.ends_with('/');
    if is_room && stamp(ask)?.is_some() {
        let what = "a room whose name ends with a slash is changed without a stamp";
        return Err(Refusal::malformed(0, what).into());
    }
    Ok(is_room)
}

/// Deletes a file and closes the sessions that have it open; or a folder, whose path ends with a
/// slash, as one change.
#[utoipa::path(
    delete,
    path = "/v1/vaults/{vault}/files/{path}",
    tag = "files",
    operation_id = "deleteFile",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("path" = String, Path, description = "The file's path, with its slashes as they are"),
        ("If-Match" = Option<String>, Header, description = "Only if it is at one of these"),
        ("Sheaf-Base" = Option<u64>, Header,
            description = "Only what did not change since this version"),
        ("Sheaf-Stamp" = Option<String>, Header,
            description = "The change's own stamp: it is made once however often it comes"),
        ("Sheaf-Device" = Option<String>, Header,
            description = "The device it comes from, 16 hex digits"),
    ),
    responses(
        (status = 200, description = "The folder is deleted, durably", body = FolderResult),
        (status = 204, description = "Deleted, durably",
            headers(("Sheaf-Version" = u64), ("Sheaf-Epoch" = u64))),
        (status = 404, description = "There is no such vault, file or folder", body = Problem),
        (status = 409, description = "It changed since that version, and lives, or the stamp is \
            another change's or ahead of the clock", body = Problem),
        (status = 412, description = "It is at another state", body = Problem),
        (status = 413, description = "More files than one change may be about", body = Problem),
    )
)]
pub(super) async fn delete(state: State, ask: Ask) -> Result<Response, Error> {
    let place = ask.place()?;
    if let Some(grant) = folders::grant(&state, &ask, &place).await? {
        ask.query(&[])?;
        return folders::delete(&state, &ask, (&place, &grant)).await;
    }
    let grant = ask.grant(&place, Role::Write).await?;
    ask.query(&[])?;
    let conditions = Conditions::of(&ask)?;
    let when = |now| conditions.check_write(now);
    let Place { vault, path, .. } = &place;
    let seq = match room_without_stamp(&ask, &place)? {
        true => {
            let by = author(&ask, &grant)?;
            let seq = state.vaults.delete_file(vault, path, by, &when).await?;
            state.vaults.audience().changed(vault, From::Elsewhere);
            seq
        }
        false => {
            let asked = Asked { stamp: stamp(&ask)?, when: &when };
            let step = Act::Delete { base: ask.number_header(folders::BASE)?, asked };
            folders::change(&state, &ask, (&place, &grant), step).await?.seq
        }
    };
    let mut response = StatusCode::NO_CONTENT.into_response();
    versions::tell(response.headers_mut(), &state, vault, seq);
    Ok(response)
}
