//! What is said between one client and one document.
//!
//! Job: messages in, submissions out; what the document publishes, answers and acknowledgements
//! back. Called by a session for its only document, or for one of many. Never reads or writes the
//! socket itself, never acknowledges what is not durable, never outlives its grant.

mod hearing;
mod moved;
mod past;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use sheaf_protocol::error::Code;
use sheaf_protocol::ids::Principal;
use sheaf_protocol::scan;

use self::past::Past;
use super::socket::Socket;
use super::timing::{Timer, is_over};
use super::{Batch, Ending, Talks};
use crate::auth::{Grant, Leash};
use crate::document::fanout::Piece;
use crate::document::handle::Handle;
use crate::document::readers::{Gathered, Notices, ReaderId};
use crate::document::submission::Failure;
use crate::metrics::{Direction, MessageKind};
use crate::relay::dialect::{Acks, Dialect};
use crate::relay::outbound::Filling;
use crate::relay::websocket::write_ping;
use sheaf_ground::task;

/// Live bytes of a document that is encoded on the reactor's own threads: a few milliseconds.
const INLINE_LIVE_BYTES_MAX: usize = 1024 * 1024;

/// Acknowledgements that wait for durability, before the session stops reading.
const ACKS_MAX: usize = 256;

/// How long a client waits in silence for an acknowledgement: half of what Y-Sweet's takes.
const REASSURED: Duration = Duration::from_millis(1_500);

thread_local! {
    /// What a session gathers, it passes on in the same poll: one for all sessions of a thread.
    static GATHERED: RefCell<Gathered> = RefCell::default();
}

/// Where the talk stands with what its client lacks.
#[derive(Debug, Default)]
struct Gap {
    /// State vectors sent and not answered.
    outstanding: u32,
    /// Those whose answers are acknowledged, a bit each, the next to be answered first.
    with_ack: u32,
    /// One of them was sent for a gap.
    is_asked: bool,
    /// One of them was sent on behalf of another session's submission.
    is_for_other: bool,
}

/// An acknowledgement on its way.
#[derive(Debug)]
struct Ack {
    /// What the dialect needs to write it.
    bytes: Box<[u8]>,
    /// Durable from this journal position on; unknown while a gap is open.
    end: Option<u64>,
}

/// A submission that waits for the owner of its client ids.
struct Held {
    update: Vec<u8>,
    /// Messages after it in the same frame.
    rest: Vec<u8>,
    /// Whose sessions have been asked.
    asked: Vec<Principal>,
    deadline: Timer,
}

/// One client and one document.
pub(super) struct Talk<D: Dialect> {
    dialect: D,
    document: Arc<Handle>,
    reader: ReaderId,
    /// As the leash last told.
    grant: Grant,
    leash: Leash,
    gap: Gap,
    /// The client's latest state vector that is not answered: asking often costs no more.
    question: Option<Box<[u8]>>,
    acks: VecDeque<Ack>,
    held: Option<Box<Held>>,
    /// The client has a document that had this name before: it is sent nothing of this one.
    past: Option<Box<Past>>,
    /// It came by a name that its document had before.
    is_led: bool,
    /// The owner has answered what is held.
    is_answered: bool,
    /// Something of this client was not taken: nothing is acknowledged any more.
    has_dropped: bool,
    is_denied_told: bool,
    /// When the document's readers are to be told who is where: this client saw to it first.
    telling: Option<Timer>,
    /// What it shows itself by is known, and is as wide as Yjs 14 draws ids.
    is_wide: Option<bool>,
    /// Its own edits have not come: what it says before them is not yet acknowledged.
    is_awaited: bool,
    /// When it is to hear something, while an acknowledgement waits.
    reassuring: Option<Timer>,
}

impl<D: Dialect> Talk<D> {
    pub(super) fn new(
        dialect: D,
        (document, reader): (Arc<Handle>, ReaderId),
        leash: Leash,
    ) -> Self {
        Self {
            dialect,
            document,
            reader,
            grant: leash.grant(),
            leash,
            gap: Gap::default(),
            question: None,
            acks: VecDeque::new(),
            held: None,
            past: None,
            is_led: false,
            is_answered: false,
            has_dropped: false,
            is_denied_told: false,
            telling: None,
            is_wide: None,
            is_awaited: false,
            reassuring: None,
        }
    }

