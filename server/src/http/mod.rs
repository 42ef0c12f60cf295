//! What is served over plain HTTP: vaults and their files, the state of the server, the demo.
//!
//! `app` gives [`routes`] every request that is no WebSocket and has been admitted. Each file gives
//! its rows of one table; handlers are plain async functions; a rejection only ever means "no such
//! route". Never formats a domain error itself: that is `error`.

pub mod ask;
pub mod blobs;
pub mod body;
pub mod changes;
pub mod coding;
mod condition;
mod content;
pub mod demo;
pub mod devices;
pub mod error;
mod feed;
pub mod feeds;
pub mod files;
mod folders;
pub mod health;
pub mod metrics;
pub mod openapi;
mod pushing;
pub mod range;
pub mod route;
pub mod sessions;
pub mod status;
pub mod tree;
mod update;
pub mod vaults;
pub mod versions;
pub mod writing;
pub mod ysweet;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use hyper::http::{HeaderValue, header};
use serde::Serialize;
use sheaf_protocol::control::Limits;
use sheaf_protocol::error::Refusal;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Reply};

use self::route::{Audience, Route};
use crate::auth::Auth;
use crate::auth::base::Base;
use crate::blob::Blobs;
use crate::memory::Budget;
use crate::metrics::Metrics;
use crate::vault::Vaults;
use sheaf_ground::task::Group;
use sheaf_ground::time::Clock;

/// For answers that are right only now.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// An answer of JSON that is right only now, and tells what not everybody may know.
fn unstored(content: &impl Serialize) -> Response {
    let reply = warp::reply::json(content);
    warp::reply::with_header(reply, header::CACHE_CONTROL, NO_STORE).into_response()
}

/// What the handlers need.
#[derive(Clone)]
pub struct State {
    /// Counters, and to be rendered.
    pub metrics: Arc<Metrics>,
    /// The rest of the server, as far as this layer may ask it.
    pub health: Arc<dyn Health>,
    /// All that is kept.
    pub vaults: Vaults,
    /// Bytes by their hash.
    pub blobs: Blobs,
    /// Who may do what, and who is connected.
    pub auth: Auth,
    /// What the status tells besides the metrics.
    pub about: Arc<status::About>,
    /// The time.
    pub clock: Clock,
    /// The tasks behind streams; they end when it stops.
    pub tasks: Group,
    /// Whether other machines reach the operator's listener: then metrics take an administrator.
    pub is_admin_elsewhere: bool,
    /// Memory for large bodies, shared with the sessions.
    pub memory: Budget,
    /// The bounds that clients are told.
    pub limits: Limits,
    /// What links back to this server begin with; absent: as their reader has addressed it.
    pub public_url: Option<Base>,
}

/// What the server says about itself.
pub trait Health: Send + Sync {
    /// Whether writes can be made durable now.
    ///
    /// # Errors
    /// Why not, for the operator.
    fn check_ready(&self) -> Result<(), Refusal>;

    /// Brings those metrics up to date that are cheaper to ask for than to keep: called before
    /// every rendering.
    fn refresh(&self, metrics: &Metrics);
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State")
    }
}

/// The whole table, without the demo.
#[must_use]
pub fn table() -> Vec<Route> {
    let groups = [
        health::routes(),
        metrics::routes(),
        openapi::routes(),
        vaults::routes(),
        files::routes(),
        versions::routes(),
        update::routes(),
        blobs::routes(),
        changes::routes(),
        feeds::routes(),
        devices::routes(),
        sessions::routes(),
        status::routes(),
        ysweet::routes(),
    ];
    groups.into_iter().flatten().collect()
}

/// All routes together, where the operator's have no listener of their own.
pub fn routes(state: &State) -> BoxedFilter<(Response,)> {
    let all = route::serve(state, table()).or(demo::routes()).unify().boxed();
    or_not_found(&all)
}

/// The routes for everybody.
pub fn public_routes(state: &State) -> BoxedFilter<(Response,)> {
    let public = route::serve(state, shown_to(Audience::Public));
    or_not_found(&public.or(demo::routes()).unify().boxed())
}

/// The routes for the operator: health, metrics, administration.
pub fn admin_routes(state: &State) -> BoxedFilter<(Response,)> {
    or_not_found(&route::serve(state, shown_to(Audience::Admin)))
}

fn shown_to(audience: Audience) -> Vec<Route> {
    table().into_iter().filter_map(|route| route.shown_to(audience)).collect()
}

/// What no route answers is a 404 in our words.
fn or_not_found(routes: &BoxedFilter<(Response,)>) -> BoxedFilter<(Response,)> {
    routes
        .clone()
        .recover(|rejected| async { Ok::<_, Infallible>(route::no_route(rejected)) })
        .unify()
        .boxed()
}

#[cfg(test)]
mod tests;
