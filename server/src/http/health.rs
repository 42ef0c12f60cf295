//! `/healthz`: the process answers. `/readyz`: and can make writes durable.
//!
//! For supervisors and load balancers. Never does work of its own: probes must not load the server.

use serde_json::json;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Reply};

use super::State;
use super::error::Error;

/// The routes of this file.
pub fn routes(state: &State) -> BoxedFilter<(Response,)> {
    let state = state.clone();
    let alive = warp::path!("healthz").then(alive);
    let ready = warp::path!("readyz").then(move || ready(state.clone()));
    alive
        .map(Reply::into_response)
        .or(ready.map(Reply::into_response))
        .unify()
        .and(warp::get().or(warp::head()).unify())
        .boxed()
}

async fn alive() -> Result<impl Reply, Error> {
    Ok(warp::reply::json(&json!({ "status": "alive" })))
}

async fn ready(state: State) -> Result<impl Reply, Error> {
    let checked = state.health.check_ready();
    state.metrics.ready.set(i64::from(checked.is_ok()));
    checked?;
    Ok(warp::reply::json(&json!({ "status": "ready" })))
}
