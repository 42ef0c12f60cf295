//! What is served over plain HTTP: the state of the server, and the demo.
//!
//! `app` gives [`routes`] every request that is no WebSocket and has been admitted. Each file
//! exports one `routes`; handlers are plain async functions; a rejection only ever means "no such
//! route". Never formats a domain error itself: that is `error`.

pub mod demo;
pub mod error;
pub mod health;
pub mod metrics;
pub mod status;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use sheaf_protocol::error::{Code, Refusal};
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Reply};

use self::error::Error;
use crate::metrics::Metrics;

/// What the handlers need.
#[derive(Clone)]
pub struct State {
    /// To be rendered.
    pub metrics: Arc<Metrics>,
    /// The rest of the server, as far as this layer may ask it.
    pub health: Arc<dyn Health>,
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

/// All routes together, where the operator's have no listener of their own.
pub fn routes(state: &State) -> BoxedFilter<(Response,)> {
    or_not_found(admin(state).or(public(state)).unify().boxed())
}

/// The routes for everybody.
pub fn public_routes(state: &State) -> BoxedFilter<(Response,)> {
    or_not_found(public(state))
}

/// The routes for the operator: health, metrics, administration.
pub fn admin_routes(state: &State) -> BoxedFilter<(Response,)> {
    or_not_found(admin(state))
}

fn admin(state: &State) -> BoxedFilter<(Response,)> {
    health::routes(state).or(metrics::routes(state)).unify().boxed()
}

fn public(_: &State) -> BoxedFilter<(Response,)> {
    demo::routes()
}

/// What no route answers is a 404 in our words.
fn or_not_found(routes: BoxedFilter<(Response,)>) -> BoxedFilter<(Response,)> {
    routes
        .recover(|_| async {
            let what = "nothing is served at this path";
            let error = Error::from(Refusal { code: Code::NotFound, at: 0, what });
            Ok::<_, Infallible>(error.into_response())
        })
        .unify()
        .boxed()
}

#[cfg(test)]
mod tests;
