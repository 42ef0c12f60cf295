//! What a session does with the bytes of its client.
//!
//! Job: read, cut into frames and messages, check, submit in batches. Called by the session's
//! `poll`. Never lets one message past its bound and never acts on half a frame.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::ErrorKind;
use std::sync::Arc;
use std::task::{Context, Poll};

use sheaf_protocol::error::Code;
use sheaf_protocol::frame::{Message, messages};
use sheaf_protocol::ids::Principal;
use sheaf_protocol::plan::Source;
use sheaf_protocol::scan;

use super::{DIALECT, Echo, Ending, Held, Session};
use crate::document::owners::Submitter;
use crate::document::submission::{Receipt, Submission};
use crate::metrics::{Direction, MessageKind};
use crate::relay::websocket::{Parsed, Received, needed, parse, write_pong};
use sheaf_ground::task;

/// Bytes a thread reads at once.
const READ_BYTES: usize = 64 * 1024;

/// Messages over this size are not handled on the reactor's own threads.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Incomplete messages up to this size need no permit.
const PERMIT_FREE_BYTES: usize = 16 * 1024;

/// Updates that are merged before the document's lock is given to others for a moment, and from
/// which on it is not done on the reactor's own threads.
const SUBMIT_UPDATES_MAX: usize = 64;

/// Echoes of one session before it is one too many.
const ECHOES_REFUSED: usize = 1024;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// Updates of one read that wait for the document's lock.
type Batch<'a> = Vec<Submission<'a>>;

impl Session {
    /// Reads once and acts on it. `Pending`: nothing to read.
    pub(super) fn poll_input(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Ending> {
        if !self.poll_permit(cx)? {
            return Ok(Poll::Pending);
        }
        let out = Arc::clone(&self.out);
        let mut read = READ.take();
        read.resize(READ_BYTES, 0);
        let got = match out.stream().try_read(&mut read) {
            Ok(0) => Err(Ending::Gone),
            Ok(got) => self.take_in(&mut read[..got]).map(|()| Poll::Ready(())),
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
        let frame = match self.inbox.is_empty() {
            true => 0,
            false => needed(&self.inbox, self.relay.limits.message_bytes_max)?,
        };
        let kept = frame.max(self.inbox.len()) + self.assembler.held_bytes();
        // Nobody says how long a message in fragments will be: it is promised the most at once, so
        // that no two wait for what the other has.
        let is_open_ended = self.assembler.held_bytes() > 0 && kept > PERMIT_FREE_BYTES;
        Ok(if is_open_ended { self.relay.limits.message_bytes_max } else { kept })
    }

    /// Acts on the bytes just read, after those of an incomplete frame.
    pub(super) fn take_in(&mut self, read: &mut [u8]) -> Result<(), Ending> {
        if !read.is_empty() {
            self.timing.received();
        }
        self.relay.metrics.relay.bytes(Direction::In).inc_by(read.len() as u64);
        if self.inbox.is_empty() {
            let used = self.frames(read)?;
            self.inbox.extend_from_slice(&read[used..]);
        } else {
            let mut inbox = std::mem::take(&mut self.inbox);
            inbox.extend_from_slice(read);
            let used = self.frames(&mut inbox)?;
            inbox.drain(..used);
            self.inbox = inbox;
        }
        if self.inbox.is_empty() && self.inbox.capacity() > 0 {
            self.inbox = Vec::new();
        }
        if self.held.is_none() && self.kept_bytes()? <= PERMIT_FREE_BYTES {
            self.permit = None;
            self.timing.arrived();
        }
        Ok(())
    }

    /// Acts on all whole frames; returns the bytes they took. Stops behind a submission that waits.
    fn frames(&mut self, bytes: &mut [u8]) -> Result<usize, Ending> {
        let mut batch: Batch<'_> = Vec::new();
        let cut = self.cut(bytes, &mut batch);
        // What came before a close, or before bad bytes, is as good as if it had come alone.
        self.submit_batch(&mut batch)?;
        cut
    }

    fn cut<'a>(&mut self, mut bytes: &'a mut [u8], batch: &mut Batch<'a>) -> Result<usize, Ending> {
        let max = self.relay.limits.message_bytes_max;
        let mut used = 0;
        while self.held.is_none() {
            match parse(bytes, max)? {
                Parsed::Incomplete { .. } => break,
                Parsed::Frame(frame, rest) => {
                    used += frame.consumed;
                    bytes = rest;
                    let received = self.assembler.push(frame)?;
                    self.frame(received, batch)?;
                }
            }
        }
        Ok(used)
    }

    fn message<'a>(&mut self, payload: &'a [u8], batch: &mut Batch<'a>) -> Result<(), Ending> {
        if payload.len() <= INLINE_BYTES_MAX {
            return self.messages(payload, batch);
        }
        task::block(|| {
            self.messages(payload, batch)?;
            self.submit_batch(batch)
        })
    }

