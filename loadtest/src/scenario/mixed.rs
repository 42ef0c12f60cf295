//! The mixed scenario: a day of a real service in two minutes.

mod day;
mod visit;

use std::rc::Rc;

use clap::Args;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::bot::{self, replica};
use crate::edits::trace::Trace;
use crate::flow::checks::Newcomers;
use crate::load::{Load, Span};
use crate::measure::measure;
use crate::outcome::{Check, Figure, Outcome};
use crate::progress::Progress;
use crate::target::Target;
use day::{Day, Door};

/// Different histories; documents share them.
const HISTORIES: u64 = 4;

/// A day of a real service in two minutes.
///
/// People come in the morning and go in the evening, open documents that others have worked on,
/// some more than others; a third of them type, the rest read and move their cursors now and then.
/// At eleven all connections break at once, at two in the afternoon somebody pastes a lot.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Plan {
    /// Documents, each with a history.
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    documents: u32,
    /// People who are there at the busiest hour.
    #[arg(long, default_value_t = 300, value_name = "COUNT")]
    people: u32,
    /// Keys of a document's history.
    #[arg(long, default_value_t = 5_000, value_name = "COUNT")]
    history: usize,
    /// Keys a second of somebody who types, pauses counted.
    #[arg(long, default_value_t = 5.0, value_name = "PER_SECOND")]
    keys: f64,
    /// What is pasted at two in the afternoon.
    #[arg(long, default_value_t = 200, value_name = "KILOBYTES")]
    paste: u32,
    /// How long the day is.
    #[arg(long, default_value_t = 120.0, value_name = "SECONDS")]
    seconds: f64,
    /// Documents, the most visited first, that a newcomer reads at the end.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    rebuild: u32,
}

/// Runs the scenario.
///
/// # Errors
/// When the plan makes no sense, or the server cannot be reached.
pub(crate) async fn run(
    plan: &Plan,
    target: &Target,
    progress: &Progress,
) -> anyhow::Result<Outcome> {
    let span = Span { warm_up: 0.0, seconds: plan.seconds };
    span.check()?;
    anyhow::ensure!(plan.documents > 0 && plan.people > 0, "there must be somebody");
    anyhow::ensure!(plan.keys > 0.0 && plan.paste <= 8_000, "keys, and a paste of at most 8 MB");
    progress.says("making the documents");
    let load = Rc::new(Load::new(span));
    let day = Rc::new(Day::new(plan, Rc::clone(&load), &histories(plan)?));
    for place in &day.places {
        bot::join(bot::connect(target, &place.room)).await?.bot.put(&place.history).await?;
    }
    let mut tasks = JoinSet::new();
    load.begin();
    tasks.spawn_local(day::run(Rc::clone(&day), Rc::new(Door::new(target))));
    let is_settled = || day.is_over();
    let measured = measure(target, progress, &load, span, is_settled).await?;
    let is_home = day.is_over();
    tasks.abort_all();
    while tasks.join_next().await.is_some() {}
    let mut outcome = measured.outcome("mixed", target, &load);
    outcome.load = format!(
        "{} people at the busiest hour, {} documents, {} s",
        plan.people, plan.documents, plan.seconds
    );
    outcome.settings = serde_json::to_value(plan)?;
    outcome.figures.extend(day.figures());
    let peak = outcome.series.iter().filter_map(|sample| sample.resident_bytes).max();
    if let Some(peak) = peak {
        let mib = peak as f64 / f64::from(1 << 20);
        outcome.figures.push(Figure::less("server memory, peak", "MiB", mib));
    }
    outcome.checks = checks(plan, target, &day, is_home).await;
    Ok(outcome)
}

fn histories(plan: &Plan) -> anyhow::Result<Vec<Rc<Vec<u8>>>> {
    let all = (1..=HISTORIES).map(|seed| {
        let state = Trace::made_up(seed, plan.history).state(2_718_281_828 + seed as u32)?;
        Ok(Rc::new(state))
    });
    all.collect()
}

async fn checks(plan: &Plan, target: &Target, day: &Day, is_home: bool) -> Vec<Check> {
    let mut newcomers = Newcomers::default();
    if !target.is_floor {
        for place in day.places.iter().take(plan.rebuild as usize) {
            let typed = place.typed.take();
            let updates = std::iter::once(&*place.history).chain(&*typed);
            let expected = replica::rebuild(updates);
            newcomers.ask(target, &place.room, expected.as_deref()).await;
        }
    }
    let failures = day.load.failures().len();
    let empty = day.empty_joins.get();
    vec![
        Check::new("nobody breaks off", failures == 0, format!("{failures} did")),
        Check::new("everybody gets home", is_home, if is_home { "all did" } else { "not all" }),
        Check::new("no join is empty", empty == 0, format!("{empty} were")),
        newcomers.check(target),
    ]
}

#[cfg(test)]
mod tests;
