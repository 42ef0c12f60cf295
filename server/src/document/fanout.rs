//! What goes to idle readers right away, in the publisher's own thread.
//!
//! Job: under the readers' lock an idle reader's way out is reserved; after it the publisher writes
//! to all of them, and then they are told apart again from those that have more to gather. Made by
//! `readers`, carried out by `handle`. Never writes under a lock of the document: a send is 5 µs,
//! and a hundred of them half a millisecond in which nobody else could submit.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::awareness::Shown;
use super::readers::ReaderId;

/// How many dialects can keep a framed copy of a piece.
pub const FRAMINGS_MAX: usize = 4;

/// Turns what a document has for its readers into the bytes that sockets of one dialect are sent.
pub trait Framing: Send + Sync {
    /// The dialect's place among the framed copies, below [`FRAMINGS_MAX`]; none: the frames are
    /// for one reader alone, and no copy is kept.
    fn slot(&self) -> Option<usize>;
    /// Appends one update as whole frames.
    fn frame_update(&self, update: &[u8], out: &mut Vec<u8>);
    /// Appends a note, which is UTF-8, as a whole frame; nothing where clients have no word for it.
    fn frame_note(&self, note: &[u8], out: &mut Vec<u8>);
    /// Appends presence as whole frames.
    fn frame_presence(&self, shown: &[Shown], out: &mut Vec<u8>);
}

/// A piece's frames, each kept for all sockets of a dialect.
#[derive(Debug, Default)]
pub struct Frames([OnceLock<Bytes>; FRAMINGS_MAX]);

impl Frames {
    /// The frames of one dialect, written by `write` if they are not kept.
    pub fn of(&self, framing: &dyn Framing, write: impl FnOnce(&mut Vec<u8>)) -> Cow<'_, Bytes> {
        let made = || {
            let mut out = Vec::new();
            write(&mut out);
            Bytes::from(out)
        };
        match framing.slot() {
            Some(slot) => Cow::Borrowed(self.0[slot].get_or_init(made)),
            None => Cow::Owned(made()),
        }
    }
}

/// Something that many readers are sent, framed once per dialect.
pub trait Piece: Send + Sync {
    /// The frames, built by whoever needs them first.
    fn framed(&self, framing: &dyn Framing) -> Cow<'_, Bytes>;
    /// How many updates it holds; none: it is presence or a note.
    fn updates(&self) -> usize;
}

/// Where a reader's bytes leave.
pub trait Outlet: Send + Sync {
    /// Keeps the way out free for one [`Outlet::send`] if nothing waits on it. Until then nobody
    /// else writes.
    fn reserve(&self) -> bool;
    /// Sends a piece on the reserved way; what the socket does not take now waits there.
    fn send(&self, piece: &dyn Piece);
    /// Tells the reader that there is something to gather.
    fn wake(&self);
}

/// One piece and the readers whose ways out are reserved for it: to be carried out with
/// `Handle::deliver`, or they wait for ever.
#[must_use]
pub struct Fanout {
    pub(super) piece: Arc<dyn Piece>,
    pub(super) to: Vec<(ReaderId, Arc<dyn Outlet>)>,
}

impl Fanout {
    /// Writes to each of them.
    pub fn send(&self) {
        self.to.iter().for_each(|(_, outlet)| outlet.send(&*self.piece));
    }
}

impl fmt::Debug for Fanout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fanout").field("to", &self.to.len()).finish_non_exhaustive()
    }
}
