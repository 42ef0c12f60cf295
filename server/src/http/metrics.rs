//! `/metrics`: all metrics as OpenMetrics text.
//!
//! For Prometheus and its relatives. Never holds a metric itself: they live in `crate::metrics`.

use warp::filters::BoxedFilter;
use warp::reply::{Response, with_header};
use warp::{Filter, Reply};

use super::State;
use super::error::Error;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The route of this file.
pub fn routes(state: &State) -> BoxedFilter<(Response,)> {
    let state = state.clone();
    warp::path!("metrics")
        .and(warp::get().or(warp::head()).unify())
        .then(move || render(state.clone()))
        .map(Reply::into_response)
        .boxed()
}

async fn render(state: State) -> Result<impl Reply, Error> {
    state.metrics.ready.set(i64::from(state.health.check_ready().is_ok()));
    state.health.refresh(&state.metrics);
    Ok(with_header(state.metrics.text(), "content-type", CONTENT_TYPE))
}
