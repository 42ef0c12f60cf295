//! From an old text to a new one by few edits.
//!
//! Job: find what changed between two texts so that a whole text that somebody writes becomes an
//! edit: what nobody touched stays, with the carets in it. Called by `author`. Never cuts inside a
//! code point, never takes longer than its time for the sake of fewer edits.
//!
//! The ends that both have in common are cut off; the rest is compared by lines; where as many
//! lines come as go they are taken in pairs without their common ends; small ranges are compared
//! by words; what is left is replaced. Comparing by characters or words alone takes minutes for a
//! text that was sorted.

use std::collections::HashMap;
use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

use super::edit::{Step, Steps};
use sheaf_ground::time::{Clock, Moment};

/// Places of change, at most: applying takes about 40 µs each, under the author's lock.
pub const PLACES_MAX: usize = 20_000;

/// Bytes on either side of a change that is looked at by words.
const WORDS_BYTES_MAX: usize = 64 * 1024;

/// Lines on both sides together; each costs about 60 bytes while it is compared.
const LINES_MAX: usize = 1 << 20;

/// How long to look for fewer edits.
#[derive(Clone, Copy, Debug)]
pub struct Until<'a> {
    clock: &'a Clock,
    moment: Moment,
}

impl<'a> Until<'a> {
    /// Until this moment of this clock.
    pub fn new(clock: &'a Clock, moment: Moment) -> Self {
        Self { clock, moment }
    }

    fn is_over(&self) -> bool {
        self.clock.now() >= self.moment
    }
}

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Words,
    Lines,
    Whole,
}

/// The steps from `old` to `new`; none if they are the same.
pub fn steps<'a>(old: &str, new: &'a str, until: Until<'_>) -> Vec<Step<'a>> {
    for level in [Level::Words, Level::Lines, Level::Whole] {
        let mut steps = Steps::default();
        Differ { level, until }.trimmed(old, new, &mut steps);
        if level == Level::Whole || steps.places() <= PLACES_MAX {
            return steps.finish();
        }
    }
    Vec::new()
}

/// The steps that bring into `old` the lines of `new` that it lacks, each behind what it stands
/// behind there, and take nothing out: for who has never seen `old`. A line that only stands
/// elsewhere is not lacking.
pub fn union<'a>(old: &str, new: &'a str, until: Until<'_>) -> Vec<Step<'a>> {
    let was: Vec<&str> = old.split_inclusive('\n').collect();
    let is: Vec<&'a str> = new.split_inclusive('\n').collect();
    let had: Vec<&str> = was.iter().map(|line| content(line)).collect();
    let has: Vec<&str> = is.iter().map(|line| content(line)).collect();
    let (mut changes, mut elsewhere) = (Vec::new(), HashMap::<&str, usize>::new());
    each(Algorithm::Histogram, &had, &has, until, |change| {
        if let Change::Other(gone, _) = &change {
            had[gone.clone()].iter().for_each(|line| *elsewhere.entry(line).or_default() += 1);
        }
        changes.push(change);
    });
    let (mut steps, mut is_ended) = (Steps::default(), true);
    for change in changes {
        let (Change::Same(kept, come) | Change::Other(kept, come)) = &change;
        for line in &was[kept.clone()] {
            steps.keep(line);
            is_ended = line.ends_with('\n');
        }
        for at in come.clone().filter(|_| matches!(change, Change::Other(..))) {
            if let Some(count) = elsewhere.get_mut(has[at]).filter(|count| **count > 0) {
                *count -= 1;
                continue;
            }
            steps.insert(if is_ended { "" } else { "\n" });
            steps.insert(is[at]);
            is_ended = is[at].ends_with('\n');
        }
    }
    steps.finish()
}

fn content(line: &str) -> &str {
    line.strip_suffix('\n').unwrap_or(line)
}

struct Differ<'c> {
    level: Level,
    until: Until<'c>,
}

impl Differ<'_> {
    /// Keeps the lines in common at both ends and compares what lies between.
    fn trimmed<'a>(&self, old: &str, new: &'a str, steps: &mut Steps<'a>) {
        let (head, tail) = common_lines(old, new);
        steps.keep(&old[..head]);
        self.lines(&old[head..old.len() - tail], &new[head..new.len() - tail], steps);
        steps.keep(&old[old.len() - tail..]);
    }

    fn lines<'a>(&self, old: &str, new: &'a str, steps: &mut Steps<'a>) {
        if old.is_empty() || new.is_empty() || self.level == Level::Whole || self.is_over() {
            return replace(old, new, steps);
        }
        let (was, is): (Vec<_>, Vec<_>) = match line_count(old) + line_count(new) {
            count if count > LINES_MAX => return replace(old, new, steps),
            _ => (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect()),
        };
        each(Algorithm::Histogram, &was, &is, self.until, |change| match change {
            Change::Same(at, _) => was[at].iter().for_each(|line| steps.keep(line)),
            Change::Other(gone, come) => self.hunk(&was[gone], &is[come], steps),
        });
    }

    /// Lines that went and lines that came in their place.
    fn hunk<'a>(&self, old: &[&str], new: &[&'a str], steps: &mut Steps<'a>) {
        if old.len() == new.len() {
            for (old, new) in old.iter().zip(new) {
                let (head, tail) = common_ends(old, new);
                steps.keep(&old[..head]);
                self.words(&[&old[head..old.len() - tail]], &[&new[head..new.len() - tail]], steps);
                steps.keep(&old[old.len() - tail..]);
            }
            return;
        }
        self.words(old, new, steps);
    }

    /// The same lines by words, if there are few.
    fn words<'a>(&self, old: &[&str], new: &[&'a str], steps: &mut Steps<'a>) {
        let bytes = |lines: &[&str]| lines.iter().map(|line| line.len()).sum::<usize>();
        let range = 1..=WORDS_BYTES_MAX;
        let is_fit = range.contains(&bytes(old)) && range.contains(&bytes(new));
        if self.level != Level::Words || !is_fit || self.is_over() {
            old.iter().for_each(|line| steps.delete(line));
            new.iter().for_each(|line| steps.insert(line));
            return;
        }
        let was: Vec<&str> = old.iter().flat_map(|line| Words(line)).collect();
        let is: Vec<&'a str> = new.iter().flat_map(|line| Words(line)).collect();
        each(Algorithm::Myers, &was, &is, self.until, |change| match change {
            // Spaces and commas alone do not make two texts related: what stands around them would
            // be shredded.
            Change::Same(at, to) if was[at.clone()].iter().all(|word| is_filler(word)) => {
                was[at].iter().for_each(|word| steps.delete(word));
                is[to].iter().for_each(|word| steps.insert(word));
            }
            Change::Same(at, _) => was[at].iter().for_each(|word| steps.keep(word)),
            Change::Other(gone, come) => {
                was[gone].iter().for_each(|word| steps.delete(word));
                is[come].iter().for_each(|word| steps.insert(word));
            }
        });
    }

    fn is_over(&self) -> bool {
        self.until.is_over()
    }
}

