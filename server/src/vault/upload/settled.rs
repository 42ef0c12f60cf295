//! Texts as their versions have them.
//!
//! Job: settle a text and read it, until both are of one moment. Called by `upload` and by HTTP.
//! Never gives a text with another version than its own.

use std::sync::Arc;

use sheaf_protocol::ids::{DocId, VaultName};

use super::READS_MAX;
use crate::document::snapshot::Content;
use crate::document::submission::Failure;
use crate::vault::Vaults;
use crate::vault::book::Book;
use crate::vault::condition::At;
use crate::vault::error::Error;
use crate::vault::versions::{Held, Read};
use sheaf_ground::task;
use sheaf_storage::store::{Body, Item};

/// The text of a file at a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The file, at that version.
    pub at: At,
    /// The version.
    pub version: u64,
    /// Its text.
    pub text: String,
}

impl Vaults {
    /// The text of a document with its path, settled first; none if it is gone.
    pub(super) async fn text_of(
        &self,
        book: &Book,
        doc: DocId,
    ) -> Result<Option<(Arc<str>, Settled)>, Error> {
        for _ in 0..READS_MAX {
            let Some(path) = book.account().path_of(doc) else { return Ok(None) };
            match self.text(book.account().name(), &path).await {
                Ok(settled) if settled.at.doc == doc => return Ok(Some((path, settled))),
                // It moved on, and its path may be another file's.
                Ok(_) | Err(Error::NoFile) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Failure::Busy.into())
    }

    /// The text of a file, settled first: exactly what the version has that comes with it.
    ///
    /// # Errors
    /// `NoVault`; `NoFile`; `NotText`; `Damaged`; `Open`; `Failed`.
    pub async fn text(&self, name: &VaultName, path: &str) -> Result<Settled, Error> {
        let book = self.live(name)?;
        for _ in 0..READS_MAX {
            let version = self.settle(name, path).await?;
            let handle = self.open(name, path).await?;
            let doc = handle.key().doc;
            let _work = handle.work().await;
            let snapshot = task::block(|| handle.snapshot())?;
            let item = book.state().current(doc).cloned();
            let is_it = |item: &Item| {
                item.seq == version && item.n == snapshot.n && item.body != Body::Blob
            };
            if let Some(item) = item.filter(is_it) {
                let text = match snapshot.content {
                    Content::Text { text, .. } => text,
                    Content::Empty => String::new(),
                    Content::Other { root } => return Err(Error::NotText { root }),
                };
                return Ok(Settled { at: At::of(doc, item.n, Some(&item)), version, text });
            }
        }
        // One that never stands still is read from what is stored.
        let Read { dated, held } = self.read_at(name, path, None).await?;
        let item = &dated.version.item;
        let root = match held {
            Held::Text(text) => {
                let at = At::of(dated.doc, item.n, Some(item));
                return Ok(Settled { at, version: item.seq, text });
            }
            Held::Roots(roots) => roots.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
            Held::Blob { .. } => String::new(),
        };
        Err(Error::NotText { root })
    }
}
