//! The soak scenario: people type for a long time, and the server's memory is watched.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval};

use super::typing;
use crate::crew::Crew;
use crate::load::Span;
use crate::outcome::{Figure, Outcome, Sample};
use crate::people::Habits;
use crate::progress::Progress;
use crate::target::Target;

/// People type for a long time, and the server's memory is watched.
///
/// Prints a line now and then, so that a run of hours can be followed in a log. Each line counts
/// from the one before.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Plan {
    /// Documents.
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    documents: u32,
    /// People at each document.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    people: u32,
    /// Keys a second and person, pauses counted.
    #[arg(long, default_value_t = 4.0, value_name = "PER_SECOND")]
    keys: f64,
    /// Cursor moves a second and person; 0 for none.
    #[arg(long, default_value_t = 1.0, value_name = "PER_SECOND")]
    cursors: f64,
    /// How long; hours are meant.
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    seconds: f64,
    /// Load before anything is measured.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    warm_up: f64,
    /// How often a line is printed.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    every: f64,
}

/// Runs the scenario.
///
/// # Errors
/// When the plan makes no sense, or the server cannot be reached or breaks off.
pub(crate) async fn run(
    plan: &Plan,
    target: &Target,
    progress: &Progress,
) -> anyhow::Result<Outcome> {
    let span = Span { warm_up: plan.warm_up, seconds: plan.seconds };
    span.check()?;
    anyhow::ensure!(plan.documents > 0 && plan.people > 1, "there must be two who type");
    anyhow::ensure!(plan.keys > 0.0 && plan.every >= 0.1, "there must be keys, and time for them");
    let habits = Habits {
        documents: plan.documents,
        people: plan.people,
        keys: plan.keys,
        cursors: plan.cursors,
        trace: None,
        is_whole: false,
        rebuild: 1,
    };
    let mut outcome = tokio::select! {
        outcome = typing::watched(&habits, span, (target, progress), &Crew::Alone) => outcome?,
        () = tell(target, plan.every) => anyhow::bail!("standard error is closed"),
    };
    outcome.scenario = "soak".to_owned();
    outcome.load = format!(
        "{} documents, {} people each, {} keys/s each, {} s",
        plan.documents, plan.people, plan.keys, plan.seconds
    );
    let measured = |sample: &&Sample| sample.at_s >= plan.warm_up;
    let series: Vec<&Sample> = outcome.series.iter().filter(measured).collect();
    if let Some(slope) = growth_mib_per_h(&series) {
        outcome.figures.push(Figure::less("memory growth, second half", "MiB/h", slope));
    }
    outcome.settings = serde_json::to_value(plan)?;
    Ok(outcome)
}

/// Prints a line now and then; ends when nobody takes it.
async fn tell(target: &Target, every_s: f64) {
    let every = Duration::from_secs_f64(every_s);
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (start, mut before) = (Instant::now(), None);
    loop {
        tick.tick().await;
        let Some(usage) = target.usage().ok().flatten() else { continue };
        let mib = usage.resident_mib();
        let cpu_s = usage.cpu.as_secs_f64();
        let line = format!(
            "{:>8.0} s  {mib:>9.2} MiB  {:>6.3} cores",
            start.elapsed().as_secs_f64(),
            (cpu_s - before.unwrap_or(cpu_s)) / every_s
        );
        before = Some(cpu_s);
        if writeln!(io::stderr(), "{line}").is_err() {
            return;
        }
    }
}

/// The slope of a line through the second half, where start-up and warm caches no longer show.
fn growth_mib_per_h(series: &[&Sample]) -> Option<f64> {
    let half = &series[series.len() / 2..];
    let points: Vec<(f64, f64)> = half
        .iter()
        .filter_map(|sample| Some((sample.at_s, sample.resident_bytes? as f64)))
        .collect();
    let count = points.len() as f64;
    let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
    let (at, bytes) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - at).powi(2)).sum();
    let joint: f64 = points.iter().map(|point| (point.0 - at) * (point.1 - bytes)).sum();
    (spread > 0.0).then(|| joint / spread * 3_600.0 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests;
