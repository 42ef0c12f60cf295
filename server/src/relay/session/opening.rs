//! From an upgraded socket to a running session.
//!
//! Job: open the document, join it, say the first words. Called by `app` for every upgrade. Never
//! reads from the socket before the document is loaded: an empty answer would look like a document.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use sheaf_protocol::error::Code;
use tokio_util::sync::CancellationToken;

use super::timing::Timing;
use super::{DIALECT, Gap, Session};
use crate::auth::{Grant, Leash};
use crate::document::handle::{Handle, Name};
use crate::document::readers::{Gathered, Outlet};
use crate::document::registry::Registry;
use crate::memory::Budget;
use crate::metrics::Metrics;
use crate::relay::outbound::Outbound;
use crate::relay::stream::Stream;
use crate::relay::websocket::{Assembler, write_close};
use sheaf_ground::time::Clock;

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
    /// Cancelled when the server stops.
    pub stop: CancellationToken,
}

/// An upgraded socket and what it may do.
pub struct Opened {
    /// The socket.
    pub stream: Stream,
    /// Bytes the client sent behind its handshake.
    pub leftover: Vec<u8>,
    /// The document it asked for.
    pub name: Name,
    /// What it may do, as long as it may.
    pub leash: Leash,
}

/// Runs a session to its end.
pub async fn run(relay: Arc<Relay>, opened: Opened) {
    relay.metrics.relay.sessions.inc();
    relay.metrics.relay.sessions_opened.inc();
    let out = Arc::new(Outbound::new(opened.stream, &DIALECT, Arc::clone(&relay.metrics)));
    let grant = opened.leash.grant();
    match join(&relay, &opened.name, &grant, &out).await {
        Ok((document, reader)) => {
            let mut session = Session::new(relay, document, reader, opened.leash, out);
            session.begin(opened.leftover);
            session.await;
        }
        Err(code) => {
            relay.metrics.relay.refuse(code);
            relay.metrics.relay.sessions.dec();
            refuse(&out, code).await;
        }
    }
}

type Joined = (Arc<Handle>, crate::document::readers::ReaderId);

async fn join(
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
        let outlet: Arc<dyn Outlet> = out.clone();
        if let Ok(reader) = document.join(outlet, grant.principal.clone(), grant.can_write()) {
            return Ok((document, reader));
        }
    }
    Err(Code::TryLater)
}

async fn refuse(out: &Outbound, code: Code) {
    let mut frame = Vec::new();
    write_close(code.close_code(), code.name(), &mut frame);
    if poll_fn(|cx| out.stream().poll_write_ready(cx)).await.is_ok() {
        // A client that is gone by now needs no reason.
        let _ = out.stream().try_write(&frame);
    }
}

impl Session {
    fn new(
        relay: Arc<Relay>,
        document: Arc<Handle>,
        reader: crate::document::readers::ReaderId,
        leash: Leash,
        out: Arc<Outbound>,
    ) -> Self {
        Self {
            assembler: Assembler::new(relay.limits.message_bytes_max),
            timing: Timing::new(&relay.clock),
            stop: Box::pin(relay.stop.clone().cancelled_owned()),
            relay,
            document,
            reader,
            grant: leash.grant(),
            leash,
            out,
            inbox: Vec::new(),
            permit: None,
            replies: Vec::new(),
            gathered: Gathered::default(),
            gap: Gap::default(),
            echoes: std::collections::VecDeque::new(),
            question: None,
            held: None,
            is_answered: false,
            has_dropped: false,
            is_denied_told: false,
            has_leftover: false,
            is_stopping: false,
            is_closing: false,
        }
    }

    /// Asks the client for what it has: without that, offline edits would never arrive.
    fn begin(&mut self, leftover: Vec<u8>) {
        if self.grant.can_write() {
            self.ask();
            // Its answer is awaited by nobody.
            self.gap.outstanding = 0;
        }
        self.has_leftover = !leftover.is_empty();
        self.inbox = leftover;
    }
}
