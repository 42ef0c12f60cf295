//! The life of one socket: open its document, pass messages in, pass everything else out.
//!
//! Job: one task, one hand-written `poll`. Called by `upgrade` through `app`. Reads into a buffer
//! per thread and keeps bytes only while a frame is incomplete. Never touches the store or the CRDT
//! library, never writes what the document has not published, never outlives its grant.

mod inbound;
mod opening;
#[cfg(test)]
mod tests;
mod timing;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::scan;

pub use opening::{Limits, Opened, Relay, accept};
use sheaf_protocol::ids::Principal;
use timing::Timing;

use super::dialect::ywebsocket::YWebsocket;
use super::outbound::{Filling, Outbound};
use super::websocket::{Assembler, write_close, write_ping};
use crate::auth::{Grant, Leash};
use crate::document::fanout::{Framing, Outlet, Piece};
use crate::document::handle::Handle;
use crate::document::readers::{Gathered, Notices, ReaderId};
use crate::document::submission::Failure;
use crate::memory::Permit;
use crate::metrics::{Direction, MessageKind};
use crate::relay::caps;
use sheaf_ground::task;

/// What a session keeps for its next replies; more is given back when they are out.
const REPLY_BYTES_KEPT: usize = 1024;

/// Own replies that wait for the socket, before the session stops reading: a client that asks and
/// does not read costs no more.
const REPLY_BYTES_MAX: usize = 1024 * 1024;

/// Live bytes of a document that is encoded on the reactor's own threads: a few milliseconds.
const INLINE_LIVE_BYTES_MAX: usize = 1024 * 1024;

/// Echoes that wait for durability, before the session stops reading.
const ECHOES_MAX: usize = 256;

/// Reads of one turn, before other tasks get theirs.
const READS_PER_TURN: usize = 16;

thread_local! {
    /// What a session gathers, it passes on in the same poll: one for all sessions of a thread.
    static GATHERED: RefCell<Gathered> = RefCell::default();
}

const DIALECT: YWebsocket = YWebsocket;

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The socket is gone.
    Gone,
    /// The client closed, with this code.
    Left(u16),
    /// The server tells the client why.
    Told(Code, &'static str),
}

impl From<Refusal> for Ending {
    fn from(refusal: Refusal) -> Self {
        Ending::Told(refusal.code, refusal.what)
    }
}

impl From<Failure> for Ending {
    fn from(failure: Failure) -> Self {
        Ending::Told(failure.code(), failure.words())
    }
}

/// Where the session stands with what its client lacks.
#[derive(Debug, Default)]
struct Gap {
    /// State vectors sent and not answered.
    outstanding: u32,
    /// One of them was sent for a gap.
    is_asked: bool,
    /// One of them was sent on behalf of another session's submission.
    is_for_other: bool,
}

/// A message 102 on its way back.
#[derive(Debug)]
struct Echo {
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
}

/// One socket and its document. Thousands of them are idle: what a session rarely has is boxed, and
/// what it has for one poll only is its thread's.
pub struct Session {
    relay: Arc<Relay>,
    document: Arc<Handle>,
    reader: ReaderId,
    /// As the leash last told.
    grant: Grant,
    leash: Leash,
    out: Arc<Outbound>,
    /// An incomplete frame, and the permit for its bytes.
    inbox: Vec<u8>,
    permit: Option<Permit>,
    assembler: Assembler,
    replies: Vec<u8>,
    gap: Gap,
    /// The client's latest state vector that is not answered: asking often costs no more.
    question: Option<Vec<u8>>,
    echoes: VecDeque<Echo>,
    held: Option<Box<Held>>,
    /// The owner has answered what is held.
    is_answered: bool,
    /// Something of this session was not taken: nothing is acknowledged any more.
    has_dropped: bool,
    is_denied_told: bool,
    /// Bytes that came with the handshake are still to be looked at.
    has_leftover: bool,
    /// Nothing was said yet, and the client may have.
    is_new: bool,
    timing: Timing,
    /// Its place among the sessions that are woken now and then.
    beat: usize,
    /// The connection's place under the caps; none in tests.
    _place: Option<Arc<caps::Permit>>,
    /// Stop was asked for: no more is read, and the session ends when its echoes are out.
    is_stopping: bool,
    /// The close frame is written; the rest of the input is thrown away.
    is_closing: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.document.leave(self.reader);
        self.relay.pulse.leave(self.beat);
        self.relay.metrics.relay.sessions.dec();
    }
}

