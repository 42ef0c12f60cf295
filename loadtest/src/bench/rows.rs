//! What is measured, line by line, and what Sheaf has to reach there.

/// A line of the benchmark.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// For `--only`, and the name of its file.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// As on the command line. `{seconds}` is the measured time, `{history}` a file with the state
    /// of a document that has a long history.
    pub(super) arguments: &'static str,
    /// More rounds than this would take longer than they tell.
    pub(super) rounds_max: u32,
    /// Whether a relay without documents and disk can be asked.
    pub(super) has_floor: bool,
    pub(super) bars: &'static [Bar],
}

/// What Sheaf has to reach.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bar {
    pub(super) figure: &'static str,
    pub(super) limit: Limit,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Limit {
    /// At most so many times the floor's figure, of the same round.
    BelowFloor(f64),
    /// At least so many times.
    AboveFloor(f64),
    /// At most so much, in the figure's unit.
    Value(f64, &'static str),
    /// The ratio to the floor is no more than this times the ratio in another line.
    Growth(&'static str, f64),
}

const fn at_most_floor(figure: &'static str, times: f64) -> Bar {
    Bar { figure, limit: Limit::BelowFloor(times) }
}

const fn at_least_floor(figure: &'static str, times: f64) -> Bar {
    Bar { figure, limit: Limit::AboveFloor(times) }
}

const fn at_most(figure: &'static str, value: f64, unit: &'static str) -> Bar {
    Bar { figure, limit: Limit::Value(value, unit) }
}

const CPU: &str = "CPU per delivery";
const RATE: &str = "delivered";
const P50: &str = "latency p50";
const P99: &str = "latency p99";

/// All of it. The windows, counts and rates are those of the measurements that the bars come from.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "fan-out-closed",
        title: "Fan-out, closed loop: 1 writer, 100 readers, 16 updates open",
        arguments: "fan-out --readers 100 --window 16 --seconds {seconds}",
        rounds_max: 9,
        has_floor: true,
        bars: &[at_most_floor(CPU, 0.9)],
    },
    Row {
        name: "fan-out-open",
        title: "Fan-out, open loop: 100 readers, 100 updates a second",
        arguments: "fan-out --readers 100 --rate 100 --seconds {seconds}",
        rounds_max: 9,
        has_floor: true,
        bars: &[at_most_floor(CPU, 1.0), at_most_floor(P99, 1.2)],
    },
    Row {
        name: "saturate-8",
        title: "Saturation: 50 documents, a writer and a reader each, 8 updates open",
        arguments: "saturate --documents 50 --window 8 --seconds {seconds}",
        rounds_max: 9,
        has_floor: true,
        bars: &[at_most_floor(CPU, 1.25), at_least_floor(RATE, 0.85)],
    },
    Row {
        name: "saturate-1",
        title: "Saturation with one update open: nothing to join",
        arguments: "saturate --documents 50 --window 1 --seconds {seconds}",
        rounds_max: 9,
        has_floor: true,
        bars: &[at_most_floor(CPU, 1.3), at_least_floor(RATE, 0.9)],
    },
    Row {
        name: "saturate-8-scattered",
        title: "Saturation, 8 open, edits that do not chain",
        arguments: "saturate --documents 50 --window 8 --edits scattered --seconds {seconds}",
        rounds_max: 9,
        has_floor: true,
        bars: &[at_most_floor(CPU, 2.2)],
    },
    Row {
        name: "saturate-1-scattered",
        title: "Saturation, one open, edits that do not chain",
        arguments: "saturate --documents 50 --window 1 --edits scattered --seconds {seconds}",
        rounds_max: 9,
        has_floor: true,
        bars: &[at_most_floor(CPU, 1.5)],
    },
    Row {
        name: "empty-document",
        title: "10 readers, 4 updates open, on an empty document (to compare)",
        arguments: "big-document --history 0 --seconds {seconds}",
        rounds_max: 9,
        has_floor: true,
        bars: &[],
    },
    Row {
        name: "big-document",
        title: "10 readers, 4 updates open, on a document of 260,000 edits",
        arguments: "big-document --update {history} --seconds {seconds}",
        rounds_max: 9,
        has_floor: true,
        bars: &[
            at_least_floor(RATE, 0.9),
            // A ratio that stays is a growth that is the floor's own; 5 % is below what shows.
            Bar { figure: CPU, limit: Limit::Growth("empty-document", 1.05) },
        ],
    },
    Row {
        name: "typing",
        title: "Typing: 100 documents, 5 people each, 10 keys a second",
        arguments: "typing --documents 100 --people 5 --keys 10 --seconds {seconds}",
        rounds_max: 9,
        has_floor: true,
        bars: &[at_most_floor(CPU, 1.1), at_most_floor(P50, 1.0), at_most_floor(P99, 1.2)],
    },
    Row {
        name: "join",
        title: "50 clients at once join a document of 260,000 edits",
        arguments: "join --clients 50 --update {history}",
        rounds_max: 9,
        has_floor: true,
        bars: &[at_most("CPU per join", 0.15, "ms"), at_most_floor(P99, 0.6)],
    },
    Row {
        name: "idle-1",
        title: "1,000 idle connections, one document",
        arguments: "idle --connections 1000 --documents 1",
        rounds_max: 9,
        has_floor: true,
        bars: &[at_most("memory per connection", 2.0, "KiB")],
    },
    Row {
        name: "idle-1000",
        title: "1,000 idle connections, 1,000 documents",
        arguments: "idle --connections 1000 --documents 1000",
        rounds_max: 9,
        has_floor: true,
        bars: &[at_most("memory per connection", 4.0, "KiB")],
    },
    Row {
        name: "storm",
        title: "500 clients with their documents reconnect at once",
        arguments: "storm --clients 500",
        rounds_max: 9,
        has_floor: true,
        bars: &[at_most("CPU per client", 50.0, "µs"), at_most("worst client", 40.0, "ms")],
    },
    Row {
        name: "slow-reader",
        title: "One reader stalls while 600 MB flow",
        arguments: "slow-reader --megabytes 600",
        rounds_max: 1,
        has_floor: true,
        bars: &[
            at_most("memory growth while stalled", 1.0, "MiB"),
            at_most("caught up after", 1_000.0, "ms"),
            at_most("p99, one stalled : nobody", 1.2, "×"),
        ],
    },
    Row {
        name: "cold-open-1k",
        title: "10,000 documents of 1 KB on disk, opened cold",
        arguments: "cold-open --documents 10000 --history 400",
        rounds_max: 1,
        // It keeps nothing.
        has_floor: false,
        bars: &[at_most("loading", 1.0, "ms")],
    },
    Row {
        name: "cold-open-300k",
        title: "Documents of 260,000 edits on disk, opened cold",
        arguments: "cold-open --documents 200 --opened 100 --update {history}",
        rounds_max: 1,
        has_floor: false,
        bars: &[at_most("loading", 10.0, "ms")],
    },
    Row {
        name: "durable",
        title: "SIGKILL while two people edit, 200 updates a second",
        arguments: "durable --rate 200 --kills 5",
        rounds_max: 1,
        // It keeps nothing.
        has_floor: false,
        bars: &[
            at_most("delivered, lost", 0.0, "edits"),
            at_most("delivered, not in the first answer", 0.0, "edits"),
        ],
    },
];

/// The lines asked for; all, if none is named.
///
/// # Errors
/// When there is no such line.
pub(super) fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Row>> {
    for name in names {
        let is_known = ROWS.iter().any(|row| row.name == name);
        let known: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        anyhow::ensure!(is_known, "there is no line {name}, but {}", known.join(", "));
    }
    let is_chosen = |row: &&Row| names.is_empty() || names.iter().any(|name| name == row.name);
    Ok(ROWS.iter().filter(is_chosen).collect())
}
