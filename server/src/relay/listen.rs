//! The accept loop: sockets in, requests out, under caps and a header time-out.
//!
//! `app` binds it first (so a taken port is known before anything else starts) and serves last. It
//! is our own because `warp::serve` has neither caps nor a header time-out and gives up for a
//! second when file descriptors run out. Never looks into a request.

mod serving;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use hyper::Request;
use hyper::body::Incoming;
use warp::reply::Response;

use super::address::{Address, Place, Proxy, is_trusted};
use super::bind::Bound;
use super::caps::{Caps, Permit};
use super::proxy;
use super::stream::Stream;
use super::tls::Tls;
use super::upgrade::Opening;
use crate::metrics::Metrics;
use crate::metrics::listen::Unopened as Why;
use sheaf_ground::task::Group;
use sheaf_ground::time::Clock;

/// Pause when accepting fails, in the main for want of file descriptors: others close meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the accept loop needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on; port 0 takes a free one.
    pub listen: Vec<Address>,
    /// Addresses for what is the operator's alone.
    pub admin_listen: Vec<Address>,
    /// Whether an IPv6 address may be missing: true for the default list, as some machines have
    /// none.
    pub is_ipv6_optional: bool,
    /// Who is let in without a token.
    pub openness: Openness,
    /// Permissions of unix sockets.
    pub unix_mode: u32,
    /// Who may say where a connection or request comes from.
    pub trusted_proxies: Vec<Proxy>,
    /// The certificate, where there is one.
    pub tls: Option<Arc<Tls>>,
    /// Cap on connections, WebSockets among them.
    pub connections_max: usize,
    /// Cap on connections from one address (IPv6: one /64), not applied on loopback.
    pub connections_per_address_max: usize,
    /// Time for a whole request head to arrive, counted from the moment we wait for it; and, before
    /// the first, for a PROXY header and the handshake of TLS together.
    pub header_time_max: Duration,
}

/// Who is let in without a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Openness {
    /// Nobody.
    Nobody,
    /// Whoever is on this machine: then nothing may carry others here.
    Machine,
    /// Everybody, as somebody has said in so many words.
    Everybody,
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
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// Nothing to listen on.
    #[error("no address to listen on; give one with --listen 127.0.0.1:1234")]
    NoAddress,
    /// TLS without a certificate.
    #[error("{0} is to speak TLS, but there is no certificate; set tls.cert_file and tls.key_file")]
    NoCertificate(Address),
    /// The operator's routes, open to the network.
    #[error(
        "refusing to serve metrics and administration on {0} to the network without users; \
             configure [[users]], or use an address such as 127.0.0.1:9100 or \
             unix:/run/sheaf/admin.sock for admin_listen"
    )]
    AdminElsewhere(Address),
    /// Others would come in as if from this machine.
    #[error(
        "refusing to take connections from a proxy on {0}: this server is open to whoever is on \
             its machine, and the proxy would publish it; configure [[users]] or allow_anonymous"
    )]
    Published(Address),
    /// A header is required from peers none of which may send one.
    #[error("{0} requires PROXY headers, but no peer is trusted to send one; set trusted_proxies")]
    NobodyTrusted(Address),
}

/// What answers requests; they carry a [`Peer`] among their extensions.
pub trait Service: Send + Sync {
    /// Answers any request.
    fn answer(self: Arc<Self>, request: Request<Incoming>) -> BoxFuture<'static, Response>;

    /// Decides on an upgrade request with which a connection begins: the session is to begin on its
    /// socket, or the request is answered and the connection goes on.
    fn open(self: Arc<Self>, request: Request<()>)
    -> BoxFuture<'static, Result<Opening, Response>>;
}

/// What is served at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything but what an admin listener, if there is one, takes away.
    Public,
    /// Metrics, health and administration, nothing else.
    Admin,
    /// As [`Kind::Public`], on a unix socket: the file's permissions decide who gets here, and that
    /// is all that is known of a peer.
    Unix,
}

/// The other end of a request's connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address at the other end of the socket; none for a unix socket.
    pub address: Option<SocketAddr>,
    /// Who makes the request: the same address, or what a trusted proxy says. Through a unix socket
    /// without more it is 127.0.0.1. For caps, rate limits and logs, never for access.
    pub client: IpAddr,
    /// Whether a proxy may send requests of several clients on this connection.
    pub is_shared: bool,
    /// Where it came in.
    pub listener: Kind,
    /// Whether the client speaks TLS, with us or with a trusted proxy.
    pub is_tls: bool,
    /// Its place under the caps; none beyond them, and then it may not open a session.
    pub permit: Option<Arc<Permit>>,
}

/// An address that is listened on.
#[derive(Clone, Debug)]
pub struct Door {
    /// Where, with the port that was taken.
    pub place: Place,
    /// What is served there.
    pub kind: Kind,
    /// The certificate, if TLS is spoken.
    tls: Option<Arc<Tls>>,
    has_proxy_header: bool,
}

