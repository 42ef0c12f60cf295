//! A copy of a document in which somebody who has no replica edits.
//!
//! Job: take a document's state, let one author change its text, and give the change as an update.
//! Called by `author`. Never outlives one edit: a client id must not be used in two copies at once.

use sheaf_protocol::error::{Code, Refusal};
use yrs::block::ClientID;
use yrs::types::{Attrs, Delta};
use yrs::updates::decoder::Decode;
use yrs::{Any, Doc, In, OffsetKind, Options, Text, Transact};

use super::refusal;
use super::roots::{self, Chunk};
use crate::document::edit::Step;
use crate::document::snapshot::Content;

/// A copy that one author edits, once.
pub struct Fork {
    doc: Doc,
}

impl std::fmt::Debug for Fork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fork").finish_non_exhaustive()
    }
}

impl Fork {
    /// A copy of a document, from its whole state, that writes with this client id.
    ///
    /// # Errors
    /// `Internal`: the state does not survive its own encoding.
    pub fn of(state: &[u8], client: u32) -> Result<Self, Refusal> {
        let mut options = Options::with_client_id(ClientID::new(u64::from(client)));
        options.offset_kind = OffsetKind::Utf16;
        // Formats that others left over are not this author's business.
        options.cleanup_formatting = false;
        let doc = Doc::with_options(options);
        let broken = |_| refusal(Code::Internal, "the state does not copy");
        let update = yrs::Update::decode_v1(state).map_err(broken)?;
        let applied = doc.transact_mut().apply_update(update);
        applied.map_err(|_| refusal(Code::Internal, "the state does not copy"))?;
        Ok(Self { doc })
    }

    /// A copy of a document with an update in it, to look at.
    ///
    /// # Errors
    /// `Internal`: the two do not go together.
    pub fn with(state: &[u8], update: &[u8]) -> Result<Self, Refusal> {
        let copy = Self::of(state, 0)?;
        let broken = |_| refusal(Code::Internal, "the update does not go with the state");
        let update = yrs::Update::decode_v1(update).map_err(broken)?;
        let applied = copy.doc.transact_mut().apply_update(update);
        let what = "the update does not apply to the copy";
        applied.map_err(|_| refusal(Code::Internal, what))?;
        Ok(copy)
    }

    /// What it holds; see [`Content`].
    pub fn content(&self, text_root: &str) -> Content {
        roots::content(&self.doc.transact(), text_root)
    }

    /// Edits the text of a root, all steps at once, and gives the change as an update. The steps
    /// count characters alone: what is embedded between them stays where it is. New characters
    /// take the formats of those they replace or follow.
    pub fn edit(self, root: &str, steps: &[Step<'_>]) -> Vec<u8> {
        let text = self.doc.get_or_insert_text(root);
        let delta = {
            let txn = self.doc.transact();
            let chunks = roots::chunks(text.as_ref(), &txn);
            Cursor::new(&chunks).delta(steps)
        };
        let mut txn = self.doc.transact_mut();
        text.apply_delta(&mut txn, delta);
        // Joins the new blocks and ranges, so that they are encoded as few.
        txn.commit();
        txn.encode_update_v1()
    }
}

/// A place in a text's chunks that only moves on.
struct Cursor<'c> {
    chunks: std::slice::Iter<'c, Chunk>,
    /// What is left of the chunk the cursor is in, and its formats.
    rest: &'c str,
    formats: Option<&'c Attrs>,
    /// The formats of the character that was passed last; none after the end of a line, whose
    /// formats are those of the line.
    passed: Option<&'c Attrs>,
}

impl<'c> Cursor<'c> {
    fn new(chunks: &'c [Chunk]) -> Self {
        Self { chunks: chunks.iter(), rest: "", formats: None, passed: None }
    }

    fn delta(mut self, steps: &[Step<'_>]) -> Vec<Delta<In>> {
        let mut delta = Vec::with_capacity(steps.len());
        let mut replaced: Option<Option<&Attrs>> = None;
        for step in steps {
            match step {
                Step::Keep(units) => {
                    let embedded = self.pass(*units, |_, _| ());
                    delta.push(Delta::Retain(units + embedded, None));
                    replaced = None;
                }
                Step::Delete(units) => {
                    let mut first = None;
                    self.pass(*units, |piece, formats| match piece {
                        Piece::Characters(units) => {
                            first.get_or_insert(formats);
                            delta.push(Delta::Deleted(units));
                        }
                        Piece::Embedded => delta.push(Delta::Retain(1, None)),
                    });
                    replaced = first;
                }
                Step::Insert(text) => {
                    let formats = replaced.take().unwrap_or(self.passed);
                    let formats = formats.map(|formats| Box::new(formats.clone()));
                    let text = In::Any(Any::from(text.as_ref()));
                    delta.push(Delta::Inserted(text, formats));
                }
            }
        }
        delta
    }

    /// Moves on by so many units of text and tells the pieces on the way. Gives how many embedded
    /// values were passed.
    fn pass(&mut self, units: u32, mut tell: impl FnMut(Piece, Option<&'c Attrs>)) -> u32 {
        let (mut left, mut embedded) = (units, 0);
        while left > 0 {
            if self.rest.is_empty() {
                let Some(chunk) = self.chunks.next() else { break };
                match roots::characters(chunk) {
                    Some(text) => {
                        self.rest = text;
                        self.formats = chunk.attributes.as_deref();
                    }
                    None => {
                        embedded += 1;
                        tell(Piece::Embedded, None);
                    }
                }
                continue;
            }
            let (mut bytes, mut taken, mut last) = (0, 0, '\n');
            for c in self.rest.chars() {
                if taken >= left {
                    break;
                }
                bytes += c.len_utf8();
                taken += c.len_utf16() as u32;
                last = c;
            }
            self.rest = &self.rest[bytes..];
            left = left.saturating_sub(taken);
            tell(Piece::Characters(taken), self.formats);
            self.passed = self.formats.filter(|_| last != '\n');
        }
        embedded
    }
}

enum Piece {
    Characters(u32),
    Embedded,
}
