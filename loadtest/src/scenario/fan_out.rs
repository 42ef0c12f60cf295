//! The fan-out scenario: one writer and many readers of one document.

use clap::Args;
use serde::Serialize;

use crate::crew::Crew;
use crate::crowd::Beside;
use crate::edits::Kind;
use crate::flow::{self, Pace, Shape};
use crate::load::Span;
use crate::outcome::Outcome;
use crate::progress::Progress;
use crate::target::Target;

/// One writer, many readers of one document.
///
/// Closed loop (`--window`): the writer keeps that many updates open; one is closed when every
/// reader has it. Open loop (`--rate`): the writer sends so many a second whatever happens, and
/// latency counts from when an update was due, so a server that stalls cannot hide it.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Plan {
    /// The document; a fresh one if not given. It must be empty.
    #[arg(long, value_name = "NAME")]
    room: Option<String>,
    /// Readers, besides the writer.
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    readers: u32,
    /// Closed loop with so many updates open.
    #[arg(long, default_value_t = 16, value_name = "COUNT", conflicts_with = "rate")]
    window: u32,
    /// Open loop with so many updates a second.
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// How edits follow each other.
    #[arg(long, value_enum, default_value = "chained")]
    edits: Kind,
    #[command(flatten)]
    #[serde(flatten)]
    beside: Beside,
    #[command(flatten)]
    #[serde(flatten)]
    span: Span,
    /// Readers whose documents are rebuilt from what they received, and compared.
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    rebuild: u32,
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
    let shape = Shape {
        scenario: "fan-out",
        span: plan.span,
        documents: 1,
        readers: plan.readers,
        pace: plan.rate.map_or(Pace::Window(plan.window), Pace::Rate),
        kind: plan.edits,
        premade: 100_000,
        seed: None,
        rebuild: plan.rebuild,
        beside: plan.beside,
        room: plan.room.clone(),
    };
    let mut outcome = flow::run(&shape, target, progress, &Crew::Alone).await?;
    outcome.load = match plan.rate {
        Some(rate) => format!("{} readers, {rate} updates/s", plan.readers),
        None => format!("{} readers, window {}", plan.readers, plan.window),
    };
    outcome.load += plan.edits.note();
    outcome.load += &plan.beside.note();
    outcome.settings = serde_json::to_value(plan)?;
    Ok(outcome)
}