impl Door {
    /// Whether a connection begins with its first request.
    fn is_plain(&self) -> bool {
        !self.has_proxy_header && self.tls.is_none()
    }

    /// Who comes in here, from `hop`, which may be a proxy that several clients share.
    fn peer(
        &self,
        address: Option<SocketAddr>,
        (hop, is_shared): (Option<IpAddr>, bool),
        permit: &Arc<Permit>,
    ) -> Peer {
        Peer {
            address,
            client: hop.map_or(Ipv4Addr::LOCALHOST.into(), |hop| hop.to_canonical()),
            is_shared,
            listener: self.kind,
            is_tls: self.tls.is_some(),
            permit: (!permit.is_overflow()).then(|| Arc::clone(permit)),
        }
    }
}

impl fmt::Display for Door {
    /// As something to open, where that is possible: `https://127.0.0.1:1234/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, &self.tls) {
            (Place::Tcp(address), None) => write!(f, "http://{address}/"),
            (Place::Tcp(address), Some(_)) => write!(f, "https://{address}/"),
            (unix, _) => unix.fmt(f),
        }
    }
}

/// Bound sockets, not yet accepting.
#[derive(Debug)]
pub struct Listener {
    doors: Vec<(Door, Bound)>,
    config: Config,
}

impl Listener {
    /// Binds every address. Must run inside the runtime.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn bind(config: Config) -> Result<Listener, Error> {
        let mut doors = Vec::new();
        for address in &config.listen {
            let is_unix = address.tcp().is_none();
            let kind = if is_unix { Kind::Unix } else { Kind::Public };
            doors.extend(config.door(address, kind)?);
        }
        if doors.is_empty() {
            return Err(Error::NoAddress);
        }
        for address in &config.admin_listen {
            if address.is_elsewhere() && config.openness != Openness::Nobody {
                return Err(Error::AdminElsewhere(address.clone()));
            }
            doors.extend(config.door(address, Kind::Admin)?);
        }
        Ok(Listener { doors, config })
    }

    /// What was bound.
    #[must_use]
    pub fn doors(&self) -> Vec<Door> {
        self.doors.iter().map(|(door, _)| door.clone()).collect()
    }

    /// Accepts connections as tasks of `tasks` until that group is told to stop; connections then
    /// finish the request they are at.
    pub fn serve(
        self,
        service: Arc<dyn Service>,
        clock: Clock,
        metrics: Arc<Metrics>,
        tasks: &Group,
    ) {
        let Config { connections_max, connections_per_address_max, .. } = self.config;
        let server = Arc::new(Server {
            caps: Caps::new(connections_max, connections_per_address_max, Arc::clone(&metrics)),
            metrics,
            header_time_max: self.config.header_time_max,
            trusted: self.config.trusted_proxies,
            service,
            clock,
            tasks: tasks.clone(),
        });
        for (door, socket) in self.doors {
            let server = Arc::clone(&server);
            tasks.spawn("accept", async move { server.accept(Arc::new(door), socket).await });
        }
    }
}

impl Config {
    /// Binds one address; none where it may be missing and is.
    fn door(&self, address: &Address, kind: Kind) -> Result<Option<(Door, Bound)>, Error> {
        // Where only this machine gets, its secrets are safe already.
        let is_local = address.tcp().is_none() || kind == Kind::Admin && !address.is_elsewhere();
        let tls = match (address.tls, &self.tls) {
            (Some(true), None) => return Err(Error::NoCertificate(address.clone())),
            (Some(true), Some(tls)) => Some(Arc::clone(tls)),
            (None, Some(tls)) if !is_local => Some(Arc::clone(tls)),
            _ => None,
        };
        if address.has_proxy_header && self.trusted_proxies.is_empty() {
            return Err(Error::NobodyTrusted(address.clone()));
        }
        if address.has_proxy_header && self.openness == Openness::Machine {
            return Err(Error::Published(address.clone()));
        }
        let all = [self.listen.as_slice(), &self.admin_listen].concat();
        let bound =
            Bound::new(address, &all, self.unix_mode).and_then(|bound| Ok((bound.place()?, bound)));
        match bound {
            Ok((place, bound)) => {
                let has_proxy_header = address.has_proxy_header;
                Ok(Some((Door { place, kind, tls, has_proxy_header }, bound)))
            }
            // A taken port is another matter: `localhost` would lead to whoever has it.
            Err(error)
                if self.is_ipv6_optional
                    && address.tcp().is_some_and(|it| it.is_ipv6())
                    && error.kind() != io::ErrorKind::AddrInUse =>
            {
                tracing::info!(%address, %error, "IPv6 is not available");
                Ok(None)
            }
            Err(source) => Err(Error::Bind { address: address.clone(), source }),
        }
    }
}

