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
use crate::document::readers::Outlet;
use crate::document::tail::{Chunk, Framing};
use crate::metrics::{Direction, MessageKind, Metrics};

/// Small chunks are copied together up to this size, to go out in one call.
const JOIN_BYTES: usize = 64 * 1024;

/// Pieces that go out in one call: a state has its head in one and itself in another.
const PARTS: usize = 8;

thread_local! {
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A socket's sending half.
pub struct Outbound {
    stream: Stream,
    framing: &'static dyn Framing,
    /// What the socket did not take. While it is locked or not empty, publishers stay away.
    waiting: Mutex<VecDeque<Bytes>>,
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
        let (waiting, waker, taken) = (Mutex::default(), AtomicWaker::new(), AtomicU64::new(0));
        let is_due = AtomicBool::new(false);
        Self { stream, framing, waiting, waker, metrics, taken, is_due }
    }

    /// Counts a chunk that leaves here.
    pub fn count(&self, chunk: &Chunk, bytes: usize) {
        let metrics = &self.metrics.relay;
        metrics.messages(Direction::Out, MessageKind::Update).inc_by(chunk.len() as u64);
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
    /// nothing is left, not even in the buffers of TLS. `fill` runs only when nothing waits, and
    /// under the lock that keeps publishers away, so that what it gathers keeps its place.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn poll_drain(
        &self,
        cx: &mut Context<'_>,
        mut fill: impl FnMut(&mut Filling<'_>) -> bool,
    ) -> Poll<io::Result<()>> {
        let mut waiting = self.waiting.lock();
        loop {
            while !waiting.is_empty() {
                match self.try_write_first(&waiting) {
                    Ok(sent) => drop_first(&mut waiting, sent),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        if self.stream.poll_write_ready(cx)?.is_pending() {
                            return Poll::Pending;
                        }
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            let is_more = JOINED.with_borrow_mut(|joined| {
                // A panic may have left another session's bytes.
                joined.clear();
                let mut filling = Filling { joined, waiting: &mut waiting };
                let is_more = fill(&mut filling);
                filling.finish(self);
                is_more
            });
            if !is_more && waiting.is_empty() {
                return self.stream.poll_flush(cx);
            }
        }
    }

    /// True while the socket has not taken everything.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.lock().is_empty() || self.stream.has_unflushed()
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
    fn offer(&self, chunk: &Arc<Chunk>) -> bool {
        let Some(mut waiting) = self.waiting.try_lock() else { return false };
        if !waiting.is_empty() {
            return false;
        }
        let frames = chunk.framed(self.framing);
        match self.try_write(frames) {
            Ok(sent) if sent == frames.len() => {
                self.count(chunk, frames.len());
                if self.stream.has_unflushed() {
                    self.waker.wake();
                }
                true
            }
            Ok(sent) => {
                self.count(chunk, frames.len());
                waiting.push_back(frames.slice(sent..));
                drop(waiting);
                self.waker.wake();
                true
            }
            // Full or gone: the session finds out by itself.
            Err(_) => false,
        }
    }

    fn wake(&self) {
        self.waker.wake();
    }
}
