//! The table of routes: which path and method leads to which handler.
//!
//! Each file of this module gives its rows; [`serve`] turns them into one filter, which answers 405
//! with what is allowed, counts and times. The table is also what the description of the interface
//! is compared with. Never looks into a vault: that is the handlers' work.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use hyper::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::json;
use sheaf_protocol::error::{Code, Refusal};
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use super::State;
use super::ask::{self, Ask};
use super::devices;
use super::error::Error;
use crate::auth::Caller;
use crate::auth::base::Base;

/// Where the rest of a path goes, slashes and all.
const REST: &str = "{path}";

/// What the paths begin with that are of one vault.
const OF_VAULTS: &str = "/v1/vaults/{vault}";

type Handler = Arc<dyn Fn(State, Ask) -> BoxFuture<'static, Response> + Send + Sync>;

/// Whom an operation is for: those of the operator can have a listener of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody who may.
    Public,
    /// Whoever runs the server.
    Admin,
}

#[derive(Clone)]
struct Operation {
    method: Method,
    audience: Audience,
    handler: Handler,
}

/// A path and what may be done there.
#[derive(Clone)]
pub struct Route {
    /// As in the description: `{name}` stands for one part, `{path}` at the end for all that is
    /// left.
    pub pattern: &'static str,
    /// What it is counted under; a word, not the path.
    pub group: &'static str,
    operations: Vec<Operation>,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.allowed(), self.pattern)
    }
}

impl Route {
    /// A path without methods yet.
    #[must_use]
    pub fn at(pattern: &'static str, group: &'static str) -> Route {
        Route { pattern, group, operations: Vec::new() }
    }

    /// Adds a method. `GET` brings `HEAD` with it, unless that was added before: hyper leaves the
    /// body out.
    #[must_use]
    pub fn on<H, F, R>(self, method: Method, handler: H) -> Route
    where
        H: Fn(State, Ask) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, Error>> + Send + 'static,
        R: Reply,
    {
        self.add(method, Audience::Public, handler)
    }

    /// Adds a method for the operator.
    #[must_use]
    pub fn on_admin<H, F, R>(self, method: Method, handler: H) -> Route
    where
        H: Fn(State, Ask) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, Error>> + Send + 'static,
        R: Reply,
    {
        self.add(method, Audience::Admin, handler)
    }

    fn add<H, F, R>(mut self, method: Method, audience: Audience, handler: H) -> Route
    where
        H: Fn(State, Ask) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, Error>> + Send + 'static,
        R: Reply,
    {
        let handler: Handler = Arc::new(move |state, ask| {
            let answer = handler(state, ask);
            Box::pin(async move { answer.await.into_response() })
        });
        if method == Method::GET && self.methods().all(|it| *it != Method::HEAD) {
            let handler = Arc::clone(&handler);
            self.operations.push(Operation { method: Method::HEAD, audience, handler });
        }
        self.operations.push(Operation { method, audience, handler });
        self
    }

    /// As one audience sees it; none if there is nothing for it.
    #[must_use]
    pub fn shown_to(mut self, audience: Audience) -> Option<Route> {
        self.operations.retain(|operation| operation.audience == audience);
        (!self.operations.is_empty()).then_some(self)
    }

    /// The methods it has.
    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        self.operations.iter().map(|operation| &operation.method)
    }

    /// As the header `Allow` lists them.
    #[must_use]
    pub fn allowed(&self) -> String {
        self.methods().map(Method::as_str).collect::<Vec<_>>().join(", ")
    }

    /// The parts of a path that stand where the pattern has names, undecoded; none if the path is
    /// another one.
    fn captured(&self, path: &str) -> Option<Vec<String>> {
        let mut captured = Vec::new();
        let mut left = path.strip_prefix('/');
        for part in self.pattern.trim_start_matches('/').split('/') {
            let here = left?;
            if part == REST {
                captured.push(here.to_owned());
                return Some(captured);
            }
            let (first, rest) = match here.split_once('/') {
                Some((first, rest)) => (first, Some(rest)),
                None => (here, None),
            };
            if part.starts_with('{') {
                captured.push(first.to_owned());
            } else if part != first {
                return None;
            }
            left = rest;
        }
        left.is_none().then_some(captured)
    }
}

/// One filter of all these routes; it rejects what is none of them.
pub fn serve(state: &State, routes: Vec<Route>) -> BoxedFilter<(Response,)> {
    let routes: Arc<[Route]> = routes.into();
    let find = move |path: FullPath| {
        let found = find(&routes, path.as_str());
        async move { found.ok_or_else(warp::reject::not_found) }
    };
    let state = state.clone();
    warp::path::full()
        .and_then(find)
        .and(warp::method())
        .and(warp::header::headers_cloned())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::ext::optional::<Caller>())
        .and(warp::ext::optional::<Base>())
        .and(ask::body())
        .then(move |found, method, headers, query, caller, base, body| {
            let asked = Asked { method, headers, base, query, caller, body };
            answer(state.clone(), found, asked)
        })
        .boxed()
}

type Found = (Route, Vec<String>);

fn find(routes: &[Route], path: &str) -> Option<Found> {
    routes.iter().find_map(|route| Some((route.clone(), route.captured(path)?)))
}

/// A request before it is known to have somebody who answers it.
struct Asked {
    method: Method,
    headers: HeaderMap,
    base: Option<Base>,
    query: String,
    caller: Option<Caller>,
    body: ask::Body,
}

async fn answer(state: State, (route, captured): Found, asked: Asked) -> Response {
    let Asked { method, headers, base, query, caller, body } = asked;
    let begun = state.clock.now();
    let metrics = Arc::clone(&state.metrics);
    let clock = state.clock.clone();
    let operation = route.operations.iter().find(|operation| operation.method == method);
    let response = match (operation, caller) {
        (None, _) => not_allowed(&route),
        // The front door puts one into every request.
        (_, None) => {
            let what = "nobody has said who asks";
            Error::from(Refusal { code: Code::Internal, at: 0, what }).into_response()
        }
        (Some(operation), Some(caller)) => {
            let ask = Ask::new(caller, (headers, base), captured, query, body);
            let met = match route.pattern.starts_with(OF_VAULTS) {
                true => devices::meet(&state, &ask).await,
                false => Ok(()),
            };
            match met {
                Ok(()) => (operation.handler)(state, ask).await,
                Err(error) => error.into_response(),
            }
        }
    };
    let status = response.status();
    tracing::Span::current().record("http.route", route.group);
    metrics.http.answer(route.group, &method, status.as_u16(), clock.now().since(begun));
    response
}

fn not_allowed(route: &Route) -> Response {
    let allowed = route.allowed();
    let what = "this path does not have that method; the header Allow lists those it has";
    let details = json!({ "allow": route.methods().map(Method::as_str).collect::<Vec<_>>() });
    let mut response = Error::new(Code::MethodNotAllowed, what, details).into_response();
    debug_assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    let allowed = HeaderValue::try_from(allowed).expect("names of methods are legal");
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

/// A rejection for what no route answers.
#[must_use]
pub fn no_route(_: Rejection) -> Response {
    let what = "nothing is served at this path";
    Error::from(Refusal { code: Code::NotFound, at: 0, what }).into_response()
}
