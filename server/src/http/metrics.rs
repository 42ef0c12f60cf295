//! `/metrics`: all metrics as OpenMetrics text.
//!
//! For Prometheus and its relatives. Never holds a metric itself: they live in `crate::metrics`.

use hyper::http::Method;
use warp::Reply;
use warp::reply::with_header;

use super::State;
use super::ask::Ask;
use super::error::Error;
use super::route::Route;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The route of this file.
pub fn routes() -> Vec<Route> {
    vec![Route::at("/metrics", "metrics").on_admin(Method::GET, render)]
}

async fn render(state: State, ask: Ask) -> Result<impl Reply, Error> {
    if state.is_admin_elsewhere {
        ask.caller.server_admin().await?;
    }
    state.metrics.ready.set(i64::from(state.health.check_ready().is_ok()));
    state.health.refresh(&state.metrics);
    Ok(with_header(state.metrics.text(), "content-type", CONTENT_TYPE))
}
