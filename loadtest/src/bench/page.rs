//! `docs/benchmarks.md`: what was measured last in each line, and a history that stays.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;

use super::bars::{self, Verdict, verdict};
use super::kept::{self, Kept};
use super::rows::{Limit, ROWS, Row};
use crate::compare::summary::{Cell, Summary, summaries};
use crate::machine::Machine;
use crate::outcome::{Better, Outcome, Server};
use crate::report::table::number;

const OPENING: &str = "\
# Benchmarks

Written by `make bench`; what is written by hand here is lost with the next run, except in the
history.

Every figure comes from runs in turns: each server is started for each run with an empty folder, on
a core of its own, the rig on another, over loopback; the order is reversed every second round. A
cell holds the median of the rounds, [the least and the most], and the ratio to the floor, the
median of the ratios within each round. The floor is the rig's own relay: no documents, no disk,
everything that waits for a socket in one write. Sheaf runs with its journal on, as it comes. CPU is
that of the server's process; it stays true where the rig is the bottleneck, which rates and
latencies do not. Every run checks that nothing was lost and that replicas agree.
[loadtest.md](loadtest.md) says how to measure any other server. The outcomes of the single runs
are in `docs/benchmarks/`; `{history}` is a document of as many edits as the line says.
";
const HISTORY: &str = "## History";

/// What was done this time.
pub(super) struct Run<'a> {
    pub(super) machine: &'a Machine,
    pub(super) commit: &'a str,
    pub(super) rows: &'a [&'a Row],
    /// Lines and servers that were not measured, with the reason.
    pub(super) not_run: &'a [(String, String)],
}

/// A line with what is known of it.
struct Known {
    row: &'static Row,
    kept: Vec<Kept>,
    summary: Summary,
}

/// Writes the page from the outcomes that are kept.
///
/// # Errors
/// When they cannot be read or the page cannot be written.
pub(super) fn write(docs: &Path, run: &Run<'_>) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for row in ROWS {
        let kept = kept::read(docs, row.name)?;
        let outcomes: Vec<Outcome> = kept.iter().map(|kept| kept.outcome.clone()).collect();
        if let Some(summary) = summaries(&outcomes).into_iter().next() {
            lines.push(Known { row, kept, summary });
        }
    }
    let file = docs.join("benchmarks.md");
    let old = fs::read_to_string(&file).unwrap_or_default();
    let page = page(&lines, run, &history(&old, &lines, run));
    fs::write(&file, page).with_context(|| format!("writing {}", file.display()))
}

fn page(lines: &[Known], run: &Run<'_>, history: &str) -> String {
    let mut out = OPENING.to_owned();
    out += "\n## Bars\n\n| line | figure | bar | reached | |\n|---|---|---|---:|---|\n";
    let find =
        |name: &str| lines.iter().find(|known| known.row.name == name).map(|known| &known.summary);
    for row in ROWS {
        for bar in row.bars {
            let Verdict { reached, is_reached } = verdict(bar, find(row.name), find);
            let mark = match is_reached {
                Some(true) => "reached",
                Some(false) => "**missed**",
                None => "–",
            };
            let (name, figure, bar) = (row.name, bar.figure, bars::text(bar));
            put(&mut out, format_args!("| {name} | {figure} | {bar} | {reached} | {mark} |\n"));
        }
    }
    lines.iter().for_each(|known| out += &section(known));
    out += &servers(lines);
    out += &not_run(run);
    out + "\n" + history
}

fn section(known: &Known) -> String {
    let Known { row, kept, summary } = known;
    let Some(first) = kept.first() else { return String::new() };
    let mut out = format!("\n## {}\n\n", row.title);
    let rounds = summary.columns.iter().map(|column| column.rounds).max().unwrap_or(0);
    let often = if rounds == 1 { "one round".to_owned() } else { format!("{rounds} rounds") };
    let Kept { date, commit, machine, arguments, .. } = first;
    put(
        &mut out,
        format_args!("`sheaf-loadtest {arguments}` · {often} · {date} · {commit} · {machine}\n\n"),
    );
    let names = summary.columns.iter().map(|column| column.server.name.as_str());
    put(&mut out, format_args!("| | {} |\n", names.collect::<Vec<_>>().join(" | ")));
    put(&mut out, format_args!("|---|{}\n", "---:|".repeat(summary.columns.len())));
    for line in &summary.rows {
        let unit = if line.unit.is_empty() { String::new() } else { format!(", {}", line.unit) };
        let is_less = line.better == Better::Neither;
        let cell = |(at, cell): (usize, &Option<Cell>)| {
            cell_text(*cell, summary.base == Some(at), is_less)
        };
        let cells: Vec<String> = line.cells.iter().enumerate().map(cell).collect();
        put(&mut out, format_args!("| {}{unit} | {} |\n", line.name, cells.join(" | ")));
    }
    let mut told = Vec::new();
    for column in &summary.columns {
        let failed = column.failures.iter().map(|failure| ("**check failed**", failure));
        let warned = column.warnings.iter().map(|warning| ("warning", warning));
        for (what, (text, count)) in failed.chain(warned) {
            let name = &column.server.name;
            told.push(format!("- {name}: {what}, {count} of {} rounds: {text}", column.rounds));
        }
    }
    match told.is_empty() {
        true => out += "\nEvery check passed on every server.\n",
        false => put(&mut out, format_args!("\n{}\n", told.join("\n"))),
    }
    out
}

