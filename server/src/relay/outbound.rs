//! The way out of a session: one socket, written by its task or by a publisher.
//!
//! Job: write frames in order, in as few calls as possible, keeping only what the socket would not
//! take. Called by `session`, and by `document::readers` through `Outlet`. Never blocks, never
//! reorders, never takes new work while old bytes wait.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::task::AtomicWaker;
use parking_lot::Mutex;

use super::stream::Stream;
use crate::document::fanout::{Framing, Outlet, Piece};
use crate::metrics::{Direction, MessageKind, Metrics};

/// Small chunks are copied together up to this size, to go out in one call.
const JOIN_BYTES: usize = 64 * 1024;

/// Pieces that go out in one call: a state has its head in one and itself in another.
const PARTS: usize = 8;

thread_local! {
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What stands between a writer and the socket.
#[derive(Debug, Default)]
struct Way {
    /// What the socket did not take. While it is not empty, publishers stay away.
    waiting: VecDeque<Bytes>,
    /// A publisher is about to write: the session stays away.
    is_reserved: bool,
    /// The session wanted to write meanwhile, and is to be woken.
    is_wanted: bool,
}

/// A socket's sending half.
pub struct Outbound {
    stream: Stream,
    /// Of the one document that most sockets are about; talks of many bring their own.
    framing: &'static dyn Framing,
    way: Mutex<Way>,
    /// The session's task.
    waker: AtomicWaker,
    metrics: Arc<Metrics>,
    /// Bytes the socket has taken: it moves, or it is stuck.
    taken: AtomicU64,
    /// The slow beat has come round.
    is_due: AtomicBool,
}

impl Outbound {
    /// Takes the socket.
    pub fn new(stream: Stream, framing: &'static dyn Framing, metrics: Arc<Metrics>) -> Self {
        let (way, waker, taken) = (Mutex::default(), AtomicWaker::new(), AtomicU64::new(0));
        let is_due = AtomicBool::new(false);
        Self { stream, framing, way, waker, metrics, taken, is_due }
    }

    /// Counts a piece that leaves here.
    pub fn count(&self, piece: &dyn Piece, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let metrics = &self.metrics.relay;
        match piece.updates() {
            0 => metrics.messages(Direction::Out, MessageKind::Awareness).inc(),
            updates => metrics.messages(Direction::Out, MessageKind::Update).inc_by(updates as u64),
        };
        metrics.bytes(Direction::Out).inc_by(bytes as u64);
    }

    /// Bytes the socket has taken since it was opened.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Wakes the session to look after itself.
    pub fn beat(&self) {
        self.is_due.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether a beat has come since the last call.
    pub fn take_beat(&self) -> bool {
        self.is_due.load(Ordering::Relaxed) && self.is_due.swap(false, Ordering::AcqRel)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.stream.try_write(bytes)?;
        self.taken.fetch_add(sent as u64, Ordering::Relaxed);
        Ok(sent)
    }

    /// Writes as much of what waits as goes in one call.
    fn try_write_first(&self, waiting: &VecDeque<Bytes>) -> io::Result<usize> {
        if waiting.len() == 1 || !self.stream.is_vectored() {
            return self.try_write(&waiting[0]);
        }
        let mut parts = [IoSlice::new(&[]); PARTS];
        parts.iter_mut().zip(waiting).for_each(|(part, bytes)| *part = IoSlice::new(bytes));
        let sent = self.stream.try_write_vectored(&parts[..waiting.len().min(PARTS)])?;
        self.taken.fetch_add(sent as u64, Ordering::Relaxed);
        Ok(sent)
    }

    /// The socket, for reading.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Registers the session's task for [`Outlet::wake`].
    pub fn register(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    /// Writes what waits and then what `fill` brings, until the socket is full (`Pending`) or
    /// nothing is left, not even in the buffers of TLS. `fill` runs once, only when nothing waits,
    /// and under the lock that keeps publishers away, so that what it gathers keeps its place.
    /// While a publisher has the way reserved nothing is done; it wakes the session after.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn poll_drain(
        &self,
        cx: &mut Context<'_>,
        fill: impl FnOnce(&mut Filling<'_>),
    ) -> Poll<io::Result<()>> {
        let mut way = self.way.lock();
        if way.is_reserved {
            way.is_wanted = true;
            return Poll::Pending;
        }
        let waiting = &mut way.waiting;
        let mut fill = Some(fill);
        loop {
            while !waiting.is_empty() {
                match self.try_write_first(waiting) {
                    Ok(sent) => drop_first(waiting, sent),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        if self.stream.poll_write_ready(cx)?.is_pending() {
                            return Poll::Pending;
                        }
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            // It takes everything there is, and what comes later wakes the session.
            let Some(fill) = fill.take() else { return self.stream.poll_flush(cx) };
            JOINED.with_borrow_mut(|joined| {
                // A panic may have left another session's bytes.
                joined.clear();
                let mut filling = Filling { joined, waiting };
                fill(&mut filling);
                filling.finish(self);
            });
        }
    }

    /// Sends a piece on the way that was reserved for it; its frames are those of one talk.
    pub fn send_framed(&self, piece: &dyn Piece, frames: &Bytes) {
        // Full or gone: the session finds out by itself, when it tries the same.
        let sent = if frames.is_empty() { 0 } else { self.try_write(frames).unwrap_or(0) };
        self.count(piece, frames.len());
        let is_whole = sent == frames.len();
        let mut way = self.way.lock();
        way.is_reserved = false;
        if !is_whole {
            way.waiting.push_back(frames.slice(sent..));
        }
        let is_wanted = std::mem::take(&mut way.is_wanted);
        drop(way);
        if is_wanted || !is_whole || self.stream.has_unflushed() {
            self.waker.wake();
        }
    }

    /// True while the socket has not taken everything.
    pub fn has_waiting(&self) -> bool {
        !self.way.lock().waiting.is_empty() || self.stream.has_unflushed()
    }
}

/// Drops so many bytes from the front.
fn drop_first(waiting: &mut VecDeque<Bytes>, mut bytes: usize) {
    while let Some(first) = waiting.front_mut() {
        if bytes < first.len() {
            return drop(first.split_to(bytes));
        }
        bytes -= first.len();
        waiting.pop_front();
    }
}

/// Collects what is to be sent: small pieces copied together, large ones shared.
pub struct Filling<'a> {
    joined: &'a mut Vec<u8>,
    waiting: &'a mut VecDeque<Bytes>,
}

impl Filling<'_> {
    /// Adds frames that only this session is sent.
    pub fn push(&mut self, frames: &[u8]) {
        self.joined.extend_from_slice(frames);
        self.split();
    }

    /// Adds shared frames.
    pub fn push_shared(&mut self, frames: &Bytes) {
        if frames.len() < JOIN_BYTES / 4 {
            return self.push(frames);
        }
        self.keep();
        self.waiting.push_back(frames.clone());
    }

    fn split(&mut self) {
        if self.joined.len() >= JOIN_BYTES {
            self.keep();
        }
    }

    fn keep(&mut self) {
        if !self.joined.is_empty() {
            self.waiting.push_back(Bytes::copy_from_slice(self.joined));
            self.joined.clear();
        }
    }

    /// Sends the joined bytes right away if nothing is before them; keeps what is left.
    fn finish(mut self, out: &Outbound) {
        if self.waiting.is_empty() && !self.joined.is_empty() {
            let sent = out.try_write(self.joined).unwrap_or(0);
            if sent < self.joined.len() {
                self.waiting.push_back(Bytes::copy_from_slice(&self.joined[sent..]));
            }
            self.joined.clear();
        }
        self.keep();
        if self.joined.capacity() > 4 * JOIN_BYTES {
            self.joined.shrink_to(JOIN_BYTES);
        }
    }
}

impl Outlet for Outbound {
    fn reserve(&self) -> bool {
        let Some(mut way) = self.way.try_lock() else { return false };
        let is_free = way.waiting.is_empty() && !way.is_reserved;
        way.is_reserved |= is_free;
        is_free
    }

    fn send(&self, piece: &dyn Piece) {
        self.send_framed(piece, &piece.framed(self.framing));
    }

    fn wake(&self) {
        self.waker.wake();
    }
}

#[cfg(test)]
mod tests;
