//! From an upgraded socket to a running session.
//!
//! Job: open the document, join it, say the first words. Called by `app` for every upgrade. Never
//! reads from the socket before the document is loaded: an empty answer would look like a document.

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use sheaf_ground::task::Group;
use sheaf_ground::time::Clock;
use sheaf_protocol::control;
use sheaf_protocol::error::Code;
use sheaf_protocol::ids::VaultName;
use tracing::{Instrument, Span};

use super::Session;
use super::lanes::Lanes;
use super::socket::Socket;
use super::talk::Talk;
use crate::auth::{Caller, Grant, Leash};
use crate::document::fanout::Outlet;
use crate::document::handle::{Handle, Name};
use crate::document::readers::ReaderId;
use crate::document::registry::Registry;
use crate::memory::Budget;
use crate::metrics::Metrics;
use crate::relay::caps;
use crate::relay::channel::Channel;
use crate::relay::dialect::Dialect;
use crate::relay::dialect::family::Family;
use crate::relay::dialect::ysweet::YSweet;
use crate::relay::dialect::ywebsocket::YWebsocket;
use crate::relay::outbound::Outbound;
use crate::relay::pulse::Pulse;
use crate::relay::stream::Stream;
use crate::relay::websocket::write_close;
use crate::vault::Vaults;

/// Attempts to join a document that leaves memory in the very moment it was opened.
const JOIN_ATTEMPTS: usize = 8;

/// Bounds of a session.
#[derive(Clone, Debug)]
pub struct Limits {
    /// One message of a client, in bytes.
    pub message_bytes_max: usize,
    /// A socket on which nobody has said who it is for so long is closed.
    pub auth_time_max: Duration,
    /// A client that is silent this long is pinged.
    pub ping_idle: Duration,
    /// A client that is silent this long, although pinged, is given up.
    pub session_idle: Duration,
}

/// What all sessions share.
pub struct Relay {
    /// Documents.
    pub registry: Registry,
    /// Keeps what is brought for documents that are deleted.
    pub vaults: Vaults,
    /// Memory for large incoming messages.
    pub budget: Budget,
    /// Bounds.
    pub limits: Limits,
    /// Time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Wakes the sessions now and then, and when the server stops.
    pub pulse: Arc<Pulse>,
    /// The bounds that clients of vault channels are told.
    pub announced: control::Limits,
}

/// An upgraded socket and what it may do.
pub struct Opened {
    /// The socket.
    pub stream: Stream,
    /// What is to be sent before anything else: the answer to the handshake, if it is not out.
    pub greeting: Vec<u8>,
    /// Bytes the client sent behind its handshake.
    pub leftover: Vec<u8>,
    /// What it is about.
    pub about: About,
    /// The connection's place under the caps, kept as long as the session.
    pub permit: Option<Arc<caps::Permit>>,
}

/// What a socket is about.
pub enum About {
    /// One document.
    Document {
        /// Who speaks of it.
        family: Family,
        /// The document it asked for.
        name: Name,
        /// What it may do, as long as it may.
        leash: Leash,
    },
    /// Documents of a vault, named frame by frame.
    Many {
        /// Its name.
        vault: VaultName,
        /// Who opened the socket.
        caller: Caller,
    },
    /// The files of a vault.
    Channel {
        /// Its name, where the path has it.
        vault: Option<VaultName>,
        /// Who opened the socket.
        caller: Caller,
    },
}

impl About {
    /// Who speaks.
    pub fn family(&self) -> Family {
        match self {
            About::Document { family, .. } => *family,
            About::Many { .. } => Family::Hocuspocus,
            About::Channel { .. } => Family::Channel,
        }
    }
}

