//! Whether Sheaf reached what it has to.

use super::rows::{Bar, Limit};
use crate::compare::summary::{Cell, Row, Summary};
use crate::report::table::number;

/// The server that the bars are for.
pub(super) const OURS: &str = "sheaf";

/// What was reached of a bar.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    /// `0.79 ×`
    pub(super) reached: String,
    /// Nothing where it was not measured.
    pub(super) is_reached: Option<bool>,
}

/// The bar, for people.
pub(super) fn text(bar: &Bar) -> String {
    match bar.limit {
        Limit::BelowFloor(limit) => format!("≤ {limit} × floor"),
        Limit::AboveFloor(limit) => format!("≥ {limit} × floor"),
        Limit::Value(limit, unit) => format!("≤ {limit} {unit}"),
        Limit::Growth(line, _) => format!("growth from `{line}` ≤ the floor's"),
    }
}

/// Holds a line's summary against a bar; `other` finds the summaries of other lines.
pub(super) fn verdict<'a>(
    bar: &Bar,
    summary: Option<&Summary>,
    other: impl Fn(&str) -> Option<&'a Summary>,
) -> Verdict {
    let ours = summary.and_then(|summary| ours(summary, bar.figure));
    let ratio = summary.and_then(|summary| ours_ratio(summary, bar.figure));
    let (reached, is_reached) = match bar.limit {
        Limit::BelowFloor(limit) => (times(ratio), ratio.map(|ratio| ratio <= limit)),
        Limit::AboveFloor(limit) => (times(ratio), ratio.map(|ratio| ratio >= limit)),
        Limit::Value(limit, unit) => {
            // A limit in another unit than the figure's would be a lie either way.
            let ours = ours.filter(|_| unit_of(summary, bar.figure) == Some(unit));
            let text = ours.map(|cell| format!("{} {unit}", number(cell.median)));
            (text, ours.map(|cell| cell.median <= limit))
        }
        Limit::Growth(line, limit) => {
            let before = other(line).and_then(|summary| ours_ratio(summary, bar.figure));
            let grown = ratio.zip(before).map(|(after, before)| after / before);
            (times(grown), grown.map(|grown| grown <= limit))
        }
    };
    Verdict { reached: reached.unwrap_or_else(|| "not measured".to_owned()), is_reached }
}

fn unit_of<'a>(summary: Option<&'a Summary>, figure: &str) -> Option<&'a str> {
    Some(row(summary?, figure)?.unit.as_str())
}

fn times(ratio: Option<f64>) -> Option<String> {
    ratio.map(|ratio| format!("{} ×", number(ratio)))
}

fn row<'a>(summary: &'a Summary, figure: &str) -> Option<&'a Row> {
    summary.rows.iter().find(|row| row.name == figure)
}

fn ours(summary: &Summary, figure: &str) -> Option<Cell> {
    let at = summary.columns.iter().position(|column| column.server.name == OURS)?;
    row(summary, figure)?.cells[at]
}

/// Sheaf's ratio to the floor, for the history.
pub(super) fn ours_ratio(summary: &Summary, figure: &str) -> Option<f64> {
    ours(summary, figure).filter(|_| has_floor(summary))?.ratio
}

/// A ratio to another server is none to the floor.
fn has_floor(summary: &Summary) -> bool {
    summary.base.is_some_and(|base| summary.columns[base].server.is_floor)
}

#[cfg(test)]
mod tests;