    /// Asks the client for what it has before it asks: without that, offline edits would never
    /// arrive.
    pub(super) fn begin(&mut self, socket: &mut Socket) {
        if self.grant.can_write() {
            self.ask(socket);
            // A gap does not wait for its answer.
            self.gap.outstanding = 0;
            self.is_awaited = D::ACKS == Acks::OfEveryEcho;
        }
    }

    /// Follows the grant: the role changes in place, and without one the session ends.
    fn poll_leash(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Result<(), Ending> {
        while let Poll::Ready(change) = self.leash.poll_change(cx) {
            self.take_grant(socket, change?);
        }
        Ok(())
    }

    fn take_grant(&mut self, socket: &mut Socket, grant: Grant) {
        let could_write = self.grant.can_write();
        self.grant = grant;
        let can_write = self.grant.can_write();
        self.document.set_can_write(self.reader, can_write);
        self.is_denied_told = false;
        self.dialect.write_scope(can_write, &mut socket.replies);
        if can_write && !could_write {
            // What was not taken meanwhile is in the answer; acknowledgements wait for that.
            self.has_dropped = false;
            self.ask_for_gap(socket);
        }
    }

    /// Answers a state vector: before anything that was published after it was looked at.
    fn answer(
        &self,
        socket: &Socket,
        question: &[u8],
        filling: &mut Filling<'_>,
    ) -> Result<usize, Ending> {
        let known = scan::state_vector(question)?;
        let update = match self.document.kept_diff(self.reader, &known)? {
            Some(update) => update,
            None => self.encode(|document| document.diff(self.reader, &known))?,
        };
        Ok(self.push_step2(socket, &update, filling))
    }

    /// Runs an encoding of the document, a long one not on the reactor's own threads.
    fn encode<T>(&self, encode: impl FnOnce(&Handle) -> Result<T, Failure>) -> Result<T, Failure> {
        if self.document.live_bytes() > INLINE_LIVE_BYTES_MAX {
            return task::block(|| encode(&self.document));
        }
        encode(&self.document)
    }

    /// Sends an update as a SyncStep2, its bytes shared with whoever else is sent them.
    fn push_step2(&self, socket: &Socket, update: &Bytes, filling: &mut Filling<'_>) -> usize {
        let mut head = Vec::with_capacity(32);
        self.dialect.write_step2_head(update.len(), &mut head);
        said(socket, MessageKind::Step2);
        filling.push(&head);
        filling.push_shared(update);
        head.len() + update.len()
    }

    fn heed(&mut self, socket: &mut Socket, notices: Notices) -> Result<(), Ending> {
        if notices.is_dropped {
            return Err(self.document.ended().into());
        }
        if notices.is_asked && self.grant.can_write() {
            self.gap.is_for_other = true;
            self.ask(socket);
        }
        if notices.is_challenged {
            write_ping(b"still there?", &mut socket.replies);
        }
        if notices.is_answered && self.held.is_some() {
            self.is_answered = true;
            socket.wake();
        }
        Ok(())
    }

    /// The path of its document, which may not be what the client knows it by.
    pub(super) fn path(&self) -> &Arc<str> {
        &self.document.name().document
    }

    /// Passes a note on to the document's other readers.
    pub(super) fn announce(&self, note: &str) {
        self.document.announce(self.reader, note);
    }

    /// Says something in a moment, should acknowledgements still wait then.
    fn reassure(&mut self, socket: &Socket) {
        if self.reassuring.is_none() {
            self.reassuring = Some(Timer::new(&socket.relay.clock, REASSURED));
            socket.wake();
        }
    }

    /// Another token was shown: follows what it may, and tells. The document knows this reader by
    /// its principal, so for another one the client is to come again.
    pub(super) fn take_leash(&mut self, socket: &mut Socket, leash: Leash) -> Result<(), Ending> {
        let grant = leash.grant();
        if grant.principal != self.grant.principal {
            return Err(Ending::Told(Code::TryLater, "another user's token: come again with it"));
        }
        self.leash = leash;
        self.take_grant(socket, grant);
        Ok(())
    }

    /// Asks the client for what it has beyond the document's state vector.
    fn ask(&mut self, socket: &mut Socket) {
        self.gap.outstanding += 1;
        said(socket, MessageKind::Step1);
        self.dialect.write_step1(&self.document.state_vector(), &mut socket.replies);
    }

    fn principal_kind(&self) -> &'static str {
        match self.grant.principal {
            Principal::Anonymous => "anonymous",
            Principal::Named(_) => "named",
        }
    }
}

