//! The shapes in which vaults, files and the feed are shown.
//!
//! Made by `Vaults`, rendered by the edges. Never holds content.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sheaf_protocol::ids::{DocId, VaultName};
use sheaf_protocol::stamp::Stamp;

pub use sheaf_storage::store::Body as Kind;

/// A vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vault {
    /// Its name.
    pub name: VaultName,
    /// Changes when a vault is created anew: cursors of another epoch are void.
    pub epoch: u64,
    /// When it was created, in Unix milliseconds.
    pub created_ms: u64,
    /// Live files.
    pub files: u64,
    /// Bytes of all documents, as stored, with what is kept of deleted ones.
    pub bytes: u64,
    /// The highest visible seq.
    pub seq: u64,
    /// The highest seq whose change is forgotten; 0 for none.
    pub horizon: u64,
}

/// A file, as of its last settled body: `n` may lag behind the live document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Stays when the file moves.
    pub id: DocId,
    /// Its path; of a deleted file its last one.
    pub path: Arc<str>,
    /// The document's count of entries then; 0 when no body has settled yet.
    pub n: u64,
    /// The seq of its last change; 0 when no body has settled yet.
    pub seq: u64,
    /// What its content is.
    pub kind: Kind,
    /// Bytes of the text in UTF-8; of a document without text, of its stored state.
    pub size: u64,
    /// SHA-256 of the text, where it has one.
    pub hash: Option<[u8; 32]>,
    /// When it was created, in Unix milliseconds.
    pub created_ms: u64,
    /// When it last changed.
    pub updated: Stamp,
    /// Who changed it last, where that is somebody in particular.
    pub by: Option<Arc<str>>,
    /// The device it was changed from last; 0 where none is named.
    pub device: u64,
    /// The path before, if its last change was a move.
    pub from: Option<Arc<str>>,
    /// True of a tombstone.
    pub is_deleted: bool,
}

/// "I hold everything up to `seq`." Text: `epoch.seq` in decimal, with a third number within a
/// listing; `0` is the beginning of any epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Of the vault; 0 with seq 0 for the beginning.
    pub epoch: u64,
    /// The highest seq that is held.
    pub seq: u64,
    /// Of a listing that began at the beginning and is still below the horizon: the horizon then.
    /// As long as that has not risen nothing is forgotten that the listing has shown.
    pub listing: Option<u64>,
}

impl Cursor {
    /// Behind a seq; at 0 the beginning.
    #[must_use]
    pub fn at(epoch: u64, seq: u64) -> Cursor {
        if seq == 0 { Cursor::default() } else { Cursor { epoch, seq, listing: None } }
    }

    /// Behind a seq of a listing that began when the horizon was there.
    #[must_use]
    pub fn within(epoch: u64, seq: u64, listing: Option<u64>) -> Cursor {
        Cursor { epoch, seq, listing: listing.filter(|horizon| seq < *horizon) }
    }
}

/// Text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is written as epoch.seq, or 0 for the beginning")]
pub struct NotACursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)?;
        self.listing.map_or(Ok(()), |horizon| write!(f, ".{horizon}"))
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Cursor, NotACursor> {
        if text == "0" {
            return Ok(Cursor::default());
        }
        let number = |text: &str| {
            let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_digits.then(|| text.parse().ok()).flatten().ok_or(NotACursor)
        };
        let (epoch, seq) = text.split_once('.').ok_or(NotACursor)?;
        let (seq, listing) = match seq.split_once('.') {
            Some((seq, horizon)) => (seq, Some(number(horizon)?)),
            None => (seq, None),
        };
        Ok(Cursor { epoch: number(epoch)?, seq: number(seq)?, listing })
    }
}

/// An item that changed, in its current form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its place in the feed.
    pub seq: u64,
    /// The item; `is_deleted` for a deletion.
    pub file: File,
}

/// A page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, N> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to ask for the next page with; `None` at the end.
    pub next: Option<N>,
}

/// A piece of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// What changed, by seq.
    pub items: Vec<Change>,
    /// Who has taken all of them in holds everything up to here.
    pub cursor: Cursor,
    /// They are of a listing that began at the beginning: the horizon then.
    pub listing: Option<u64>,
    /// There is more: ask again at once.
    pub has_more: bool,
}
