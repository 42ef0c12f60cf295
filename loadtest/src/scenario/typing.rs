//! The typing scenario: people at many documents, at a human pace.

use std::path::PathBuf;
use std::rc::Rc;

use clap::Args;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::crew::{self, Crew, Processes};
use crate::edits::trace::Trace;
use crate::load::{Load, Span};
use crate::measure::measure;
use crate::outcome::{Figure, Outcome};
use crate::people::{self, Habits};
use crate::progress::Progress;
use crate::target::Target;

/// People at many documents who type, pause, correct themselves and move their cursors.
///
/// An open loop: keys are due when they are due, in bursts with pauses between them, and latency
/// counts from then until each of the others has them. Everybody writes the updates that an editor
/// on Yjs would write.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Plan {
    /// Documents.
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    documents: u32,
    /// People at each document.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    people: u32,
    /// Keys a second and person, pauses counted.
    #[arg(long, default_value_t = 10.0, value_name = "PER_SECOND")]
    keys: f64,
    /// Cursor moves a second and person; 0 for none.
    #[arg(long, default_value_t = 1.0, value_name = "PER_SECOND")]
    cursors: f64,
    /// Type what was recorded in this file (JSON of editing-traces, gzipped or not; one author)
    /// instead of something made up.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Give everybody a whole replica: people type in among each other, and the rig works a hundred
    /// times as much. Otherwise everybody types in a stretch of his own.
    #[arg(long)]
    whole: bool,
    #[command(flatten)]
    #[serde(flatten)]
    processes: Processes,
    #[command(flatten)]
    #[serde(flatten)]
    span: Span,
    /// Documents that are rebuilt from what everybody received, and compared.
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    rebuild: u32,
}

impl Plan {
    /// The arguments of another process that takes so many documents.
    fn arguments(&self, documents: u32) -> Vec<String> {
        let options = [
            ("--documents", documents.to_string()),
            ("--people", self.people.to_string()),
            ("--keys", self.keys.to_string()),
            ("--cursors", self.cursors.to_string()),
            ("--warm-up", self.span.warm_up.to_string()),
            ("--seconds", self.span.seconds.to_string()),
            ("--rebuild", self.rebuild.to_string()),
        ];
        let mut arguments = crew::arguments("typing", &options);
        if let Some(path) = &self.trace {
            arguments.extend(["--trace".to_owned(), path.to_string_lossy().into_owned()]);
        }
        arguments.extend(self.whole.then(|| "--whole".to_owned()));
        arguments
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
    plan.span.check()?;
    anyhow::ensure!(plan.documents > 0 && plan.people > 1, "there must be two who type");
    let is_pace = |rate: f64| (0.0..=10_000.0).contains(&rate);
    anyhow::ensure!(is_pace(plan.keys) && is_pace(plan.cursors), "a rate is 0 to 10,000 a second");
    let trace = plan.trace.as_deref().map(Trace::read).transpose()?.map(Rc::new);
    let arguments = |documents| plan.arguments(documents);
    let (crew, documents) = plan.processes.start(target, plan.documents, arguments)?;
    let habits = Habits {
        documents,
        people: plan.people,
        keys: plan.keys,
        cursors: plan.cursors,
        trace,
        is_whole: plan.whole,
        rebuild: plan.rebuild,
    };
    let mut outcome = watched(&habits, plan.span, (target, progress), &crew).await?;
    outcome.scenario = "typing".to_owned();
    outcome.load = format!(
        "{} documents, {} people each, {} keys/s and {} cursor moves/s each{}",
        plan.documents,
        plan.people,
        plan.keys,
        plan.cursors,
        match (plan.trace.is_some(), plan.whole) {
            (true, true) => ", from a trace, whole replicas",
            (true, false) => ", from a trace",
            (false, true) => ", whole replicas",
            (false, false) => "",
        }
    );
    outcome.settings = serde_json::to_value(plan)?;
    Ok(outcome)
}

/// People type for that long, and everything is checked.
///
/// # Errors
/// When the server cannot be reached or breaks off.
pub(super) async fn watched(
    habits: &Habits,
    span: Span,
    (target, progress): (&Target, &Progress),
    crew: &Crew,
) -> anyhow::Result<Outcome> {
    progress.says("connecting");
    let load = Rc::new(Load::new(span));
    let documents = Rc::new(people::connect(habits, target, &load).await?);
    let mut tasks = JoinSet::new();
    crew.begin()?;
    load.begin();
    people::start(&documents, habits, &mut tasks);
    let is_settled = || documents.iter().all(|document| document.is_settled());
    let mut measured = measure(target, progress, &load, span, is_settled).await?;
    tasks.abort_all();
    while tasks.join_next().await.is_some() {}
    let seconds = span.total().as_secs_f64();
    let mut checks = people::checks::checks(target, &documents).await;
    crew.gather(target, &load, &mut measured, &mut checks)?;
    let mut outcome = measured.outcome("typing", target, &load);
    let cursors: u64 = documents.iter().map(|document| document.cursors_seen.get()).sum();
    let cursors_per_s = cursors as f64 * measured.share() / seconds;
    outcome.figures.push(Figure::neither("cursors seen", "1/s", cursors_per_s));
    outcome.checks = checks;
    Ok(outcome)
}
