//! Outcomes in the repository: a file of JSON lines for each line of the benchmark, small enough to
//! be kept, so that the page can be written anew when only some lines are measured again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::outcome::Outcome;

/// An outcome, with what it was measured on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) date: String,
    pub(super) commit: String,
    pub(super) machine: String,
    /// The command line of the line.
    pub(super) arguments: String,
    pub(super) outcome: Outcome,
}

impl Kept {
    /// Without readings over time and the latencies' curve: they are most of an outcome's bytes.
    pub(super) fn of(
        outcomes: &[Outcome],
        machine: &Machine,
        commit: &str,
        arguments: &str,
    ) -> Vec<Self> {
        let kept = |outcome: &Outcome| {
            let mut outcome = Outcome { series: Vec::new(), ..outcome.clone() };
            outcome.latency.iter_mut().for_each(|latency| latency.curve.clear());
            // The arguments say it, without paths of one machine.
            outcome.settings = serde_json::Value::Null;
            Self {
                date: machine.date.clone(),
                commit: commit.to_owned(),
                machine: machine.hardware(),
                arguments: arguments.to_owned(),
                outcome,
            }
        };
        outcomes.iter().map(kept).collect()
    }
}

fn file(docs: &Path, row: &str) -> PathBuf {
    docs.join("benchmarks").join(format!("{row}.jsonl"))
}

/// Replaces a line's outcomes.
///
/// # Errors
/// When the folder cannot be written.
pub(super) fn write(docs: &Path, row: &str, kept: &[Kept]) -> anyhow::Result<()> {
    let file = file(docs, row);
    let folder = file.parent().unwrap_or(docs);
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let lines: Result<Vec<String>, _> = kept.iter().map(serde_json::to_string).collect();
    fs::write(&file, lines?.join("\n") + "\n")
        .with_context(|| format!("writing {}", file.display()))
}

/// A line's outcomes; none if it was never measured.
///
/// # Errors
/// When the file has another form.
pub(super) fn read(docs: &Path, row: &str) -> anyhow::Result<Vec<Kept>> {
    let file = file(docs, row);
    let text = fs::read_to_string(&file).unwrap_or_default();
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().with_context(|| format!("{} has another form", file.display()))
}
