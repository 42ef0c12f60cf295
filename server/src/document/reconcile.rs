//! What a whole text changes that was made of an older one.
//!
//! Job: two people have made two texts of one base; leave out of the second one's edits what the
//! first has done already, and turn round what a merge of characters would shred. Called by
//! `author` for uploads that name their base. Never reads a clock or a document: the same texts
//! give the same answer, whoever comes first.
//!
//! Typing needs none of this. A whole text only says how it ends: a line that both have added is
//! most likely one line, and a word that was changed in a line is worth the line.

use std::borrow::Cow;
use std::ops::Range;

use super::edit::Step;
use sheaf_protocol::scan::utf16_len;

/// The steps of `mine` on `base` that are left when others have taken those of `theirs` on it:
/// what both did at one place counts once; a line that I deleted and they changed stays; a line
/// that I changed and they deleted comes back as I left it.
pub fn reconcile<'a>(base: &'a str, theirs: &[Step<'_>], mine: &[Step<'a>]) -> Vec<Step<'a>> {
    let lines = Lines::of(base);
    let theirs = hunks(theirs);
    let mut mine = hunks(mine);
    mine.retain(|hunk| !theirs.contains(hunk));
    let mine = mine.into_iter().flat_map(|hunk| lines.spare(&hunk, &theirs)).collect();
    steps(lines.restore(mine, &theirs))
}

/// Some units of the base, and what comes in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hunk<'a> {
    gone: Range<u32>,
    text: Cow<'a, str>,
}

fn hunks<'a>(steps: &[Step<'a>]) -> Vec<Hunk<'a>> {
    let (mut hunks, mut at): (Vec<Hunk<'a>>, u32) = (Vec::new(), 0);
    for step in steps {
        let (units, text) = match step {
            Step::Keep(units) => {
                at += units;
                continue;
            }
            Step::Delete(units) => (*units, Cow::Borrowed("")),
            Step::Insert(text) => (0, text.clone()),
        };
        match hunks.last_mut().filter(|last| last.gone.end == at) {
            Some(last) => {
                last.gone.end += units;
                last.text += text;
            }
            None => hunks.push(Hunk { gone: at..at + units, text }),
        }
        at += units;
    }
    hunks
}

fn steps(hunks: Vec<Hunk<'_>>) -> Vec<Step<'_>> {
    let (mut steps, mut at) = (Vec::with_capacity(hunks.len() * 3), 0);
    for Hunk { gone, text } in hunks {
        steps.extend((gone.start > at).then(|| Step::Keep(gone.start - at)));
        steps.extend((!gone.is_empty()).then(|| Step::Delete(gone.end - gone.start)));
        steps.extend((!text.is_empty()).then_some(Step::Insert(text)));
        at = gone.end;
    }
    steps
}

/// A line of the base.
struct Line<'a> {
    text: &'a str,
    /// Its place in units, the end of the line included.
    whole: Range<u32>,
    /// Where its end of line begins.
    content_end: u32,
}

impl Line<'_> {
    fn is_covered_by(&self, hunk: &Hunk<'_>) -> bool {
        let is_empty = self.content_end == self.whole.start;
        let end = if is_empty { self.whole.end } else { self.content_end };
        hunk.gone.start <= self.whole.start && end <= hunk.gone.end
    }

    /// Whether this begins at the end of the line.
    fn is_ended_by(&self, hunk: &Hunk<'_>) -> bool {
        self.whole.start < self.content_end && hunk.gone.start == self.content_end
    }

    /// Whether this changes the line and leaves something of it.
    fn is_changed_by(&self, hunk: &Hunk<'_>) -> bool {
        let Hunk { gone: Range { start, end }, text } = hunk;
        if start == end {
            let is_first = *start == self.whole.start && !text.ends_with('\n');
            let is_within = self.whole.start < *start && *start <= self.content_end;
            let is_after = *start == self.content_end && text.starts_with(['\r', '\n']);
            return is_first || (is_within && !is_after);
        }
        let is_touched = *start < self.content_end && self.whole.start < *end;
        is_touched && !self.is_covered_by(hunk)
    }
}

struct Lines<'a>(Vec<Line<'a>>);

impl<'a> Lines<'a> {
    fn of(base: &'a str) -> Self {
        let mut at = 0;
        let lines = base.split_inclusive('\n').map(|text| {
            let start = at;
            at += utf16_len(text);
            let content_end = start + utf16_len(text.trim_end_matches(['\r', '\n']));
            Line { text, whole: start..at, content_end }
        });
        Self(lines.collect())
    }