impl Future for Session {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.out.register(cx);
        let ended = if this.is_closing { None } else { this.turn(cx).err() };
        match ended {
            None if !this.is_closing => return Poll::Pending,
            None => {}
            Some(Ending::Gone) => return Poll::Ready(()),
            Some(Ending::Left(code)) => this.begin_close(code, ""),
            Some(Ending::Told(code, what)) => this.close(code, what),
        }
        this.poll_closing(cx)
    }
}

impl Session {
    /// One turn: time, acknowledgements, output, input, until nothing moves.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        self.is_stopping |= self.relay.pulse.is_stopping();
        self.poll_leash(cx)?;
        self.poll_timing(cx)?;
        if !self.is_stopping && std::mem::take(&mut self.has_leftover) {
            self.take_in(&mut [])?;
        }
        if std::mem::take(&mut self.is_new) && self.may_read(false) {
            // What it has asked is answered in the same write that asks it.
            let _ = self.poll_input(cx)?;
        }
        for _ in 0..READS_PER_TURN {
            self.poll_echoes(cx)?;
            let is_blocked = self.poll_output(cx)?.is_pending();
            // Echoes behind a gap come last, and nothing is read any more that could close it.
            let has_echoes = self.echoes.front().is_some_and(|echo| echo.end.is_some());
            if self.is_stopping && !has_echoes && !is_blocked {
                return Err(Ending::Told(Code::Restart, "the server is restarting"));
            }
            if !self.may_read(is_blocked) {
                return Ok(());
            }
            if self.poll_input(cx)?.is_pending() {
                return Ok(());
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn may_read(&self, is_blocked: bool) -> bool {
        let is_full = is_blocked && self.replies.len() > REPLY_BYTES_MAX;
        // Those behind a gap wait for input, not for the disk.
        let has_many_echoes = !self.gap.is_asked && self.echoes.len() >= ECHOES_MAX;
        !self.is_stopping && self.held.is_none() && !is_full && !has_many_echoes
    }

    /// Follows the grant: the role changes in place, and without one the session ends.
    fn poll_leash(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        while let Poll::Ready(change) = self.leash.poll_change(cx) {
            self.take_grant(change?);
        }
        Ok(())
    }

    fn take_grant(&mut self, grant: Grant) {
        let could_write = self.grant.can_write();
        self.grant = grant;
        let can_write = self.grant.can_write();
        self.document.set_can_write(self.reader, can_write);
        self.is_denied_told = false;
        if can_write && !could_write {
            // What was not taken meanwhile is in the answer; echoes wait for that.
            self.has_dropped = false;
            self.ask_for_gap();
        }
    }

    /// Moves echoes whose turn has come into the replies.
    fn poll_echoes(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        while let Some(Echo { end: Some(end), .. }) = self.echoes.front() {
            match self.document.poll_durable(cx, *end) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(failure)) => return Err(failure.into()),
                Poll::Ready(Ok(())) => {}
            }
            if let Some(echo) = self.echoes.pop_front() {
                self.said(MessageKind::Echo);
                DIALECT.write_echo(&echo.bytes, &mut self.replies);
            }
        }
        Ok(())
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Ending> {
        let out = Arc::clone(&self.out);
        let mut failed = None;
        let drained = out.poll_drain(cx, |filling| failed = self.fill(filling).err());
        if let Some(ending) = failed {
            return Err(ending);
        }
        match drained {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(())) => Ok(Poll::Ready(())),
            Poll::Ready(Err(_)) => Err(Ending::Gone),
        }
    }

    /// Hands over own replies and everything the document has for this reader.
    fn fill(&mut self, filling: &mut Filling<'_>) -> Result<(), Ending> {
        let mut sent = match self.question.take() {
            Some(question) => self.answer(&question, filling)?,
            None => 0,
        };
        let mut gathered = GATHERED.take();
        self.document.gather(self.reader, &mut gathered);
        self.heed(gathered.notices)?;
        if let Some(missed) = gathered.missed.take() {
            let update = self.encode(|document| document.resync(&missed))?;
            sent += self.push_step2(&Bytes::from(update), filling);
        }
        if !gathered.shown.is_empty() {
            self.said(MessageKind::Awareness);
            DIALECT.frame_presence(&gathered.shown, &mut self.replies);
        }
        sent += self.replies.len();
        if sent > 0 {
            self.relay.metrics.relay.bytes(Direction::Out).inc_by(sent as u64);
        }
        filling.push(&self.replies);
        self.replies.clear();
        if self.replies.capacity() > REPLY_BYTES_KEPT {
            self.replies = Vec::new();
        }
        for chunk in &gathered.chunks {
            let frames = chunk.framed(&DIALECT);
            self.out.count(&**chunk, frames.len());
            filling.push_shared(frames);
        }
        gathered.clear();
        GATHERED.set(gathered);
        Ok(())
    }

