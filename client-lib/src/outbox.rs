//! What a replica still has to say on its connection. Filled by edits and by the link's reader,
//! emptied by the link's writer, both through [`crate::state`].
//!
//! It holds intentions where it can ("answer their SyncStep1") and bytes only for fresh edits, so
//! its size is bounded whatever the server asks and however slowly it reads.

use yrs::StateVector;

/// More fresh edits than this are dropped and sent as one difference: 4 MiB is a few seconds of a
/// slow uplink.
pub(crate) const EDIT_BYTES_MAX: usize = 4 << 20;

/// The things to say, in the order in which they are said.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Ask the server for what we lack.
    pub(crate) ask: bool,
    /// Answer the server's SyncStep1, which said this.
    pub(crate) answer: Option<StateVector>,
    /// What the server held when we last answered it: all later differences start here.
    pub(crate) theirs: StateVector,
    /// Fresh edits overran [`EDIT_BYTES_MAX`]: send all that the server lacked when it last said
    /// so.
    pub(crate) difference: bool,
    edits: Vec<Vec<u8>>,
    edit_bytes: usize,
    /// Ask for the durable echo of this number. Said after all edits made before it was set.
    pub(crate) echo: Option<u64>,
    /// Say who we are.
    pub(crate) announce: bool,
    /// The server's SyncStep1 came on this connection. Before it, edits are not queued, because the
    /// answer will hold them, and nothing may overtake that answer: an edit ahead of older offline
    /// ones is a gap.
    pub(crate) is_open: bool,
}

impl Outbox {
    /// A fresh connection: ask, introduce ourselves, and hold edits back until the server asked.
    pub(crate) fn start(&mut self) {
        *self = Self { ask: true, announce: true, echo: self.echo, ..Self::default() };
    }

    /// Queues one fresh edit.
    pub(crate) fn push_edit(&mut self, update: Vec<u8>) {
        if !self.is_open || self.difference || self.answer.is_some() {
            return; // what will be sent instead is encoded later and holds this edit
        }
        self.edit_bytes += update.len();
        self.edits.push(update);
        if self.edit_bytes > EDIT_BYTES_MAX {
            self.difference = true;
            self.take_edits();
        }
    }

    /// The queued edits in order.
    pub(crate) fn take_edits(&mut self) -> Vec<Vec<u8>> {
        self.edit_bytes = 0;
        std::mem::take(&mut self.edits)
    }
}

#[cfg(test)]
mod tests;
