//! A load while it runs, shared by everybody on the rig's thread: what time it is, what is
//! measured, what was delivered and how late.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::time::Instant;

use crate::latency;

/// How long a load lasts.
#[derive(Debug, Clone, Copy, Args, Serialize)]
pub(crate) struct Span {
    /// Load before anything is measured.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    pub(crate) warm_up: f64,
    /// Load that is measured.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    pub(crate) seconds: f64,
}

impl Span {
    /// Warm-up and measured part together.
    pub(crate) fn total(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up + self.seconds)
    }

    /// Refuses what is no span of time.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let is_sound = self.warm_up >= 0.0 && (0.1..=1e6).contains(&self.seconds);
        anyhow::ensure!(is_sound && self.warm_up <= 1e6, "a load lasts 0.1 to 1,000,000 seconds");
        Ok(())
    }
}

/// The running load.
pub(crate) struct Load {
    start: Cell<Instant>,
    measured_us: Range<u64>,
    deliveries: Cell<u64>,
    /// Of the measured part, all readers together: a histogram each would not fit a cache.
    latencies_us: RefCell<Histogram<u64>>,
    failures: RefCell<Vec<String>>,
}

impl Load {
    pub(crate) fn new(span: Span) -> Self {
        let warm_up_us = (span.warm_up * 1e6) as u64;
        Self {
            start: Cell::new(Instant::now()),
            measured_us: warm_up_us..warm_up_us + (span.seconds * 1e6) as u64,
            deliveries: Cell::new(0),
            latencies_us: RefCell::new(latency::histogram()),
            failures: RefCell::default(),
        }
    }

    /// The clock starts, when everybody is connected.
    pub(crate) fn begin(&self) {
        self.start.set(Instant::now());
    }

    /// Microseconds since the start.
    pub(crate) fn now_us(&self) -> u64 {
        self.start.get().elapsed().as_micros() as u64
    }

    /// An instant of the load's clock.
    pub(crate) fn instant(&self, us: u64) -> Instant {
        self.start.get() + Duration::from_micros(us)
    }

    /// When the measured part begins and ends.
    pub(crate) fn measured(&self) -> [Instant; 2] {
        [self.instant(self.measured_us.start), self.instant(self.measured_us.end)]
    }

    /// Whether nothing that is due now is sent any more.
    pub(crate) fn is_over_at(&self, us: u64) -> bool {
        us >= self.measured_us.end
    }

    /// Something that was due then has arrived.
    pub(crate) fn delivered(&self, due_us: u64, now_us: u64) {
        self.deliveries.set(self.deliveries.get() + 1);
        if self.measured_us.contains(&due_us) {
            self.latencies_us.borrow_mut().saturating_record(now_us.saturating_sub(due_us));
        }
    }

    /// Deliveries so far, to all readers together.
    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries.get()
    }

    /// Somebody had to give up.
    pub(crate) fn fail(&self, who: &str, reason: &anyhow::Error) {
        self.failures.borrow_mut().push(format!("{who}: {reason:#}"));
    }

    /// Who had to give up, and why.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.borrow().clone()
    }

    /// Microseconds and how many took as long.
    pub(crate) fn latencies(&self) -> Vec<(u64, u64)> {
        let latencies_us = self.latencies_us.borrow();
        let recorded = latencies_us.iter_recorded();
        recorded.map(|value| (value.value_iterated_to(), value.count_at_value())).collect()
    }

    /// What another process has seen of the same load.
    pub(crate) fn add(&self, latencies_us: &[(u64, u64)], failures: Vec<String>) {
        for (us, count) in latencies_us {
            self.latencies_us.borrow_mut().saturating_record_n(*us, *count);
        }
        self.failures.borrow_mut().extend(failures);
    }

    /// How late things were.
    pub(crate) fn latency(&self) -> Option<crate::outcome::Latency> {
        latency::summary(&self.latencies_us.borrow())
    }
}

#[cfg(test)]
mod tests;
