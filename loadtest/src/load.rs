//! The state of a load, shared by the writer and the readers of one thread: what time it is, what
//! is measured, which updates are open.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::token::Token;

/// What a load is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) readers: u32,
    /// Updates open at a time, where no rate is given.
    pub(crate) window: u32,
    /// Updates a second.
    pub(crate) rate: Option<f64>,
    pub(crate) warm_up_s: f64,
    pub(crate) measured_s: f64,
}

/// The running load.
pub(crate) struct Load {
    start: Cell<Instant>,
    measured_us: Range<u32>,
    pub(crate) rate: Option<f64>,
    readers: u32,
    /// How many readers have each update that is still open, in order of number.
    open: RefCell<VecDeque<u32>>,
    /// The number of the first of them.
    open_from: Cell<u32>,
    free: Cell<u32>,
    freed: Notify,
    deliveries: Cell<u64>,
}

impl Load {
    pub(crate) fn new(shape: Shape) -> Self {
        let warm_up_us = (shape.warm_up_s * 1e6) as u32;
        let end_us = ((shape.warm_up_s + shape.measured_s) * 1e6) as u32;
        Self {
            start: Cell::new(Instant::now()),
            measured_us: warm_up_us..end_us,
            rate: shape.rate,
            readers: shape.readers,
            open: RefCell::default(),
            open_from: Cell::new(0),
            free: Cell::new(shape.window),
            freed: Notify::new(),
            deliveries: Cell::new(0),
        }
    }

    /// The clock starts, when everybody is connected.
    pub(crate) fn begin(&self) {
        self.start.set(Instant::now());
    }

    /// Microseconds since the start.
    pub(crate) fn now_us(&self) -> u32 {
        u32::try_from(self.start.get().elapsed().as_micros()).unwrap_or(u32::MAX)
    }

    /// When the measured part begins and ends.
    pub(crate) fn measured(&self) -> [Instant; 2] {
        let at = |us: u32| self.start.get() + std::time::Duration::from_micros(us.into());
        [at(self.measured_us.start), at(self.measured_us.end)]
    }

    pub(crate) fn is_over(&self) -> bool {
        self.now_us() >= self.measured_us.end
    }

    /// Whether an update due then belongs to the measured part.
    pub(crate) fn is_measured(&self, due_us: u32) -> bool {
        self.measured_us.contains(&due_us)
    }

    /// Waits until updates may be sent; takes as many as there may be.
    pub(crate) async fn take_window(&self) -> u32 {
        loop {
            let free = self.free.take();
            if free > 0 {
                return free;
            }
            self.freed.notified().await;
        }
    }

    /// The next update was sent.
    pub(crate) fn sent(&self) {
        self.open.borrow_mut().push_back(0);
    }

    /// A reader has it. Updates are closed in order, when all readers have them.
    pub(crate) fn delivered(&self, token: Token) {
        self.deliveries.set(self.deliveries.get() + 1);
        let mut open = self.open.borrow_mut();
        let Some(at) = token.number.checked_sub(self.open_from.get()) else { return };
        if let Some(count) = open.get_mut(at as usize) {
            *count += 1;
        }
        while open.front().is_some_and(|count| *count >= self.readers) {
            open.pop_front();
            self.open_from.set(self.open_from.get() + 1);
            self.free.set(self.free.get() + 1);
            self.freed.notify_one();
        }
    }

    /// Deliveries so far, to all readers together.
    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries.get()
    }

    /// Whether every reader has everything that was sent.
    pub(crate) fn is_settled(&self) -> bool {
        self.open.borrow().is_empty()
    }
}

#[cfg(test)]
mod tests;