fn said(socket: &Socket, kind: MessageKind) {
    socket.relay.metrics.relay.messages(Direction::Out, kind).inc();
}

impl<D: Dialect> Talks for Talk<D> {
    fn poll_changes(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Result<bool, Ending> {
        self.poll_leash(socket, cx)?;
        let mut has_let_go = self.poll_leading(socket, cx)?;
        self.poll_past(socket, cx)?;
        if is_over(&mut self.telling, cx) {
            self.document.tell();
        }
        if is_over(&mut self.reassuring, cx) && !self.acks.is_empty() {
            self.dialect.write_keep_alive(&mut socket.replies);
            self.reassure(socket);
        }
        if std::mem::take(&mut self.is_answered) && self.held.is_some() {
            has_let_go |= self.submit_held(socket, false)?;
        }
        let held = self.held.as_mut();
        if held.is_some_and(|held| held.deadline.poll(cx).is_ready()) {
            has_let_go |= self.submit_held(socket, true)?;
        }
        Ok(has_let_go)
    }

    fn poll_acks(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Result<(), Ending> {
        while let Some(Ack { end: Some(end), .. }) = self.acks.front() {
            match self.document.poll_durable(cx, *end) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(failure)) => return Err(failure.into()),
                Poll::Ready(Ok(())) => {}
            }
            if let Some(ack) = self.acks.pop_front() {
                said(socket, MessageKind::Echo);
                self.dialect.write_ack(&ack.bytes, &mut socket.replies);
            }
        }
        Ok(())
    }

    fn fill(&mut self, socket: &mut Socket, filling: &mut Filling<'_>) -> Result<(), Ending> {
        if self.past.is_some() {
            socket.fill(0, filling);
            return Ok(());
        }
        let mut sent = match self.question.take() {
            Some(question) => self.answer(socket, &question, filling)?,
            None => 0,
        };
        let mut gathered = GATHERED.take();
        self.document.gather(self.reader, &mut gathered);
        self.heed(socket, gathered.notices)?;
        if let Some(missed) = gathered.missed.take() {
            let update = self.encode(|document| document.resync(&missed))?;
            sent += self.push_step2(socket, &Bytes::from(update), filling);
        }
        if !gathered.shown.is_empty() {
            said(socket, MessageKind::Awareness);
            self.dialect.frame_presence(&gathered.shown, &mut socket.replies);
        }
        socket.fill(sent, filling);
        for chunk in &gathered.chunks {
            let frames = chunk.framed(&self.dialect);
            socket.out.count(&**chunk, frames.len());
            filling.push_shared(&frames);
        }
        gathered.clear();
        GATHERED.set(gathered);
        Ok(())
    }

    fn hear<'a>(
        &mut self,
        socket: &mut Socket,
        payload: &'a [u8],
        batch: &mut Batch<'a>,
    ) -> Result<(), Ending> {
        self.messages(socket, payload, batch)
    }

    fn submit(&mut self, socket: &mut Socket, batch: &mut Batch<'_>) -> Result<(), Ending> {
        self.submit_batch(socket, batch)
    }

    fn is_held(&self) -> bool {
        self.held.is_some() || self.past.as_ref().is_some_and(|past| past.is_held())
    }

    fn has_many_acks(&self) -> bool {
        // Those behind a gap wait for input, not for the disk.
        !self.gap.is_asked && self.acks.len() >= ACKS_MAX
    }

    fn has_acks(&self) -> bool {
        self.acks.front().is_some_and(|ack| ack.end.is_some())
    }

    fn answered_ping(&self) {
        self.document.answer_challenge(self.reader);
    }

    fn keep_alive(&self, out: &mut Vec<u8>) {
        self.dialect.write_keep_alive(out);
    }

    fn leave(&mut self) {
        self.document.leave(self.reader);
        self.held = None;
    }

    fn note_end(&self, code: Code, what: &'static str) {
        let principal = self.principal_kind();
        let doc = self.document.key();
        match code {
            // One line for all of them is written by who stops the server.
            Code::Restart => tracing::debug!(%code, what, principal, %doc, "session closed"),
            _ => tracing::warn!(%code, what, principal, %doc, "session closed"),
        }
    }
}
