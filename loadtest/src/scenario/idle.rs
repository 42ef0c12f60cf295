//! The idle scenario: many connections that do nothing, and what each costs in memory.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use crate::bot::{self, Bot};
use crate::crowd::{self, Crowd};
use crate::latency;
use crate::outcome::{Check, Figure, Outcome};
use crate::progress::Progress;
use crate::target::Target;
use crate::target::usage::{Usage, usage};

/// Connections that come and go before memory is read first: a server's first client makes it load
/// code and buffers that all later ones share.
const WARM_UP: u32 = 20;

/// Time for a server to put away what connecting took, before it is read.
const SETTLE: Duration = Duration::from_secs(1);

/// Many connections that do nothing.
///
/// Memory is the server's resident memory with all of them against without any, each document asked
/// for and empty. A few connections come and go before.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Plan {
    /// Connections.
    #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
    connections: u32,
    /// Documents they are spread over.
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    documents: u32,
    /// Connections that are opened at a time.
    #[arg(long, default_value_t = 16, value_name = "COUNT")]
    at_once: usize,
    /// Loopback addresses that they come from, 127.0.0.1 and up, for more connections than one
    /// address has ports.
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    addresses: u8,
    /// How long they are idle, for the server's CPU time meanwhile.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    seconds: f64,
}

impl Plan {
    fn crowd(&self) -> Crowd {
        let Self { connections, documents, at_once, addresses, .. } = *self;
        Crowd { connections, documents, addresses: addresses.into(), at_once }
    }
}

/// What was read of the server, if it can be.
type Reading = Option<Usage>;

/// The readings of a run.
struct Readings {
    empty: Reading,
    full: Reading,
    rested: Reading,
    closed: Reading,
    opening: Duration,
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
    anyhow::ensure!(plan.connections > 0 && plan.documents > 0, "somebody must come");
    anyhow::ensure!(plan.at_once > 0 && plan.addresses > 0, "at least one at a time");
    let name = bot::fresh_name();
    let rig = usage(None)?;
    progress.says("warming up");
    let crowd = plan.crowd();
    let few = Crowd { connections: WARM_UP, ..crowd };
    drop(few.open(target, &format!("{name}-warm")).await?);
    super::pause(SETTLE).await;
    let empty = target.usage()?;
    progress.says(&format!("opening {} connections", plan.connections));
    let start = Instant::now();
    let opened = crowd.open(target, &name).await?;
    let opening = start.elapsed();
    super::pause(SETTLE).await;
    let full = target.usage()?;
    progress.says("idle");
    super::pause(Duration::from_secs_f64(plan.seconds)).await;
    let rested = target.usage()?;
    let (mut bots, took_us): (Vec<Bot>, Vec<u64>) =
        opened.into_iter().map(|joined| (joined.bot, joined.took_us)).unzip();
    let alive = crowd::alive(&mut bots).await;
    drop(bots);
    super::pause(SETTLE).await;
    let closed = target.usage()?;
    let mut took = latency::histogram();
    took_us.iter().for_each(|us| took.saturating_record(*us));
    let note = format!("{alive} of {}", plan.connections);
    let mut outcome = Outcome {
        load: format!("{} connections, {} documents", plan.connections, plan.documents),
        settings: serde_json::to_value(plan)?,
        measured_s: plan.seconds,
        figures: figures(plan, &Readings { empty, full, rested, closed, opening }),
        latency: latency::summary(&took),
        checks: vec![Check::new("all are still open", alive == plan.connections, note)],
        ..Outcome::new("idle", target.server())
    };
    let rig_s = usage(None)?.cpu_s_since(rig);
    outcome.figures.push(Figure::neither("rig CPU time", "s", rig_s));
    Ok(outcome)
}

fn figures(plan: &Plan, readings: &Readings) -> Vec<Figure> {
    let connections = f64::from(plan.connections);
    let rate = connections / readings.opening.as_secs_f64();
    let mut figures = vec![Figure::more("opened", "1/s", rate)];
    let Readings { empty: Some(empty), full: Some(full), .. } = readings else { return figures };
    let (Some(rested), Some(closed)) = (readings.rested, readings.closed) else { return figures };
    let kib = |bytes: u64| bytes as f64 / 1_024.0;
    let growth = kib(full.resident_bytes) - kib(empty.resident_bytes);
    figures.extend([
        Figure::less("memory per connection", "KiB", growth / connections),
        Figure::less(
            "CPU per connection opened",
            "µs",
            full.cpu_s_since(*empty) * 1e6 / connections,
        ),
        Figure::less("server CPU while idle", "cores", rested.cpu_s_since(*full) / plan.seconds),
        Figure::less("server memory", "MiB", full.resident_mib()),
        Figure::less("server memory after", "MiB", closed.resident_mib()),
    ]);
    figures
}

#[cfg(test)]
mod tests;
