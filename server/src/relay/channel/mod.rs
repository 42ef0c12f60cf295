//! The vault channel: the files of a vault on one socket.
//!
//! Job: hear one request at a time and answer it, and tell what changes meanwhile. Called by the
//! session, as every dialect is. Never keeps more than one request, one answer and one page of the
//! feed for a client, and never hears anything from one who has not said who it is.

mod desk;
mod documents;
mod entry;
mod feed;
mod listing;
mod presence;
mod voice;

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use sheaf_protocol::control::{Form, Problem, Re, Reply, Request, inflated_bytes, read_request};
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::VaultName;

use self::desk::{Answer, Desk, Then};
use self::entry::{LetIn, Member, let_in};
use self::voice::Voice;
use super::outbound::Filling;
use super::session::socket::{INLINE_BYTES_MAX, Socket};
use super::session::timing::{Timer, is_over};
use super::session::{Batch, Ending, Relay, Talks};
use crate::auth::Caller;
use crate::metrics::Direction;
use crate::vault;
use crate::vault::operation::Refused;
use sheaf_ground::task;

/// Edits that wait for the disk, before nothing more is read.
const WAITING_MAX: usize = 256;

/// One client of a vault's channel.
pub(super) struct Channel {
    caller: Caller,
    /// As the path has it.
    named: Option<VaultName>,
    voice: Voice,
    /// Somebody, once it is known who.
    member: Option<Box<Member>>,
    /// Until somebody has said who it is.
    silence: Option<Timer>,
    asked: Option<Asked>,
    /// What is said next; nothing more is heard until it is on its way.
    answer: Option<Bytes>,
    /// The answer is on its way.
    has_let_go: bool,
    /// Answers that wait until everything before a journal position is durable.
    waiting: VecDeque<(u64, Vec<u8>)>,
    /// How it ends, once the answer is out.
    ending: Option<Ending>,
}

