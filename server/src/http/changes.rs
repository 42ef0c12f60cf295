//! `/v1/vaults/{vault}/changes`: a vault's feed, as pages, by long poll or as a stream.
//!
//! For backends that follow a vault. The feed points and never carries: each item comes once, in
//! its current form. Never shows a change that is not durable.

use std::time::Duration;

use hyper::http::{HeaderMap, Method, header};
use serde::{Deserialize, Serialize};
use sheaf_protocol::error::Refusal;
use sheaf_protocol::ids::VaultName;
use utoipa::ToSchema;
use warp::reply::Response;

use super::State;
use super::ask::Ask;
use super::error::{Error, Problem};
use super::feed;
use super::files::FileInfo;
use super::pushing;
use super::route::Route;
use crate::auth::{Grant, Role};
use crate::vault::{Change, Cursor};
use sheaf_ground::task;

/// The header by which a browser's `EventSource` goes on where it was.
const LAST_EVENT_ID: &str = "last-event-id";

/// The one collection.
const FILES: &str = "files";

/// What happened to a file last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It was made, edited or moved; this is what it is now.
    Changed,
    /// It is gone; this is what it was.
    Deleted,
}

/// One change: a file in its current form.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChangeInfo {
    /// The place in the feed, right behind this change.
    pub cursor: String,
    /// Its number in the vault.
    pub seq: u64,
    /// What happened.
    pub kind: ChangeKind,
    /// The file.
    pub file: FileInfo,
}

/// A page of changes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChangePage {
    /// In the order in which they happened; each file once, at its latest.
    pub changes: Vec<ChangeInfo>,
    /// What to give as `since` next.
    pub cursor: String,
    /// Whether more are there already.
    pub more: bool,
}

/// The route of this file.
pub fn routes() -> Vec<Route> {
    let feed = Route::at("/v1/vaults/{vault}/changes", "changes");
    vec![feed.on(Method::GET, changes).on(Method::POST, pushing::push)]
}

/// What a reader of the feed asks for.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// Whose feed.
    pub vault: VaultName,
    /// Behind which place.
    pub since: Cursor,
    /// Changes at a time.
    pub limit: usize,
    /// Which device reads; 0 where it is not said.
    pub device: u64,
    /// Files are among the collections that are asked for.
    pub has_files: bool,
}

/// Reads the changes of a vault behind a place in its feed.
///
/// With `Accept: text/event-stream` the answer does not end: each change is an event `change` whose
/// id is the place behind it, so `Last-Event-ID` (which wins over `since`) goes on from there.
#[utoipa::path(
    get,
    path = "/v1/vaults/{vault}/changes",
    tag = "changes",
    operation_id = "readChanges",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("since" = Option<String>, Query,
            description = "A cursor, as an earlier answer gave it; 0 or none: the beginning"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000,
            description = "Changes on the page; 100 unless given"),
        ("wait" = Option<u64>, Query, minimum = 0, maximum = 55,
            description = "Seconds to wait for a change if there is none"),
        ("collections" = Option<String>, Query,
            description = "Of these only, with commas in between; `files` is the one there is"),
        ("device" = Option<String>, Query,
            description = "As Sheaf-Device, for who can set no headers, as EventSource"),
        ("Sheaf-Device" = Option<String>, Header, description = "The device that asks, in 16 hex \
            digits: it holds all up to since"),
        ("Last-Event-ID" = Option<String>, Header, description = "As since, and before it"),
    ),
    responses(
        (status = 200, description = "A page, or a stream of events", content(
            (ChangePage = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = 404, description = "There is no such vault", body = Problem),
        (status = 409, description = "The device is another user's, or there are too many",
            body = Problem),
        (status = 410, description = "The feed no longer goes back to this cursor, or never had \
            it: details has epoch, seq and horizon; list the files, then go on from there",
            body = Problem),
    )
)]
async fn changes(state: State, ask: Ask) -> Result<Response, Error> {
    let vault = ask.vault()?;
    let grant = ask.caller.grant(&vault, None, Role::Read).await?;
    let query = ask.query(&["since", "limit", "wait", "collections", "device"])?;
    let last_seen = ask.headers.get(LAST_EVENT_ID).map(|it| it.to_str().unwrap_or("?"));
    let since = last_seen.filter(|id| !id.is_empty()).or(query.text("since")).unwrap_or("0");
    let since: Cursor = since.parse().map_err(|_| {
        Error::from(Refusal::malformed(0, "this is no cursor: give one as an answer gave it, or 0"))
    })?;
    let limit = query.page(&state)?;
    let wait = query.number("wait", 0..=state.limits.wait_s)?.unwrap_or(0);
    let device = ask.device()?;
    let has_files =
        query.text("collections").is_none_or(|names| names.split(',').any(|name| name == FILES));
    let reading = Reading { vault, since, limit, device, has_files };
    acknowledge(&state, &reading, &grant)?;
    if wants_events(&ask.headers) {
        return feed::answer(state, &ask, grant, reading);
    }
    let page = match page(&state, &reading)? {
        page if page.changes.is_empty() && wait > 0 => {
            arrival(&state, &reading, Duration::from_secs(wait)).await?;
            // The wait may have outlived the grant.
            ask.caller.grant(&reading.vault, None, Role::Read).await?;
            self::page(&state, &reading)?
        }
        page => page,
    };
    Ok(super::unstored(&page))
}

/// Whoever asks what comes after a place holds all before it.
pub(super) fn acknowledge(state: &State, reading: &Reading, grant: &Grant) -> Result<(), Error> {
    let Reading { vault, since, device, .. } = reading;
    if *device != 0 {
        state.vaults.acknowledge(vault, *device, &grant.principal, *since)?;
    }
    Ok(())
}

/// The page of the feed that a reader asks for.
pub(super) fn page(state: &State, reading: &Reading) -> Result<ChangePage, Error> {
    let Reading { vault, since, limit, has_files, .. } = reading;
    let read = task::block(|| state.vaults.changes(vault, *since, *limit))?;
    let place = |seq| Cursor::within(read.cursor.epoch, seq, read.listing);
    let changes = read.items.into_iter().filter(|_| *has_files);
    let changes = changes.map(|change| info(place(change.seq), change)).collect();
    Ok(ChangePage { changes, cursor: read.cursor.to_string(), more: read.has_more })
}

fn info(behind: Cursor, change: Change) -> ChangeInfo {
    let Change { seq, file } = change;
    ChangeInfo {
        cursor: behind.to_string(),
        seq,
        kind: if file.is_deleted { ChangeKind::Deleted } else { ChangeKind::Changed },
        file: file.into(),
    }
}

/// Waits until the feed goes beyond where the reader is, the time is over or the server stops.
async fn arrival(state: &State, reading: &Reading, time: Duration) -> Result<(), Error> {
    let mut seq = state.vaults.watch(&reading.vault)?;
    let beyond = seq.wait_for(|seq| *seq > reading.since.seq);
    tokio::select! {
        _ = beyond => {}
        () = state.clock.sleep(time) => {}
        () = state.tasks.stopping().cancelled() => {}
    }
    Ok(())
}

fn wants_events(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let mut kinds = lines.flat_map(|line| line.split(','));
    kinds.any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "text/event-stream"))
}
