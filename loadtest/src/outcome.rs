//! What one run of one scenario on one server came to: written by the scenarios, read by the
//! comparison and the reports, kept as one line of JSON.

use serde::{Deserialize, Serialize};

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// As on the command line: `fan-out`.
    pub(crate) scenario: String,
    /// For people: `100 readers, window 16`.
    pub(crate) load: String,
    /// Every option that shaped the load.
    pub(crate) settings: serde_json::Value,
    pub(crate) server: Server,
    /// Counts from 1.
    pub(crate) round: u32,
    /// The server's place in its round, from 1.
    pub(crate) order: u32,
    /// How long the measured part really took.
    pub(crate) measured_s: f64,
    pub(crate) figures: Vec<Figure>,
    pub(crate) latency: Option<Latency>,
    pub(crate) series: Vec<Sample>,
    pub(crate) checks: Vec<Check>,
    /// What makes the figures mean something else than they seem to.
    pub(crate) warnings: Vec<String>,
}

/// The server that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) version: String,
    /// How it was started, or its address.
    pub(crate) command: String,
    pub(crate) dialect: Dialect,
    /// Whether it is the rig's own relay, which others are compared with.
    pub(crate) is_floor: bool,
}

/// The framing that a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dialect {
    /// y-websocket: the room in the path.
    #[default]
    YWebsocket,
    /// Hocuspocus: the room in every frame.
    Hocuspocus,
    /// Y-Sweet: a token over HTTP first.
    YSweet,
}

/// One number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// `CPU per delivery`
    pub(crate) name: String,
    /// `µs`
    pub(crate) unit: String,
    pub(crate) value: f64,
    pub(crate) better: Better,
}

/// Which way a figure is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Better {
    Less,
    More,
    Neither,
}

/// From when an update was due until it was there, over all readers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
    /// Quantile (0 to 1, denser towards 1) and microseconds.
    pub(crate) curve: Vec<(f64, u64)>,
}

/// A reading while the load ran.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Seconds since the load began, warm-up included.
    pub(crate) at_s: f64,
    /// Deliveries since the load began.
    pub(crate) delivered: u64,
    /// CPU time of the server since its process began.
    pub(crate) server_cpu_s: Option<f64>,
    pub(crate) resident_bytes: Option<u64>,
    /// CPU time of the rig since its process began.
    pub(crate) rig_cpu_s: f64,
}

/// Something that must hold, or the figures mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) is_passed: bool,
    /// What was found.
    pub(crate) note: String,
}

impl Figure {
    /// A figure of which less is better.
    pub(crate) fn less(name: &str, unit: &str, value: f64) -> Self {
        Self::new(name, unit, value, Better::Less)
    }

    /// A figure of which more is better.
    pub(crate) fn more(name: &str, unit: &str, value: f64) -> Self {
        Self::new(name, unit, value, Better::More)
    }

    /// A figure that explains others.
    pub(crate) fn neither(name: &str, unit: &str, value: f64) -> Self {
        Self::new(name, unit, value, Better::Neither)
    }

    /// JSON has no infinity: what divides by nothing counts as 0.
    fn new(name: &str, unit: &str, value: f64, better: Better) -> Self {
        let value = if value.is_finite() { value } else { 0.0 };
        Self { name: name.to_owned(), unit: unit.to_owned(), value, better }
    }
}

impl Check {
    pub(crate) fn new(name: &str, is_passed: bool, note: impl Into<String>) -> Self {
        Self { name: name.to_owned(), is_passed, note: note.into() }
    }
}

impl Outcome {
    /// Nothing but whose it is, to be filled in.
    pub(crate) fn new(scenario: &str, server: Server) -> Self {
        Self {
            scenario: scenario.to_owned(),
            load: String::new(),
            settings: serde_json::Value::Null,
            server,
            round: 1,
            order: 1,
            measured_s: 0.0,
            figures: Vec::new(),
            latency: None,
            series: Vec::new(),
            checks: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Whether every check passed.
    pub(crate) fn is_clean(&self) -> bool {
        self.checks.iter().all(|check| check.is_passed)
    }
}
