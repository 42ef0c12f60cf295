//! How a person writes: light, in a stretch of his own that only he knows; or with a whole replica
//! of the document, in among what the others write, at a hundred times the rig's cost.

use sheaf_protocol::scan::{self, Event};
use yrs::block::ClientID;
use yrs::updates::decoder::Decode;
use yrs::{Doc, GetString, OffsetKind, Options, Text as _, TextRef, Transact, Update};

use super::text::{Mark, Patch, Text};
use super::token::ROOT;

/// One person's hand.
pub(crate) enum Hand {
    Light(Text),
    Whole(Box<Whole>),
}

/// A replica.
pub(crate) struct Whole {
    client: u32,
    doc: Doc,
    text: TextRef,
    /// Updates that the replica did not take.
    pub(crate) refused: u64,
}

impl Hand {
    /// A hand that knows only its own stretch.
    pub(crate) fn light(client: u32) -> Self {
        Self::Light(Text::new(client))
    }

    /// A hand with a replica of the document.
    pub(crate) fn whole(client: u32) -> Self {
        let mut options = Options::with_client_id(ClientID::new(client.into()));
        options.offset_kind = OffsetKind::Utf16;
        let doc = Doc::with_options(options);
        let text = doc.get_or_insert_text(ROOT);
        Self::Whole(Box::new(Whole { client, doc, text, refused: 0 }))
    }

    /// The update that must come first, if one must.
    pub(crate) fn opening(&self) -> Option<Vec<u8>> {
        match self {
            Self::Light(text) => Some(text.opening()),
            Self::Whole(_) => None,
        }
    }

    /// How many letters it may type among.
    pub(crate) fn len(&self) -> u32 {
        match self {
            Self::Light(text) => text.len(),
            Self::Whole(whole) => whole.text.len(&whole.doc.transact()),
        }
    }

    /// Changes the text and appends the update that says so; returns how others recognise it.
    /// Nothing if nothing changes.
    pub(crate) fn apply(&mut self, patches: &[Patch], out: &mut Vec<u8>) -> Option<Mark> {
        match self {
            Self::Light(text) => text.apply(patches, out),
            Self::Whole(whole) => whole.apply(patches, out),
        }
    }

    /// Takes in what another has written.
    pub(crate) fn take(&mut self, update: &[u8]) {
        if let Self::Whole(whole) = self {
            let mut txn = whole.doc.transact_mut();
            let taken = Update::decode_v1(update).map(|update| txn.apply_update(update));
            whole.refused += u64::from(!matches!(taken, Ok(Ok(()))));
        }
    }

    /// Where the cursor is, as the id of a letter: client and clock.
    pub(crate) fn cursor(&self) -> (u32, u32) {
        match self {
            Self::Light(text) => text.cursor(),
            Self::Whole(whole) => (whole.client, 0),
        }
    }

    /// What the replica reads, if there is one.
    pub(crate) fn read(&self) -> Option<String> {
        match self {
            Self::Light(_) => None,
            Self::Whole(whole) => Some(whole.text.get_string(&whole.doc.transact())),
        }
    }
}

impl Whole {
    fn apply(&mut self, patches: &[Patch], out: &mut Vec<u8>) -> Option<Mark> {
        let mut txn = self.doc.transact_mut();
        for Patch { at, deleted, inserted } in patches {
            let len = self.text.len(&txn);
            let at = (*at).min(len);
            let deleted = (*deleted).min(len - at);
            if deleted > 0 {
                self.text.remove_range(&mut txn, at, deleted);
            }
            if !inserted.is_empty() {
                self.text.insert(&mut txn, at, inserted);
            }
        }
        let update = txn.encode_update_v1();
        drop(txn);
        let mark = scan::update(&update).ok()?.events().find_map(|event| match event {
            Event::Block(block) => Some(Mark::Inserts(block.id.clock)),
            // Others may delete the same: only what is inserted tells whose update it is.
            Event::Delete { .. } => Some(Mark::Unknown),
            Event::Section { .. } => None,
        })?;
        out.extend(update);
        Some(mark)
    }
}

#[cfg(test)]
mod tests;
