//! The accept loop: sockets in, requests out, under caps and a header time-out.
//!
//! `app` binds it first (so a taken port is known before anything else starts) and serves last. It
//! is our own because `warp::serve` has neither caps nor a header time-out and gives up for a
//! second when file descriptors run out. Never looks into a request.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use warp::reply::Response;

use crate::metrics::Metrics;
use crate::task::Group;
use crate::time::Clock;

/// Connections the kernel holds for us. With the usual 128, a storm of reconnects loses SYNs and
/// each of those clients waits a second (measured with 500 at once).
const BACKLOG: i32 = 4096;
/// Pause when accepting fails, in the main for want of file descriptors: others close meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A request head: the longest path, a token and what browsers send fit ten times over.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Header lines of a request; browsers send about twenty.
const HEADERS_MAX: usize = 64;
/// A connection that is still HTTP after this long is asked to end: it may be stuck in a response
/// that nobody reads.
const HTTP_LIFETIME: Duration = Duration::from_secs(600);
/// What a request that is being answered gets at the end, before its connection is cut.
const HTTP_GRACE: Duration = Duration::from_secs(5);
/// Connections over the cap that may still ask for `/healthz` and the like: were they dropped, a
/// full server would look like a dead one.
const OVERFLOW_MAX: usize = 64;

/// What the accept loop needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Whether an IPv6 address may be missing: true for the default list, as some machines have
    /// none.
    pub is_ipv6_optional: bool,
    /// Cap on connections, WebSockets among them.
    pub connections_max: usize,
    /// Cap on connections from one address (IPv6: one /64), not applied on loopback.
    pub connections_per_address_max: usize,
    /// Time for a whole request head to arrive, counted from the moment we wait for it.
    pub header_time_max: Duration,
}

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused an address.
    #[error(
        "cannot listen on {address}: {source}; is another server running there? Choose \
             another address with --listen"
    )]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Nothing to listen on.
    #[error("no address to listen on; give one with --listen 127.0.0.1:1234")]
    NoAddress,
}

/// What answers requests; they carry a [`Peer`] among their extensions.
pub type Service = Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response> + Send + Sync>;

/// The other end of a request's connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Its place under the caps; none beyond them, and then it may not open a session.
    pub permit: Option<Arc<Permit>>,
}

/// A connection's place under the caps, given back when the last clone of its `Arc` is dropped.
/// A session holds one as long as its socket.
#[derive(Debug)]
pub struct Permit {
    caps: Arc<Caps>,
    /// The counted network; none on loopback.
    network: Option<IpAddr>,
    is_overflow: bool,
}

/// Bound sockets, not yet accepting.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<TcpListener>,
    config: Config,
}

impl Listener {
    /// Binds every address. Must run inside the runtime.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn bind(config: Config) -> Result<Listener, Error> {
        let mut sockets = Vec::new();
        for &address in &config.listen {
            match bind(address, &config.listen) {
                Ok(socket) => sockets.push(socket),
                // A taken port is another matter: `localhost` would lead to whoever has it.
                Err(source)
                    if config.is_ipv6_optional
                        && address.is_ipv6()
                        && source.kind() != io::ErrorKind::AddrInUse =>
                {
                    tracing::info!(%address, error = %source, "IPv6 is not available");
                }
                Err(source) => return Err(Error::Bind { address, source }),
            }
        }
        if sockets.is_empty() {
            return Err(Error::NoAddress);
        }
        Ok(Listener { sockets, config })
    }

    /// The bound addresses, with the ports that were taken.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// Accepts connections as tasks of `tasks` until that group is told to stop; connections then
    /// finish the request they are at.
    pub fn serve(self, service: Service, clock: Clock, metrics: Arc<Metrics>, tasks: &Group) {
        metrics.relay.connections_max.set(self.config.connections_max as i64);
        let server = Arc::new(Server {
            caps: Arc::new(Caps {
                connections_max: self.config.connections_max,
                per_network_max: self.config.connections_per_address_max,
                open: Mutex::default(),
                metrics,
            }),
            header_time_max: self.config.header_time_max,
            service,
            clock,
            tasks: tasks.clone(),
        });
        for socket in self.sockets {
            let server = Arc::clone(&server);
            tasks.spawn("accept", async move { server.accept(socket).await });
        }
    }
}

