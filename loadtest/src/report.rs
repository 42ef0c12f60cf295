//! What came of a load: as a table for people, as JSON for comparisons.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Above this share of a core the rig's own work is part of what is measured.
const RIG_SHARE_MAX: f64 = 0.85;
/// CPU time comes in hundredths of a second; with fewer of them than this, digits are noise.
const CPU_SHARE_MIN: f64 = 0.05;

/// One run. Shares are of one core.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) scenario: &'static str,
    pub(crate) url: String,
    pub(crate) readers: u32,
    pub(crate) window: Option<u32>,
    pub(crate) rate: Option<f64>,
    pub(crate) measured_s: f64,
    /// Updates of the whole run, warm-up included.
    pub(crate) sent: u32,
    /// Of the measured part, to all readers together.
    pub(crate) deliveries: u64,
    pub(crate) deliveries_per_s: f64,
    /// Over 1 where the server joins updates for a reader.
    pub(crate) deliveries_per_frame: f64,
    pub(crate) latency: Summary,
    pub(crate) server_cpu_us_per_delivery: Option<f64>,
    pub(crate) server_cpu_share: Option<f64>,
    /// Resident, at the two ends of the measured part.
    pub(crate) server_memory_bytes: Option<[u64; 2]>,
    pub(crate) rig_cpu_share: f64,
    /// Updates that did not come, summed over the readers.
    pub(crate) lost: u64,
    /// Updates that came twice; harmless to a replica, but work for it.
    pub(crate) repeated: u64,
    pub(crate) rebuilt: u32,
    pub(crate) rebuilt_differing: u32,
    /// Whether a client that joined at the end reads what was typed.
    pub(crate) is_fresh_client_equal: bool,
    pub(crate) failures: Vec<String>,
}

/// Latencies from due to delivered, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
}

/// Latencies of several readers together.
#[derive(Default)]
pub(crate) struct Latency(Option<Histogram<u64>>);

impl Latency {
    pub(crate) fn add(&mut self, other: &Histogram<u64>) {
        match &mut self.0 {
            None => self.0 = Some(other.clone()),
            // All have the same bounds, so nothing is left out.
            Some(all) => all.add(other).expect("histograms of one kind"),
        }
    }

    pub(crate) fn summary(&self) -> Summary {
        let at = |share| self.0.as_ref().map_or(0, |all| all.value_at_quantile(share));
        let max_us = self.0.as_ref().map_or(0, Histogram::max);
        Summary { p50_us: at(0.5), p99_us: at(0.99), p999_us: at(0.999), max_us }
    }
}

impl Report {
    /// Whether nothing was lost and all copies agree.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost == 0
            && self.rebuilt_differing == 0
            && self.is_fresh_client_equal
            && self.failures.is_empty()
    }

    pub(crate) fn json(&self) -> anyhow::Result<String> {
        let mut json = serde_json::to_value(self)?;
        json["is_clean"] = self.is_clean().into();
        json["warnings"] = self.warnings().into();
        Ok(serde_json::to_string_pretty(&json)?)
    }

    /// What makes the figures mean something else than they seem to.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.failures.clone();
        if self.rig_cpu_share > RIG_SHARE_MAX {
            warnings.push(format!(
                "the rig used {:.0} % of a core: it is the bottleneck, so rates and latencies are \
                 its own; trust CPU per delivery",
                self.rig_cpu_share * 100.0
            ));
        }
        if self.server_cpu_share.is_some_and(|share| share < CPU_SHARE_MIN) {
            warnings
                .push("the server was nearly idle: its CPU time is too coarse, run longer".into());
        }
        if self.deliveries == 0 {
            warnings.push("nothing was delivered in the measured part".to_owned());
        }
        warnings
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let load = match (self.window, self.rate) {
            (_, Some(rate)) => format!("open loop, {rate} a second"),
            (window, None) => format!("closed loop, {} open", window.unwrap_or_default()),
        };
        writeln!(
            out,
            "{}: 1 writer, {} readers, {load}, {}",
            self.scenario, self.readers, self.url
        )?;
        let mut row = |name: &str, value: String| writeln!(out, "  {name:<34}{value:>14}");
        row("measured, s", format!("{:.2}", self.measured_s))?;
        row("delivered", self.deliveries.to_string())?;
        row("delivered a second", format!("{:.0}", self.deliveries_per_s))?;
        row("delivered a frame", format!("{:.2}", self.deliveries_per_frame))?;
        row("latency p50, ms", milliseconds(self.latency.p50_us))?;
        row("latency p99, ms", milliseconds(self.latency.p99_us))?;
        row("latency p999, ms", milliseconds(self.latency.p999_us))?;
        row("latency max, ms", milliseconds(self.latency.max_us))?;
        if let Some(cpu) = self.server_cpu_us_per_delivery {
            row("server CPU a delivery, µs", format!("{cpu:.3}"))?;
        }
        if let Some(share) = self.server_cpu_share {
            row("server CPU, share of a core", format!("{share:.2}"))?;
        }
        if let Some([start, end]) = self.server_memory_bytes {
            row("server memory at the start, MB", format!("{:.1}", start as f64 / 1e6))?;
            row("server memory at the end, MB", format!("{:.1}", end as f64 / 1e6))?;
        }
        row("rig CPU, share of a core", format!("{:.2}", self.rig_cpu_share))?;
        row("updates sent, warm-up included", self.sent.to_string())?;
        row("lost, all readers", self.lost.to_string())?;
        row("came twice, all readers", self.repeated.to_string())?;
        let equal = self.rebuilt - self.rebuilt_differing;
        row("rebuilt replicas equal", format!("{equal} of {}", self.rebuilt))?;
        row("client that joins at the end", is_equal(self.is_fresh_client_equal).to_owned())?;
        for warning in self.warnings() {
            writeln!(out, "  ! {warning}")?;
        }
        Ok(())
    }
}

fn milliseconds(us: u64) -> String {
    format!("{:.3}", us as f64 / 1e3)
}

fn is_equal(is_equal: bool) -> &'static str {
    if is_equal { "equal" } else { "DIFFERS" }
}
