//! What is different between two texts, for people and for programs.
//!
//! Job: a unified diff, or the same as lists of lines. Called by `vault` and rendered by `http`.
//! Never takes longer than its time for the sake of fewer lines.

use std::time::Duration;

use similar::{Algorithm, ChangeTag, TextDiff};

/// How long to look for fewer lines; over it what differs gets coarser.
const TIME_MAX: Duration = Duration::from_millis(500);

/// Lines that are shown before and behind a change.
const CONTEXT_LINES: usize = 3;

/// A place where two texts differ, with a few lines around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// Its first line in the old text, from 1; 0 if that is empty.
    pub old_line: usize,
    /// Its first line in the new text, from 1; 0 if that is empty.
    pub new_line: usize,
    /// The lines, in order.
    pub lines: Vec<Line>,
}

/// A line of a hunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What became of it.
    pub fate: Fate,
    /// The line, with its end.
    pub text: String,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in both texts.
    Same,
    /// It is in the old text alone.
    Removed,
    /// It is in the new text alone.
    Added,
}

fn compared<'a>(old: &'a str, new: &'a str) -> TextDiff<'a, 'a, str> {
    let mut config = TextDiff::configure();
    config.algorithm(Algorithm::Histogram).timeout(TIME_MAX);
    config.diff_lines(old, new)
}

/// The unified diff, as `diff -u` writes it; empty if the texts are the same.
#[must_use]
pub fn unified((old_name, old): (&str, &str), (new_name, new): (&str, &str)) -> String {
    let diff = compared(old, new);
    diff.unified_diff().context_radius(CONTEXT_LINES).header(old_name, new_name).to_string()
}

/// The places where two texts differ.
#[must_use]
pub fn hunks(old: &str, new: &str) -> Vec<Hunk> {
    let diff = compared(old, new);
    let groups = diff.grouped_ops(CONTEXT_LINES);
    let hunk = |ops: &Vec<similar::DiffOp>| {
        let changes = ops.iter().flat_map(|op| diff.iter_changes(op));
        let lines = changes.map(|change| Line {
            fate: match change.tag() {
                ChangeTag::Equal => Fate::Same,
                ChangeTag::Delete => Fate::Removed,
                ChangeTag::Insert => Fate::Added,
            },
            text: change.value().to_owned(),
        });
        let first = |range: std::ops::Range<usize>| range.start + usize::from(!range.is_empty());
        let (old, new) = match (ops.first(), ops.last()) {
            (Some(first), Some(last)) => (
                first.old_range().start..last.old_range().end,
                first.new_range().start..last.new_range().end,
            ),
            _ => (0..0, 0..0),
        };
        Hunk { old_line: first(old), new_line: first(new), lines: lines.collect() }
    };
    groups.iter().map(hunk).collect()
}

#[cfg(test)]
mod tests;
