//! What a client says, and what comes of it.
//!
//! Job: check messages, submit updates in batches, hold what needs somebody else's answer. Called
//! by `talk`. Never passes on bytes that the scanner has not seen.

use sheaf_protocol::error::Code;
use sheaf_protocol::frame::{self, Message, messages};
use sheaf_protocol::ids::Principal;
use sheaf_protocol::plan::Source;
use sheaf_protocol::scan;

use super::moved::Brought;
use super::past::Past;
use super::{Ack, Held, Talk, said};
use crate::document::author::Author;
use crate::document::owners::Submitter;
use crate::document::submission::{Receipt, Submission};
use crate::metrics::{Direction, MessageKind};
use crate::relay::dialect::{Acks, Dialect};
use crate::relay::session::socket::{INLINE_BYTES_MAX, Socket};
use crate::relay::session::timing::{HELD, Timer};
use crate::relay::session::{Batch, Ending};
use sheaf_ground::task;

/// Updates that are merged before the document's lock is given to others for a moment, and from
/// which on it is not done on the reactor's own threads.
const SUBMIT_UPDATES_MAX: usize = 64;

/// Acknowledgements that one client may ask for, before it is one too many.
const ACKS_REFUSED: usize = 1024;

impl<D: Dialect> Talk<D> {
    /// Acts on the protocol messages of one frame.
    pub(super) fn messages<'a>(
        &mut self,
        socket: &mut Socket,
        payload: &'a [u8],
        batch: &mut Batch<'a>,
    ) -> Result<(), Ending> {
        if let Some(Past::Leading(leading)) = self.past.as_deref_mut() {
            leading.rest.extend_from_slice(payload);
            return Ok(());
        }
        let mut all = messages(payload);
        while let Some(message) = all.next() {
            self.message(socket, message?, batch)?;
            let rest = match (&mut self.held, self.past.as_deref_mut()) {
                (Some(held), _) => &mut held.rest,
                (None, Some(Past::Leading(leading))) => &mut leading.rest,
                _ => continue,
            };
            rest.extend_from_slice(all.rest());
            break;
        }
        Ok(())
    }

    /// Acts on one message; an update is left in the batch.
    pub(in crate::relay::session) fn message<'a>(
        &mut self,
        socket: &mut Socket,
        message: Message<'a>,
        batch: &mut Batch<'a>,
    ) -> Result<(), Ending> {
        if self.past.is_some() {
            return self.hear_past(socket, message);
        }
        match message {
            Message::Update(bytes) => {
                heard(socket, MessageKind::Update);
                if self.may_write(socket) {
                    let update = scan::update(bytes)?;
                    batch.push(Submission { source: Source::Update, update });
                    if self.is_wide == Some(true) {
                        self.submit_batch(socket, batch)?;
                        self.give_back(message);
                    }
                }
                Ok(())
            }
            Message::Awareness(bytes) => {
                heard(socket, MessageKind::Awareness);
                let frame = scan::awareness(bytes)?;
                let document = &self.document;
                if let Some(at) = document.present(self.reader, &self.grant.principal, &frame) {
                    let clock = &socket.relay.clock;
                    self.telling = Some(Timer::new(clock, at.since(clock.now())));
                    socket.wake();
                }
                if self.is_wide.is_none() && D::ACKS == Acks::OfEchoes {
                    let shown = self.document.shown_by(self.reader);
                    self.is_wide = shown.map(|client| client > u64::from(u32::MAX));
                }
                Ok(())
            }
            other => {
                self.submit_batch(socket, batch)?;
                self.other(socket, other)
            }
        }
    }

    /// Acts on messages that are in no read buffer, and submits what they hold.
    pub(super) fn messages_alone(
        &mut self,
        socket: &mut Socket,
        payload: &[u8],
    ) -> Result<(), Ending> {
        let mut batch = Vec::new();
        let heard = self.messages(socket, payload, &mut batch);
        self.submit_batch(socket, &mut batch)?;
        heard
    }

    pub(super) fn other(
        &mut self,
        socket: &mut Socket,
        message: Message<'_>,
    ) -> Result<(), Ending> {
        match message {
            Message::Step1(bytes) => {
                heard(socket, MessageKind::Step1);
                let known = scan::state_vector(bytes)?;
                if let Some(doc) = self.document.past_of(&known) {
                    self.meet(socket, doc, Brought::Question(bytes.into()));
                    return Ok(());
                }
                self.question = Some(bytes.into());
                if D::ACKS == Acks::OfUpdates {
                    self.gap.with_ack |= 1u32.checked_shl(self.gap.outstanding).unwrap_or(0);
                    self.ask(socket);
                }
            }
            Message::Step2(bytes) => {
                heard(socket, MessageKind::Step2);
                self.step2(socket, bytes, &[])?;
                let is_taken = self.grant.can_write() && self.past.is_none();
                if self.is_wide == Some(true) && is_taken {
                    self.give_back(message);
                }
            }
            Message::QueryAwareness => {
                heard(socket, MessageKind::QueryAwareness);
                self.document.show_again(self.reader);
            }
            Message::Echo(bytes) => {
                heard(socket, MessageKind::Echo);
                self.acknowledge(socket, bytes)?;
            }
            // Said by servers only; a client that says it means nothing to us.
            Message::AuthDenied(_) | Message::Update(_) | Message::Awareness(_) => {}
        }
        Ok(())
    }

    /// Promises to give the bytes back when all before them is durable.
    fn acknowledge(&mut self, socket: &Socket, bytes: &[u8]) -> Result<(), Ending> {
        if self.has_dropped && D::ACKS != Acks::OfEveryEcho {
            return Ok(());
        }
        if self.acks.len() >= ACKS_REFUSED {
            return Err(Ending::Told(Code::TooMany, "too many echoes are asked for at once"));
        }
        let mut payload = Vec::new();
        frame::write_echo(&mut payload, bytes);
        self.push_ack(&payload);
        if D::ACKS == Acks::OfEveryEcho {
            self.reassure(socket);
        }
        Ok(())
    }

    /// A client on Yjs 14 knows by what comes back what is durable.
    fn give_back(&mut self, message: Message<'_>) {
        let mut payload = Vec::new();
        match message {
            Message::Update(update) => frame::write_update(&mut payload, update),
            Message::Step2(update) => frame::write_step2(&mut payload, update),
            _ => return,
        }
        self.push_ack(&payload);
    }

    fn push_ack(&mut self, bytes: &[u8]) {
        let is_open = self.gap.is_asked || self.held.is_some() || self.is_awaited;
        let end = (!is_open).then(|| self.document.end());
        self.acks.push_back(Ack { bytes: bytes.into(), end });
    }

    fn may_write(&mut self, socket: &mut Socket) -> bool {
        if self.grant.can_write() {
            return true;
        }
        self.has_dropped = true;
        self.dialect.write_refused(&mut socket.replies);
        if !std::mem::replace(&mut self.is_denied_told, true) {
            said(socket, MessageKind::Auth);
            self.dialect.write_notice("this session may only read", &mut socket.replies);
        }
        false
    }

    /// Takes an answer to a state vector; one with news from a read-only client is not taken.
    pub(super) fn step2(
        &mut self,
        socket: &mut Socket,
        bytes: &[u8],
        asked: &[Principal],
    ) -> Result<(), Ending> {
        let update = scan::update(bytes)?;
        let submission = Submission { source: Source::Step2, update };
        if !self.grant.can_write() {
            let is_awaited = self.answered();
            if self.document.would_change(&submission) {
                self.may_write(socket);
            } else if is_awaited {
                self.push_ack(&[]);
            }
            return Ok(());
        }
        let receipt = self.submit_to_document(socket, &[submission], asked)?;
        if let Some(doc) = receipt.past {
            self.meet(socket, doc, Brought::Copy(bytes.to_vec()));
            return Ok(());
        }
        if let Some(owner) = &receipt.ask {
            self.document.ask(owner, self.reader);
            let asked = [asked, std::slice::from_ref(owner)].concat();
            let deadline = Timer::new(&socket.relay.clock, HELD);
            let held = Held { update: bytes.to_vec(), rest: Vec::new(), asked, deadline };
            self.held = Some(Box::new(held));
            self.is_answered = false;
            // The deadline counts from its first poll.
            socket.wake();
            return Ok(());
        }
        let is_awaited = self.answered();
        self.settle_gap(socket, receipt.has_gap)?;
        if is_awaited {
            self.push_ack(&[]);
        }
        Ok(())
    }

    /// One of the state vectors was answered. True: the answer is to be acknowledged.
    fn answered(&mut self) -> bool {
        let is_awaited = self.gap.with_ack & 1 == 1;
        self.gap.outstanding = self.gap.outstanding.saturating_sub(1);
        self.gap.with_ack >>= 1;
        is_awaited
    }

    fn settle_gap(&mut self, socket: &mut Socket, has_gap: bool) -> Result<(), Ending> {
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
                self.ask_for_gap(socket);
                Ok(())
            }
            (false, _) => {
                self.gap.is_asked = false;
                self.is_awaited = false;
                let end = self.document.end();
                self.acks.iter_mut().for_each(|ack| {
                    ack.end.get_or_insert(end);
                });
                Ok(())
            }
        }
    }

    pub(super) fn ask_for_gap(&mut self, socket: &mut Socket) {
        if !std::mem::replace(&mut self.gap.is_asked, true) {
            socket.relay.metrics.document.gaps.inc();
            self.ask(socket);
        }
    }

    /// Submits the updates that wait, in order.
    pub(super) fn submit_batch(
        &mut self,
        socket: &mut Socket,
        batch: &mut Batch<'_>,
    ) -> Result<(), Ending> {
        if batch.len() <= SUBMIT_UPDATES_MAX {
            self.submit_part(socket, batch)?;
        } else {
            task::block(|| {
                let mut parts = batch.chunks(SUBMIT_UPDATES_MAX);
                parts.try_for_each(|part| self.submit_part(socket, part))
            })?;
        }
        batch.clear();
        Ok(())
    }

    fn submit_part(&mut self, socket: &mut Socket, part: &[Submission<'_>]) -> Result<(), Ending> {
        if part.is_empty() {
            return Ok(());
        }
        if self.submit_to_document(socket, part, &[])?.has_gap {
            self.ask_for_gap(socket);
        }
        if D::ACKS == Acks::OfUpdates {
            part.iter().for_each(|_| self.push_ack(&[]));
        }
        Ok(())
    }

    fn submit_to_document(
        &mut self,
        socket: &mut Socket,
        batch: &[Submission<'_>],
        asked: &[Principal],
    ) -> Result<Receipt, Ending> {
        let (principal, may_relay) = (&self.grant.principal, self.grant.may_relay());
        let author = Author { principal, may_relay, device: 0, stamped: None };
        let by = Submitter { author, asked: Some(asked) };
        let receipt = self.document.submit(Some(self.reader), by, batch)?;
        if receipt.has_kept_copy {
            let told = "others brought other content for your edits; your copy was kept";
            said(socket, MessageKind::Auth);
            self.dialect.write_notice(told, &mut socket.replies);
        }
        match receipt.refusal {
            Some(refusal) => Err(refusal.into()),
            None => Ok(receipt),
        }
    }

    /// The owner has answered, or had its time (`is_late`): what waited is submitted again, and
    /// what came after it in its frame. True: nothing waits any more.
    pub(super) fn submit_held(
        &mut self,
        socket: &mut Socket,
        is_late: bool,
    ) -> Result<bool, Ending> {
        let Some(held) = self.held.take() else { return Ok(false) };
        let is_large = held.update.len() + held.rest.len() > INLINE_BYTES_MAX;
        let mut work = || -> Result<(), Ending> {
            self.step2(socket, &held.update, &held.asked).map_err(|ending| match ending {
                // Who did not answer may still do so: the client is to come again.
                Ending::Told(Code::ForeignId, what) if is_late => {
                    Ending::Told(Code::TryLater, what)
                }
                other => other,
            })?;
            match &mut self.held {
                // Another owner is to be asked: the rest goes on waiting.
                Some(again) => again.rest = held.rest.clone(),
                None => self.messages_alone(socket, &held.rest)?,
            }
            Ok(())
        };
        if is_large {
            task::block(work)?;
        } else {
            work()?;
        }
        socket.wake();
        Ok(self.held.is_none())
    }
}

fn heard(socket: &Socket, kind: MessageKind) {
    socket.relay.metrics.relay.messages(Direction::In, kind).inc();
}