    /// Answers a state vector: before anything that was published after it was looked at.
    fn answer(&self, question: &[u8], filling: &mut Filling<'_>) -> Result<usize, Ending> {
        let known = scan::state_vector(question)?;
        let update = match self.document.kept_diff(self.reader, &known)? {
            Some(update) => update,
            None => self.encode(|document| document.diff(self.reader, &known))?,
        };
        Ok(self.push_step2(&update, filling))
    }

    /// Runs an encoding of the document, a long one not on the reactor's own threads.
    fn encode<T>(&self, encode: impl FnOnce(&Handle) -> Result<T, Failure>) -> Result<T, Failure> {
        if self.document.live_bytes() > INLINE_LIVE_BYTES_MAX {
            return task::block(|| encode(&self.document));
        }
        encode(&self.document)
    }

    /// Sends an update as a SyncStep2, its bytes shared with whoever else is sent them.
    fn push_step2(&self, update: &Bytes, filling: &mut Filling<'_>) -> usize {
        let mut head = Vec::with_capacity(32);
        DIALECT.write_step2_head(update.len(), &mut head);
        self.said(MessageKind::Step2);
        filling.push(&head);
        filling.push_shared(update);
        head.len() + update.len()
    }

    fn heed(&mut self, notices: Notices) -> Result<(), Ending> {
        if notices.is_dropped {
            return Err(self.document.ended().into());
        }
        if notices.is_asked && self.grant.can_write() {
            self.gap.is_for_other = true;
            self.ask();
        }
        if notices.is_challenged {
            write_ping(b"still there?", &mut self.replies);
        }
        if notices.is_answered && self.held.is_some() {
            self.is_answered = true;
            self.wake();
        }
        Ok(())
    }

    /// Asks the client for what it has beyond the document's state vector.
    fn ask(&mut self) {
        self.gap.outstanding += 1;
        self.said(MessageKind::Step1);
        DIALECT.write_step1(&self.document.state_vector(), &mut self.replies);
    }

    fn said(&self, kind: MessageKind) {
        self.relay.metrics.relay.messages(Direction::Out, kind).inc();
    }

    fn close(&mut self, code: Code, what: &'static str) {
        let principal = self.principal_kind();
        let doc = self.document.key();
        match code {
            // One line for all of them is written by who stops the server.
            Code::Restart => tracing::debug!(%code, what, principal, %doc, "session closed"),
            _ => tracing::warn!(%code, what, principal, %doc, "session closed"),
        }
        self.relay.metrics.relay.refuse(code);
        self.begin_close(code.close_code(), what);
    }

    /// Leaves the document, so that nothing is sent behind the close frame, and writes that.
    fn begin_close(&mut self, code: u16, reason: &str) {
        self.document.leave(self.reader);
        (self.permit, self.held, self.inbox) = (None, None, Vec::new());
        self.is_closing = true;
        tracing::Span::current().record("close_code", code);
        self.replies.clear();
        write_close(code, reason, &mut self.replies);
        self.timing.closing(&self.relay.clock);
    }

    fn principal_kind(&self) -> &'static str {
        match self.grant.principal {
            Principal::Anonymous => "anonymous",
            Principal::Named(_) => "named",
        }
    }

    /// Writes the close frame, then waits a moment for the client's own: a socket dropped with
    /// unread input is reset, and the client would never see the code.
    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let out = Arc::clone(&self.out);
        let drained =
            out.poll_drain(cx, |filling| filling.push(&std::mem::take(&mut self.replies)));
        if let Poll::Ready(Err(_)) = drained {
            return Poll::Ready(());
        }
        if self.timing.poll_deadline(cx).is_ready() {
            return Poll::Ready(());
        }
        self.poll_discard(cx)
    }

    /// Wakes the session's own task: used by what runs inside a poll of it.
    fn wake(&self) {
        self.out.wake();
    }
}
