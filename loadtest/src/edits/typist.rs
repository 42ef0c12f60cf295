//! Somebody writing: words letter by letter with slips taken back, new lines, jumps to earlier
//! places, deleted words and pasted sentences; in bursts with pauses between them. Or what somebody
//! wrote once, from a trace.

use std::collections::VecDeque;
use std::rc::Rc;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::text::Patch;
use super::trace::Trace;

const WORDS: [&str; 30] = [
    "the",
    "of",
    "a",
    "to",
    "and",
    "in",
    "we",
    "it",
    "that",
    "is",
    "on",
    "with",
    "for",
    "was",
    "garden",
    "plan",
    "meeting",
    "green",
    "light",
    "paper",
    "write",
    "together",
    "morning",
    "across",
    "because",
    "several",
    "naïve",
    "übrigens",
    "漢字",
    "мир",
];
/// A stretch longer than this is shortened, so that a typist can go on for hours.
const LETTERS_MAX: u32 = 8_000;
/// One key in so many is followed by a pause, on average.
const BURST_KEYS: f64 = 10.0;
/// A pause takes this many times the average key; the keys of a burst are quicker for it, so that
/// the rate asked for is the rate that comes.
const PAUSE_KEYS: f64 = 5.5;

/// One person.
#[derive(Debug)]
pub(crate) struct Typist {
    random: SmallRng,
    /// Keys a second, pauses counted.
    rate: f64,
    cursor: u32,
    /// What is to be typed next.
    planned: VecDeque<Patch>,
    trace: Option<(Rc<Trace>, usize)>,
}

impl Typist {
    /// Somebody who makes it up.
    pub(crate) fn new(seed: u64, rate: f64) -> Self {
        let random = SmallRng::seed_from_u64(seed);
        Self { random, rate, cursor: 0, planned: VecDeque::new(), trace: None }
    }

    /// Somebody who types what was once typed, as fast as is asked here; when it ends, he goes on
    /// by himself.
    pub(crate) fn of_trace(seed: u64, rate: f64, trace: Rc<Trace>) -> Self {
        Self { trace: Some((trace, 0)), ..Self::new(seed, rate) }
    }

    /// How long until the next key, in microseconds.
    pub(crate) fn wait_us(&mut self) -> u64 {
        let keys = if self.random.random_bool(1.0 / BURST_KEYS) {
            // Exponential: short pauses are many, long ones few.
            -PAUSE_KEYS * (1.0 - self.random.random::<f64>()).ln()
        } else {
            let mean = (1.0 - PAUSE_KEYS / BURST_KEYS) / (1.0 - 1.0 / BURST_KEYS);
            mean * self.random.random_range(0.4..1.6)
        };
        (keys * 1e6 / self.rate) as u64
    }

    /// How long until the next of something that happens so often a second, at no fixed beat.
    pub(crate) fn next_us(&mut self, rate: f64) -> u64 {
        (self.random.random_range(0.5..1.5) * 1e6 / rate) as u64
    }

    /// What the next key does to a text of this length.
    pub(crate) fn key(&mut self, len: u32) -> Vec<Patch> {
        if let Some((trace, at)) = &mut self.trace
            && let Some(patches) = trace.txns.get(*at)
        {
            *at += 1;
            return patches.clone();
        }
        if self.planned.is_empty() {
            self.cursor = self.cursor.min(len);
            self.plan(len);
        }
        self.planned.pop_front().into_iter().collect()
    }

    fn plan(&mut self, len: u32) {
        if len > LETTERS_MAX {
            let deleted = len - LETTERS_MAX / 2;
            self.cursor = 0;
            return self.patch(deleted, "");
        }
        match self.random.random::<f64>() {
            ..0.86 => self.word(),
            ..0.91 => self.patch(0, "\n"),
            ..0.96 => {
                self.cursor = self.random.random_range(0..=len);
                self.word();
            }
            ..0.985 if self.cursor > 0 => {
                for _ in 0..self.random.random_range(1..=12).min(self.cursor) {
                    self.backspace();
                }
            }
            _ => {
                let sentence = [(); 12].map(|()| self.any_word()).join(" ");
                let deleted = self.random.random_range(0..30).min(len - self.cursor);
                self.patch(deleted, &sentence);
            }
        }
    }

    fn word(&mut self) {
        for letter in self.any_word().chars().chain([' ']) {
            self.patch(0, letter.encode_utf8(&mut [0; 4]));
            if self.random.random_bool(0.04) {
                self.backspace();
            }
        }
    }

    fn any_word(&mut self) -> &'static str {
        WORDS[self.random.random_range(0..WORDS.len())]
    }

    fn backspace(&mut self) {
        self.cursor -= 1;
        self.patch(1, "");
    }

    fn patch(&mut self, deleted: u32, inserted: &str) {
        let at = self.cursor;
        self.cursor += inserted.chars().count() as u32;
        self.planned.push_back(Patch { at, deleted, inserted: inserted.to_owned() });
    }
}

#[cfg(test)]
mod tests;
