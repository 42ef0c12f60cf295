//! A socket's clocks: keep-alive, silence, a stuck socket, waits with an end.
//!
//! Job: act on the slow beat that `pulse` gives all sessions. Called by the session's `poll`; talks
//! have their timers from here. Never has a timer while nothing is due: an idle session is its
//! memory.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use sheaf_protocol::error::Code;

use super::socket::Socket;
use super::{Ending, Talks};
use crate::relay::pulse::TICK;
use crate::relay::websocket::write_ping;
use sheaf_ground::time::{Clock, Moment};

/// Ticks in which the socket took nothing, before the reader counts as stuck.
const STUCK_TICKS: u32 = 6;

/// Time for a large message to arrive whole, and the rate that gives it more.
const WHOLE: Duration = Duration::from_secs(30);
const WHOLE_BYTES_PER_SECOND: usize = 64 * 1024;

/// How long a submission waits for the owner of its client ids.
pub(super) const HELD: Duration = Duration::from_secs(5);

/// How long a closed session waits for the client's own close.
const LINGER: Duration = Duration::from_secs(2);

/// A wait with an end. It counts from its first poll. One pointer wide: idle sessions have none.
pub(in crate::relay) struct Timer(Box<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Timer {
    pub(in crate::relay) fn new(clock: &Clock, time: Duration) -> Timer {
        let clock = clock.clone();
        Timer(Box::new(Box::pin(async move { clock.sleep(time).await })))
    }

    pub(in crate::relay) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().as_mut().poll(cx)
    }
}

/// Whether the wait has come to its end, which it does once.
pub(in crate::relay) fn is_over(timer: &mut Option<Timer>, cx: &mut Context<'_>) -> bool {
    let is_over = timer.as_mut().is_some_and(|timer| timer.poll(cx).is_ready());
    if is_over {
        *timer = None;
    }
    is_over
}

/// What a socket measures between ticks.
pub(super) struct Timing {
    /// How long it stays once it is closed.
    lingering: Option<Timer>,
    /// Bytes the socket had taken at the last tick.
    taken: u64,
    /// Since when a large message is arriving, and the most bytes it was known to have.
    arriving: Option<(Moment, usize)>,
    /// It waits for memory, unread: its silence is ours.
    is_waiting: bool,
    heard: Moment,
    /// Something came since the last tick; when exactly is not worth reading the clock for.
    has_heard: bool,
    /// Silent for longer than the client is left alone, and pinged for it.
    is_pinged: bool,
    blocked_ticks: u32,
}

impl Timing {
    pub(super) fn new(clock: &Clock) -> Self {
        Self {
            lingering: None,
            taken: 0,
            arriving: None,
            is_waiting: false,
            heard: clock.now(),
            has_heard: false,
            is_pinged: false,
            blocked_ticks: 0,
        }
    }

    /// A message of so many bytes arrives, or waits for memory.
    pub(super) fn arrives(&mut self, now: Moment, bytes: usize, is_waiting: bool) {
        let (_, most) = self.arriving.get_or_insert((now, bytes));
        *most = bytes.max(*most);
        self.is_waiting = is_waiting;
    }

    /// No large message is under way.
    pub(super) fn arrived(&mut self) {
        self.arriving = None;
        self.is_waiting = false;
    }

    pub(super) fn received(&mut self) {
        self.has_heard = true;
    }

    pub(super) fn closing(&mut self, clock: &Clock) {
        self.lingering = Some(Timer::new(clock, LINGER));
    }

    pub(super) fn poll_lingered(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.lingering {
            Some(lingering) => lingering.poll(cx),
            None => Poll::Pending,
        }
    }
}

impl Socket {
    /// Acts on a beat, if one has come.
    pub(super) fn poll_beat(&mut self, talks: &impl Talks) -> Result<(), Ending> {
        if !self.out.take_beat() {
            return Ok(());
        }
        let now = self.relay.clock.now();
        let taken = self.out.taken();
        let has_moved = std::mem::replace(&mut self.timing.taken, taken) != taken;
        if !has_moved {
            talks.keep_alive(&mut self.replies);
        }
        let is_stuck = self.out.has_waiting() && !has_moved;
        self.timing.blocked_ticks = if is_stuck { self.timing.blocked_ticks + 1 } else { 0 };
        if self.timing.blocked_ticks >= STUCK_TICKS {
            return Err(Ending::Told(Code::StuckReader, "the socket takes nothing"));
        }
        let is_overdue = |(since, bytes): (Moment, usize)| {
            let time = WHOLE + Duration::from_secs((bytes / WHOLE_BYTES_PER_SECOND) as u64);
            now > since + time
        };
        if self.timing.arriving.is_some_and(is_overdue) {
            return Err(Ending::Told(Code::Timeout, "a message took too long to arrive"));
        }
        if std::mem::take(&mut self.timing.has_heard) {
            self.timing.heard = now;
            self.timing.is_pinged = false;
        }
        let silence = now.since(self.timing.heard);
        let is_silent = silence >= self.relay.limits.ping_idle;
        if is_silent && !std::mem::replace(&mut self.timing.is_pinged, true) {
            write_ping(&[], &mut self.replies);
        }
        // A session that does not read on purpose cannot hear its client. One tick more than the
        // bound leaves an answer the time to come.
        let is_deaf = talks.is_held() || self.timing.is_waiting;
        if silence >= self.relay.limits.session_idle + TICK && !is_deaf {
            return Err(Ending::Told(Code::Timeout, "nothing heard for too long"));
        }
        Ok(())
    }
}