/// What all accept loops and connections share.
struct Server {
    caps: Arc<Caps>,
    metrics: Arc<Metrics>,
    header_time_max: Duration,
    trusted: Vec<Proxy>,
    service: Arc<dyn Service>,
    clock: Clock,
    tasks: Group,
}

/// Why a connection ended before its first request.
#[derive(Debug, thiserror::Error)]
enum Unopened {
    #[error("the peer is no trusted proxy")]
    Untrusted,
    #[error(transparent)]
    Header(#[from] proxy::Error),
    #[error("no TLS: {0}")]
    Tls(io::Error),
    #[error("the client has too many connections")]
    Full,
}

impl Unopened {
    fn why(&self) -> Why {
        match self {
            Unopened::Untrusted => Why::Untrusted,
            Unopened::Header(_) => Why::Header,
            Unopened::Tls(_) => Why::Tls,
            Unopened::Full => Why::Full,
        }
    }
}

impl Server {
    async fn accept(self: Arc<Self>, door: Arc<Door>, socket: Bound) {
        let mut is_failing = false;
        let mut stopping = pin!(self.tasks.stopping().cancelled());
        loop {
            let accepted = tokio::select! {
                biased;
                () = stopping.as_mut() => return,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    is_failing = false;
                    self.take(&door, stream, address);
                }
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    // Once a spell: in a shortage this comes round twenty times a second.
                    if !is_failing {
                        self.metrics.listen.accept_failures.inc();
                        tracing::warn!(%error, "cannot accept connections, trying on");
                    }
                    is_failing = true;
                    self.clock.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn take(self: &Arc<Self>, door: &Arc<Door>, stream: Stream, address: Option<SocketAddr>) {
        let address_ip = address.map(|address| address.ip());
        let is_proxy = is_trusted(&self.trusted, address_ip);
        let counted = address_ip.filter(|_| !is_proxy);
        let Some(permit) = self.caps.admit(counted) else {
            return self.metrics.listen.not_opened(Why::Full);
        };
        // A keystroke must not wait for the acknowledgement of the one before.
        if let Stream::Tcp(socket) = &stream
            && let Err(error) = socket.set_nodelay(true)
        {
            tracing::debug!(%error, "the peer left at once");
            return;
        }
        let (server, door) = (Arc::clone(self), Arc::clone(door));
        self.tasks.spawn("connection", async move {
            let opened = if door.is_plain() {
                Ok(Ok(server.plain(&door, stream, address, permit)))
            } else {
                // Boxed: else all connections were as large as those that need it.
                let opening = Box::pin(server.open(&door, stream, address, permit));
                server.clock.deadline(server.header_time_max, opening).await
            };
            match opened {
                Ok(Ok((stream, peer, permit))) => server.connection(stream, peer, permit).await,
                Ok(Err(error)) => {
                    server.metrics.listen.not_opened(error.why());
                    tracing::debug!(%error, "a connection was not opened");
                }
                Err(_) => {
                    server.metrics.listen.not_opened(Why::Late);
                    tracing::debug!("a connection took too long to open");
                }
            }
        });
    }

    /// What comes before the first request: a PROXY header, then the handshake of TLS.
    async fn open(
        &self,
        door: &Door,
        mut stream: Stream,
        address: Option<SocketAddr>,
        mut permit: Permit,
    ) -> Result<(Stream, Peer, Arc<Permit>), Unopened> {
        let mut hop = address.map(|address| address.ip());
        let mut is_shared = is_trusted(&self.trusted, hop);
        if door.has_proxy_header {
            if !is_trusted(&self.trusted, hop) {
                return Err(Unopened::Untrusted);
            }
            // A header that names nobody says nothing of who wrote the requests behind it.
            is_shared = false;
            if let Some(client) = proxy::read(&mut stream).await? {
                let client = client.ip().to_canonical();
                hop = Some(client);
                is_shared = is_trusted(&self.trusted, hop);
                if !is_shared && !permit.belongs_to(client) {
                    return Err(Unopened::Full);
                }
            }
        }
        if let Some(tls) = &door.tls {
            stream = tls.accept(stream).await.map_err(Unopened::Tls)?;
        }
        let permit = Arc::new(permit);
        Ok((stream, door.peer(address, (hop, is_shared), &permit), permit))
    }

    /// A connection before whose first request nothing comes.
    fn plain(
        &self,
        door: &Door,
        stream: Stream,
        address: Option<SocketAddr>,
        permit: Permit,
    ) -> (Stream, Peer, Arc<Permit>) {
        let hop = address.map(|address| address.ip());
        let permit = Arc::new(permit);
        let is_shared = is_trusted(&self.trusted, hop);
        (stream, door.peer(address, (hop, is_shared), &permit), permit)
    }
}

/// Errors of `accept` that tell of one connection that is gone already.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests;
