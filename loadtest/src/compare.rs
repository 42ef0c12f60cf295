//! Runs one scenario on several servers, several times, interleaved: a machine that is slower for a
//! while is slower for all. Every run has a server of its own, started for it.

pub(crate) mod summary;

use std::path::PathBuf;

use anyhow::Context;

use crate::outcome::{Check, Outcome};
use crate::progress::{Overall, Progress};
use crate::scenario::Scenario;
use crate::target::Target;
use crate::target::cores::Cores;
use crate::target::spec::Spec;

/// What all runs have in common.
pub(crate) struct Comparison {
    pub(crate) servers: Vec<Spec>,
    pub(crate) rounds: u32,
    pub(crate) cores: Cores,
    /// Where servers get their folders.
    pub(crate) data: PathBuf,
}

impl Comparison {
    /// How many runs a scenario comes to.
    pub(crate) fn runs(&self) -> u32 {
        self.rounds * self.servers.len() as u32
    }

    /// Runs a scenario; outcomes in the order in which they were measured. Each is handed to `keep`
    /// as soon as it is there. A server that fails has an outcome that says so, and the others go
    /// on.
    ///
    /// # Errors
    /// When `keep` fails.
    pub(crate) async fn run(
        &self,
        scenario: &Scenario,
        overall: &Overall,
        mut keep: impl FnMut(&Outcome) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for round in 1..=self.rounds {
            for (order, spec) in (1..).zip(in_order(&self.servers, round)) {
                let round_of = format!("round {round} of {}", self.rounds);
                let title = format!("{} · {} · {round_of}", scenario.name(), spec.name);
                let run = self.run_once(scenario, spec, overall, &title).await;
                overall.finished();
                let mut outcome = match run {
                    Ok(outcome) => outcome,
                    Err(reason) => failed(scenario, spec, &reason),
                };
                (outcome.round, outcome.order) = (round, order);
                keep(&outcome)?;
                outcomes.push(outcome);
            }
        }
        // A failed run does not know its load.
        let load = outcomes.iter().map(|outcome| &outcome.load).find(|load| !load.is_empty());
        if let Some(load) = load.cloned() {
            outcomes.iter_mut().for_each(|outcome| outcome.load.clone_from(&load));
        }
        Ok(outcomes)
    }

    async fn run_once(
        &self,
        scenario: &Scenario,
        spec: &Spec,
        overall: &Overall,
        title: &str,
    ) -> anyhow::Result<Outcome> {
        let progress = Progress::new(title, overall);
        progress.says("starting the server");
        let opened = Target::open(spec, self.cores, &self.data).await;
        let target = opened.with_context(|| format!("starting {}", spec.name))?;
        let outcome = scenario.run(&target, &progress).await;
        outcome.with_context(|| format!("{} on {}", scenario.name(), spec.name))
    }
}

/// Every second round in reverse: whoever comes first may find the machine cooler.
fn in_order(servers: &[Spec], round: u32) -> Vec<&Spec> {
    let mut order: Vec<&Spec> = servers.iter().collect();
    if round.is_multiple_of(2) {
        order.reverse();
    }
    order
}

/// The outcome of a run that did not get to its end.
fn failed(scenario: &Scenario, spec: &Spec, reason: &anyhow::Error) -> Outcome {
    Outcome {
        scenario: scenario.name().to_owned(),
        load: String::new(),
        settings: serde_json::Value::Null,
        server: spec.server(),
        round: 0,
        order: 0,
        measured_s: 0.0,
        figures: Vec::new(),
        latency: None,
        series: Vec::new(),
        checks: vec![Check::new("runs", false, format!("{reason:#}"))],
        warnings: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
