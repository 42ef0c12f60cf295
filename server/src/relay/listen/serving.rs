//! A connection from its first request on: a session's, or hyper's.
//!
//! Called by `listen` for each connection that is open. Never lets a head take its time, and never
//! answers anything itself.

use std::convert::Infallible;
use std::future::ready;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use warp::reply::Response;

use super::{Kind, Peer, Server};
use crate::auth::forwarded::Forwarded;
use crate::relay::address::is_trusted;
use crate::relay::caps::Permit;
use crate::relay::head::{self, First};
use crate::relay::patience::Patient;
use crate::relay::stream::Stream;

/// A request head: the longest path, a token and what browsers send fit ten times over.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// What a request that is being answered gets at the end, before its connection is cut.
const HTTP_GRACE: Duration = Duration::from_secs(5);

/// A connection that begins with a request for hyper.
struct Begun {
    stream: Stream,
    /// What was read of it.
    read: Bytes,
    /// The answer to its first request, if that is decided.
    refused: Option<Response>,
}

impl Server {
    /// Most connections begin with an upgrade, and are a session's from then on. All others are
    /// hyper's.
    pub(super) async fn connection(&self, stream: Stream, peer: Peer, permit: Arc<Permit>) {
        let first = self.clock.deadline(self.header_time_max, head::first(&stream));
        let first = tokio::select! {
            biased;
            first = first => first,
            () = self.tasks.stopping().cancelled() => return,
        };
        let Ok(Ok(First { read, upgrade })) = first else {
            return tracing::debug!("a connection ended before its first request");
        };
        let mut refused = None;
        // What is not served at the operator's addresses, the routes there tell.
        if let Some((mut request, used)) = upgrade.filter(|_| peer.listener != Kind::Admin) {
            self.introduce(&peer, &mut request);
            let opening = Arc::clone(&self.service).open(request);
            match self.graced(opening).await {
                Some(Ok(opening)) => return opening.begin(stream, read.slice(used..).to_vec()),
                Some(Err(response)) => refused = Some(response),
                None => return,
            }
        }
        // It is kilobytes, which a session has no use for.
        Box::pin(self.http(Begun { stream, read, refused }, peer, permit)).await;
    }

    /// Waits for an answer; at a stop not for long.
    async fn graced<F: Future>(&self, answer: F) -> Option<F::Output> {
        let mut answer = pin!(answer);
        tokio::select! {
            biased;
            answer = answer.as_mut() => return Some(answer),
            () = self.tasks.stopping().cancelled() => {}
        }
        self.clock.deadline(HTTP_GRACE, answer).await.ok()
    }

    /// Speaks HTTP until the connection ends or an upgrade takes it.
    async fn http(&self, begun: Begun, peer: Peer, permit: Arc<Permit>) {
        let Begun { stream, read, refused } = begun;
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_time_max)
            .max_headers(head::HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .keep_alive(!permit.is_overflow());
        let refused = Mutex::new(refused);
        let answer = service_fn(|mut request: Request<Incoming>| {
            let refused = refused.lock().take();
            let answer = match refused {
                Some(response) => ready(response).left_future(),
                None => {
                    self.introduce(&peer, &mut request);
                    Arc::clone(&self.service).answer(request).right_future()
                }
            };
            answer.map(Ok::<_, Infallible>)
        });
        let io = TokioIo::new(Patient::new(stream, read, self.clock.clone()));
        let connection = builder.serve_connection(io, answer).with_upgrades();
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = self.tasks.stopping().cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        if self.clock.deadline(HTTP_GRACE, connection).await.is_err() {
            tracing::debug!("a connection was cut inside a request");
        }
    }

    /// Tells a request whose it is.
    fn introduce<B>(&self, peer: &Peer, request: &mut Request<B>) {
        let mut peer = peer.clone();
        if peer.is_shared {
            let is_proxy = |address| is_trusted(&self.trusted, Some(address));
            let forwarded = Forwarded::of(request.headers(), is_proxy);
            peer.client = forwarded.client.unwrap_or(peer.client);
            peer.is_tls = forwarded.is_tls.unwrap_or(peer.is_tls);
            request.extensions_mut().insert(forwarded);
        }
        request.extensions_mut().insert(peer);
    }
}
