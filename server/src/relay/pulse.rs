//! The beat that wakes every session now and then.
//!
//! Job: one task wakes all sessions in turn, so that each looks after its keep-alive, its silence
//! and its stuck socket every ten seconds; and all at once when the server stops. `app` runs it,
//! sessions enter and leave. Never wakes them together but then: ten thousand are spread over the
//! ten seconds. A timer and a wait for the stop in each session cost 400 bytes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sheaf_ground::task::Group;
use sheaf_ground::time::Clock;
use slab::Slab;
use tokio_util::sync::CancellationToken;

use super::outbound::Outbound;
use crate::document::fanout::Outlet;

/// How often a session is woken. Stock clients close after 30 s without a frame: two ticks are
/// less, in the worst case.
pub const TICK: Duration = Duration::from_secs(10);

/// Parts of the sessions, woken one after the other within a tick.
const PARTS: usize = 16;

/// All sessions, to be woken.
#[derive(Default)]
pub struct Pulse {
    sessions: Mutex<Slab<Arc<Outbound>>>,
    is_stopping: AtomicBool,
}

impl Pulse {
    /// Beats as a task of `tasks`, until `stop`.
    pub fn start(clock: &Clock, tasks: &Group, stop: &CancellationToken) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse::default());
        tasks.spawn("pulse", Arc::clone(&pulse).run(clock.clone(), stop.clone()));
        pulse
    }

    /// Adds a session; its place is to be given back with [`Pulse::leave`]. Its first beat comes
    /// within one tick.
    pub fn enter(&self, out: Arc<Outbound>) -> usize {
        self.sessions.lock().insert(out)
    }

    /// Takes a session out.
    pub fn leave(&self, place: usize) {
        let mut sessions = self.sessions.lock();
        sessions.remove(place);
        if sessions.len() < sessions.capacity() / 4 {
            sessions.shrink_to_fit();
        }
    }

    /// Whether the sessions are to end. Who has entered before it is true is woken when it is.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Wakes the sessions in turn until `stop`, and then all of them.
    async fn run(self: Arc<Self>, clock: Clock, stop: CancellationToken) {
        for part in (0..PARTS).cycle() {
            if stop.run_until_cancelled(clock.sleep(TICK / PARTS as u32)).await.is_none() {
                break;
            }
            let sessions = self.sessions.lock();
            let due = sessions.iter().filter(|(place, _)| place % PARTS == part);
            due.for_each(|(_, out)| out.beat());
        }
        self.is_stopping.store(true, Ordering::Release);
        self.sessions.lock().iter().for_each(|(_, out)| out.wake());
    }
}

#[cfg(test)]
mod tests;
