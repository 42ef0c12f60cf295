//! `/v1/changes`: the feeds of many vaults in one answer.
//!
//! For backends that follow all their vaults. Each vault is as at `/v1/vaults/{vault}/changes`.
//! Never lets what is wrong with one vault keep the others from being told.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt;
use futures::future::select_all;
use hyper::http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::VaultName;
use utoipa::ToSchema;
use warp::Reply;

use super::State;
use super::ask::Ask;
use super::changes::{self, ChangeInfo, ChangePage, Reading};
use super::devices;
use super::error::{Error, Problem};
use super::route::Route;
use super::vaults;
use crate::auth::Role;
use crate::vault::Cursor;

/// Vaults that one request may name.
const VAULTS_MAX: usize = 1_000;

/// The changes of one vault.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VaultChanges {
    /// Its name.
    pub vault: String,
    /// In the order in which they happened; each file once, at its latest.
    pub changes: Vec<ChangeInfo>,
    /// What to give for this vault in `since` next; none where it cannot be read on.
    pub cursor: Option<String>,
    /// Whether more are there already.
    pub more: bool,
    /// Why it cannot be read on from where the request says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// The changes of many vaults.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FeedPage {
    /// Those of which there is something to tell, by name.
    pub vaults: Vec<VaultChanges>,
    /// Whether more is there already, of these or of others.
    pub more: bool,
}

/// The route of this file.
pub fn routes() -> Vec<Route> {
    vec![Route::at("/v1/changes", "feeds").on(Method::GET, feeds)]
}

/// Where a reader is in each vault.
type Places = BTreeMap<VaultName, Cursor>;

/// Reads the changes of many vaults, each behind a place in its feed.
///
/// Without `since` these are all vaults that the caller may read, from their beginnings. The answer
/// names only vaults with changes, and those that cannot be read on: whose cursor expired, that are
/// not there, or that the caller may not read.
#[utoipa::path(
    get,
    path = "/v1/changes",
    tag = "changes",
    operation_id = "readAllChanges",
    params(
        ("since" = Option<String>, Query,
            description = "For each vault its name, a colon and a cursor, with commas in between: \
                `a:7.12,b:0`"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000,
            description = "Changes in the answer; 100 unless given"),
        ("wait" = Option<u64>, Query, minimum = 0, maximum = 55,
            description = "Seconds to wait for a change if there is none"),
        ("device" = Option<String>, Query,
            description = "As Sheaf-Device, for who can set no headers, as EventSource"),
        ("Sheaf-Device" = Option<String>, Header, description = "The device that asks, in 16 hex \
            digits: it holds all up to its cursors"),
    ),
    responses(
        (status = 200, description = "What there is to tell", body = FeedPage),
        (status = 413, description = "More vaults than one request may name", body = Problem),
    )
)]
pub(super) async fn feeds(state: State, ask: Ask) -> Result<impl Reply, Error> {
    let query = ask.query(&["since", "limit", "wait", "device"])?;
    let limit = query.page(&state)?;
    let wait = query.number("wait", 0..=state.limits.wait_s)?.unwrap_or(0);
    let places = match query.text("since").filter(|since| !since.is_empty()) {
        Some(since) => places(since, most(&ask))?,
        None => {
            let all = vaults::readable_now(&state, &ask).await?;
            all.into_iter().map(|vault| (vault.name, Cursor::default())).collect()
        }
    };
    let (mut page, ends) = read(&state, &ask, (&places, limit)).await?;
    if page.vaults.is_empty() && wait > 0 {
        arrival(&state, &ends, Duration::from_secs(wait)).await;
        // The wait may have outlived a grant: every one is looked at again.
        page = read(&state, &ask, (&places, limit)).await?.0;
    }
    Ok(super::unstored(&page))
}

/// How many vaults the caller may name: each is asked about, where somebody else has to be.
fn most(ask: &Ask) -> usize {
    if ask.caller.is_asked_about() { vaults::ASKED_MAX } else { VAULTS_MAX }
}

/// `a:7.12,b:0`.
fn places(since: &str, max: usize) -> Result<Places, Error> {
    let count = since.split(',').count();
    if count > max {
        let message = format!("one request names at most {max} vaults");
        let details = json!({ "max": max, "count": count });
        return Err(Error::new(Code::BatchTooLarge, message, details));
    }
    let mut places = Places::new();
    for place in since.split(',') {
        let named = place.split_once(':').and_then(|(vault, cursor)| {
            Some((vault.parse::<VaultName>().ok()?, cursor.parse::<Cursor>().ok()?))
        });
        let Some((vault, cursor)) = named else {
            let what = "since is vault:cursor, with commas in between, as in a:7.12,b:0";
            return Err(Refusal::malformed(0, what).into());
        };
        if places.insert(vault, cursor).is_some() {
            return Err(Refusal::malformed(0, "since names a vault twice").into());
        }
    }
    Ok(places)
}

/// What there is to tell now: of each vault its share of the answer, and what others leave. And
/// where the feeds end of which there is nothing to tell.
async fn read(
    state: &State,
    ask: &Ask,
    (places, limit): (&Places, usize),
) -> Result<(FeedPage, Places), Error> {
    let device = ask.device()?;
    let (mut told, mut left, mut has_more) = (Vec::new(), limit, false);
    let mut ends = Places::new();
    for (at, (vault, since)) in places.iter().enumerate() {
        let share = (left / (places.len() - at)).max(1);
        let (name, since, limit) = (vault.clone(), *since, share);
        let reading = Reading { vault: name, since, limit, device, has_files: true };
        let page = match ask.caller.grant(vault, None, Role::Read).await {
            Ok(grant) => match devices::meet_in(state, device, (vault, &grant)).await {
                Ok(()) => changes::acknowledge(state, &reading, &grant)
                    .and_then(|()| changes::page(state, &reading)),
                Err(error) => Err(error),
            },
            // Who is nobody is told so once.
            Err(refusal) if refusal.code == Code::Unauthorised => return Err(refusal.into()),
            Err(refusal) => Err(refusal.into()),
        };
        match page {
            Ok(page) if page.changes.is_empty() => {
                let end = page.cursor.parse().expect("a cursor that we have written");
                ends.insert(vault.clone(), end);
            }
            Ok(_) if left == 0 => has_more = true,
            Ok(ChangePage { changes, cursor, more }) => {
                left -= changes.len().min(left);
                has_more |= more;
                let (vault, cursor) = (vault.to_string(), Some(cursor));
                told.push(VaultChanges { vault, changes, cursor, more, error: None });
            }
            Err(error) => told.push(VaultChanges {
                vault: vault.to_string(),
                changes: Vec::new(),
                cursor: None,
                more: false,
                error: Some(error.problem()),
            }),
        }
    }
    Ok((FeedPage { vaults: told, more: has_more }, ends))
}

/// Waits until one of the feeds goes beyond where the reader is, the time is over or the server
/// stops.
async fn arrival(state: &State, places: &Places, time: Duration) {
    let beyond = places.iter().filter_map(|(vault, since)| {
        let (mut seq, since) = (state.vaults.watch(vault).ok()?, since.seq);
        // A vault that is deleted has something to tell, too.
        Some(async move { drop(seq.wait_for(|seq| *seq > since).await) }.boxed())
    });
    let beyond: Vec<_> = beyond.collect();
    let is_any = !beyond.is_empty();
    let first = async {
        match is_any {
            true => drop(select_all(beyond).await),
            false => std::future::pending().await,
        }
    };
    tokio::select! {
        () = first => {}
        () = state.clock.sleep(time) => {}
        () = state.tasks.stopping().cancelled() => {}
    }
}
