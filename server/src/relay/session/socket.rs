//! The bytes of one socket.
//!
//! Job: read, cut into frames, keep what is incomplete and the permit for it, write replies, close.
//! Called by the session's `poll`. Reads into a buffer per thread. Never lets one message past its
//! bound, never acts on half a frame, and never knows what a message means.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::ErrorKind;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::opening::{Relay, Start};
use super::timing::Timing;
use super::{Batch, Ending, READS_PER_TURN, Talks};
use crate::document::fanout::Outlet;
use crate::memory::Permit;
use crate::metrics::Direction;
use crate::relay::caps;
use crate::relay::outbound::{Filling, Outbound};
use crate::relay::websocket::{
    Assembler, Parsed, Received, needed, overlong, parse, write_close, write_pong,
};
use sheaf_ground::task;

/// Bytes a thread reads at once.
const READ_BYTES: usize = 64 * 1024;

/// Messages over this size are not handled on the reactor's own threads.
pub(in crate::relay) const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Incomplete messages up to this size need no permit.
const PERMIT_FREE_BYTES: usize = 16 * 1024;

/// What a session keeps for its next replies; more is given back when they are out.
const REPLY_BYTES_KEPT: usize = 1024;

/// What is passed over of one frame that is over the bound; whoever sends more is cut off.
const PASSED_OVER_BYTES_MAX: u32 = 1 << 30;

/// Own replies that wait for the socket, before the session stops reading: a client that asks and
/// does not read costs no more.
const REPLY_BYTES_MAX: usize = 1024 * 1024;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// One socket.
pub(in crate::relay) struct Socket {
    pub(in crate::relay) relay: Arc<Relay>,
    pub(in crate::relay) out: Arc<Outbound>,
    /// An incomplete frame, and the permit for its bytes.
    inbox: Vec<u8>,
    permit: Option<Permit>,
    assembler: Assembler,
    /// Bytes still to come of a frame that is passed over.
    passing: u32,
    /// Frames for this client alone, not yet on their way.
    pub(in crate::relay) replies: Vec<u8>,
    pub(super) timing: Timing,
    /// Its place among the sessions that are woken now and then.
    beat: usize,
    /// The connection's place under the caps; none in tests.
    _place: Option<Arc<caps::Permit>>,
    /// Bytes that came with the handshake are still to be looked at.
    has_leftover: bool,
    /// Nothing was said yet, and the client may have.
    is_new: bool,
    /// Stop was asked for: no more is read, and the session ends when its acknowledgements are out.
    pub(super) is_stopping: bool,
    /// The close frame is written; the rest of the input is thrown away.
    is_closing: bool,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.relay.pulse.leave(self.beat);
        self.relay.metrics.relay.sessions.dec();
    }
}

impl Socket {
    pub(super) fn new(relay: Arc<Relay>, out: Arc<Outbound>, start: Start) -> Self {
        let Start { permit, greeting, leftover } = start;
        Self {
            assembler: Assembler::new(relay.limits.message_bytes_max),
            timing: Timing::new(&relay.clock),
            beat: relay.pulse.enter(Arc::clone(&out)),
            _place: permit,
            relay,
            out,
            permit: None,
            passing: 0,
            // Who was greeted before may have asked already.
            is_new: greeting.is_empty(),
            replies: greeting,
            has_leftover: !leftover.is_empty(),
            inbox: leftover,
            is_stopping: false,
            is_closing: false,
        }
    }

    /// Text messages are taken too: the talk hears them by [`Talks::hear_text`].
    pub(super) fn taking_text(mut self) -> Self {
        self.assembler.take_text();
        self
    }

    /// A message over the bound costs its sender no more than the message: see
    /// [`Talks::hear_too_large`].
    pub(super) fn passing_over(mut self) -> Self {
        self.assembler.pass_over();
        self
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing
    }

    pub(super) fn take_leftover(&mut self) -> bool {
        std::mem::take(&mut self.has_leftover)
    }

    pub(super) fn take_new(&mut self) -> bool {
        std::mem::take(&mut self.is_new)
    }

    pub(super) fn may_read(&self, talks: &impl Talks, is_blocked: bool) -> bool {
        let is_full = is_blocked && self.replies.len() > REPLY_BYTES_MAX;
        !self.is_stopping && !talks.is_held() && !is_full && !talks.has_many_acks()
    }

    /// Wakes the session's own task: used by what runs inside a poll of it.
    pub(in crate::relay) fn wake(&self) {
        self.out.wake();
    }