    /// Acts on a message that is in no read buffer, and submits what it holds.
    fn message_alone(&mut self, payload: &[u8]) -> Result<(), Ending> {
        let mut batch = Vec::new();
        let heard = self.message(payload, &mut batch);
        self.submit_batch(&mut batch)?;
        heard
    }

    /// Acts on the protocol messages of one frame.
    pub(super) fn messages<'a>(
        &mut self,
        payload: &'a [u8],
        batch: &mut Batch<'a>,
    ) -> Result<(), Ending> {
        let mut all = messages(payload);
        while let Some(message) = all.next() {
            match message? {
                Message::Update(bytes) => {
                    self.count(MessageKind::Update);
                    if self.may_write() {
                        let update = scan::update(bytes)?;
                        batch.push(Submission { source: Source::Update, update });
                    }
                    continue;
                }
                Message::Awareness(bytes) => {
                    self.count(MessageKind::Awareness);
                    let frame = scan::awareness(bytes)?;
                    let document = &self.document;
                    if let Some(at) = document.present(self.reader, &self.grant.principal, &frame) {
                        self.timing.tell_at(&self.relay.clock, at);
                        self.wake();
                    }
                    continue;
                }
                other => {
                    self.submit_batch(batch)?;
                    self.other(other)?;
                }
            }
            if let Some(held) = &mut self.held {
                held.rest.extend_from_slice(all.rest());
                break;
            }
        }
        Ok(())
    }

    fn count(&self, kind: MessageKind) {
        self.relay.metrics.relay.messages(Direction::In, kind).inc();
    }

    fn other(&mut self, message: Message<'_>) -> Result<(), Ending> {
        match message {
            Message::Step1(bytes) => {
                self.count(MessageKind::Step1);
                scan::state_vector(bytes)?;
                self.question = Some(bytes.to_vec());
            }
            Message::Step2(bytes) => {
                self.count(MessageKind::Step2);
                self.step2(bytes, &[])?;
            }
            Message::QueryAwareness => {
                self.count(MessageKind::QueryAwareness);
                self.document.show_again(self.reader);
            }
            Message::Echo(bytes) => {
                self.count(MessageKind::Echo);
                self.echo(bytes)?;
            }
            // Said by servers only; a client that says it means nothing to us.
            Message::AuthDenied(_) | Message::Update(_) | Message::Awareness(_) => {}
        }
        Ok(())
    }

    /// Promises to give the bytes back when all before them is durable.
    fn echo(&mut self, bytes: &[u8]) -> Result<(), Ending> {
        if self.has_dropped {
            return Ok(());
        }
        if self.echoes.len() >= ECHOES_REFUSED {
            return Err(Ending::Told(Code::TooMany, "too many echoes are asked for at once"));
        }
        let is_open = self.gap.is_asked || self.held.is_some();
        let end = (!is_open).then(|| self.document.end());
        self.echoes.push_back(Echo { bytes: bytes.into(), end });
        Ok(())
    }

    fn may_write(&mut self) -> bool {
        if self.grant.can_write() {
            return true;
        }
        self.has_dropped = true;
        if !std::mem::replace(&mut self.is_denied_told, true) {
            self.said(MessageKind::Auth);
            DIALECT.write_denied("this session may only read", &mut self.replies);
        }
        false
    }

    /// Takes an answer to a state vector; one with news from a read-only client is not taken.
    fn step2(&mut self, bytes: &[u8], asked: &[Principal]) -> Result<(), Ending> {
        let update = scan::update(bytes)?;
        let submission = Submission { source: Source::Step2, update };
        if !self.grant.can_write() {
            if self.document.would_change(&submission) {
                self.may_write();
            }
            return Ok(());
        }
        let receipt = self.submit(&[submission], asked)?;
        if let Some(owner) = &receipt.ask {
            self.document.ask(owner, self.reader);
            let asked = [asked, std::slice::from_ref(owner)].concat();
            self.held = Some(Box::new(Held { update: bytes.to_vec(), rest: Vec::new(), asked }));
            self.is_answered = false;
            self.timing.hold(&self.relay.clock);
            // The deadline counts from its first poll.
            self.wake();
            return Ok(());
        }
        self.gap.outstanding = self.gap.outstanding.saturating_sub(1);
        self.settle_gap(receipt.has_gap)
    }

    fn settle_gap(&mut self, has_gap: bool) -> Result<(), Ending> {
        let is_last = self.gap.outstanding == 0;
        if is_last && std::mem::take(&mut self.gap.is_for_other) {
            self.document.answered(self.reader);
        }
        match (has_gap, self.gap.is_asked) {
            (true, true) if is_last => {
                Err(Ending::Told(Code::GapLeftOpen, "the answer leaves the gap it was asked for"))
            }
            (true, true) => Ok(()),
            (true, false) => {
                self.ask_for_gap();
                Ok(())
            }
            (false, _) => {
                self.gap.is_asked = false;
                let end = self.document.end();
                self.echoes.iter_mut().for_each(|echo| {
                    echo.end.get_or_insert(end);
                });
                Ok(())
            }
        }
    }

    pub(super) fn ask_for_gap(&mut self) {
        if !std::mem::replace(&mut self.gap.is_asked, true) {
            self.relay.metrics.document.gaps.inc();
            self.ask();
        }
    }

    /// Submits the updates that wait, in order.
    fn submit_batch(&mut self, batch: &mut Batch<'_>) -> Result<(), Ending> {
        if batch.len() <= SUBMIT_UPDATES_MAX {
            self.submit_part(batch)?;
        } else {
            task::block(|| {
                batch.chunks(SUBMIT_UPDATES_MAX).try_for_each(|part| self.submit_part(part))
            })?;
        }
        batch.clear();
        Ok(())
    }

    fn submit_part(&mut self, part: &[Submission<'_>]) -> Result<(), Ending> {
        if part.is_empty() {
            return Ok(());
        }
        if self.submit(part, &[])?.has_gap {
            self.ask_for_gap();
        }
        Ok(())
    }

    fn submit(&mut self, batch: &[Submission<'_>], asked: &[Principal]) -> Result<Receipt, Ending> {
        let by = Submitter {
            principal: &self.grant.principal,
            may_relay: self.grant.may_relay(),
            asked: Some(asked),
        };
        let receipt = self.document.submit(Some(self.reader), by, batch)?;
        if receipt.has_kept_copy {
            let told = "others brought other content for your edits; your copy was kept";
            self.said(MessageKind::Auth);
            DIALECT.write_denied(told, &mut self.replies);
        }
        match receipt.refusal {
            Some(refusal) => Err(refusal.into()),
            None => Ok(receipt),
        }
    }

    /// The owner has answered, or had its time (`is_late`): what waited is submitted again, and
    /// what came after it in its frame.
    pub(super) fn submit_held(&mut self, is_late: bool) -> Result<(), Ending> {
        let Some(held) = self.held.take() else { return Ok(()) };
        self.timing.release();
        let is_large = held.update.len() + held.rest.len() > INLINE_BYTES_MAX;
        let mut work = || -> Result<(), Ending> {
            self.step2(&held.update, &held.asked).map_err(|ending| match ending {
                // Who did not answer may still do so: the client is to come again.
                Ending::Told(Code::ForeignId, what) if is_late => {
                    Ending::Told(Code::TryLater, what)
                }
                other => other,
            })?;
            match &mut self.held {
                // Another owner is to be asked: the rest goes on waiting.
                Some(again) => again.rest = held.rest.clone(),
                None => self.message_alone(&held.rest)?,
            }
            Ok(())
        };
        if is_large {
            task::block(work)?;
        } else {
            work()?;
        }
        if self.held.is_none() {
            self.take_in(&mut [])?;
        }
        self.wake();
        Ok(())
    }

    /// Throws away what still comes, until the client closes.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let out = Arc::clone(&self.out);
        let mut sink = [0; 4096];
        for _ in 0..super::READS_PER_TURN {
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

    /// Acts on one frame, already unmasked in place.
    fn frame<'a>(&mut self, frame: Received<'a>, batch: &mut Batch<'a>) -> Result<(), Ending> {
        match frame {
            Received::Message(Cow::Borrowed(payload)) => {
                self.timing.arrived();
                self.message(payload, batch)
            }
            Received::Message(Cow::Owned(payload)) => {
                self.timing.arrived();
                self.submit_batch(batch)?;
                self.message_alone(&payload)
            }
            Received::Fragment => Ok(()),
            Received::Ping(payload) => {
                write_pong(payload, &mut self.replies);
                Ok(())
            }
            Received::Pong(_) => {
                self.document.answer_challenge(self.reader);
                Ok(())
            }
            Received::Close(close) => Err(Ending::Left(close.code)),
        }
    }
}
