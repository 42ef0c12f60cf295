//! From an upgraded socket to a running session.
//!
//! Job: open the document, join it, say the first words. Called by `app` for every upgrade. Never
//! reads from the socket before the document is loaded: an empty answer would look like a document.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use sheaf_ground::task::Group;
use sheaf_ground::time::Clock;
use sheaf_protocol::error::Code;
use tracing::{Instrument, Span};

use super::timing::Timing;
use super::{DIALECT, Gap, Session};
use crate::auth::{Grant, Leash};
use crate::document::fanout::Outlet;
use crate::document::handle::{Handle, Name};
use crate::document::readers::ReaderId;
use crate::document::registry::Registry;
use crate::memory::Budget;
use crate::metrics::Metrics;
use crate::relay::caps;
use crate::relay::outbound::Outbound;
use crate::relay::pulse::Pulse;
use crate::relay::stream::Stream;
use crate::relay::websocket::{Assembler, write_close};

/// Attempts to join a document that leaves memory in the very moment it was opened.
const JOIN_ATTEMPTS: usize = 8;

/// Bounds of a session.
#[derive(Clone, Debug)]
pub struct Limits {
    /// One message of a client, in bytes.
    pub message_bytes_max: usize,
    /// A client that is silent this long is pinged.
    pub ping_idle: Duration,
    /// A client that is silent this long, although pinged, is given up.
    pub session_idle: Duration,
}

/// What all sessions share.
pub struct Relay {
    /// Documents.
    pub registry: Registry,
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
}

/// An upgraded socket and what it may do.
pub struct Opened {
    /// The socket.
    pub stream: Stream,
    /// What is to be sent before anything else: the answer to the handshake, if it is not out.
    pub greeting: Vec<u8>,
    /// Bytes the client sent behind its handshake.
    pub leftover: Vec<u8>,
    /// The document it asked for.
    pub name: Name,
    /// What it may do, as long as it may.
    pub leash: Leash,
    /// The connection's place under the caps, kept as long as the session.
    pub permit: Option<Arc<caps::Permit>>,
}

/// Starts a session as a task of `tasks`. Opening has a task of its own, whose memory is given back
/// before the session is idle, unless the document is in memory already.
pub fn accept(relay: Arc<Relay>, opened: Opened, tasks: &Group, span: Span) {
    relay.metrics.relay.sessions.inc();
    relay.metrics.relay.sessions_opened.inc();
    let out = Arc::new(Outbound::new(opened.stream, &DIALECT, Arc::clone(&relay.metrics)));
    let Opened { greeting, leftover, name, leash, permit, .. } = opened;
    let grant = leash.grant();
    let begin = move |relay: Arc<Relay>, joined: Joined, out: Arc<Outbound>, greeting| {
        let mut session = Session::new(relay, joined, leash, out, permit);
        session.begin(greeting, leftover);
        session
    };
    let here = relay.registry.in_memory(&name);
    if let Some(joined) = here.and_then(|document| join(document, &grant, &out)) {
        let session = begin(relay, joined, out, greeting);
        return tasks.spawn("session", session.instrument(span));
    }
    let group = tasks.clone();
    let opening = async move {
        // A client waits for this answer, not for the document.
        if !send(&out, &greeting).await {
            relay.metrics.relay.sessions.dec();
            return;
        }
        match open(&relay, &name, &grant, &out).await {
            Ok(joined) => {
                let session = begin(relay, joined, out, Vec::new());
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

type Joined = (Arc<Handle>, ReaderId);

async fn open(
    relay: &Relay,
    name: &Name,
    grant: &Grant,
    out: &Arc<Outbound>,
) -> Result<Joined, Code> {
    for _ in 0..JOIN_ATTEMPTS {
        let document = relay.registry.open(name).await.map_err(|error| {
            tracing::warn!(vault = %name.vault, %error, "document not opened");
            error.code()
        })?;
        if let Some(joined) = join(document, grant, out) {
            return Ok(joined);
        }
    }
    Err(Code::TryLater)
}

/// None: the document left memory in this very moment.
fn join(document: Arc<Handle>, grant: &Grant, out: &Arc<Outbound>) -> Option<Joined> {
    let outlet: Arc<dyn Outlet> = out.clone();
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

impl Session {
    fn new(
        relay: Arc<Relay>,
        (document, reader): Joined,
        leash: Leash,
        out: Arc<Outbound>,
        permit: Option<Arc<caps::Permit>>,
    ) -> Self {
        Self {
            assembler: Assembler::new(relay.limits.message_bytes_max),
            timing: Timing::new(&relay.clock),
            beat: relay.pulse.enter(Arc::clone(&out)),
            _place: permit,
            relay,
            document,
            reader,
            grant: leash.grant(),
            leash,
            out,
            inbox: Vec::new(),
            permit: None,
            replies: Vec::new(),
            gap: Gap::default(),
            echoes: std::collections::VecDeque::new(),
            question: None,
            held: None,
            is_answered: false,
            has_dropped: false,
            is_denied_told: false,
            has_leftover: false,
            is_new: false,
            is_stopping: false,
            is_closing: false,
        }
    }

    /// Asks the client for what it has: without that, offline edits would never arrive.
    fn begin(&mut self, greeting: Vec<u8>, leftover: Vec<u8>) {
        // Who was greeted before may have asked already.
        self.is_new = greeting.is_empty();
        self.replies = greeting;
        if self.grant.can_write() {
            self.ask();
            // Its answer is awaited by nobody.
            self.gap.outstanding = 0;
        }
        self.has_leftover = !leftover.is_empty();
        self.inbox = leftover;
    }
}
