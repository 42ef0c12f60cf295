//! Memory for what is large and on its way: messages of sessions, bodies over HTTP.
//!
//! Job: a session takes a permit for a whole frame once its header says how large it is, and stops
//! reading until it has one; a request that gets none is refused. Called by `relay` and `http`.
//! Never grants more than its bound, except one permit at a time that is larger than all of it.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Bytes that may be promised at once.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Mutex<Promised>>);

#[derive(Debug)]
struct Promised {
    left: usize,
    all: usize,
    waiting: Vec<Waker>,
}

/// Bytes promised to one session or body; dropping it gives them back.
#[derive(Debug)]
pub struct Permit {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    /// A budget of this many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Promised { left: bytes, all: bytes, waiting: Vec::new() })))
    }

    /// Makes a permit cover so many bytes, or leaves the task's waker to be woken when some are
    /// given back.
    pub fn poll_cover(
        &self,
        cx: &Context<'_>,
        permit: &mut Option<Permit>,
        bytes: usize,
    ) -> Poll<()> {
        let mut promised = self.0.lock();
        if self.cover(&mut promised, permit, bytes) {
            return Poll::Ready(());
        }
        if !promised.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            promised.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Makes a permit cover so many bytes if they are left now; otherwise it stays as it was.
    #[must_use]
    pub fn try_cover(&self, permit: &mut Option<Permit>, bytes: usize) -> bool {
        self.cover(&mut self.0.lock(), permit, bytes)
    }

    fn cover(&self, promised: &mut Promised, permit: &mut Option<Permit>, bytes: usize) -> bool {
        let bytes = bytes.min(promised.all);
        let more = bytes.saturating_sub(permit.as_ref().map_or(0, |permit| permit.bytes));
        if more > promised.left {
            return false;
        }
        promised.left -= more;
        permit.get_or_insert_with(|| Permit { budget: self.clone(), bytes: 0 }).bytes += more;
        true
    }

    /// Bytes promised now.
    pub fn used(&self) -> usize {
        let promised = self.0.lock();
        promised.all - promised.left
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let waiting = {
            let mut promised = self.budget.0.lock();
            promised.left += self.bytes;
            std::mem::take(&mut promised.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}
