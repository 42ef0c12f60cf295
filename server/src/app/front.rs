//! The front door: admits a request, then hands it to the relay or to the HTTP routes.
//!
//! Called by the accept loop for every request. Never answers anything itself but refusals.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::header::{
    HeaderMap, HeaderValue, ORIGIN, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use hyper::{Method, Request};
use hyper_util::service::TowerToHyperService;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use warp::Reply;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::{cors, telemetry};
use crate::auth::base::Base;
use crate::auth::{Auth, Denied};
use crate::http::{self, coding, error::Error};
use crate::metrics::Metrics;
use crate::relay::listen::{Kind, Peer, Service};
use crate::relay::upgrade::{self, Answer, Opening, Upgrade};
use sheaf_ground::task::SPAN;

/// What is needed to answer a request.
struct Front {
    auth: Auth,
    upgrade: Upgrade,
    metrics: Arc<Metrics>,
    routes: Routes,
}

/// What is served where.
pub(super) struct Routes {
    public: BoxedFilter<(Response,)>,
    admin: BoxedFilter<(Response,)>,
}

impl Routes {
    /// `has_admin`: the operator's routes have listeners of their own, and leave the public ones.
    pub(super) fn new(state: &http::State, has_admin: bool) -> Routes {
        let public = if has_admin { http::public_routes(state) } else { http::routes(state) };
        Routes { public, admin: http::admin_routes(state) }
    }
}

/// The service of the accept loop.
pub(super) fn service(
    auth: Auth,
    upgrade: Upgrade,
    metrics: Arc<Metrics>,
    routes: Routes,
) -> Arc<dyn Service> {
    Arc::new(Front { auth, upgrade, metrics, routes })
}

impl Service for Front {
    fn answer(self: Arc<Self>, request: Request<Incoming>) -> BoxFuture<'static, Response> {
        let span = span(&request);
        let answer = async move {
            let response = self.route(request).await;
            self.finished(response.unwrap_or_else(|denied| self.denied(denied)))
        };
        Box::pin(answer.instrument(span))
    }

    fn open(
        self: Arc<Self>,
        request: Request<()>,
    ) -> BoxFuture<'static, Result<Opening, Response>> {
        let span = span(&request);
        let opening = async move {
            match self.upgrade(request).await {
                Ok(Answer::Opens(mut opening)) => {
                    self.finish(&mut opening.response);
                    Ok(opening)
                }
                Ok(Answer::Other(response)) => Err(self.finished(bodiless(response))),
                Err(denied) => Err(self.finished(self.denied(denied))),
            }
        };
        Box::pin(opening.instrument(span))
    }
}

impl Front {
    /// Lets a request in, with its [`Caller`], or not.
    fn admit<B>(&self, request: Request<B>) -> Result<Request<B>, Denied> {
        let (parts, body) = request.into_parts();
        let peer = parts.extensions.get::<Peer>();
        let address = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.client);
        let is_public = peer.is_none_or(|peer| peer.listener == Kind::Public);
        let shows_later = is_public && self.upgrade.shows_later(&parts);
        let caller = if shows_later {
            self.auth.admit_showing_later(&parts, address)?
        } else {
            self.auth.admit(&parts, address)?
        };
        let mut request = Request::from_parts(parts, body);
        request.extensions_mut().insert(caller);
        Ok(request)
    }

    async fn upgrade(&self, request: Request<()>) -> Result<Answer, Denied> {
        let request = self.admit(request)?;
        Ok(self.upgrade.open(&request).await?)
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response, Denied> {
        let (parts, body) = request.into_parts();
        if let Some(response) = cors::preflight(&self.auth, &parts) {
            return Ok(response);
        }
        let mut request = self.admit(Request::from_parts(parts, body))?;
        let peer: Option<&Peer> = request.extensions().get();
        let is_admin = peer.is_some_and(|peer| peer.listener == Kind::Admin);
        let is_tls = peer.is_some_and(|peer| peer.is_tls);
        if !is_admin && upgrade::is_wanted(request.headers()) {
            return Ok(bodiless(self.upgrade.answer(&mut request).await?));
        }
        if let Some(base) = Base::of_request(&request, is_tls) {
            request.extensions_mut().insert(base);
        }
        let (path, origin) =
            (request.uri().path().to_owned(), request.headers().get(ORIGIN).cloned());
        let wanted = coding::wanted(request.headers());
        let routes = if is_admin { &self.routes.admin } else { &self.routes.public };
        let routes = TowerToHyperService::new(warp::service(routes.clone()));
        match hyper::service::Service::call(&routes, request).await {
            Ok(response) => {
                let mut response = coding::encoded(wanted, response).await;
                cors::expose(&path, origin, &mut response);
                Ok(response)
            }
            Err(never) => match never {},
        }
    }

    fn denied(&self, Denied { refusal, retry_after }: Denied) -> Response {
        self.metrics.relay.refuse(refusal.code);
        tracing::debug!(code = refusal.code.name(), refusal.what, "request refused");
        let mut response = Error::from(refusal).into_response();
        if let Some(wait) = retry_after {
            let seconds = HeaderValue::from(wait.as_secs() + 1);
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }

    fn finished(&self, mut response: Response) -> Response {
        self.finish(&mut response);
        response
    }

    /// What every answer passes.
    fn finish<B>(&self, response: &mut hyper::Response<B>) {
        self.metrics.answer(response.status().as_u16());
        harden(response.headers_mut());
        Span::current().record("http.response.status_code", response.status().as_u16());
    }
}

fn bodiless(response: hyper::Response<()>) -> Response {
    response.map(|()| "").into_response()
}

/// Neither path nor query: a path is a document's name, and a query may hold a token.
fn span<B>(request: &Request<B>) -> Span {
    let method = match *request.method() {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    };
    let span = tracing::trace_span!(
        target: SPAN,
        "request",
        "otel.kind" = "server",
        "http.request.method" = method,
        "http.route" = Empty,
        "http.response.status_code" = Empty,
    );
    telemetry::continue_trace(&span, request.headers());
    span
}

/// What every answer tells a browser, whatever it is.
fn harden(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // A token may stand in a query.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}
