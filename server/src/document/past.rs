//! Histories that a document's name had before it.
//!
//! Job: tell what belongs to a document that had the name and has it no more. Called by `merge`
//! under the lock, and by sessions for state vectors. Never concludes anything from ids that are
//! missing: two devices that made one document offline share none either.

use sheaf_protocol::ids::DocId;
use sheaf_protocol::plan::{Clocks, Source};
use sheaf_protocol::scan::{self, Event};
use sheaf_storage::store::Retired;
use sheaf_storage::store::keys::retired::CLIENTS_MAX;

use super::merge::Core;
use super::owners::Submitter;
use super::submission::{Receipt, Submission};

/// Documents that had the name, newest first. Most names have none.
#[derive(Debug, Default)]
pub(super) struct Past {
    epochs: Box<[Epoch]>,
}

#[derive(Debug)]
struct Epoch {
    doc: DocId,
    /// Client ids of its history, in order.
    clients: Box<[u64]>,
}

impl Past {
    /// From what is stored, the client ids looked up where they are not.
    pub(super) fn new(retired: Vec<Retired>) -> Self {
        let epoch = |Retired { doc, mut clients }: Retired| {
            clients.sort_unstable();
            Epoch { doc, clients: clients.into() }
        };
        Self { epochs: retired.into_iter().rev().map(epoch).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.epochs.is_empty()
    }

    /// True if a client id is that of a document which had the name.
    pub(super) fn has(&self, client: u64) -> bool {
        self.epochs.iter().any(|epoch| epoch.has(client))
    }

    /// The newest document to whose history one of these client ids belongs. A history that is also
    /// this document's, because it was made from it, is none of the past.
    fn find(&self, clients: &[u64], own: &Clocks) -> Option<DocId> {
        let is_met = |epoch: &&Epoch| clients.iter().any(|client| epoch.has(*client));
        let is_own = |epoch: &Epoch| epoch.clients.iter().any(|client| own.contains_key(client));
        self.epochs.iter().filter(is_met).find(|epoch| !is_own(epoch)).map(|epoch| epoch.doc)
    }

    /// The document that an update is from, if it had the name before. Deletions alone tell
    /// nothing: they are a gap, and what they are about is asked for.
    pub(super) fn of_update(&self, update: &scan::Update<'_>, own: &Clocks) -> Option<DocId> {
        let clients = update.events().filter_map(|event| match event {
            Event::Section { client, .. } => Some(client),
            _ => None,
        });
        self.find(&clients.collect::<Vec<_>>(), own)
    }

    /// The document that a replica with this state vector holds, if it had the name before.
    pub(super) fn of_vector(&self, known: &scan::StateVector<'_>, own: &Clocks) -> Option<DocId> {
        let clients = known.entries().filter(|(_, clock)| *clock > 0).map(|(client, _)| client);
        self.find(&clients.collect::<Vec<_>>(), own)
    }
}

impl Epoch {
    fn has(&self, client: u64) -> bool {
        self.clients.binary_search(&client).is_ok()
    }
}

impl Core {
    /// The client ids of its history, those that wrote most if they are too many to be kept.
    pub(super) fn clients(&self) -> Vec<u64> {
        let mut clients: Vec<_> =
            self.state().clocks().iter().map(|(id, end)| (*end, *id)).collect();
        clients.sort_unstable_by(|one, other| other.cmp(one));
        clients.truncate(CLIENTS_MAX);
        clients.into_iter().map(|(_, id)| id).collect()
    }

    /// Who had the name before it; said once, when it is loaded.
    pub(super) fn set_past(&mut self, past: Past) {
        self.past = past;
    }

    /// Somebody had the name before.
    pub(super) fn has_past(&self) -> bool {
        !self.past.is_empty()
    }

    /// The document that a replica holds, if it had the name before and is no more.
    pub(super) fn past_of(&self, known: &scan::StateVector<'_>) -> Option<DocId> {
        self.past.of_vector(known, self.state().clocks())
    }

    /// True if an update is of the past: it is not merged. A live one is left out like one with a
    /// gap, because the answer to what is then asked has all of it. Who makes a document from such
    /// an update without a session means to.
    pub(super) fn is_past(
        &self,
        submission: &Submission<'_>,
        by: Submitter<'_>,
        out: &mut Receipt,
    ) -> bool {
        if self.past.is_empty() || !(self.is_created() || by.is_session()) {
            return false;
        }
        let past = self.past.of_update(&submission.update, self.state().clocks());
        match submission.source {
            Source::Update => out.has_gap |= past.is_some(),
            Source::Step2 | Source::Stored => out.past = past,
        }
        past.is_some()
    }
}

#[cfg(test)]
mod tests;
