//! What a process and those it started have used: CPU time from the kernel's clock of the process
//! (nanoseconds; the hundredths of `/proc` are too coarse for a light load), memory from `/proc`.
//! Elsewhere than on Linux there are no such figures.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// A reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    /// User and system time of all threads since the process began.
    pub(crate) cpu: Duration,
    /// Memory held now.
    pub(crate) resident_bytes: u64,
}

impl Usage {
    /// Seconds of CPU time since an earlier reading.
    pub(crate) fn cpu_s_since(self, before: Self) -> f64 {
        self.cpu.saturating_sub(before.cpu).as_secs_f64()
    }

    /// Memory held, in MiB.
    pub(crate) fn resident_mib(self) -> f64 {
        self.resident_bytes as f64 / f64::from(1 << 20)
    }
}

/// Reads a process by its id with its children, or this one alone; memory by a walk of its pages,
/// which for 100 MB takes about a millisecond.
///
/// # Errors
/// When there is no such process.
pub(crate) fn usage(id: Option<u32>) -> anyhow::Result<Usage> {
    read(id, exact_bytes)
}

/// As [`usage`], with the memory as the kernel counts it on the way: at once, but wrong by up to
/// 256 KiB.
///
/// # Errors
/// When there is no such process.
pub(crate) fn sample(id: Option<u32>) -> anyhow::Result<Usage> {
    read(id, counted_bytes)
}

fn read(id: Option<u32>, bytes: fn(u32) -> anyhow::Result<u64>) -> anyhow::Result<Usage> {
    let own = std::process::id();
    let mut sum = Usage { cpu: cpu(id.unwrap_or(own))?, resident_bytes: bytes(id.unwrap_or(own))? };
    // The rig's children are the servers that it measures.
    for child in id.map(children).unwrap_or_default() {
        // One that ends meanwhile is no failure.
        if let Ok(usage) = read(Some(child), bytes) {
            sum.cpu += usage.cpu;
            sum.resident_bytes += usage.resident_bytes;
        }
    }
    Ok(sum)
}

fn cpu(id: u32) -> anyhow::Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(id.cast_signed()))
        .with_context(|| format!("there is no process {id}"))?;
    Ok(clock_gettime(clock).with_context(|| format!("there is no process {id}"))?.into())
}

fn exact_bytes(id: u32) -> anyhow::Result<u64> {
    bytes_of(&format!("/proc/{id}/smaps_rollup"), "Rss:")
}

fn counted_bytes(id: u32) -> anyhow::Result<u64> {
    bytes_of(&format!("/proc/{id}/status"), "VmRSS:")
}

fn bytes_of(path: &str, field: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    // A process that has ended and was not waited for has no memory and no such line.
    Ok(kibibytes(&text, field).unwrap_or(0) * 1024)
}

fn kibibytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

fn children(id: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")));
    let text: String = lists.map(Result::unwrap_or_default).collect();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

#[cfg(test)]
mod tests;
