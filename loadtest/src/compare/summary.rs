//! Many runs as one table of figures: medians, spread, and ratios to the floor.

use crate::outcome::{Better, Figure, Latency, Outcome, Server};

/// One scenario under one load on all servers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summary {
    pub(crate) scenario: String,
    pub(crate) load: String,
    /// The longest measured part.
    pub(crate) measured_s: f64,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    /// The column that ratios are to: the floor, or the first; nothing when there is one only.
    pub(crate) base: Option<usize>,
}

/// A server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) server: Server,
    pub(crate) rounds: u32,
    /// Checks that failed and warnings, each with how many rounds had it.
    pub(crate) failures: Vec<(String, u32)>,
    pub(crate) warnings: Vec<(String, u32)>,
}

/// A figure on all servers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) better: Better,
    /// A cell a column; nothing where a server has no such figure.
    pub(crate) cells: Vec<Option<Cell>>,
}

/// A figure of one server over all rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// The median of the rounds' ratios, each to the base's figure of the same round.
    pub(crate) ratio: Option<f64>,
}

/// Puts runs together, by scenario and load, in the order in which these first appear.
pub(crate) fn summaries(outcomes: &[Outcome]) -> Vec<Summary> {
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    for outcome in outcomes {
        let kind = (outcome.scenario.as_str(), outcome.load.as_str());
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let of_kind = |(scenario, load): (&str, &str)| {
        let is_one = |outcome: &&Outcome| outcome.scenario == scenario && outcome.load == load;
        summary(&outcomes.iter().filter(is_one).collect::<Vec<_>>())
    };
    kinds.into_iter().map(of_kind).collect()
}

fn summary(outcomes: &[&Outcome]) -> Summary {
    let mut servers: Vec<&Server> = Vec::new();
    // The first round's order is the one that was asked for.
    for outcome in outcomes {
        if !servers.iter().any(|server| server.name == outcome.server.name) {
            servers.push(&outcome.server);
        }
    }
    let base = match servers.iter().position(|server| server.is_floor) {
        _ if servers.len() < 2 => None,
        None => Some(0),
        floor => floor,
    };
    let mut rows: Vec<Row> = Vec::new();
    for figure in outcomes.iter().flat_map(|outcome| figures(outcome)) {
        if !rows.iter().any(|row| row.name == figure.name) {
            let Figure { name, unit, better, .. } = figure;
            rows.push(Row { name, unit, better, cells: Vec::new() });
        }
    }
    for row in &mut rows {
        let of = |server: &Server| values(outcomes, &server.name, &row.name);
        let base = base.map(|at| of(servers[at]));
        let is_compared = row.better != Better::Neither;
        let cell = |server| cell(&of(server), base.as_deref().filter(|_| is_compared));
        row.cells = servers.iter().map(|server| cell(server)).collect();
    }
    Summary {
        scenario: outcomes[0].scenario.clone(),
        load: outcomes[0].load.clone(),
        measured_s: outcomes.iter().map(|outcome| outcome.measured_s).fold(0.0, f64::max),
        columns: servers.iter().map(|server| column(outcomes, server)).collect(),
        rows,
        base,
    }
}

/// An outcome's figures, latency among them.
pub(crate) fn figures(outcome: &Outcome) -> Vec<Figure> {
    let quantiles = |latency: &Latency| {
        let Latency { p50_us, p99_us, p999_us, .. } = *latency;
        let named = [("p50", p50_us), ("p99", p99_us), ("p99.9", p999_us)];
        named.map(|(name, us)| Figure::less(&format!("latency {name}"), "ms", us as f64 / 1e3))
    };
    let latency = outcome.latency.iter().flat_map(quantiles);
    outcome.figures.iter().cloned().chain(latency).collect()
}

/// A server's values of a figure, with their rounds.
fn values(outcomes: &[&Outcome], server: &str, name: &str) -> Vec<(u32, f64)> {
    let of_server = outcomes.iter().filter(|outcome| outcome.server.name == server);
    let value = |outcome: &&Outcome| {
        let figure = figures(outcome).into_iter().find(|figure| figure.name == name)?;
        Some((outcome.round, figure.value))
    };
    of_server.filter_map(value).collect()
}

fn cell(values: &[(u32, f64)], base: Option<&[(u32, f64)]>) -> Option<Cell> {
    let mut plain: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
    let pair = |(round, value): &(u32, f64)| {
        let (_, other) = base?.iter().find(|(other, _)| other == round)?;
        // A ratio to nothing, or to less than nothing, says nothing.
        (*other > 0.0 && *value >= 0.0).then(|| value / other)
    };
    let mut ratios: Vec<f64> = values.iter().filter_map(pair).collect();
    Some(Cell {
        median: median(&mut plain)?,
        min: *plain.first()?,
        max: *plain.last()?,
        ratio: median(&mut ratios),
    })
}

/// Sorts; the middle, or the mean of the two in the middle.
fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some(values[middle - 1].midpoint(values[middle])),
    }
}

fn column(outcomes: &[&Outcome], server: &Server) -> Column {
    let of_server = || outcomes.iter().filter(|outcome| outcome.server.name == server.name);
    let failures = of_server().flat_map(|outcome| &outcome.checks);
    let failures = failures.filter(|check| !check.is_passed);
    Column {
        server: server.clone(),
        rounds: of_server().count() as u32,
        failures: counted(failures.map(|check| format!("{}: {}", check.name, check.note))),
        warnings: counted(of_server().flat_map(|outcome| outcome.warnings.clone())),
    }
}

/// Equal but for their digits is equal: `the rig used 87 % …`.
fn counted(texts: impl Iterator<Item = String>) -> Vec<(String, u32)> {
    let plain = |text: &str| text.replace(|c: char| c.is_ascii_digit() || c == '.', "");
    let mut counts: Vec<(String, u32)> = Vec::new();
    for text in texts {
        match counts.iter_mut().find(|(other, _)| plain(other) == plain(&text)) {
            Some((_, count)) => *count += 1,
            None => counts.push((text, 1)),
        }
    }
    counts
}

#[cfg(test)]
pub(crate) mod tests;
