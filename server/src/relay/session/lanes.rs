//! Many documents on one socket.
//!
//! Job: each frame names its document by an address; find the talk it belongs to, or let one begin:
//! who it is, then the document, and only then what has come for it. Called by a session. Never
//! lets a client that has not said who it is hold more than a little, and never lets the trouble of
//! one address reach another, unless the socket is closed.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::frame::Message as Core;
use sheaf_protocol::hocuspocus::{self as wire, Address, Frame, Message, Token};
use sheaf_protocol::ids::VaultName;

use super::opening::{Joined, Relay, open};
use super::socket::Socket;
use super::talk::Talk;
use super::timing::{Timer, is_over};
use super::{Batch, Ending, Talks};
use crate::auth::{Caller, Leash, Role};
use crate::document::fanout::{Outlet, Piece};
use crate::document::handle::Name;
use crate::relay::dialect::Dialect as _;
use crate::relay::dialect::family::Family;
use crate::relay::dialect::hocuspocus::{Hocuspocus, is_denial, write_auth_denied};
use crate::relay::outbound::{Filling, Outbound};

/// Documents of one socket, open or on their way: an editor with a few panes has ten.
const LANES_MAX: usize = 256;

/// Of these, so many may not have said who they are.
const WAITING_MAX: usize = 100;

/// Frames and bytes that wait for documents of one socket: a client sends its edits of hours
/// offline right behind its token.
const WAITING_FRAMES_MAX: usize = 1_000;
const WAITING_BYTES_MAX: usize = 5 * 1024 * 1024;

/// Tokens of one socket that were good for nothing, before it is closed: a program that asks its
/// user again and again is told as often.
const DENIED_MAX: u32 = 32;

/// What many documents of one socket need.
pub(super) struct Lanes {
    vault: VaultName,
    /// Who opened the socket; each address may show another token.
    caller: Caller,
    lanes: HashMap<Box<str>, Lane>,
    /// The address whose updates are in the batch.
    current: Option<Box<str>>,
    /// Frames that wait for their document, and their bytes.
    waiting: (usize, usize),
    /// Frames that have waited, to be heard before any new one.
    due: VecDeque<Vec<u8>>,
    /// Refusals so far.
    denied: u32,
    /// Until somebody has said who it is.
    silence: Option<Timer>,
}

struct Lane {
    outlet: Arc<LaneOutlet>,
    stage: Stage,
    /// Another token was shown.
    again: Option<BoxFuture<'static, Result<Leash, Refusal>>>,
}

