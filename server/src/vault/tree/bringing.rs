//! What the uploads of a change bring: looked at and prepared before anything is locked.
//!
//! Called by `tree`. Never writes, and holds no name while it opens a document.

use std::collections::BTreeMap;
use std::sync::Arc;

use sheaf_protocol::ids::{DocId, DocKey};
use sheaf_protocol::stamp::Stamp;

use super::super::blobs::Coming;
use super::super::book::Book;
use super::super::error::Error;
use super::super::upload::again::Claim;
use super::super::upload::{Base, Upcoming, Upload, Uploaded, fingerprint};
use super::super::{Vaults, address};
use super::plan::{Incoming, Plan};
use super::{Act, Step, Undone};
use crate::blob::Hold;
use crate::document::author::WriteError;
use crate::document::draft::{Draft, Manner};
use crate::document::handle::Handle;
use crate::document::registry::OpenError;
use crate::document::registry::unborn::Unborn;
use crate::document::snapshot::Content;
use sheaf_ground::task;

/// The uploads of a change, by step.
#[derive(Default)]
pub(super) struct Brought(BTreeMap<usize, One>);

/// One of them.
struct One {
    /// The id of the file, if it is made.
    made: DocId,
    print: u64,
    stamp: Option<Stamp>,
    client_ms: Option<u64>,
    /// Nobody else is about to make the same change.
    _claim: Option<Claim>,
    /// It came before.
    known: Option<Uploaded>,
    content: What,
}

enum What {
    Text(String),
    /// And what keeps them until a version refers to them.
    Bytes {
        coming: Coming,
        _stay: Option<Hold>,
    },
}

/// An upload that can be written.
pub(super) struct Ready {
    pub(super) doc: DocId,
    at: At,
    /// None for bytes.
    draft: Option<Draft>,
}

enum At {
    Open(Arc<Handle>),
    New(Box<Unborn>),
    /// The file is there, and its log is left alone.
    There,
}

impl Ready {
    pub(super) fn is_new(&self) -> bool {
        matches!(self.at, At::New(_))
    }

    /// The document, where it is open.
    pub(super) fn open(&self) -> Option<&Arc<Handle>> {
        if let At::Open(handle) = &self.at { Some(handle) } else { None }
    }

    /// The document, where it is about to be made.
    pub(super) fn unborn(&self) -> Option<&Handle> {
        if let At::New(unborn) = &self.at { Some(unborn.handle()) } else { None }
    }

    pub(super) fn draft(&self) -> Option<&Draft> {
        self.draft.as_ref()
    }

    pub(super) fn update(&self) -> Option<&[u8]> {
        self.draft.as_ref()?.update.as_deref()
    }
}

impl Brought {
    /// The id that the file of an upload gets if it is made; none: it came before.
    pub(super) fn made(&self, step: usize) -> Option<DocId> {
        self.0.get(&step).filter(|one| one.known.is_none()).map(|one| one.made)
    }

    /// What came of uploads that came before.
    pub(super) fn take_known(&mut self) -> Vec<(usize, Uploaded)> {
        let known = self.0.iter_mut().filter_map(|(at, one)| Some((*at, one.known.take()?)));
        known.collect()
    }

    /// An upload's stamp and what tells it from others.
    pub(super) fn stamp(&self, step: usize) -> Option<(Stamp, u64)> {
        let one = self.0.get(&step)?;
        one.stamp.map(|stamp| (stamp, one.print))
    }

    pub(super) fn print(&self, step: usize) -> u64 {
        self.0.get(&step).map_or(0, |one| one.print)
    }

    /// When an upload was made by the client's own clock.
    pub(super) fn client_ms(&self, step: usize) -> Option<u64> {
        self.0.get(&step)?.client_ms
    }

    /// The text of an upload.
    pub(super) fn text(&self, step: usize) -> &str {
        match self.0.get(&step).map(|one| &one.content) {
            Some(What::Text(text)) => text,
            _ => "",
        }
    }

    /// The bytes of an upload.
    pub(super) fn blob(&self, step: usize) -> Option<Coming> {
        match &self.0.get(&step)?.content {
            What::Bytes { coming, .. } => Some(*coming),
            What::Text(_) => None,
        }
    }
}

