//! `/healthz`: the process answers. `/readyz`: and can make writes durable. `/v1/time`: its clock.
//!
//! For supervisors, load balancers, and programs whose clock may be wrong. Never does work of its
//! own: probes must not load the server.

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
        Route::at("/v1/time", "time").on(Method::GET, time),
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

/// The server's time, by which stamps are checked. Takes no token.
async fn time(state: State, _ask: Ask) -> Result<impl Reply, Error> {
    let (now_ms, drift_ms) = (state.clock.now_ms(), state.limits.clock_drift_ms);
    Ok(super::unstored(&json!({ "server_time_ms": now_ms, "clock_drift_ms": drift_ms })))
}
