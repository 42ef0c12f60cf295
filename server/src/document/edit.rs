//! Edits of a text as an outside writer states them: positions in a unit of their choice.
//!
//! Job: check a list of edits against the text they were made for, and turn it into runs of kept,
//! deleted and inserted text in UTF-16 units, which is what documents count in. Called by `author`.
//! Never splits a character, never reads a clock or a document: the same edits on the same text
//! give the same answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
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
