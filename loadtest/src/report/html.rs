//! The report as one page that needs nothing else: tables, and plots drawn as SVG, for light and
//! dark screens and for paper.

mod bars;
mod plot;
mod table;

use std::fmt::Write;

use crate::compare::summary::{Summary, summaries};
use crate::machine::Machine;
use crate::outcome::{Outcome, Sample};
use plot::{Axis, Line, Plot};

const STYLE: &str = include_str!("html/style.css");
/// As many as the style has colours for; further ones begin again.
const COLOURS: usize = 8;

/// The page.
pub(crate) fn page(outcomes: &[Outcome], machine: &Machine) -> String {
    let summaries = summaries(outcomes);
    let names = names(&summaries);
    let mut out =
        String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    out += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    let title = match summaries.as_slice() {
        [one] => format!("Load test: {}", one.scenario),
        many => format!("Load test: {} scenarios", many.len()),
    };
    let title = escape(&title);
    put(&mut out, format_args!("<title>{title}</title>\n<style>{STYLE}</style></head><body>\n"));
    let machine = escape(&machine.to_string());
    put(&mut out, format_args!("<header><h1>{title}</h1><p class=\"quiet\">{machine}</p>\n"));
    out += &legend(&names);
    out += "</header>\n<main>\n";
    for summary in &summaries {
        let is_of = |outcome: &&Outcome| {
            outcome.scenario == summary.scenario && outcome.load == summary.load
        };
        let own: Vec<&Outcome> = outcomes.iter().filter(is_of).collect();
        out += &section(summary, &own, &names);
    }
    out += "</main>\n";
    out += &commands(&summaries);
    out + "</body></html>\n"
}

/// All servers, each with its colour on the whole page.
struct Names(Vec<(String, bool)>);

impl Names {
    /// The class that carries a server's colour. The floor has none: it is no contestant.
    fn class(&self, name: &str) -> String {
        let mut colour = 0;
        for (other, is_floor) in &self.0 {
            match (other == name, is_floor) {
                (true, true) => return "floor".to_owned(),
                (true, false) => break,
                (false, is_floor) => colour += usize::from(!is_floor),
            }
        }
        format!("c{}", colour % COLOURS)
    }
}

fn names(summaries: &[Summary]) -> Names {
    let mut names: Vec<(String, bool)> = Vec::new();
    for column in summaries.iter().flat_map(|summary| &summary.columns) {
        if !names.iter().any(|(name, _)| *name == column.server.name) {
            names.push((column.server.name.clone(), column.server.is_floor));
        }
    }
    Names(names)
}

fn legend(names: &Names) -> String {
    let entry = |(name, _): &(String, bool)| {
        format!("<li class=\"{}\"><i></i>{}</li>", names.class(name), escape(name))
    };
    format!("<ul class=\"legend\">{}</ul>", names.0.iter().map(entry).collect::<String>())
}

fn section(summary: &Summary, outcomes: &[&Outcome], names: &Names) -> String {
    let mut out = String::new();
    let rounds = summary.columns.iter().map(|column| column.rounds).max().unwrap_or(0);
    let often = match rounds {
        0 | 1 => "one round".to_owned(),
        rounds => format!("medians of {rounds} interleaved rounds, with the spread"),
    };
    let measured = match summary.measured_s > 0.0 {
        true => format!("{:.1} s measured, ", summary.measured_s),
        false => String::new(),
    };
    let [scenario, load] = [&summary.scenario, &summary.load].map(|text| escape(text));
    put(
        &mut out,
        format_args!(
            "<section><h2>{scenario} <small>{load}</small></h2>\
             <p class=\"quiet\">{measured}{often}</p>\n"
        ),
    );
    out += &table::verdicts(summary);
    out += "<div class=\"plots\">\n";
    out += &bars::panels(summary, names);
    let shown = typical(summary, outcomes);
    let plots =
        [latencies(summary, outcomes, names), throughput(&shown, names), memory(&shown, names)];
    plots.iter().filter(|plot| plot.has_lines()).for_each(|plot| out += &plot.svg());
    out += "</div>\n";
    out += &table::figures(summary, names);
    out + "</section>\n"
}