impl Vaults {
    /// Looks at the uploads of a change: which came before, and whether their bytes are here.
    pub(super) async fn bring(&self, book: &Book, steps: &[Step<'_>]) -> Result<Brought, Undone> {
        let mut brought = Brought::default();
        for (at, step) in steps.iter().enumerate() {
            if let Act::Upload(upload) = step.act {
                let one = self.bring_one(book, step.path, upload).await;
                let one = one.map_err(|error| Undone { step: Some(at), error })?;
                brought.0.insert(at, one);
            }
        }
        Ok(brought)
    }

    async fn bring_one(&self, book: &Book, path: &str, upload: &Upload<'_>) -> Result<One, Error> {
        let Upload { base, stamp, client_ms, .. } = *upload;
        let (print, mut known) = (fingerprint(path, upload), None);
        let name = book.account().name();
        let _claim = stamp.map(|stamp| self.claim(name, stamp)).transpose()?.flatten();
        if let Some(stamp) = stamp {
            known = self.done_before((name, path), stamp, (print, upload)).await?;
            if known.is_none() && self.registry().observe(stamp).is_err() {
                return Err(Error::ClockDrift { now_ms: self.shared().clock.now_ms() });
            }
        }
        let content = match upload.content {
            Upcoming::Text(text) => What::Text(text.to_owned()),
            Upcoming::Blob { hash, size } => {
                let stamp = stamp.unwrap_or_else(|| self.registry().stamp());
                let coming = Coming { hash, size, stamp, base, asked: None };
                let (coming, _stay) = match known {
                    Some(_) => (coming, None),
                    None => self.held_back(book.account().number(), coming)?,
                };
                What::Bytes { coming, _stay }
            }
        };
        let made = DocId(self.registry().stamp());
        Ok(One { made, print, stamp, client_ms, _claim, known, content })
    }

    /// Prepares what comes in, each against its document as it is now. `None`: files came or went.
    pub(super) async fn prepare(
        &self,
        book: &Book,
        draft: &Plan,
        (steps, brought): (&[Step<'_>], &Brought),
    ) -> Result<Option<BTreeMap<usize, Ready>>, Undone> {
        let mut ready = BTreeMap::new();
        for one in &draft.written {
            let Act::Upload(upload) = steps[one.step].act else { continue };
            let made = self.prepare_one(book, one, (upload, brought)).await;
            match made.map_err(|error| Undone { step: Some(one.step), error })? {
                Some(made) => drop(ready.insert(one.step, made)),
                None => return Ok(None),
            }
        }
        Ok(Some(ready))
    }

    async fn prepare_one(
        &self,
        book: &Book,
        one: &Incoming,
        (upload, brought): (&Upload<'_>, &Brought),
    ) -> Result<Option<Ready>, Error> {
        let Incoming { doc, path, is_new, step } = one;
        let name = address(book.account().name(), path);
        let text = match upload.content {
            Upcoming::Text(text) => Some(text),
            Upcoming::Blob { .. } => None,
        };
        let at = match (is_new, text) {
            (true, _) => {
                let made = task::block(|| self.registry().unborn(book.account(), &name, *doc));
                At::New(Box::new(made?))
            }
            (false, None) => At::There,
            (false, Some(_)) => match self.registry().open_existing(&name).await {
                Ok(Some(handle)) if handle.key().doc == *doc => At::Open(handle),
                Ok(_) => return Ok(None),
                Err(OpenError::NoVault) => return Err(Error::NoVault),
                Err(error) => return Err(error.into()),
            },
        };
        let handle = match &at {
            At::Open(handle) => &**handle,
            At::New(unborn) => unborn.handle(),
            At::There => return Ok(Some(Ready { doc: *doc, at, draft: None })),
        };
        let Some(text) = text else { return Ok(Some(Ready { doc: *doc, at, draft: None })) };
        let (key, n) = (handle.key(), handle.n());
        let is_known = upload.stamp.is_none()
            && !is_new
            && self.has_uploaded((&name.vault, path), upload.base, brought.print(*step));
        let draft = match is_known {
            true => self.as_is(handle)?,
            false => self.draft_of(book, (handle, key, n), (upload.base, text)).await?,
        };
        let Some(draft) = draft.filter(|draft| draft.n == n) else { return Ok(None) };
        Ok(Some(Ready { doc: *doc, at, draft: Some(draft) }))
    }

    async fn draft_of(
        &self,
        book: &Book,
        (handle, key, n): (&Handle, DocKey, u64),
        (base, text): (Base, &str),
    ) -> Result<Option<Draft>, Error> {
        let manner: Manner = self.manner(book, (key, n), base).await?;
        let _work = self.shared().work.begin().await;
        match task::block(|| handle.draft_text(&manner, text)) {
            Ok(draft) => Ok(Some(draft)),
            Err(WriteError::Failed(_)) if handle.is_dropped() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What makes no change.
    fn as_is(&self, handle: &Handle) -> Result<Option<Draft>, Error> {
        let Ok(snapshot) = task::block(|| handle.snapshot()) else { return Ok(None) };
        let is_empty = snapshot.content == Content::Empty;
        let text = match snapshot.content {
            Content::Text { text, .. } => text,
            Content::Empty => String::new(),
            Content::Other { root } => return Err(Error::NotText { root }),
        };
        Ok(Some(Draft { n: snapshot.n, update: None, text, is_empty }))
    }
}
