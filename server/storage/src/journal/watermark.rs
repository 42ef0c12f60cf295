//! A position that only rises, with those who wait for it. One for what is durable, one for what is
//! folded; raised by the sync and the fold thread, awaited by sessions and by tests.
//! Never calls a waker while it holds its lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::{Condvar, Mutex};

/// The watermark.
#[derive(Debug, Default)]
pub(super) struct Watermark {
    value: AtomicU64,
    /// `waiting` is not empty, for those who look without the lock.
    is_awaited: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// By the end they wait for. An end belongs to one batch, so few wait for the same.
    waiting: BTreeMap<u64, Vec<Waker>>,
    /// It will never rise again.
    is_stuck: bool,
}

/// The watermark will not reach what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stuck;

impl Watermark {
    pub(super) fn get(&self) -> u64 {
        self.value.load(Ordering::Acquire)
    }

    /// Whether somebody waits for it to rise.
    pub(super) fn is_awaited(&self) -> bool {
        self.is_awaited.load(Ordering::Acquire)
    }

    /// Raises it and wakes whoever waited for that much.
    pub(super) fn raise(&self, to: u64) {
        let mut state = self.state.lock();
        if to <= self.get() {
            return;
        }
        self.value.store(to, Ordering::Release);
        let later = state.waiting.split_off(&(to + 1));
        let reached = std::mem::replace(&mut state.waiting, later);
        self.is_awaited.store(!state.waiting.is_empty(), Ordering::Release);
        self.changed.notify_all();
        drop(state);
        reached.into_values().flatten().for_each(Waker::wake);
    }

    /// Says that it will not rise again and wakes everyone.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.is_stuck = true;
        let waiting = std::mem::take(&mut state.waiting);
        self.changed.notify_all();
        drop(state);
        waiting.into_values().flatten().for_each(Waker::wake);
    }

    /// Ready when it is at `end` or beyond, or stuck below; else wakes `cx` then.
    pub(super) fn poll(&self, cx: &mut Context<'_>, end: u64) -> Poll<Result<(), Stuck>> {
        if self.get() >= end {
            return Poll::Ready(Ok(()));
        }
        let mut state = self.state.lock();
        if self.get() >= end {
            return Poll::Ready(Ok(()));
        }
        if state.is_stuck {
            return Poll::Ready(Err(Stuck));
        }
        self.is_awaited.store(true, Ordering::Release);
        let wakers = state.waiting.entry(end).or_default();
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Blocks the thread until `end` is reached.
    pub(super) fn wait(&self, end: u64) -> Result<(), Stuck> {
        let mut state = self.state.lock();
        while self.get() < end {
            if state.is_stuck {
                return Err(Stuck);
            }
            self.changed.wait(&mut state);
        }
        Ok(())
    }
}
