//! `/healthz`: the process answers. `/readyz`: and can make writes durable.
//!
//! For supervisors and load balancers. Never does work of its own: probes must not load the server.

use hyper::http::Method;
use serde_json::json;
use warp::Reply;

use super::State;
use super::ask::Ask;
use super::error::Error;
use super::route::Route;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    vec![
        Route::at("/healthz", "health").on_admin(Method::GET, alive),
        Route::at("/readyz", "health").on_admin(Method::GET, ready),
    ]
}

async fn alive(_state: State, _ask: Ask) -> Result<impl Reply, Error> {
    Ok(warp::reply::json(&json!({ "status": "alive" })))
}

async fn ready(state: State, _ask: Ask) -> Result<impl Reply, Error> {
    let checked = state.health.check_ready();
    state.metrics.ready.set(i64::from(checked.is_ok()));
    checked?;
    Ok(warp::reply::json(&json!({ "status": "ready" })))
}