/// A part of a comparison, as places in the two lists.
enum Change {
    Same(Range<usize>, Range<usize>),
    Other(Range<usize>, Range<usize>),
}

/// Compares two lists and tells what of them is the same and what is not, in order; changes that
/// touch are one.
fn each(
    algorithm: Algorithm,
    old: &[&str],
    new: &[&str],
    until: Until<'_>,
    mut tell: impl FnMut(Change),
) {
    let deadline = until.clock.instant(until.moment);
    let mut open: Option<(Range<usize>, Range<usize>)> = None;
    for op in capture_diff_slices_deadline(algorithm, old, new, deadline) {
        let (_, was, is) = op.as_tag_tuple();
        if let DiffOp::Equal { .. } = op {
            open.take().into_iter().for_each(|(gone, come)| tell(Change::Other(gone, come)));
            tell(Change::Same(was, is));
            continue;
        }
        open = Some(match open.take() {
            Some((gone, come)) => (gone.start..was.end, come.start..is.end),
            None => (was, is),
        });
    }
    open.into_iter().for_each(|(gone, come)| tell(Change::Other(gone, come)));
}

fn replace<'a>(old: &str, new: &'a str, steps: &mut Steps<'a>) {
    steps.delete(old);
    steps.insert(new);
}

fn line_count(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count() + 1
}

/// As `common_ends`, cut at the beginnings of lines: a line that was taken out from between two of
/// the same beginning is then that line, not the end of one and the beginning of the other.
fn common_lines(old: &str, new: &str) -> (usize, usize) {
    let (head, _) = common_ends(old, new);
    let head = old[..head].rfind('\n').map_or(0, |at| at + 1);
    let (old, new) = (&old[head..], &new[head..]);
    let same = |(a, b): &(u8, u8)| a == b;
    let tail = old.bytes().rev().zip(new.bytes().rev()).take_while(same).count();
    let begins = |text: &str, tail: usize| {
        let at = text.len() - tail;
        at == 0 || text.as_bytes()[at - 1] == b'\n'
    };
    let end = &old.as_bytes()[old.len() - tail..];
    let lines = end.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let mut tails = std::iter::once(0).chain(lines).map(|at| tail - at);
    (head, tails.find(|tail| begins(old, *tail) && begins(new, *tail)).unwrap_or(0))
}

/// How many bytes two texts have in common at their beginning and, after that, at their end; both
/// cut between code points.
fn common_ends(old: &str, new: &str) -> (usize, usize) {
    let same = |(a, b): &(u8, u8)| a == b;
    let mut head = old.bytes().zip(new.bytes()).take_while(same).count();
    while !(old.is_char_boundary(head) && new.is_char_boundary(head)) {
        head -= 1;
    }
    let (old, new) = (&old[head..], &new[head..]);
    let mut tail = old.bytes().rev().zip(new.bytes().rev()).take_while(same).count();
    while !(old.is_char_boundary(old.len() - tail) && new.is_char_boundary(new.len() - tail)) {
        tail -= 1;
    }
    (head, tail)
}

/// Runs of letters and digits, runs of white space, and every other character for itself.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let first = self.0.chars().next()?;
        let end = match Class::of(first) {
            Class::Other => first.len_utf8(),
            class => self.0.find(|c| Class::of(c) != class).unwrap_or(self.0.len()),
        };
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(word)
    }
}

/// Nothing but spaces and punctuation.
fn is_filler(word: &str) -> bool {
    word.chars().all(|c| c != '\n' && (c.is_whitespace() || c.is_ascii_punctuation()))
}

#[derive(PartialEq, Eq)]
enum Class {
    Word,
    Space,
    Other,
}

impl Class {
    fn of(c: char) -> Class {
        match c {
            _ if c.is_alphanumeric() => Class::Word,
            _ if c.is_whitespace() => Class::Space,
            _ => Class::Other,
        }
    }
}

#[cfg(test)]
mod tests;
