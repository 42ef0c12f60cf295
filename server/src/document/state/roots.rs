//! What a document's root types are and which of them is its text.
//!
//! Job: tell the kind of a root from what it holds, since nothing on the wire does, and apply the
//! rule for a document's text. Called by `state` and `fork`. Never gives a root a type: a document
//! is encoded the same after it was read.

use sheaf_protocol::scan::utf16_len;
use yrs::branch::{Branch, BranchPtr};
use yrs::types::text::{Diff, TextRef, YChange};
use yrs::{Any, Doc, GetString, Map, MapRef, Out, ReadTxn, Snapshot, Text, Transact};

use super::Run;
use crate::document::snapshot::Content;

/// What a root is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It holds nothing now.
    Empty,
    /// Characters, maybe with formats and embedded values.
    Text,
    /// XML elements, or texts as XML has them.
    Xml,
    /// Any other sequence.
    Array,
    /// Only keys.
    Map,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Empty => "empty",
            Kind::Text => "text",
            Kind::Xml => "xml",
            Kind::Array => "array",
            Kind::Map => "map",
        }
    }
}

/// A sequence as a text has it.
pub(super) type Chunk = Diff<YChange>;

/// The text of a sequence: runs of characters of one format, embedded values and types.
pub(super) fn chunks(branch: &Branch, txn: &impl ReadTxn) -> Vec<Chunk> {
    TextRef::from(BranchPtr::from(branch)).diff(txn, YChange::identity)
}

/// The kind of a root and, of a text, its chunks.
pub(super) fn sniff(branch: &Branch, txn: &impl ReadTxn) -> (Kind, Vec<Chunk>) {
    if branch.len() == 0 {
        let kind = if has_keys(branch, txn) { Kind::Map } else { Kind::Empty };
        return (kind, Vec::new());
    }
    let chunks = chunks(branch, txn);
    let is_xml = |chunk: &Chunk| {
        matches!(chunk.insert, Out::YXmlElement(_) | Out::YXmlFragment(_) | Out::YXmlText(_))
    };
    let units = chunks.iter().map(units).sum::<u32>();
    let kind = if chunks.iter().any(is_xml) {
        Kind::Xml
    } else if chunks.iter().any(|chunk| matches!(chunk.insert, Out::Any(_)))
        // Somebody uses it as a text and as an array: as a text it cannot be edited.
        && units == branch.len()
    {
        Kind::Text
    } else {
        Kind::Array
    };
    (kind, chunks)
}

/// True if a root has keys: those of a map, or attributes beside its content.
pub(super) fn has_keys(branch: &Branch, txn: &impl ReadTxn) -> bool {
    MapRef::from(BranchPtr::from(branch)).len(txn) > 0
}

/// A chunk's characters, or `None` if it is embedded. (An embedded string cannot be told from
/// characters here, except by its length: such a root is no text to us.)
pub(super) fn characters(chunk: &Chunk) -> Option<&str> {
    match &chunk.insert {
        Out::Any(Any::String(text)) => Some(text),
        _ => None,
    }
}

/// A chunk's length in the units of an index.
pub(super) fn units(chunk: &Chunk) -> u32 {
    characters(chunk).map_or(1, utf16_len)
}

/// All characters of a text.
pub(super) fn joined(chunks: &[Chunk]) -> String {
    chunks.iter().filter_map(characters).collect()
}

/// The document's text: that of the `preferred` root if it has content, else of the one that has.
pub(super) fn content(txn: &impl ReadTxn, preferred: &str) -> Content {
    let mut held = Vec::new();
    for (name, out) in txn.root_refs() {
        let Some(branch) = out.try_branch() else { continue };
        // A length says enough: reading every root to its end is for those that may be the text.
        if branch.len() > 0 || has_keys(branch, txn) {
            held.push((name, out));
        }
    }
    held.sort_unstable_by_key(|(name, _)| *name);
    let chosen = match held.iter().find(|(name, _)| *name == preferred) {
        Some(one) => one,
        None => match held.as_slice() {
            [] => return Content::Empty,
            [one] => one,
            many => {
                let names: Vec<_> = many.iter().map(|(name, _)| *name).collect();
                return Content::Other { root: names.join(",") };
            }
        },
    };
    let (name, out) = chosen;
    let root = (*name).to_owned();
    let Some(branch) = out.try_branch() else { return Content::Other { root } };
    if let Some(text) = plain(branch, txn) {
        return Content::Text { root, text };
    }
    match sniff(branch, txn) {
        (Kind::Text, chunks) => Content::Text { root, text: joined(&chunks) },
        _ => Content::Other { root },
    }
}

/// The text of a sequence of nothing but characters, in one walk and one copy: most documents are
/// that, and `vault` reads each of them again after it was edited.
fn plain(branch: &Branch, txn: &impl ReadTxn) -> Option<String> {
    let text = TextRef::from(BranchPtr::from(branch)).get_string(txn);
    // Whatever else it held would be counted in its length.
    (!text.is_empty() && utf16_len(&text) == branch.len()).then_some(text)
}

/// The characters of a text, by who wrote them.
pub(super) fn runs(doc: &Doc, root: &str) -> Vec<Run> {
    let text = doc.get_or_insert_text(root);
    let mut txn = doc.transact_mut();
    // All that is there has come since the empty document: each block is told by itself.
    let (now, never) = (txn.snapshot(), Snapshot::default());
    let chunks = text.diff_range(&mut txn, Some(&now), Some(&never), YChange::identity);
    let run = |chunk: Chunk| {
        let id = chunk.ychange?.id;
        let text = characters(&Diff { ychange: None, ..chunk })?.to_owned();
        Some(Run { client: id.client.get(), clock: id.clock, text })
    };
    chunks.into_iter().filter_map(run).collect()
}

#[cfg(test)]
mod tests;