/// What is under way.
enum Asked {
    /// Who it is.
    Entry(Option<Re>, BoxFuture<'static, Result<LetIn, Refused>>),
    /// A request.
    Request(BoxFuture<'static, Answer>),
}

impl Channel {
    /// A socket on which nothing was said yet.
    pub(super) fn new(relay: &Relay, named: Option<VaultName>, caller: Caller) -> Channel {
        let address = caller.address();
        tracing::info!(%address, "WebSocket connection from {address}");
        Channel {
            caller,
            named,
            voice: Voice { form: Form::Json, is_packed: false },
            member: None,
            silence: Some(Timer::new(&relay.clock, relay.limits.auth_time_max)),
            asked: None,
            answer: None,
            has_let_go: false,
            waiting: VecDeque::new(),
            ending: None,
        }
    }

    /// Hears one message.
    fn message(&mut self, socket: &Socket, payload: &[u8], form: Form) {
        self.voice.form = form;
        let bytes_max = socket.relay.limits.message_bytes_max;
        let read = || read_request(payload, form, bytes_max);
        // A large frame is heard on another thread already.
        let is_larger = inflated_bytes(payload, form) > INLINE_BYTES_MAX.max(payload.len());
        let read = if is_larger { task::block(read) } else { read() };
        let request = match read {
            Ok(request) => request,
            Err(misread) => {
                let re = misread.re.clone();
                let is_over = self.member.is_none();
                return self.refuse(socket, misread.into(), re, is_over);
            }
        };
        match &self.member {
            Some(_) => self.request(socket, request),
            None => self.entry(socket, request),
        }
        // A future is to be polled once before it wakes anybody.
        socket.wake();
    }

    fn entry(&mut self, socket: &Socket, request: Request) {
        let Request::Auth(auth) = request else {
            let refused = Refused::new(Code::AuthRequired, "first of all: who is it?");
            return self.refuse(socket, refused, request.re().cloned(), true);
        };
        self.voice.is_packed = auth.compress == Some(true);
        let (relay, caller) = (Arc::clone(&socket.relay), self.caller.clone());
        let re = auth.re.clone();
        let entry = let_in(relay, caller, self.named.clone(), auth, self.voice).boxed();
        self.asked = Some(Asked::Entry(re, entry));
    }

    fn request(&mut self, socket: &Socket, request: Request) {
        let Some(member) = &self.member else { return };
        if let Request::DocSync(asked) = &request
            && !member.documents.has_room(asked.id)
        {
            let refused = Refused::new(Code::TooMany, "too many documents on one socket");
            return self.refuse(socket, refused, asked.re.clone(), false);
        }
        let desk = Desk {
            relay: Arc::clone(&socket.relay),
            vault: member.vault.clone(),
            epoch: member.epoch,
            caller: member.caller.clone(),
            grant: member.leash.grant(),
            device: member.device,
            paged: Arc::clone(&member.paged),
            voice: self.voice,
        };
        let answer = desk.answer(request, Arc::clone(&socket.out));
        self.asked = Some(Asked::Request(answer.boxed()));
    }

    /// Says no; `is_over`: and nothing after it.
    fn refuse(&mut self, socket: &Socket, refused: Refused, re: Option<Re>, is_over: bool) {
        let code = refused.code;
        if is_over {
            self.ending = Some(Ending::Told(code, code.name()));
            (self.asked, self.silence) = (None, None);
        } else {
            socket.relay.metrics.relay.refuse(code);
        }
        let problem = Problem { re, ..refused.into_problem() };
        self.say(self.voice.frame(&Reply::Error(problem)));
        socket.wake();
    }

    /// Says something behind what waits to be said.
    fn say(&mut self, frames: Vec<u8>) {
        self.answer = Some(match self.answer.take() {
            Some(before) => [&before[..], &frames[..]].concat().into(),
            None => frames.into(),
        });
    }

    fn poll_asked(&mut self, socket: &Socket, cx: &mut Context<'_>) {
        match &mut self.asked {
            None => {}
            Some(Asked::Entry(re, entry)) => {
                let Poll::Ready(let_in) = entry.as_mut().poll(cx) else { return };
                let re = re.take();
                self.asked = None;
                match let_in {
                    Ok((member, frames)) => {
                        (self.member, self.silence) = (Some(member), None);
                        self.say(frames);
                        // The leash and the feed are to be polled.
                        socket.wake();
                    }
                    Err(refused) => self.refuse(socket, refused, re, true),
                }
            }
            Some(Asked::Request(answer)) => {
                let Poll::Ready(answer) = answer.as_mut().poll(cx) else { return };
                self.asked = None;
                self.answered(answer);
            }
        }
    }

    fn answered(&mut self, answer: Answer) {
        let Answer { mut frames, then } = answer;
        let Some(member) = &mut self.member else { return };
        match then {
            Then::Nothing => {}
            Then::Waits(end) => {
                self.waiting.push_back((end, frames));
                self.has_let_go = true;
                return;
            }
            Then::Joins(id, joined) => member.documents.join(id, joined),
            Then::Leaves(id) => member.documents.leave(id),
            Then::Listed { bytes, is_last } => {
                member.feed.listed(bytes, is_last, self.voice, &mut frames);
            }
        }
        self.say(frames);
    }

    /// Follows what the client may: without a grant the session ends.
    fn poll_leash(&mut self, socket: &Socket, cx: &mut Context<'_>) {
        let Some(member) = &mut self.member else { return };
        while let Poll::Ready(change) = member.leash.poll_change(cx) {
            // Another role is looked at when it is needed.
            if let Err(refusal) = change {
                let Refusal { code, what, .. } = refusal;
                let code = match code {
                    Code::Unauthorised => Code::AuthInvalidToken,
                    Code::Forbidden => Code::VaultForbidden,
                    other => other,
                };
                return self.refuse(socket, Refused::new(code, what), None, true);
            }
        }
    }

    /// What the feed and the documents have: a page, and the edits of one document.
    fn fill_news(&mut self, socket: &mut Socket, filling: &mut Filling<'_>) {
        let Some(member) = self.member.as_mut().filter(|_| self.ending.is_none()) else { return };
        let mut news = Vec::new();
        let filled = member.feed.fill(self.voice, &mut news);
        member.presence.fill(self.voice, &mut news);
        let has_more = member.documents.fill(self.voice, &mut news);
        match filled {
            Ok(is_due) if is_due || has_more => socket.wake(),
            Ok(_) => {}
            Err(refused) => self.refuse(socket, refused, None, true),
        }
        push(socket, filling, &news.into());
    }
}

/// Hands bytes over to the way out.
fn push(socket: &Socket, filling: &mut Filling<'_>, bytes: &Bytes) {
    if !bytes.is_empty() {
        socket.relay.metrics.relay.bytes(Direction::Out).inc_by(bytes.len() as u64);
        filling.push_shared(bytes);
    }
}

impl Talks for Channel {
    fn poll_changes(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Result<bool, Ending> {
        if self.answer.is_none()
            && let Some(ending) = self.ending
        {
            return Err(ending);
        }
        if is_over(&mut self.silence, cx) {
            let refused = Refused::new(Code::AuthTimeout, "nobody said who they are");
            self.refuse(socket, refused, None, true);
        }
        if self.ending.is_none() {
            self.poll_leash(socket, cx);
            self.poll_asked(socket, cx);
        }
        if let Some(member) = &mut self.member {
            member.feed.poll(cx);
            if member.presence.poll(cx) && self.ending.is_none() {
                let refused = Refused::from(vault::Error::DeviceRevoked);
                self.refuse(socket, refused, None, true);
            }
        }
        Ok(mem::take(&mut self.has_let_go))
    }

    fn poll_acks(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Result<(), Ending> {
        while let Some((end, _)) = self.waiting.front() {
            let journal = &socket.relay.registry.shared().journal;
            match journal.poll_durable(cx, *end) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(_)) => {
                    return Err(Ending::Told(Code::Unavailable, "nothing can be written now"));
                }
                Poll::Ready(Ok(())) => {}
            }
            if let Some((_, frames)) = self.waiting.pop_front() {
                socket.replies.extend_from_slice(&frames);
            }
        }
        Ok(())
    }

    fn fill(&mut self, socket: &mut Socket, filling: &mut Filling<'_>) -> Result<(), Ending> {
        socket.fill(0, filling);
        if let Some(answer) = self.answer.take() {
            push(socket, filling, &answer);
            self.has_let_go = true;
            socket.wake();
        }
        self.fill_news(socket, filling);
        Ok(())
    }

    fn hear<'a>(
        &mut self,
        socket: &mut Socket,
        payload: &'a [u8],
        _: &mut Batch<'a>,
    ) -> Result<(), Ending> {
        self.message(socket, payload, Form::MessagePack);
        Ok(())
    }

    fn hear_text(&mut self, socket: &mut Socket, payload: &[u8]) -> Result<(), Ending> {
        self.message(socket, payload, Form::Json);
        Ok(())
    }

    fn hear_too_large(&mut self, socket: &mut Socket) -> Result<(), Ending> {
        let max = socket.relay.limits.message_bytes_max;
        let message = format!("a frame has at most {max} bytes");
        let refused = Refused::new(Code::TooLarge, message).with("max", max);
        self.refuse(socket, refused, None, self.member.is_none());
        Ok(())
    }

    fn submit(&mut self, _: &mut Socket, _: &mut Batch<'_>) -> Result<(), Ending> {
        Ok(())
    }

    fn is_held(&self) -> bool {
        self.asked.is_some() || self.answer.is_some() || self.ending.is_some()
    }

    fn has_many_acks(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    fn has_acks(&self) -> bool {
        !self.waiting.is_empty() || self.asked.is_some() || self.answer.is_some()
    }

    fn answered_ping(&self) {}

    fn keep_alive(&self, _: &mut Vec<u8>) {}

    fn leave(&mut self) {
        (self.asked, self.member) = (None, None);
    }

    fn note_end(&self, code: Code, what: &'static str) {
        match code {
            Code::Restart => tracing::debug!(%code, what, "session closed"),
            _ => tracing::warn!(%code, what, "session closed"),
        }
    }
}
