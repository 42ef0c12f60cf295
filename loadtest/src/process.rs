//! What a process has used, from `/proc`. Elsewhere than on Linux there are no such figures.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// The kernel counts CPU time in hundredths of a second on every Linux that matters.
const TICK: Duration = Duration::from_millis(10);
const PAGE_BYTES: u64 = 4096;

/// A reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// User and system time of all threads since the process began.
    pub(crate) cpu: Duration,
    /// Memory held now.
    pub(crate) resident_bytes: u64,
}

/// Reads a process by its id, or this one.
pub(crate) fn usage(id: Option<u32>) -> anyhow::Result<Usage> {
    let name = id.map_or_else(|| "self".to_owned(), |id| id.to_string());
    let path = format!("/proc/{name}/stat");
    let line = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse(&line).with_context(|| format!("{path} has another form"))
}

/// Fields 14, 15 and 24 of proc_pid_stat(5); the second may hold spaces, so count after its
/// bracket.
fn parse(line: &str) -> Option<Usage> {
    let fields: Vec<&str> = line[line.rfind(')')? + 1..].split_whitespace().collect();
    let number = |at: usize| fields.get(at - 3)?.parse::<u64>().ok();
    let ticks = u32::try_from(number(14)? + number(15)?).ok()?;
    Some(Usage { cpu: TICK * ticks, resident_bytes: number(24)? * PAGE_BYTES })
}

#[cfg(test)]
mod tests;