    /// The lines that a hunk has to do with, with their numbers.
    fn around(&self, hunk: &Hunk<'_>) -> impl Iterator<Item = (usize, &Line<'a>)> {
        let first = self.0.partition_point(|line| line.whole.end < hunk.gone.start);
        let end = hunk.gone.end;
        self.0.iter().enumerate().skip(first).take_while(move |(_, line)| line.whole.start <= end)
    }

    /// Where a line begins that this hunk deletes: a last line goes, stays and comes back with the
    /// end of the line before it.
    fn start_of(&self, number: usize, hunk: &Hunk<'_>) -> u32 {
        let before = number.checked_sub(1).map(|before| &self.0[before]);
        match before.filter(|before| before.is_ended_by(hunk)) {
            Some(before) => before.content_end,
            None => self.0[number].whole.start,
        }
    }

    /// A hunk without the whole lines of it that others have changed: an edit wins over a delete.
    fn spare(&self, hunk: &Hunk<'a>, theirs: &[Hunk<'_>]) -> Vec<Hunk<'a>> {
        let mut left = vec![hunk.clone()];
        for (number, line) in self.around(hunk) {
            let last = left.last_mut().expect("there is one at least");
            let mut changing = near(theirs, &line.whole).filter(|it| line.is_changed_by(it));
            if line.is_covered_by(last) && changing.next().is_some() {
                let start = self.start_of(number, last);
                let end = std::mem::replace(&mut last.gone.end, start);
                let rest = line.whole.end.min(end)..end;
                left.push(Hunk { gone: rest, text: Cow::Borrowed("") });
            }
        }
        left.retain(|hunk| !hunk.gone.is_empty() || !hunk.text.is_empty());
        left
    }

    /// The hunks, those in lines that others have deleted made into whole lines.
    fn restore(&self, mine: Vec<Hunk<'a>>, theirs: &[Hunk<'_>]) -> Vec<Hunk<'a>> {
        let mut restored: Vec<Hunk<'a>> = Vec::with_capacity(mine.len());
        let mut mine = mine.into_iter().peekable();
        while let Some(first) = mine.next() {
            let mut hunks = vec![first];
            let mut whole = self.widened(&hunks[0], theirs);
            while let Some(next) = mine.next_if(|next| next.gone.start < whole.end) {
                whole.end = whole.end.max(self.widened(&next, theirs).end);
                hunks.push(next);
            }
            restored.push(self.joined(whole, hunks));
        }
        restored
    }

    /// The range of a hunk, with the lines that it changes and others have deleted.
    fn widened(&self, hunk: &Hunk<'_>, theirs: &[Hunk<'_>]) -> Range<u32> {
        let mut range = hunk.gone.clone();
        for (number, line) in self.around(hunk).filter(|(_, line)| line.is_changed_by(hunk)) {
            if let Some(by) = near(theirs, &line.whole).find(|it| line.is_covered_by(it)) {
                range.start = range.start.min(self.start_of(number, by));
                range.end = range.end.max(line.whole.end);
            }
        }
        range
    }

    /// One hunk for all that happens in a range.
    fn joined(&self, gone: Range<u32>, mut hunks: Vec<Hunk<'a>>) -> Hunk<'a> {
        if hunks.len() == 1 && hunks[0].gone == gone {
            return hunks.swap_remove(0);
        }
        let (mut text, mut at) = (String::new(), gone.start);
        for hunk in hunks {
            self.copy(at..hunk.gone.start, &mut text);
            text.push_str(&hunk.text);
            at = hunk.gone.end;
        }
        self.copy(at..gone.end, &mut text);
        Hunk { gone, text: Cow::Owned(text) }
    }

    /// Appends these units of the base.
    fn copy(&self, range: Range<u32>, out: &mut String) {
        let first = self.0.partition_point(|line| line.whole.end <= range.start);
        for line in self.0[first..].iter().take_while(|line| line.whole.start < range.end) {
            let mut at = line.whole.start;
            out.extend(line.text.chars().filter(|c| {
                let is_within = range.contains(&at);
                at += c.len_utf16() as u32;
                is_within
            }));
        }
    }
}

/// Those of the hunks, which are in order, that end or begin in this range, or hold it.
fn near<'h, 'a>(hunks: &'h [Hunk<'a>], range: &Range<u32>) -> impl Iterator<Item = &'h Hunk<'a>> {
    let first = hunks.partition_point(|hunk| hunk.gone.end < range.start);
    let end = range.end;
    hunks[first..].iter().take_while(move |hunk| hunk.gone.start <= end)
}

#[cfg(test)]
mod tests;
