//! The table on the terminal: a row a figure, a column a server with the median, the spread and the
//! ratio to the floor.

use std::io::{self, Write};

use crate::compare::summary::{Cell, Column, Summary};

/// Wider tables are cut into several, each with the row names.
const COLUMNS_MAX: usize = 118;
const RATIO_MAX: f64 = 1_000.0;
const GAP: &str = "   ";

/// Writes a table for each scenario and load.
///
/// # Errors
/// When nobody takes it.
pub(crate) fn write(out: &mut impl Write, summaries: &[Summary]) -> io::Result<()> {
    for (at, summary) in summaries.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        write_one(out, summary)?;
    }
    Ok(())
}

fn write_one(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    let rounds = summary.columns.iter().map(|column| column.rounds).max().unwrap_or(0);
    let often = match rounds {
        0 | 1 => String::new(),
        rounds => format!(", medians of {rounds} rounds [min–max]"),
    };
    let Summary { scenario, load, measured_s, columns, .. } = summary;
    let measured = match *measured_s > 0.0 {
        true => format!("; {measured_s:.1} s measured"),
        false => String::new(),
    };
    writeln!(out, "{scenario}: {load}{measured}{often}")?;
    if let Some(base) = summary.base {
        writeln!(out, "× is the ratio to {}", columns[base].server.name)?;
    }
    let names: Vec<String> = summary.rows.iter().map(|row| name(&row.name, &row.unit)).collect();
    let name_width = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let texts: Vec<Vec<String>> = (0..columns.len()).map(|at| texts(summary, at)).collect();
    let mut first = 0;
    while first < columns.len() {
        let mut total = name_width;
        let fits = texts[first..].iter().take_while(|texts| {
            total += width(GAP) + widest(texts);
            total <= COLUMNS_MAX
        });
        let last = first + fits.count().max(1);
        writeln!(out)?;
        for line in 0..=names.len() {
            let row_name = line.checked_sub(1).map_or("", |row| names[row].as_str());
            let mut text = format!("  {row_name}{}", pad(name_width - width(row_name)));
            for column in &texts[first..last] {
                let cell = &column[line];
                text += &format!("{GAP}{}{cell}", pad(widest(column) - width(cell)));
            }
            writeln!(out, "{}", text.trim_end())?;
        }
        first = last;
    }
    columns.iter().try_for_each(|column| write_verdict(out, column))
}

fn write_verdict(out: &mut impl Write, column: &Column) -> io::Result<()> {
    let name = &column.server.name;
    let often = |count: u32| match column.rounds {
        1 => String::new(),
        rounds => format!(" ({count} of {rounds} rounds)"),
    };
    if column.failures.is_empty() {
        writeln!(out, "  {name}: all checks passed")?;
    }
    for (failure, count) in &column.failures {
        writeln!(out, "  {name}: CHECK FAILED: {failure}{}", often(*count))?;
    }
    for (warning, count) in &column.warnings {
        writeln!(out, "  {name}: warning: {warning}{}", often(*count))?;
    }
    Ok(())
}

/// A column's lines: its head, then its cells, with medians, spreads and ratios aligned.
fn texts(summary: &Summary, column: usize) -> Vec<String> {
    let cells: Vec<Option<Cell>> = summary.rows.iter().map(|row| row.cells[column]).collect();
    let has_rounds = summary.columns.iter().any(|column| column.rounds > 1);
    let is_base = summary.base == Some(column);
    let parts: Vec<[String; 3]> =
        cells.iter().map(|cell| parts(*cell, has_rounds, is_base)).collect();
    let wide = |part: usize| parts.iter().map(|parts| width(&parts[part])).max().unwrap_or(0);
    let wides = [wide(0), wide(1), wide(2)];
    let line = |parts: &[String; 3]| {
        let padded = parts.iter().zip(wides).filter(|(_, wide)| *wide > 0);
        let padded = padded.map(|(part, wide)| format!("{}{part}", pad(wide - width(part))));
        padded.collect::<Vec<_>>().join(" ")
    };
    let head = summary.columns[column].server.name.clone();
    std::iter::once(head).chain(parts.iter().map(line)).collect()
}

fn parts(cell: Option<Cell>, has_rounds: bool, is_base: bool) -> [String; 3] {
    let Some(Cell { median, min, max, ratio }) = cell else {
        return ["–".to_owned(), String::new(), String::new()];
    };
    let spread = match has_rounds {
        true => format!("[{}–{}]", number(min), number(max)),
        false => String::new(),
    };
    // Beyond, the base is next to nothing, and so is what the ratio says.
    let ratio = ratio.filter(|ratio| !is_base && *ratio <= RATIO_MAX);
    [number(median), spread, ratio.map_or_else(String::new, |ratio| format!("{}×", number(ratio)))]
}

fn name(name: &str, unit: &str) -> String {
    if unit.is_empty() { name.to_owned() } else { format!("{name}, {unit}") }
}

/// Three digits that count; thousands in groups.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let plain = format!("{size:.decimals$}");
    let (whole, rest) = plain.split_once('.').unwrap_or((&plain, ""));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if value < 0.0 { "−" } else { "" };
    let dot = if rest.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{dot}{rest}")
}

/// In columns of a terminal: every character that we write takes one.
fn width(text: &str) -> usize {
    text.chars().count()
}

fn widest(texts: &[String]) -> usize {
    texts.iter().map(|text| width(text)).max().unwrap_or(0)
}

fn pad(count: usize) -> String {
    " ".repeat(count)
}

#[cfg(test)]
mod tests;