/// The run of each server whose first figure is nearest to the median: a line that really was.
fn typical<'a>(summary: &Summary, outcomes: &[&'a Outcome]) -> Vec<&'a Outcome> {
    let Some(row) = summary.rows.first() else { return Vec::new() };
    let of = |(at, column): (usize, &crate::compare::summary::Column)| {
        let median = row.cells[at]?.median;
        let own = outcomes.iter().filter(|outcome| outcome.server.name == column.server.name);
        let distance = |outcome: &Outcome| {
            let figure = outcome.figures.iter().find(|figure| figure.name == row.name);
            figure.map_or(f64::INFINITY, |figure| (figure.value - median).abs())
        };
        own.copied().min_by(|a, b| distance(a).total_cmp(&distance(b)))
    };
    summary.columns.iter().enumerate().filter_map(of).collect()
}

/// At each quantile the median of the rounds.
fn latencies(summary: &Summary, outcomes: &[&Outcome], names: &Names) -> Plot {
    let mut plot = Plot::new("Latency by percentile", Axis::percentiles(), Axis::log("ms"));
    for column in &summary.columns {
        let own = outcomes.iter().filter(|outcome| outcome.server.name == column.server.name);
        let curves: Vec<&[(f64, u64)]> =
            own.filter_map(|outcome| Some(outcome.latency.as_ref()?.curve.as_slice())).collect();
        // Where one round's curve ends, the median would jump.
        let len = curves.iter().map(|curve| curve.len()).min().unwrap_or(0);
        let point = |at: usize| {
            let mut us: Vec<u64> = curves.iter().map(|curve| curve[at].1).collect();
            us.sort_unstable();
            (curves[0][at].0, us[us.len() / 2] as f64 / 1e3)
        };
        plot.line(line(&column.server.name, names, (0..len).map(point).collect()));
    }
    plot
}

fn throughput(shown: &[&Outcome], names: &Names) -> Plot {
    let mut plot =
        Plot::new("Deliveries per second, over time", Axis::linear("s"), Axis::linear("1/s"));
    for outcome in shown {
        // Half a second a point: with less, the plot shows the timer.
        let points = outcome.series.iter().step_by(5).collect::<Vec<_>>();
        let rate = |pair: &[&Sample]| {
            let [a, b] = pair else { return (0.0, 0.0) };
            let delivered = b.delivered.saturating_sub(a.delivered) as f64;
            (a.at_s.midpoint(b.at_s), delivered / (b.at_s - a.at_s).max(1e-3))
        };
        plot.line(line(&outcome.server.name, names, points.windows(2).map(rate).collect()));
    }
    plot
}

fn memory(shown: &[&Outcome], names: &Names) -> Plot {
    let mut plot = Plot::new("Server memory, over time", Axis::linear("s"), Axis::linear("MiB"));
    for outcome in shown {
        let point = |sample: &Sample| {
            Some((sample.at_s, sample.resident_bytes? as f64 / f64::from(1 << 20)))
        };
        let points = outcome.series.iter().filter_map(point).collect();
        plot.line(line(&outcome.server.name, names, points));
    }
    plot
}

fn line(name: &str, names: &Names, points: Vec<(f64, f64)>) -> Line {
    Line { label: name.to_owned(), class: names.class(name), points }
}

/// What was measured, and how it was started.
fn commands(summaries: &[Summary]) -> String {
    let mut seen: Vec<&str> = Vec::new();
    let mut out = String::from("<footer><h2>Servers</h2><table class=\"plain\">\n");
    for column in summaries.iter().flat_map(|summary| &summary.columns) {
        let server = &column.server;
        if seen.contains(&server.name.as_str()) {
            continue;
        }
        seen.push(&server.name);
        let [name, version, command] =
            [&server.name, &server.version, &server.command].map(|text| escape(text));
        put(
            &mut out,
            format_args!(
                "<tr><th>{name}</th><td>{version}</td><td><code>{command}</code></td></tr>\n"
            ),
        );
    }
    out + "</table></footer>\n"
}

/// Text for HTML, in elements and in attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            other => out.push(other),
        }
    }
    out
}

/// Writing to a string cannot fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests;
