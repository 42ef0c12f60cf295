//! Edits of a text as an outside writer states them: positions in a unit of their choice.
//!
//! Job: check a list of edits against the text they were made for, and turn it into runs of kept,
//! deleted and inserted text in UTF-16 units, which is what documents count in. Called by `author`.
//! Never splits a character, never reads a clock or a document: the same edits on the same text
//! give the same answer.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sheaf_protocol::scan::utf16_len;
use utoipa::ToSchema;

/// What positions and lengths count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// UTF-16 code units, as in JavaScript, Java and C#.
    Utf16,
    /// Code points, as in Python.
    Unicode,
    /// Bytes of UTF-8, as in Rust and Go.
    Utf8,
}

/// One edit. All positions of a list refer to the same text, that of the version it names; edits
/// come in any order and do not overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum Edit {
    /// Puts text at a position. Several at one position end up in the order of the list.
    Insert {
        /// Where.
        at: u64,
        /// What.
        text: String,
    },
    /// Takes text out.
    Delete {
        /// Where it begins.
        at: u64,
        /// How much.
        len: u64,
    },
    /// Puts text in the place of other text.
    Replace {
        /// Where the other text begins.
        at: u64,
        /// How much of it there is.
        len: u64,
        /// What comes instead.
        text: String,
    },
}

impl Edit {
    /// What it brings in.
    pub fn text(&self) -> &str {
        match self {
            Edit::Insert { text, .. } | Edit::Replace { text, .. } => text,
            Edit::Delete { .. } => "",
        }
    }
}

/// A run of the way from one text to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// So many UTF-16 units stay.
    Keep(u32),
    /// So many UTF-16 units go.
    Delete(u32),
    /// This comes in.
    Insert(Cow<'a, str>),
}

/// Steps as they are put together: neighbours are joined, and what is deleted at a place goes
/// before what is inserted there.
#[derive(Debug, Default)]
pub(super) struct Steps<'a> {
    done: Vec<Step<'a>>,
    kept: u32,
    deleted: u32,
    inserted: Cow<'a, str>,
}

impl<'a> Steps<'a> {
    pub(super) fn keep(&mut self, text: &str) {
        self.keep_units(utf16_len(text));
    }

    fn keep_units(&mut self, units: u32) {
        if units > 0 {
            self.flush();
            self.kept += units;
        }
    }

    pub(super) fn delete(&mut self, text: &str) {
        self.deleted += utf16_len(text);
    }

    pub(super) fn insert(&mut self, text: &'a str) {
        if self.inserted.is_empty() {
            self.inserted = Cow::Borrowed(text);
        } else if !text.is_empty() {
            self.inserted.to_mut().push_str(text);
        }
    }

    /// Places at which something changes.
    pub(super) fn places(&self) -> usize {
        self.done.iter().filter(|step| matches!(step, Step::Keep(_))).count() + 1
    }

    fn flush(&mut self) {
        if self.deleted == 0 && self.inserted.is_empty() {
            return;
        }
        if self.kept > 0 {
            self.done.push(Step::Keep(std::mem::take(&mut self.kept)));
        }
        if self.deleted > 0 {
            self.done.push(Step::Delete(std::mem::take(&mut self.deleted)));
        }
        if !self.inserted.is_empty() {
            self.done.push(Step::Insert(std::mem::take(&mut self.inserted)));
        }
    }

    /// The steps; none if nothing changes.
    pub(super) fn finish(mut self) -> Vec<Step<'a>> {
        self.flush();
        self.done
    }
}

/// An edit that does not fit its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("edit {index}: {why}")]
pub struct BadEdit {
    /// Its place in the list.
    pub index: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

/// The steps that do all these edits to a text at once.
///
/// # Errors
/// The first edit, by position, that overlaps the one before it, reaches beyond the text or does
/// not begin and end between characters.
pub fn steps<'a>(text: &str, edits: &'a [Edit], unit: Unit) -> Result<Vec<Step<'a>>, BadEdit> {
    let mut order: Vec<Place<'a>> = Vec::with_capacity(edits.len());
    for (index, edit) in edits.iter().enumerate() {
        order.push(Place::of(index, edit)?);
    }
    // What only inserts at the place where something is deleted comes before it.
    order.sort_by_key(|place| (place.start, place.end > place.start));
    let mut walk = Walk { text, unit, at: 0, byte: 0 };
    let mut steps = Steps::default();
    for place in order {
        let bad = |why| BadEdit { index: place.index, why };
        if place.start < walk.at {
            return Err(bad("it overlaps another edit"));
        }
        steps.keep(walk.to(place.start).map_err(bad)?);
        steps.delete(walk.to(place.end).map_err(bad)?);
        steps.insert(place.text);
    }
    Ok(steps.finish())
}

/// An edit as a range and what comes there.
struct Place<'a> {
    index: usize,
    start: u64,
    end: u64,
    text: &'a str,
}

impl<'a> Place<'a> {
    fn of(index: usize, edit: &'a Edit) -> Result<Self, BadEdit> {
        let (start, len, text) = match edit {
            Edit::Insert { at, text } => (*at, 0, text.as_str()),
            Edit::Delete { at, len } => (*at, *len, ""),
            Edit::Replace { at, len, text } => (*at, *len, text.as_str()),
        };
        let end = start.checked_add(len).ok_or(BadEdit { index, why: BEYOND })?;
        Ok(Self { index, start, end, text })
    }
}

const BEYOND: &str = "it reaches beyond the end of the text";

/// A place in a text that only moves on.
struct Walk<'t> {
    text: &'t str,
    unit: Unit,
    at: u64,
    byte: usize,
}

impl<'t> Walk<'t> {
    /// Goes on to a position and gives what lies between.
    fn to(&mut self, position: u64) -> Result<&'t str, &'static str> {
        let from = self.byte;
        for c in self.text[from..].chars() {
            if self.at >= position {
                break;
            }
            self.at += match self.unit {
                Unit::Utf16 => c.len_utf16() as u64,
                Unit::Unicode => 1,
                Unit::Utf8 => c.len_utf8() as u64,
            };
            self.byte += c.len_utf8();
        }
        match self.at {
            at if at < position => Err(BEYOND),
            at if at > position => Err("it begins or ends inside a character"),
            _ => Ok(&self.text[from..self.byte]),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