/// Starts a session as a task of `tasks`. Opening has a task of its own, whose memory is given back
/// before the session is idle, unless the document is in memory already.
pub fn accept(relay: Arc<Relay>, opened: Opened, tasks: &Group, span: Span) {
    relay.metrics.relay.sessions.inc();
    relay.metrics.relay.sessions_opened.inc();
    let out = Arc::new(Outbound::new(opened.stream, &YWebsocket, Arc::clone(&relay.metrics)));
    let Opened { greeting, leftover, about, permit, .. } = opened;
    let start = Start { permit, greeting, leftover };
    match about {
        About::Many { vault, caller } => {
            let talks = Lanes::new(&relay, vault, caller);
            let socket = Socket::new(relay, out, start);
            tasks.spawn("session", Session { socket, talks }.instrument(span));
        }
        About::Channel { vault, caller } => {
            let talks = Channel::new(&relay, vault, caller);
            let socket = Socket::new(relay, out, start).taking_text().passing_over();
            tasks.spawn("session", Session { socket, talks }.instrument(span));
        }
        About::Document { family, name, leash } => match family {
            Family::YSweet => accept_one(YSweet, relay, out, (name, leash, start), (tasks, span)),
            _ => accept_one(YWebsocket, relay, out, (name, leash, start), (tasks, span)),
        },
    }
}

/// What a socket begins with.
pub(super) struct Start {
    /// Its place under the caps.
    pub(super) permit: Option<Arc<caps::Permit>>,
    /// To be sent before anything else.
    pub(super) greeting: Vec<u8>,
    /// Came behind the handshake.
    pub(super) leftover: Vec<u8>,
}

fn accept_one<D: Dialect>(
    dialect: D,
    relay: Arc<Relay>,
    out: Arc<Outbound>,
    (name, leash, mut start): (Name, Leash, Start),
    (tasks, span): (&Group, Span),
) {
    let grant = leash.grant();
    let begin = move |relay: Arc<Relay>, joined: Joined, out: Arc<Outbound>, start: Start| {
        let mut socket = Socket::new(relay, out, start);
        let mut talks = Talk::new(dialect, joined, leash);
        talks.begin(&mut socket);
        Session { socket, talks }
    };
    let here = relay.registry.in_memory(&name);
    if let Some(joined) = here.and_then(|document| join(document, &grant, out.clone())) {
        let session = begin(relay, joined, out, start);
        return tasks.spawn("session", session.instrument(span));
    }
    let group = tasks.clone();
    let opening = async move {
        // A client waits for this answer, not for the document.
        if !send(&out, &mem::take(&mut start.greeting)).await {
            relay.metrics.relay.sessions.dec();
            return;
        }
        let outlet: Arc<dyn Outlet> = out.clone();
        match open(&relay, &name, &grant, &outlet).await {
            Ok(joined) => {
                let session = begin(relay, joined, out, start);
                group.spawn("session", session.instrument(Span::current()));
            }
            Err(code) => {
                relay.metrics.relay.refuse(code);
                relay.metrics.relay.sessions.dec();
                let mut frame = Vec::new();
                write_close(code.close_code(), code.name(), &mut frame);
                // A client that is gone by now needs no reason.
                send(&out, &frame).await;
            }
        }
    };
    tasks.spawn("opening", opening.instrument(span));
}

/// A document, and the place of one reader in it.
pub(super) type Joined = (Arc<Handle>, ReaderId);

/// Opens a document and joins it.
pub(super) async fn open(
    relay: &Relay,
    name: &Name,
    grant: &Grant,
    outlet: &Arc<dyn Outlet>,
) -> Result<Joined, Code> {
    for _ in 0..JOIN_ATTEMPTS {
        let document = relay.registry.open(name).await.map_err(|error| {
            tracing::warn!(vault = %name.vault, %error, "document not opened");
            error.code()
        })?;
        if let Some(joined) = join(document, grant, Arc::clone(outlet)) {
            return Ok(joined);
        }
    }
    Err(Code::TryLater)
}

/// None: the document left memory in this very moment.
fn join(document: Arc<Handle>, grant: &Grant, outlet: Arc<dyn Outlet>) -> Option<Joined> {
    let reader = document.join(outlet, grant.principal.clone(), grant.can_write()).ok()?;
    Some((document, reader))
}

/// Sends what no session sends. False: the client is gone.
async fn send(out: &Outbound, bytes: &[u8]) -> bool {
    let mut unsent = Some(bytes);
    let drain = |cx: &mut Context<'_>| {
        out.poll_drain(cx, |filling| filling.push(unsent.take().unwrap_or_default()))
    };
    poll_fn(drain).await.is_ok()
}
