//! The saturate scenario: many documents, each with a writer and a reader, as fast as it goes.

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::crew::{self, Processes};
use crate::crowd::Beside;
use crate::edits::Kind;
use crate::flow::{self, Pace, Shape};
use crate::load::Span;
use crate::outcome::Outcome;
use crate::progress::Progress;
use crate::target::Target;

/// Many documents, each with a writer and a reader, as fast as it goes.
///
/// Every writer keeps `--window` updates open: with 1 there is nothing that a server could join,
/// with 8 there is. Edits that scatter are made before the clock starts.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Plan {
    /// Documents, with a connection to write and one to read each.
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    documents: u32,
    /// Updates open for each document.
    #[arg(long, default_value_t = 8, value_name = "COUNT")]
    window: u32,
    /// How edits follow each other.
    #[arg(long, value_enum, default_value = "chained")]
    edits: Kind,
    /// Edits made before the clock starts, where they scatter; all documents share them.
    #[arg(long, default_value_t = 100_000, value_name = "COUNT")]
    premade: usize,
    #[command(flatten)]
    #[serde(flatten)]
    processes: Processes,
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

impl Plan {
    /// The arguments of another process that takes so many documents.
    fn arguments(&self, documents: u32) -> Vec<String> {
        let kind = self.edits.to_possible_value().expect("every kind has a name");
        let options = [
            ("--documents", documents.to_string()),
            ("--window", self.window.to_string()),
            ("--edits", kind.get_name().to_owned()),
            ("--premade", self.premade.to_string()),
            ("--warm-up", self.span.warm_up.to_string()),
            ("--seconds", self.span.seconds.to_string()),
            ("--rebuild", self.rebuild.to_string()),
        ];
        crew::arguments("saturate", &options)
    }
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
    let arguments = |documents| plan.arguments(documents);
    let (crew, documents) = plan.processes.start(target, plan.documents, arguments)?;
    let shape = Shape {
        scenario: "saturate",
        span: plan.span,
        documents,
        readers: 1,
        pace: Pace::Window(plan.window),
        kind: plan.edits,
        premade: plan.premade,
        seed: None,
        rebuild: plan.rebuild,
        beside: plan.beside,
        room: None,
    };
    let mut outcome = flow::run(&shape, target, progress, &crew).await?;
    outcome.load =
        format!("{} documents, window {}{}", plan.documents, plan.window, plan.edits.note());
    outcome.load += &plan.beside.note();
    outcome.settings = serde_json::to_value(plan)?;
    Ok(outcome)
}
