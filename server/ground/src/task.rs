//! Supervised tasks: the one place that spawns.
//!
//! `app` owns the groups; every part that needs tasks gets a clone of one. A panic inside a task is
//! caught, counted and logged with the task's name; it ends that task alone. Never lets a panic's
//! message into a log: it may hold the text of a document.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use prometheus_client::metrics::counter::Counter;
use tokio::runtime::RuntimeFlavor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::time::Clock;

/// Target of the spans that a collector of traces gets, and nothing else does. They are of the
/// level `trace`, so that without a collector they cost one load of an atomic.
pub const SPAN: &str = "sheaf_span";

/// Tasks that are told to stop, and waited for, together. Clones name the same group.
#[derive(Clone, Debug)]
pub struct Group {
    tasks: TaskTracker,
    stop: CancellationToken,
    panics: Counter,
}

/// What a group's shutdown came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Every task has ended.
    Complete,
    /// This many tasks were still running at the deadline; the runtime's end will drop them.
    Left(usize),
}

impl Group {
    /// An empty group that counts panics in `panics`.
    #[must_use]
    pub fn new(panics: Counter) -> Group {
        Group { tasks: TaskTracker::new(), stop: CancellationToken::new(), panics }
    }

    /// Another group, waited for on its own, whose stop token also follows this group's.
    #[must_use]
    pub fn child(&self) -> Group {
        let stop = self.stop.child_token();
        Group { tasks: TaskTracker::new(), stop, panics: self.panics.clone() }
    }

    /// Starts `future` as a task. `name` is for logs and must not hold ids.
    ///
    /// The task itself decides what stopping means: it watches [`Group::stopping`].
    #[expect(clippy::disallowed_methods, reason = "this is the home of spawning")]
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let panics = self.panics.clone();
        // No async block: one would hold the future twice, as what it was given and as what it
        // waits for, and a session lives in its task.
        let supervised = AssertUnwindSafe(future).catch_unwind().map(move |ended| {
            if ended.is_err() {
                panics.inc();
                tracing::error!(task = name, "a task panicked and was ended");
            }
        });
        drop(tokio::spawn(self.tasks.track_future(supervised)));
    }

    /// Cancelled when the group is told to stop.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// Tells all tasks to stop, without waiting.
    pub fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
    }

    /// Tasks running now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.tasks.len()
    }

    /// Tells all tasks to stop and waits until they have, at most `time`.
    pub async fn shutdown(&self, clock: &Clock, time: Duration) -> Shutdown {
        self.stop();
        match clock.deadline(time, self.tasks.wait()).await {
            Ok(()) => Shutdown::Complete,
            Err(_) => Shutdown::Left(self.tasks.len()),
        }
    }
}

/// Runs long work in place, after the thread's other tasks have been handed to another thread. A
/// runtime of one thread has no other: there it just runs.
pub fn block<R>(work: impl FnOnce() -> R) -> R {
    let flavor = tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Replaces the process's panic hook by one that logs the place and never the message. For the
/// binary alone: tests want to read their panics.
pub fn log_panics_without_message() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        tracing::error!(place, thread = thread.name().unwrap_or("unnamed"), "panic");
    }));
}

#[cfg(test)]
mod tests;