    /// Reads once and acts on it. `Pending`: nothing to read.
    pub(super) fn poll_input(
        &mut self,
        talks: &mut impl Talks,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Ending> {
        if !self.poll_permit(cx)? {
            return Ok(Poll::Pending);
        }
        let out = Arc::clone(&self.out);
        let mut read = READ.take();
        read.resize(READ_BYTES, 0);
        let got = match out.stream().try_read(&mut read) {
            Ok(0) => Err(Ending::Gone),
            Ok(got) => self.take_in(talks, &mut read[..got]).map(|()| Poll::Ready(())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                match out.stream().poll_read_ready(cx) {
                    Poll::Pending => Ok(Poll::Pending),
                    Poll::Ready(Ok(())) => Ok(Poll::Ready(())),
                    Poll::Ready(Err(_)) => Err(Ending::Gone),
                }
            }
            Err(_) => Err(Ending::Gone),
        };
        READ.set(read);
        got
    }

    /// What is kept of incomplete messages needs a permit before more of it is read: for all of a
    /// frame once its header says how long it is, and for the fragments before it.
    fn poll_permit(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let kept = self.kept_bytes()?;
        if kept <= PERMIT_FREE_BYTES {
            return Ok(true);
        }
        let is_covered = self.relay.budget.poll_cover(cx, &mut self.permit, kept).is_ready();
        self.timing.arrives(self.relay.clock.now(), kept, !is_covered);
        Ok(is_covered)
    }

    fn kept_bytes(&self) -> Result<usize, Ending> {
        let max = self.relay.limits.message_bytes_max;
        let frame = match self.inbox.is_empty() {
            true => 0,
            false if self.assembler.passes_over() && overlong(&self.inbox, max).is_some() => 0,
            false => needed(&self.inbox, max)?,
        };
        let kept = frame.max(self.inbox.len()) + self.assembler.held_bytes();
        // Nobody says how long a message in fragments will be: it is promised the most at once, so
        // that no two wait for what the other has.
        let is_open_ended = self.assembler.held_bytes() > 0 && kept > PERMIT_FREE_BYTES;
        Ok(if is_open_ended { self.relay.limits.message_bytes_max } else { kept })
    }

    /// Acts on the bytes just read, after those of an incomplete frame.
    pub(super) fn take_in(
        &mut self,
        talks: &mut impl Talks,
        read: &mut [u8],
    ) -> Result<(), Ending> {
        if !read.is_empty() {
            self.timing.received();
        }
        self.relay.metrics.relay.bytes(Direction::In).inc_by(read.len() as u64);
        if self.inbox.is_empty() {
            let used = self.frames(talks, read)?;
            self.inbox.extend_from_slice(&read[used..]);
        } else {
            let mut inbox = std::mem::take(&mut self.inbox);
            inbox.extend_from_slice(read);
            let used = self.frames(talks, &mut inbox)?;
            inbox.drain(..used);
            self.inbox = inbox;
        }
        if self.inbox.is_empty() && self.inbox.capacity() > 0 {
            self.inbox = Vec::new();
        }
        if !talks.is_held() && self.kept_bytes()? <= PERMIT_FREE_BYTES {
            self.permit = None;
            self.timing.arrived();
        }
        Ok(())
    }

    /// Acts on all whole frames; returns the bytes they took. Stops behind a submission that waits.
    fn frames(&mut self, talks: &mut impl Talks, bytes: &mut [u8]) -> Result<usize, Ending> {
        let mut batch: Batch<'_> = Vec::new();
        let cut = self.cut(talks, bytes, &mut batch);
        // What came before a close, or before bad bytes, is as good as if it had come alone.
        talks.submit(self, &mut batch)?;
        cut
    }

    fn cut<'a>(
        &mut self,
        talks: &mut impl Talks,
        mut bytes: &'a mut [u8],
        batch: &mut Batch<'a>,
    ) -> Result<usize, Ending> {
        let max = self.relay.limits.message_bytes_max;
        let mut used = 0;
        while !talks.is_held() {
            if self.passing > 0 {
                let passed = bytes.len().min(self.passing as usize);
                (bytes, used) = (&mut bytes[passed..], used + passed);
                self.passing -= passed as u32;
                if self.passing > 0 {
                    break;
                }
            }
            if self.assembler.passes_over()
                && let Some(frame) = overlong(bytes, max)
                && let Ok(passing @ ..=PASSED_OVER_BYTES_MAX) = u32::try_from(frame.bytes)
            {
                self.passing = passing;
                let received = self.assembler.push_overlong(frame)?;
                self.frame(talks, received, batch)?;
                continue;
            }
            match parse(bytes, max)? {
                Parsed::Incomplete { .. } => break,
                Parsed::Frame(frame, rest) => {
                    used += frame.consumed;
                    bytes = rest;
                    let received = self.assembler.push(frame)?;
                    self.frame(talks, received, batch)?;
                }
            }
        }
        Ok(used)
    }

