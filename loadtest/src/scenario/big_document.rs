//! The big-document scenario: a fan-out on a document that holds a lot already.

use std::rc::Rc;

use clap::Args;
use serde::Serialize;

use crate::crew::Crew;
use crate::crowd::Beside;
use crate::edits::Kind;
use crate::edits::history::History;
use crate::flow::{self, Pace, Shape};
use crate::load::Span;
use crate::outcome::{Figure, Outcome};
use crate::progress::Progress;
use crate::target::Target;

/// A fan-out on a document that holds a lot already: the cost must not grow with it.
///
/// Run it with `--history 0` for the same on an empty document.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Plan {
    #[command(flatten)]
    #[serde(flatten)]
    history: History,
    /// Readers, besides the writer.
    #[arg(long, default_value_t = 10, value_name = "COUNT")]
    readers: u32,
    /// Updates open at a time.
    #[arg(long, default_value_t = 4, value_name = "COUNT")]
    window: u32,
    #[command(flatten)]
    #[serde(flatten)]
    span: Span,
    /// Readers whose documents are rebuilt from what they received, and compared.
    #[arg(long, default_value_t = 2, value_name = "COUNT")]
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
    progress.says("making the document");
    let seed = plan.history.state()?.map(Rc::new);
    let bytes = seed.as_ref().map_or(0, |seed| seed.len());
    let shape = Shape {
        scenario: "big-document",
        span: plan.span,
        documents: 1,
        readers: plan.readers,
        pace: Pace::Window(plan.window),
        kind: Kind::Chained,
        premade: 0,
        seed,
        rebuild: plan.rebuild,
        beside: Beside::default(),
        room: None,
    };
    let mut outcome = flow::run(&shape, target, progress, &Crew::Alone).await?;
    let note = plan.history.note();
    outcome.load = format!("{} readers, window {}, {note}", plan.readers, plan.window);
    outcome.figures.push(Figure::neither("document at first", "KiB", bytes as f64 / 1_024.0));
    outcome.settings = serde_json::to_value(plan)?;
    Ok(outcome)
}
