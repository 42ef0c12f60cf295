//! The measured part of a load: readings at its two ends and on the way, and the figures that
//! follow from them.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::load::{Load, Span};
use crate::outcome::{Figure, Outcome, Sample};
use crate::progress::Progress;
use crate::series;
use crate::target::Target;
use crate::target::usage::{Usage, usage};

/// A load that does not move for this long has lost something.
const STUCK_AFTER: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 5_000 });
/// Above this share of its core the rig's own work is part of what is measured.
const RIG_SHARE_MAX: f64 = 0.85;

/// Readings that an outcome keeps of a long run.
const SAMPLES_MAX: usize = 600;

/// What was read.
pub(crate) struct Measured {
    ends: [Reading; 2],
    series: Vec<Sample>,
    /// Deliveries of other rig processes, and the greatest share of its core that one of them used.
    others: (u64, f64),
}

struct Reading {
    at: Instant,
    deliveries: u64,
    server: Option<Usage>,
    rig: Usage,
}

impl Reading {
    fn take(target: &Target, load: &Load) -> anyhow::Result<Self> {
        let (deliveries, at) = (load.deliveries(), Instant::now());
        Ok(Self { at, deliveries, server: target.usage()?, rig: usage(None)? })
    }
}

/// Starts the clock and reads until the load is over and `is_settled`, or nothing moves any more.
/// The load itself is driven by tasks of its own.
pub(crate) async fn measure(
    target: &Target,
    progress: &Progress,
    load: &Load,
    span: Span,
    is_settled: impl Fn() -> bool,
) -> anyhow::Result<Measured> {
    load.begin();
    progress.runs(span.total());
    let samples = RefCell::default();
    let reading = async {
        let [start, end] = load.measured();
        sleep_until(start).await;
        let first = Reading::take(target, load)?;
        sleep_until(end).await;
        let last = Reading::take(target, load)?;
        settle(load, is_settled).await;
        anyhow::Ok([first, last])
    };
    let ends = tokio::select! {
        ends = reading => ends?,
        never = series::record(target, progress, || load.deliveries(), &samples) => match never {},
    };
    progress.says("comparing");
    Ok(Measured { ends, series: thinned(samples.take()), others: (0, 0.0) })
}

/// Waits until everything has arrived, or nothing more arrives.
async fn settle(load: &Load, is_settled: impl Fn() -> bool) {
    let mut look = interval(Duration::from_millis(5));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut before, mut quiet_since) = (load.deliveries(), Instant::now());
    while !is_settled() && quiet_since.elapsed() < STUCK_AFTER {
        look.tick().await;
        if load.deliveries() != before {
            (before, quiet_since) = (load.deliveries(), Instant::now());
        }
    }
}

/// At most so many as a plot can show, at equal distances.
fn thinned(series: Vec<Sample>) -> Vec<Sample> {
    let step = series.len().div_ceil(SAMPLES_MAX).max(1);
    series.into_iter().step_by(step).collect()
}

impl Measured {
    /// How long the measured part really took.
    pub(crate) fn seconds(&self) -> f64 {
        (self.ends[1].at - self.ends[0].at).as_secs_f64()
    }

    /// Deliveries of the measured part.
    pub(crate) fn deliveries(&self) -> u64 {
        self.own_deliveries() + self.others.0
    }

    fn own_deliveries(&self) -> u64 {
        self.ends[1].deliveries - self.ends[0].deliveries
    }

    /// What another rig process has seen of the same load.
    pub(crate) fn add(&mut self, deliveries: u64, rig_share: f64) {
        self.others = (self.others.0 + deliveries, self.others.1.max(rig_share));
    }

    /// Rate, CPU and memory.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let [start, end] = &self.ends;
        let (seconds, deliveries) = (self.seconds(), self.deliveries() as f64);
        let mut figures = vec![Figure::more("delivered", "1/s", deliveries / seconds)];
        if let Some((before, after)) = start.server.zip(end.server) {
            let cpu_s = after.cpu_s_since(before);
            let growth_mib = after.resident_mib() - before.resident_mib();
            figures.extend([
                Figure::less("CPU per delivery", "µs", cpu_s * 1e6 / deliveries),
                Figure::neither("server CPU", "cores", cpu_s / seconds),
                Figure::less("server memory", "MiB", after.resident_mib()),
                Figure::less("server memory growth", "MiB", growth_mib),
            ]);
        }
        figures.push(Figure::neither("rig CPU", "cores", self.rig_share()));
        figures
    }

    /// How many times of this process all have seen.
    pub(crate) fn share(&self) -> f64 {
        self.deliveries() as f64 / self.own_deliveries().max(1) as f64
    }

    /// What the rig used of its core; of several processes the busiest.
    pub(crate) fn rig_share(&self) -> f64 {
        let [start, end] = &self.ends;
        (end.rig.cpu_s_since(start.rig) / self.seconds()).max(self.others.1)
    }

    /// The outcome of a load, its checks and further figures still to come.
    pub(crate) fn outcome(&self, scenario: &str, target: &Target, load: &Load) -> Outcome {
        let mut warnings = load.failures();
        if self.deliveries() == 0 {
            warnings.push("nothing was delivered in the measured part".to_owned());
        }
        if self.rig_share() > RIG_SHARE_MAX {
            let share = self.rig_share();
            warnings.push(format!(
                "the rig used {share:.2} of its core: rates and latencies are partly its own, \
                 trust the CPU figures"
            ));
        }
        let share = self.share();
        let mut series = self.series.clone();
        for sample in &mut series {
            // The others are taken to be as quick as this process at any time.
            sample.delivered = (sample.delivered as f64 * share) as u64;
        }
        Outcome {
            measured_s: self.seconds(),
            figures: self.figures(),
            latency: load.latency(),
            series,
            warnings,
            ..Outcome::new(scenario, target.server())
        }
    }
}
