//! What a file that comes in with a change makes of what is there.
//!
//! Called by `commit`, under all its locks. Never writes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use sheaf_protocol::ids::DocId;
use sheaf_protocol::stamp::Stamp;

use super::super::blobs::{self, Taken};
use super::super::book::{Book, State};
use super::super::condition::At;
use super::super::upload::Uploaded;
use super::super::{Vaults, made_by};
use super::bringing::{Brought, Ready};
use super::commit::Facts;
use super::plan::Incoming;
use crate::document::author::Author;
use sheaf_storage::store::{Body, Item, Made};

/// What a change is written from.
pub(super) struct Writer<'r> {
    pub(super) book: &'r Book,
    pub(super) brought: &'r Brought,
    pub(super) ready: &'r BTreeMap<usize, Ready>,
    pub(super) facts: &'r HashMap<DocId, Facts>,
    pub(super) by: Author<'r>,
}

/// What an upload makes of a file.
pub(super) struct Outcome {
    pub(super) versions: Vec<(Item, Made)>,
    pub(super) uploaded: Uploaded,
}

impl Writer<'_> {
    /// What an upload comes to whose first version has the seq `next`. `written`: when its records
    /// were, if it has any.
    pub(super) fn incoming(
        &self,
        vaults: &Vaults,
        state: &State,
        (one, written): (&Incoming, Option<Stamp>),
        next: u64,
    ) -> Outcome {
        let current = state.current(one.doc).filter(|item| !item.is_deleted);
        let Some(text) = self.ready.get(&one.step).and_then(Ready::draft) else {
            return self.bytes(current, one, (next, vaults.shared().clock.now_ms()));
        };
        let brought = self.brought.text(one.step);
        let hash: [u8; 32] = Sha256::digest(text.text.as_bytes()).into();
        let (size, update) = (text.text.len() as u64, text.update.as_ref());
        let (n, is_merged) = (text.n + u64::from(update.is_some()), text.text != brought);
        let bytes = self.facts.get(&one.doc).and_then(|facts| facts.bytes).unwrap_or(0);
        let item = Item {
            seq: 0,
            n,
            body: if text.is_empty { Body::Empty } else { Body::Text },
            is_deleted: false,
            size,
            bytes: bytes + update.map_or(0, Vec::len) as u64,
            hash: Some(hash).filter(|_| !text.is_empty),
            updated: written.unwrap_or_else(|| vaults.registry().stamp()),
            author: self.by.principal.name().map(Arc::from),
            device: self.by.device,
            path: Arc::clone(&one.path),
            from: None,
        };
        // A text over bytes is the file again, though the document may have had it before them.
        let was_bytes = current.is_some_and(|item| item.body == Body::Blob);
        let has_changed = one.is_new || update.is_some() || was_bytes;
        let version = if has_changed { next } else { current.map_or(0, |item| item.seq) };
        let uploaded = Uploaded {
            path: Arc::clone(&one.path),
            at: At { doc: one.doc, n, bytes: None },
            version,
            size,
            hash,
            is_merged,
            is_conflict: false,
            has_changed,
            is_created: one.is_new,
            content: is_merged.then(|| text.text.clone()),
        };
        let versions = has_changed.then(|| (item, self.made(one.step))).into_iter().collect();
        Outcome { versions, uploaded }
    }

    /// How a version comes about that an upload makes.
    fn made(&self, step: usize) -> Made {
        Made { client_ms: self.brought.client_ms(step), ..made_by(self.by.principal) }
    }

    fn bytes(&self, current: Option<&Item>, one: &Incoming, (next, now_ms): (u64, u64)) -> Outcome {
        let Some(coming) = self.brought.blob(one.step) else {
            unreachable!("what is no text is bytes")
        };
        let path = Arc::clone(&one.path);
        let taken_ms = self.brought.stamp(one.step).map(|_| now_ms);
        let made = Made { taken_ms, ..self.made(one.step) };
        let rival = self.ready.get(&one.step).and_then(Ready::rival);
        let coming = (coming, &made, rival.and_then(|rival| rival.came));
        let (versions, how) = blobs::versions(current, (path, self.by), coming);
        let last = versions.last().map(|(item, _)| item).or(current);
        let version = match versions.len() as u64 {
            0 => current.map_or(0, |item| item.seq),
            count => next + count - 1,
        };
        let uploaded = Uploaded {
            path: Arc::clone(&one.path),
            at: At::of(one.doc, last.map_or(0, |item| item.n), last),
            version,
            size: last.map_or(0, |item| item.size),
            hash: last.and_then(|item| item.hash).unwrap_or_default(),
            is_merged: false,
            is_conflict: matches!(how, Taken::Won | Taken::Lost),
            has_changed: how != Taken::Held,
            is_created: one.is_new,
            content: None,
        };
        Outcome { versions, uploaded }
    }
}
