//! Waiting until something is due, to the hundredth of a millisecond: the runtime's own timers are
//! late by up to a millisecond, which is more than most servers take for an update.

use std::os::fd::{AsFd, AsRawFd, RawFd};

use anyhow::Context;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// A timer of the kernel's.
pub(crate) struct Alarm(AsyncFd<Timer>);

struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Alarm {
    /// A timer that is not set yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).context("a timer")?;
        // Its successor is `unsafe`, for types that do not keep their file open. This one does.
        #[expect(deprecated)]
        Ok(Self(AsyncFd::with_interest(Timer(timer), Interest::READABLE)?))
    }

    /// Returns at that time, or at once if it is over.
    pub(crate) async fn until(&self, due: Instant) {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // Whoever is behind must not keep the thread to himself.
            return tokio::task::consume_budget().await;
        }
        let expiration = Expiration::OneShot(TimeSpec::from_duration(left));
        if self.0.get_ref().0.set(expiration, TimerSetTimeFlags::empty()).is_err() {
            return tokio::time::sleep_until(due).await;
        }
        while Instant::now() < due {
            let Ok(mut ready) = self.0.readable().await else { return };
            let mut count = [0; 8];
            let read = |timer: &AsyncFd<Timer>| {
                Ok(nix::unistd::read(timer.get_ref().0.as_fd(), &mut count)?)
            };
            let _ = ready.try_io(read); // what it counts does not matter
        }
    }
}

#[cfg(test)]
mod tests;
