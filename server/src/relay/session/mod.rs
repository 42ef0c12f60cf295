//! The life of one socket and of what is said on it.
//!
//! Job: one task, one hand-written `poll`: time, acknowledgements, output, input. Called by `app`
//! for every upgrade. What belongs to the bytes is `socket`, what belongs to a document is `talk`;
//! this file takes turns between them. Never touches the store or the CRDT library, never writes
//! what a document has not published, never outlives its grants.

mod lanes;
mod opening;
pub(super) mod socket;
mod talk;
#[cfg(test)]
mod tests;
pub(super) mod timing;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use sheaf_protocol::error::{Code, Refusal};

pub use opening::{About, Limits, Opened, Relay, accept};
use socket::Socket;

use super::outbound::Filling;
use crate::document::submission::{Failure, Submission};

/// Reads of one turn, before other tasks get theirs.
const READS_PER_TURN: usize = 16;

/// Updates of one read that wait for their document's lock.
pub(super) type Batch<'a> = Vec<Submission<'a>>;

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
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

/// What a socket is about: one document, or many of which each frame names its own.
pub(super) trait Talks {
    /// Follows grants, timers and answers from elsewhere. True: what was held is let go, and
    /// reading goes on.
    fn poll_changes(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Result<bool, Ending>;
    /// Moves acknowledgements whose turn has come into the replies.
    fn poll_acks(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Result<(), Ending>;
    /// Hands over own replies and everything the documents have.
    fn fill(&mut self, socket: &mut Socket, filling: &mut Filling<'_>) -> Result<(), Ending>;
    /// Acts on one frame's payload; updates are left in the batch.
    fn hear<'a>(
        &mut self,
        socket: &mut Socket,
        payload: &'a [u8],
        batch: &mut Batch<'a>,
    ) -> Result<(), Ending>;
    /// Acts on one text message, where the socket takes them.
    fn hear_text(&mut self, _: &mut Socket, _: &[u8]) -> Result<(), Ending> {
        Err(Ending::Told(Code::Malformed, "a text frame; this dialect is binary"))
    }
    /// Learns that a message over the bound is passed over, where the socket does so.
    fn hear_too_large(&mut self, _: &mut Socket) -> Result<(), Ending> {
        Err(Ending::Told(Code::TooLarge, "a message over the size limit"))
    }
    /// Submits the updates that wait, in order.
    fn submit(&mut self, socket: &mut Socket, batch: &mut Batch<'_>) -> Result<(), Ending>;
    /// A submission waits for somebody else: nothing more is taken in.
    fn is_held(&self) -> bool;
    /// So many acknowledgements wait for the disk that nothing more is read.
    fn has_many_acks(&self) -> bool;
    /// An acknowledgement waits for nothing but the disk.
    fn has_acks(&self) -> bool;
    /// The client has answered a ping.
    fn answered_ping(&self);
    /// Writes frames that mean nothing, for watchdogs that only count frames.
    fn keep_alive(&self, out: &mut Vec<u8>);
    /// Leaves the documents: nothing more of them is sent.
    fn leave(&mut self);
    /// For the log: who it is about what.
    fn note_end(&self, code: Code, what: &'static str);
}

/// One socket and what is said on it. Thousands of them are idle: what a session rarely has is
/// boxed, and what it has for one poll only is its thread's.
struct Session<T: Talks> {
    socket: Socket,
    talks: T,
}

impl<T: Talks> Drop for Session<T> {
    fn drop(&mut self) {
        self.talks.leave();
    }
}

impl<T: Talks + Unpin> Future for Session<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.socket.out.register(cx);
        let ended = if this.socket.is_closing() { None } else { this.turn(cx).err() };
        match ended {
            None if !this.socket.is_closing() => return Poll::Pending,
            None => {}
            Some(Ending::Gone) => return Poll::Ready(()),
            Some(Ending::Left(code)) => this.begin_close(code, ""),
            Some(Ending::Told(code, what)) => {
                this.talks.note_end(code, what);
                this.socket.relay.metrics.relay.refuse(code);
                this.begin_close(code.close_code(), what);
            }
        }
        this.socket.poll_closing(cx)
    }
}

impl<T: Talks> Session<T> {
    /// One turn: time, acknowledgements, output, input, until nothing moves.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        let Session { socket, talks } = self;
        socket.is_stopping |= socket.relay.pulse.is_stopping();
        socket.poll_beat(talks)?;
        if talks.poll_changes(socket, cx)? {
            socket.take_in(talks, &mut [])?;
            socket.wake();
        }
        if !socket.is_stopping && socket.take_leftover() {
            socket.take_in(talks, &mut [])?;
        }
        if socket.take_new() && socket.may_read(talks, false) {
            // What it has asked is answered in the same write that asks it.
            let _ = socket.poll_input(talks, cx)?;
        }
        for _ in 0..READS_PER_TURN {
            talks.poll_acks(socket, cx)?;
            let is_blocked = socket.poll_output(talks, cx)?.is_pending();
            // Acknowledgements behind a gap come last, and nothing is read any more that could
            // close it.
            if socket.is_stopping && !talks.has_acks() && !is_blocked {
                return Err(Ending::Told(Code::Restart, "the server is restarting"));
            }
            if !socket.may_read(talks, is_blocked) {
                return Ok(());
            }
            if socket.poll_input(talks, cx)?.is_pending() {
                return Ok(());
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Leaves the documents, so that nothing is sent behind the close frame, and writes that.
    fn begin_close(&mut self, code: u16, reason: &str) {
        self.talks.leave();
        self.socket.begin_close(code, reason);
    }
}