fn bind(address: SocketAddr, all: &[SocketAddr]) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // An IPv6 wildcard also takes the IPv4 port, unless somebody asked for that one apart.
        let has_twin = all.iter().any(|it| it.is_ipv4() && it.port() == address.port());
        socket.set_only_v6(has_twin)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What all accept loops and connections share.
struct Server {
    caps: Arc<Caps>,
    header_time_max: Duration,
    service: Service,
    clock: Clock,
    tasks: Group,
}

impl Server {
    async fn accept(self: Arc<Self>, socket: TcpListener) {
        let mut is_failing = false;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.tasks.stopping().cancelled() => return,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    is_failing = false;
                    self.take(stream, address);
                }
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    // Once a spell: in a shortage this comes round twenty times a second.
                    if !is_failing {
                        tracing::warn!(%error, "cannot accept connections, trying on");
                    }
                    is_failing = true;
                    self.clock.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn take(self: &Arc<Self>, stream: TcpStream, address: SocketAddr) {
        let Some(permit) = self.caps.admit(address.ip()) else { return };
        // A keystroke must not wait for the acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the peer left at once");
            return;
        }
        let server = Arc::clone(self);
        self.tasks.spawn("connection", async move {
            server.connection(stream, address, permit).await;
        });
    }

    async fn connection(&self, stream: TcpStream, address: SocketAddr, permit: Permit) {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_time_max)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .keep_alive(!permit.is_overflow);
        let permit = Arc::new(permit);
        let peer = Peer { address, permit: (!permit.is_overflow).then(|| Arc::clone(&permit)) };
        let answer = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            let response = (self.service)(request);
            async { Ok::<_, Infallible>(response.await) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), answer).with_upgrades();
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = self.tasks.stopping().cancelled() => {}
            () = self.clock.sleep(HTTP_LIFETIME) => {}
        }
        connection.as_mut().graceful_shutdown();
        if self.clock.deadline(HTTP_GRACE, connection).await.is_err() {
            tracing::debug!("a connection was cut inside a request");
        }
    }
}

/// Errors of `accept` that tell of one connection that is gone already.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Counts connections.
#[derive(Debug)]
struct Caps {
    connections_max: usize,
    per_network_max: usize,
    open: Mutex<Open>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    overflow: usize,
    by_network: HashMap<IpAddr, usize>,
}

impl Caps {
    /// A place for a connection from `address`; none when the socket should just be closed.
    fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let network = network(address);
        let mut open = self.open.lock();
        let here = network.map_or(0, |it| open.by_network.get(&it).copied().unwrap_or(0));
        let is_overflow = open.all >= self.connections_max || here >= self.per_network_max;
        if is_overflow {
            // One address may not use up what keeps a full server answering the operator.
            let is_greedy = here >= self.per_network_max;
            if is_greedy || open.overflow >= OVERFLOW_MAX {
                return None;
            }
            open.overflow += 1;
        } else {
            open.all += 1;
            if let Some(network) = network {
                *open.by_network.entry(network).or_default() += 1;
            }
        }
        self.metrics.relay.connections.inc();
        Some(Permit { caps: Arc::clone(self), network, is_overflow })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.caps.open.lock();
        self.caps.metrics.relay.connections.dec();
        if self.is_overflow {
            open.overflow -= 1;
            return;
        }
        open.all -= 1;
        let Some(network) = self.network else { return };
        let here = open.by_network.get_mut(&network).expect("counted when it was admitted");
        *here -= 1;
        if *here == 0 {
            open.by_network.remove(&network);
        }
    }
}

/// What is counted as one address: whoever has one IPv6 address has its whole /64.
fn network(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V4(address) => Some(IpAddr::V4(address)),
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            Some(IpAddr::V6(Ipv6Addr::from(prefix)))
        }
    }
}

#[cfg(test)]
mod tests;
