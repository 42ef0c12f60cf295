//! The table on the terminal.

use std::io::{self, Write};

use crate::outcome::Outcome;

/// Writes one run.
///
/// # Errors
/// When nobody takes it.
pub(crate) fn write(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    writeln!(out, "{}: {}, {}", outcome.scenario, outcome.load, outcome.server.command)?;
    let mut row = |name: &str, unit: &str, value: f64| {
        writeln!(out, "  {:<34}{value:>14.3}", format!("{name}, {unit}"))
    };
    for figure in &outcome.figures {
        row(&figure.name, &figure.unit, figure.value)?;
    }
    if let Some(latency) = &outcome.latency {
        row("latency p50", "ms", latency.p50_us as f64 / 1e3)?;
        row("latency p99", "ms", latency.p99_us as f64 / 1e3)?;
        row("latency p999", "ms", latency.p999_us as f64 / 1e3)?;
    }
    for check in &outcome.checks {
        let verdict = if check.is_passed { "ok" } else { "FAILED" };
        writeln!(out, "  {}: {verdict}, {}", check.name, check.note)?;
    }
    for warning in &outcome.warnings {
        writeln!(out, "  ! {warning}")?;
    }
    Ok(())
}
