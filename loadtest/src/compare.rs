//! Runs one scenario on several servers, several times, interleaved: a machine that is slower for a
//! while is slower for all. Every run has a server of its own, started for it.

pub(crate) mod summary;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use tokio::time::timeout;

use crate::outcome::{Check, Outcome};
use crate::progress::{Overall, Progress};
use crate::scenario::Scenario;
use crate::target::Target;
use crate::target::cores::Cores;
use crate::target::spec::Spec;

/// A server that did not get to the end so often is not asked again: it may take minutes each time.
const FAILURES_MAX: usize = 2;

/// What all runs have in common.
pub(crate) struct Comparison {
    pub(crate) servers: Vec<Spec>,
    pub(crate) rounds: u32,
    /// A run that takes longer has failed; nothing for scenarios of any length.
    pub(crate) time_max: Option<Duration>,
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
        let mut outcomes: Vec<Outcome> = Vec::new();
        for round in 1..=self.rounds {
            for (order, spec) in (1..).zip(in_order(&self.servers, round)) {
                let round_of = format!("round {round} of {}", self.rounds);
                let title = format!("{} · {} · {round_of}", scenario.name(), spec.name);
                if failures(&outcomes, spec) >= FAILURES_MAX {
                    overall.finished();
                    continue;
                }
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
        let running = scenario.run(&target, &progress);
        let outcome = match self.time_max {
            None => running.await,
            Some(time_max) => match timeout(time_max, running).await {
                Ok(outcome) => outcome,
                Err(_) => bail!("it was not done after {} s", time_max.as_secs()),
            },
        };
        let mut outcome =
            outcome.with_context(|| format!("{} on {}", scenario.name(), spec.name))?;
        if !spec.is_floor && is_in_memory(&self.data) {
            let folder = self.data.display();
            outcome.warnings.push(format!(
                "{folder} is in memory: what a server does for its disk costs nothing there, \
                 name another folder with --data"
            ));
        }
        Ok(outcome)
    }
}

/// Whether a folder is on no disk.
fn is_in_memory(folder: &Path) -> bool {
    let kind = statfs(folder).map(|stats| stats.filesystem_type());
    kind.is_ok_and(|kind| kind == TMPFS_MAGIC)
}

/// How often a server did not get to the end.
fn failures(outcomes: &[Outcome], spec: &Spec) -> usize {
    let is_failure =
        |outcome: &&Outcome| outcome.server.name == spec.name && outcome.figures.is_empty();
    outcomes.iter().filter(is_failure).count()
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
    let checks = vec![Check::new("runs", false, format!("{reason:#}"))];
    Outcome { checks, ..Outcome::new(scenario.name(), spec.server()) }
}

#[cfg(test)]
mod tests;
