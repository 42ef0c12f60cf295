//! `/healthz`: the process answers. `/readyz`: and can make writes durable. `/v1/time`: its clock.
//!
//! For supervisors, load balancers, and programs whose clock may be wrong. Never does work of its
//! own: probes must not load the server.

use hyper::http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
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

/// The server's time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServerTime {
    /// Unix milliseconds, as in stamps.
    pub server_time_ms: u64,
    /// How far a stamp may be ahead of it.
    pub clock_drift_ms: u64,
}

/// Tells the server's time, by which stamps are checked. Takes no token.
#[utoipa::path(
    get,
    path = "/v1/time",
    tag = "time",
    operation_id = "readTime",
    security(()),
    responses((status = 200, description = "The time", body = ServerTime))
)]
pub(super) async fn time(state: State, ask: Ask) -> Result<impl Reply, Error> {
    ask.query(&[])?;
    let (server_time_ms, clock_drift_ms) = (state.clock.now_ms(), state.limits.clock_drift_ms);
    Ok(super::unstored(&ServerTime { server_time_ms, clock_drift_ms }))
}
