//! Folders, and deletions that are made for a version: what changes many files is one change.
//!
//! For backends; `writing` hands over what is about a folder. Never touches what the caller may not
//! write, and never tells what it may not read.

use serde::{Deserialize, Serialize};
use sheaf_protocol::error::Refusal;
use utoipa::ToSchema;
use warp::reply::Response;

use super::State;
use super::ask::{Ask, Place};
use super::condition::Conditions;
use super::error::Error;
use super::files::FileInfo;
use super::versions::VersionResult;
use super::writing::{author, stamp, veiled};
use crate::auth::{Grant, Role};
use crate::vault::audience::From;
use crate::vault::tree::{Act, Asked, Done, Step};
use sheaf_ground::task;

/// The version that a deletion is made for.
pub(super) const BASE: &str = "sheaf-base";

/// What came of moving or deleting a folder.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FolderResult {
    /// The folder; where it is now, if it was moved.
    pub path: String,
    /// Files that were moved or deleted.
    pub count: usize,
    /// The number that the last of these changes has in the vault's feed.
    pub version: u64,
    /// Files that changed since the version named by `Sheaf-Base` and live, by path.
    pub kept: Vec<FileInfo>,
}

/// What came of a `POST` to a file.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Relocated {
    /// With `?move=`.
    File(FileInfo),
    /// With `?move=`, of a folder.
    Folder(FolderResult),
    /// With `?restore=` and `?name=`.
    Version(VersionResult),
}

/// The grant for a folder, if the request is about one: its path ends with a slash. A room may have
/// such a name, too, and is meant where there is no folder.
///
/// # Errors
/// The caller may not write everything under it.
pub(super) async fn grant(state: &State, ask: &Ask, place: &Place) -> Result<Option<Grant>, Error> {
    let Place { vault, path, has_escaped_slash } = place;
    if !path.ends_with('/') {
        return Ok(None);
    }
    let grant = ask.caller.grant_under(vault, path, Role::Write).await?;
    let is_room = task::block(|| state.vaults.file(vault, path)).is_ok();
    if is_room && !task::block(|| state.vaults.has_folder(vault, path))? {
        return Ok(None);
    }
    if *has_escaped_slash {
        return Err(Error::invalid_path("a folder's slashes stand as they are, not as %2F"));
    }
    if Conditions::of(ask)?.is_any() {
        let what = "a folder has no state that If-Match could name: give Sheaf-Base";
        return Err(Refusal::malformed(0, what).into());
    }
    Ok(Some(grant))
}

/// Deletes a folder.
pub(super) async fn delete(
    state: &State,
    ask: &Ask,
    (place, grant): (&Place, &Grant),
) -> Result<Response, Error> {
    let (base, asked) = (ask.number_header(BASE)?, asked(ask)?);
    let done = change(state, ask, (place, grant), Act::Delete { base, asked }).await?;
    Ok(shown(&place.path, done))
}

/// Gives a folder another path.
pub(super) async fn relocate(
    state: &State,
    ask: &Ask,
    (place, grant): (&Place, &Grant),
    to: &str,
) -> Result<Response, Error> {
    ask.caller.grant_under(&place.vault, to, Role::Write).await?;
    let act = Act::Move { to, asked: asked(ask)? };
    let done = change(state, ask, (place, grant), act).await?;
    Ok(shown(to, done))
}

/// Carries one step out.
pub(super) async fn change(
    state: &State,
    ask: &Ask,
    (Place { vault, path, .. }, grant): (&Place, &Grant),
    act: Act<'_>,
) -> Result<Done, Error> {
    match state.vaults.change(vault, &[Step { path, act }], author(ask, grant)?).await {
        Ok(done) => {
            state.vaults.audience().changed(vault, From::Elsewhere);
            Ok(done.into_iter().next().unwrap_or_default())
        }
        Err(undone) => Err(veiled(ask, vault, undone.error).await),
    }
}

/// How a folder's change is asked for: nothing of a folder has a state to depend on.
fn asked<'a>(ask: &Ask) -> Result<Asked<'a>, Error> {
    Ok(Asked { stamp: stamp(ask)?, ..Asked::default() })
}

fn shown(path: &str, done: Done) -> Response {
    let Done { seq: version, count, kept, .. } = done;
    let kept = kept.into_iter().map(FileInfo::from).collect();
    super::unstored(&FolderResult { path: path.to_owned(), count, version, kept })
}