    /// Acts on one frame, already unmasked in place.
    fn frame<'a>(
        &mut self,
        talks: &mut impl Talks,
        frame: Received<'a>,
        batch: &mut Batch<'a>,
    ) -> Result<(), Ending> {
        match frame {
            Received::Message(Cow::Borrowed(payload)) => {
                self.timing.arrived();
                self.message(talks, payload, batch)
            }
            Received::Message(Cow::Owned(payload)) => {
                self.timing.arrived();
                talks.submit(self, batch)?;
                let mut alone = Vec::new();
                let heard = self.message(talks, &payload, &mut alone);
                talks.submit(self, &mut alone)?;
                heard
            }
            Received::Text(payload) => {
                self.timing.arrived();
                talks.submit(self, batch)?;
                if payload.len() <= INLINE_BYTES_MAX {
                    return talks.hear_text(self, &payload);
                }
                task::block(|| talks.hear_text(self, &payload))
            }
            Received::Fragment => Ok(()),
            Received::TooLarge => {
                self.timing.arrived();
                talks.hear_too_large(self)
            }
            Received::Ping(payload) => {
                write_pong(payload, &mut self.replies);
                Ok(())
            }
            Received::Pong(_) => {
                talks.answered_ping();
                Ok(())
            }
            Received::Close(close) => Err(Ending::Left(close.code)),
        }
    }

    fn message<'a>(
        &mut self,
        talks: &mut impl Talks,
        payload: &'a [u8],
        batch: &mut Batch<'a>,
    ) -> Result<(), Ending> {
        if payload.len() <= INLINE_BYTES_MAX {
            return talks.hear(self, payload, batch);
        }
        task::block(|| {
            talks.hear(self, payload, batch)?;
            talks.submit(self, batch)
        })
    }

    pub(super) fn poll_output(
        &mut self,
        talks: &mut impl Talks,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Ending> {
        let out = Arc::clone(&self.out);
        let mut failed = None;
        let drained = out.poll_drain(cx, |filling| failed = talks.fill(self, filling).err());
        if let Some(ending) = failed {
            return Err(ending);
        }
        match drained {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(())) => Ok(Poll::Ready(())),
            Poll::Ready(Err(_)) => Err(Ending::Gone),
        }
    }

    /// Hands over the replies; `sent` bytes went before them.
    pub(in crate::relay) fn fill(&mut self, sent: usize, filling: &mut Filling<'_>) {
        let sent = sent + self.replies.len();
        if sent > 0 {
            self.relay.metrics.relay.bytes(Direction::Out).inc_by(sent as u64);
        }
        filling.push(&self.replies);
        self.replies.clear();
        if self.replies.capacity() > REPLY_BYTES_KEPT {
            self.replies = Vec::new();
        }
    }

    /// Writes the close frame; nothing else is sent behind it.
    pub(super) fn begin_close(&mut self, code: u16, reason: &str) {
        (self.permit, self.inbox) = (None, Vec::new());
        self.is_closing = true;
        tracing::Span::current().record("close_code", code);
        self.replies.clear();
        write_close(code, reason, &mut self.replies);
        self.timing.closing(&self.relay.clock);
    }

    /// Writes the close frame, then waits a moment for the client's own: a socket dropped with
    /// unread input is reset, and the client would never see the code.
    pub(super) fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let out = Arc::clone(&self.out);
        let drained =
            out.poll_drain(cx, |filling| filling.push(&std::mem::take(&mut self.replies)));
        if let Poll::Ready(Err(_)) = drained {
            return Poll::Ready(());
        }
        if self.timing.poll_lingered(cx).is_ready() {
            return Poll::Ready(());
        }
        self.poll_discard(cx)
    }

    /// Throws away what still comes, until the client closes.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let out = Arc::clone(&self.out);
        let mut sink = [0; 4096];
        for _ in 0..READS_PER_TURN {
            match out.stream().try_read(&mut sink) {
                Ok(0) => return Poll::Ready(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if out.stream().poll_read_ready(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Err(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
