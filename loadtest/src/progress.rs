//! What a person sees while the rig works; on a terminal only, and on standard error.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

/// All runs of a comparison, for the time that is left.
pub(crate) struct Overall {
    since: Instant,
    runs: u32,
    done: Cell<u32>,
}

impl Overall {
    /// So many runs are to come.
    pub(crate) fn new(runs: u32) -> Self {
        Self { since: Instant::now(), runs, done: Cell::new(0) }
    }

    /// A run is over, however it ended.
    pub(crate) fn finished(&self) {
        self.done.set(self.done.get() + 1);
    }

    /// `3 of 27, about 4 min left`
    fn left(&self) -> String {
        let (done, runs) = (self.done.get(), self.runs);
        let of = format!("{} of {runs}", done + 1);
        if done == 0 {
            return of;
        }
        let seconds = self.since.elapsed().as_secs_f64() / f64::from(done)
            * f64::from(runs.saturating_sub(done));
        match seconds {
            90.0.. => format!("{of}, about {:.0} min left", seconds / 60.0),
            _ => format!("{of}, about {seconds:.0} s left"),
        }
    }
}

/// What one run shows of itself. Drawn when the run tells something, at most ten times a second, by
/// no thread of its own: it would share the rig's core. Where there is no terminal, a line says
/// that the run begins.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// When the load began, and how long it is to take.
    load: Cell<Option<(Instant, Duration)>>,
    /// The last count, and when; for the rate.
    last: Cell<(Option<Instant>, u64)>,
    rate: RefCell<String>,
}

impl Progress {
    /// A bar with a name: scenario, server, round.
    pub(crate) fn new(name: &str, overall: &Overall) -> Self {
        let bar = ProgressBar::new(1_000);
        let style = ProgressStyle::with_template("{prefix} {bar:24} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let prefix = match overall.runs {
            1 => name.to_owned(),
            _ => format!("{name} ({})", overall.left()),
        };
        if bar.is_hidden() && overall.runs > 1 {
            // Nobody is left to tell if this fails.
            let _ = writeln!(io::stderr(), "{prefix}");
        }
        bar.set_prefix(prefix);
        Self { bar, load: Cell::new(None), last: Cell::default(), rate: RefCell::default() }
    }

    /// What the run does before or after its load: `connecting 100 readers`.
    pub(crate) fn says(&self, what: &str) {
        self.bar.set_message(what.to_owned());
        self.bar.tick();
    }

    /// The load begins and will take so long, warm-up included.
    pub(crate) fn runs(&self, length: Duration) {
        self.load.set(Some((Instant::now(), length)));
        self.last.set((None, 0));
    }

    /// So much was delivered since the load began.
    pub(crate) fn delivered(&self, total: u64) {
        let Some((start, length)) = self.load.get() else { return };
        let now = Instant::now();
        match self.last.get() {
            (Some(at), _) if now - at < Duration::from_millis(500) => {}
            (Some(at), before) => {
                let rate = total.saturating_sub(before) as f64 / (now - at).as_secs_f64();
                *self.rate.borrow_mut() = format!(", {rate:.0} deliveries/s");
                self.last.set((Some(now), total));
            }
            (None, _) => self.last.set((Some(now), total)),
        }
        let passed = (now - start).as_secs_f64().min(length.as_secs_f64());
        let of = length.as_secs_f64();
        self.bar.set_position((passed / of * 1e3) as u64);
        self.bar.set_message(format!("{passed:.1} of {of:.0} s{}", self.rate.borrow()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