/// How far an address has come.
enum Stage {
    /// Nobody has said who it is; frames wait.
    Unknown(Vec<Vec<u8>>),
    /// Its token is looked at.
    Asking(BoxFuture<'static, Result<Leash, Refusal>>, Vec<Vec<u8>>),
    /// Its document is opened.
    Opening(BoxFuture<'static, Result<(Joined, Leash), Code>>, Vec<Vec<u8>>),
    /// It is there.
    Open(Box<Talk<Hocuspocus>>),
}

/// Where a lane's bytes leave: by the socket of all.
struct LaneOutlet {
    out: Arc<Outbound>,
    dialect: Hocuspocus,
    /// There may be something to gather.
    is_due: AtomicBool,
}

impl Outlet for LaneOutlet {
    fn reserve(&self) -> bool {
        self.out.reserve()
    }

    fn send(&self, piece: &dyn Piece) {
        self.out.send_framed(piece, &piece.framed(&self.dialect));
    }

    fn wake(&self) {
        self.is_due.store(true, Ordering::Release);
        self.out.wake();
    }
}

impl Lane {
    fn new(address: Address<'_>, out: &Arc<Outbound>) -> Self {
        let dialect = Hocuspocus::new(Arc::from(address.whole()), address.name());
        let is_due = AtomicBool::new(true);
        let outlet = Arc::new(LaneOutlet { out: Arc::clone(out), dialect, is_due });
        Lane { outlet, stage: Stage::Unknown(Vec::new()), again: None }
    }

    fn is_known(&self) -> bool {
        matches!(self.stage, Stage::Opening(..) | Stage::Open(_))
    }

    fn talk(&self) -> Option<&Talk<Hocuspocus>> {
        if let Stage::Open(talk) = &self.stage { Some(talk) } else { None }
    }

    /// Nothing but its talk has anything to wait for.
    fn is_settled(&self) -> bool {
        matches!((&self.stage, &self.again), (Stage::Open(_), None) | (Stage::Unknown(_), _))
    }

    /// What waits for its document; none once that is there.
    fn waiting(&mut self) -> Option<&mut Vec<Vec<u8>>> {
        match &mut self.stage {
            Stage::Unknown(waiting) => Some(waiting),
            Stage::Asking(_, waiting) => Some(waiting),
            Stage::Opening(_, waiting) => Some(waiting),
            Stage::Open(_) => None,
        }
    }
}

impl Lanes {
    pub(super) fn new(relay: &Relay, vault: VaultName, caller: Caller) -> Self {
        Self {
            vault,
            caller,
            lanes: HashMap::new(),
            current: None,
            waiting: (0, 0),
            due: VecDeque::new(),
            denied: 0,
            silence: Some(Timer::new(&relay.clock, relay.limits.auth_time_max)),
        }
    }

    fn open(&self) -> impl Iterator<Item = &Talk<Hocuspocus>> {
        self.lanes.values().filter_map(Lane::talk)
    }

    /// Who shows this token may, or may not, open the document of an address.
    fn ask(&self, name: &str, token: Token<'_>) -> BoxFuture<'static, Result<Leash, Refusal>> {
        let (vault, name) = (self.vault.clone(), Arc::<str>::from(name));
        let caller = self.caller.showing(token.0);
        async move {
            let caller = caller?;
            let grant = caller.grant(&vault, Some(&name), Role::Read).await?;
            caller.enter(&vault, name, Family::Hocuspocus.name(), grant)
        }
        .boxed()
    }

    /// The lane of an address, begun if need be.
    fn lane(&mut self, socket: &Socket, address: Address<'_>) -> Result<&mut Lane, Ending> {
        let unknown = self.lanes.values().filter(|lane| !lane.is_known()).count();
        let count = self.lanes.len();
        match self.lanes.entry(address.whole().into()) {
            Entry::Occupied(lane) => Ok(lane.into_mut()),
            Entry::Vacant(_) if count >= LANES_MAX || unknown >= WAITING_MAX => {
                Err(Ending::Told(Code::TooMany, "too many documents on one socket"))
            }
            Entry::Vacant(place) => Ok(place.insert(Lane::new(address, &socket.out))),
        }
    }

    /// Whether a token would be the first of an address.
    fn is_unknown(&self, address: Address<'_>) -> bool {
        let lane = self.lanes.get(address.whole());
        lane.is_none_or(|lane| matches!(lane.stage, Stage::Unknown(_)))
    }

    /// Acts on a frame of an address whose document is not there.
    fn hear_early(
        &mut self,
        socket: &Socket,
        address: Address<'_>,
        message: Message<'_>,
        payload: &[u8],
    ) -> Result<(), Ending> {
        let token = match message {
            Message::Auth { token, .. } => Some(token),
            // Providers before 3 send no token where they have none.
            Message::Document(Core::Step1(_)) => Some(Token("")),
            Message::Close => {
                self.forget(address.whole());
                return Ok(());
            }
            Message::BroadcastStateless => return Err(from_servers()),
            _ => None,
        };
        let token = token.filter(|_| self.is_unknown(address));
        let asking = token.map(|token| self.ask(address.name(), token));
        let lane = self.lane(socket, address)?;
        if let (Some(waiting), Some(asking)) = (lane.waiting(), asking) {
            lane.stage = Stage::Asking(asking, mem::take(waiting));
            // A future is to be polled once before it wakes anybody.
            socket.wake();
            if matches!(message, Message::Auth { .. }) {
                return Ok(());
            }
        }
        if let Some(waiting) = lane.waiting() {
            waiting.push(payload.to_vec());
        }
        let (frames, bytes) = (self.waiting.0 + 1, self.waiting.1 + payload.len());
        if frames > WAITING_FRAMES_MAX || bytes > WAITING_BYTES_MAX {
            let what = "too much was sent before the document was open";
            return Err(Ending::Told(Code::TooLarge, what));
        }
        self.waiting = (frames, bytes);
        Ok(())
    }

    /// Acts on a frame of an open document.
    fn hear_open<'a>(
        &mut self,
        socket: &mut Socket,
        address: Address<'_>,
        message: Message<'a>,
        batch: &mut Batch<'a>,
    ) -> Result<(), Ending> {
        let whole = address.whole();
        if self.current.as_deref() != Some(whole) {
            self.submit(socket, batch)?;
            self.current = Some(whole.into());
        }
        let message = match message {
            Message::Document(message) => message,
            Message::Auth { token, .. } => {
                // Its document may be elsewhere by now.
                let talk = self.lanes.get(whole).and_then(Lane::talk);
                let again = self.ask(talk.map_or(address.name(), |talk| talk.path()), token);
                if let Some(lane) = self.lanes.get_mut(whole) {
                    lane.again = Some(again);
                    socket.wake();
                }
                return Ok(());
            }
            Message::Close => {
                self.submit(socket, batch)?;
                self.forget(whole);
                return Ok(());
            }
            Message::Stateless(note) => {
                self.submit(socket, batch)?;
                if let Some(Lane { stage: Stage::Open(talk), .. }) = self.lanes.get_mut(whole) {
                    talk.announce(note);
                }
                return Ok(());
            }
            Message::BroadcastStateless => return Err(from_servers()),
        };
        let Some(Lane { stage: Stage::Open(talk), outlet, .. }) = self.lanes.get_mut(whole) else {
            return Ok(());
        };
        outlet.is_due.store(true, Ordering::Release);
        talk.message(socket, message, batch)
    }

    /// Everything of an address goes; the next frame is a fresh attempt.
    fn forget(&mut self, address: &str) {
        let Some(mut lane) = self.lanes.remove(address) else { return };
        self.note_unqueued(lane.waiting().map(mem::take).unwrap_or_default().iter());
        if let Stage::Open(talk) = &mut lane.stage {
            talk.leave();
        }
    }

    fn note_unqueued<'f>(&mut self, frames: impl Iterator<Item = &'f Vec<u8>>) {
        for frame in frames {
            self.waiting = (self.waiting.0 - 1, self.waiting.1 - frame.len());
        }
    }

    /// Takes one address further.
    fn advance(
        &mut self,
        socket: &mut Socket,
        address: &str,
        cx: &mut Context<'_>,
    ) -> Result<(), Ending> {
        self.take_another(socket, address, cx)?;
        let Some(lane) = self.lanes.get_mut(address) else { return Ok(()) };
        if let Stage::Asking(asking, waiting) = &mut lane.stage
            && let Poll::Ready(asked) = asking.as_mut().poll(cx)
        {
            let leash = match asked {
                Ok(leash) => leash,
                Err(refusal) => return self.deny(socket, address, refusal),
            };
            let grant = leash.grant();
            lane.outlet.dialect.write_scope(grant.can_write(), &mut socket.replies);
            let relay = Arc::clone(&socket.relay);
            let outlet: Arc<dyn Outlet> = lane.outlet.clone();
            let name = address.split('\0').next().unwrap_or_default();
            let name = Name { vault: self.vault.clone(), document: Arc::from(name) };
            let opening = async move {
                let joined = open(&relay, &name, &grant, &outlet).await?;
                Ok((joined, leash))
            };
            lane.stage = Stage::Opening(opening.boxed(), mem::take(waiting));
            self.silence = None;
        }
        if let Stage::Opening(opening, waiting) = &mut lane.stage
            && let Poll::Ready(opened) = opening.as_mut().poll(cx)
        {
            let what = "the document could not be opened";
            let (joined, leash) = opened.map_err(|code| Ending::Told(code, what))?;
            let waiting = mem::take(waiting);
            let talk = Talk::new(lane.outlet.dialect.clone(), joined, leash);
            lane.stage = Stage::Open(Box::new(talk));
            self.note_unqueued(waiting.iter());
            self.due.extend(waiting);
        }
        Ok(())
    }

    /// Hears what has waited, in order, up to what waits for somebody else again.
    fn hear_due(&mut self, socket: &mut Socket) -> Result<(), Ending> {
        while !self.is_held()
            && let Some(payload) = self.due.pop_front()
        {
            let mut batch = Vec::new();
            self.hear(socket, &payload, &mut batch)?;
            self.submit(socket, &mut batch)?;
        }
        Ok(())
    }

    /// Follows the token that was shown last for an open document.
    fn take_another(
        &mut self,
        socket: &mut Socket,
        address: &str,
        cx: &mut Context<'_>,
    ) -> Result<(), Ending> {
        let Some(Lane { stage: Stage::Open(talk), again, .. }) = self.lanes.get_mut(address) else {
            return Ok(());
        };
        let asked = again.as_mut().map(|again| again.as_mut().poll(cx));
        let Some(Poll::Ready(asked)) = asked else { return Ok(()) };
        *again = None;
        match asked {
            Ok(leash) => talk.take_leash(socket, leash),
            Err(refusal) => self.deny(socket, address, refusal),
        }
    }

    /// The client may not, and may try again.
    fn deny(&mut self, socket: &mut Socket, address: &str, refusal: Refusal) -> Result<(), Ending> {
        self.denied += u32::from(refusal.code != Code::EpochChanged);
        if self.denied > DENIED_MAX {
            return Err(Ending::Told(Code::TooMany, "too many refusals on one socket"));
        }
        socket.relay.metrics.relay.refuse(refusal.code);
        write_auth_denied(address, refusal, &mut socket.replies);
        self.forget(address);
        Ok(())
    }
}

fn from_servers() -> Ending {
    Ending::Told(Code::Forbidden, "a message that only servers send each other")
}

impl Talks for Lanes {
    fn poll_changes(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Result<bool, Ending> {
        if is_over(&mut self.silence, cx) {
            return Err(Ending::Told(Code::Timeout, "nobody said who they are"));
        }
        let on_their_way = self.lanes.iter().filter(|(_, lane)| !lane.is_settled());
        let on_their_way: Vec<Box<str>> =
            on_their_way.map(|(address, _)| address.clone()).collect();
        for address in on_their_way {
            self.advance(socket, &address, cx)?;
        }
        let mut has_let_go = false;
        let mut denied = Vec::new();
        for (address, lane) in &mut self.lanes {
            let Stage::Open(talk) = &mut lane.stage else { continue };
            match talk.poll_changes(socket, cx) {
                Err(Ending::Told(code, what)) if is_denial(code) => {
                    denied.push((address.clone(), Refusal { code, at: 0, what }));
                }
                other => has_let_go |= other?,
            }
        }
        // What had stopped reading may have gone with them.
        has_let_go |= !denied.is_empty();
        for (address, refusal) in denied {
            self.deny(socket, &address, refusal)?;
        }
        self.hear_due(socket)?;
        Ok(has_let_go)
    }

    fn poll_acks(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Result<(), Ending> {
        for lane in self.lanes.values_mut() {
            if let Stage::Open(talk) = &mut lane.stage {
                talk.poll_acks(socket, cx)?;
            }
        }
        Ok(())
    }

    fn fill(&mut self, socket: &mut Socket, filling: &mut Filling<'_>) -> Result<(), Ending> {
        for lane in self.lanes.values_mut() {
            if let Stage::Open(talk) = &mut lane.stage
                && lane.outlet.is_due.swap(false, Ordering::AcqRel)
            {
                talk.fill(socket, filling)?;
            }
        }
        socket.fill(0, filling);
        Ok(())
    }

    fn hear<'a>(
        &mut self,
        socket: &mut Socket,
        payload: &'a [u8],
        batch: &mut Batch<'a>,
    ) -> Result<(), Ending> {
        let (address, message) = match wire::frame(payload)? {
            Frame::Addressed { address, message } => (address, message),
            Frame::Ping | Frame::Pong => return Ok(()),
        };
        match self.lanes.get(address.whole()) {
            Some(Lane { stage: Stage::Open(_), .. }) => {
                self.hear_open(socket, address, message, batch)
            }
            _ => self.hear_early(socket, address, message, payload),
        }
    }

    fn submit(&mut self, socket: &mut Socket, batch: &mut Batch<'_>) -> Result<(), Ending> {
        let Some(address) = self.current.take() else { return Ok(()) };
        match self.lanes.get_mut(&address) {
            Some(Lane { stage: Stage::Open(talk), .. }) => talk.submit(socket, batch),
            _ => Ok(()),
        }
    }

    fn is_held(&self) -> bool {
        self.open().any(Talks::is_held)
    }

    fn has_many_acks(&self) -> bool {
        self.open().any(Talks::has_many_acks)
    }

    fn has_acks(&self) -> bool {
        self.open().any(Talks::has_acks)
    }

    fn answered_ping(&self) {
        self.open().for_each(Talks::answered_ping);
    }

    fn keep_alive(&self, out: &mut Vec<u8>) {
        if let Some(talk) = self.open().next() {
            talk.keep_alive(out);
        }
    }

    fn leave(&mut self) {
        for lane in self.lanes.values_mut() {
            if let Stage::Open(talk) = &mut lane.stage {
                talk.leave();
            }
        }
    }

    fn note_end(&self, code: Code, what: &'static str) {
        let documents = self.lanes.len();
        match code {
            Code::Restart => tracing::debug!(%code, what, documents, "session closed"),
            _ => tracing::warn!(%code, what, documents, "session closed"),
        }
    }
}