fn cell_text(cell: Option<Cell>, is_base: bool, is_plain: bool) -> String {
    let Some(Cell { median, min, max, ratio }) = cell else { return "–".to_owned() };
    let mut text = number(median);
    if min < max && !is_plain {
        put(&mut text, format_args!(" [{}–{}]", number(min), number(max)));
    }
    if let Some(ratio) = ratio.filter(|_| !is_base) {
        put(&mut text, format_args!(" **{} ×**", number(ratio)));
    }
    text
}

fn servers(lines: &[Known]) -> String {
    let mut seen: BTreeMap<&str, (&Server, &str)> = BTreeMap::new();
    for kept in lines.iter().flat_map(|known| &known.kept) {
        let newest = seen.entry(&kept.outcome.server.name);
        let newest = newest.or_insert((&kept.outcome.server, &kept.date));
        if kept.date.as_str() > newest.1 {
            *newest = (&kept.outcome.server, &kept.date);
        }
    }
    let mut out =
        String::from("\n## Servers\n\n| server | version | started with |\n|---|---|---|\n");
    for (name, (server, _)) in seen {
        let Server { version, command, .. } = server;
        put(&mut out, format_args!("| {name} | {version} | `{command}` |\n"));
    }
    out
}

fn not_run(run: &Run<'_>) -> String {
    let mut out = String::from("\n## Not run\n\n");
    let asked_all = run.rows.len() == ROWS.len();
    if run.not_run.is_empty() && asked_all {
        out += "The last run left nothing out.\n";
    }
    for (what, reason) in run.not_run {
        put(&mut out, format_args!("- {what}: {reason}\n"));
    }
    if !asked_all {
        let is_left = |row: &&Row| run.rows.iter().all(|other| other.name != row.name);
        let left: Vec<&str> = ROWS.iter().filter(is_left).map(|row| row.name).collect();
        put(&mut out, format_args!("- In the last run, as asked: {}\n", left.join(", ")));
    }
    out += "- y-redis (y-hub): needs Redis and S3 or Postgres\n";
    out
}

/// What the page's history says, and a line more for this run. What is measured since has an empty
/// column in older lines; what is measured no more keeps its column, behind the others.
fn history(old: &str, lines: &[Known], run: &Run<'_>) -> String {
    let before = old.split_once(HISTORY).map_or("", |(_, history)| history);
    let mut before = before.lines().filter(|line| line.starts_with('|')).map(cells);
    let old_heads = before.next().unwrap_or_default();
    let mut heads = vec!["date", "commit", "machine"];
    heads.extend(ROWS.iter().filter(|row| !row.bars.is_empty()).map(|row| row.name));
    let gone = old_heads.iter().filter(|head| !heads.contains(head));
    let heads: Vec<&str> = heads.iter().chain(gone).copied().collect();
    let mut out = format!(
        "{HISTORY}\n\nOf each line the figure of its first bar: the ratio to the floor, or the \
         value where the bar is none.\n\n| {} |\n|---|---|---|{}\n",
        heads.join(" | "),
        "---:|".repeat(heads.len() - 3)
    );
    for line in before.filter(|line| line[0].starts_with('2')) {
        let at = |head: &&str| old_heads.iter().position(|old| old == head);
        let cell = |head: &&str| at(head).and_then(|at| line.get(at)).map_or("–", |cell| *cell);
        let cells: Vec<&str> = heads.iter().map(cell).collect();
        put(&mut out, format_args!("| {} |\n", cells.join(" | ")));
    }
    let Run { machine, commit, rows, .. } = run;
    let figure = |name: &str| {
        let is_new = rows.iter().any(|row| row.name == name);
        let known = lines.iter().find(|known| known.row.name == name && is_new);
        known.and_then(first_figure).unwrap_or_else(|| "–".to_owned())
    };
    let cell = |head: &&str| match *head {
        "date" => machine.date.clone(),
        "commit" => (*commit).to_owned(),
        "machine" => machine.hardware(),
        name => figure(name),
    };
    let cells: Vec<String> = heads.iter().map(cell).collect();
    put(&mut out, format_args!("| {} |\n", cells.join(" | ")));
    out + "\n"
}

fn first_figure(known: &Known) -> Option<String> {
    let bar = known.row.bars.first()?;
    let reached = verdict(bar, Some(&known.summary), |_| None);
    match bar.limit {
        Limit::Value(..) => Some(reached.reached).filter(|_| reached.is_reached.is_some()),
        _ => {
            bars::ours_ratio(&known.summary, bar.figure).map(|ratio| format!("{} ×", number(ratio)))
        }
    }
}

/// A table's line, cell by cell.
fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

/// Writing to a string cannot fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests;
