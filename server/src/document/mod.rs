//! Live documents: own, merge, diff, presence, unload.
//!
//! Job: turn submissions from any edge into merged, journaled, published updates. Called by the
//! edges and services. Never knows a dialect, a socket or a file name on disk.

mod admission;
mod answers;
pub mod author;
pub mod authorship;
pub mod awareness;
mod broken;
pub mod checkpoint;
pub mod diff;
pub mod draft;
pub mod edit;
pub mod ending;
pub mod fanout;
pub mod handle;
pub mod ledger;
pub mod load;
mod merge;
pub mod owners;
mod past;
pub mod readers;
pub mod reconcile;
pub mod registry;
mod showing;
pub mod snapshot;
pub mod state;
pub mod submission;
pub mod tail;
pub mod turns;
mod upkeep;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What holds for all documents.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The root type whose text is a document's text. A document without content there is the text
    /// of the one root that has content.
    pub text_root: String,
}

impl Default for Config {
    fn default() -> Config {
        // What the CodeMirror and Monaco examples of most editors, and our own demo, call it.
        Config { text_root: "content".to_owned() }
    }
}

#[cfg(test)]
pub(crate) mod tests;
