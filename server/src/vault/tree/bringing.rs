//! What the uploads of a change bring: looked at and prepared before anything is locked.
//!
//! Called by `tree`. Never writes, and holds no name while it opens a document.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use sheaf_protocol::ids::{DocId, DocKey};
use sheaf_protocol::stamp::Stamp;

use super::super::blobs::{Coming, Rival};
use super::super::book::Book;
use super::super::error::Error;
use super::super::upload::again::Claim;
use super::super::upload::{self, Base, Upcoming, Upload};
use super::super::{Vaults, address};
use super::plan::{Incoming, Plan};
use super::{Act, Done, FILES_MAX, Step, Undone, is_file};
use crate::blob::Hold;
use crate::document::author::WriteError;
use crate::document::draft::{Draft, Manner};
use crate::document::handle::Handle;
use crate::document::registry::OpenError;
use crate::document::registry::unborn::Unborn;
use sheaf_ground::task;

/// What the steps of a change bring, by step.
#[derive(Default)]
pub(super) struct Brought(Vec<One>);

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
    known: Option<Done>,
    content: What,
}

enum What {
    Nothing,
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
    There(Rival),
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

    /// What bytes are to be compared with.
    pub(super) fn rival(&self) -> Option<Rival> {
        if let At::There(rival) = &self.at { Some(*rival) } else { None }
    }

    pub(super) fn draft(&self) -> Option<&Draft> {
        self.draft.as_ref()
    }

    pub(super) fn update(&self) -> Option<&[u8]> {
        self.draft.as_ref()?.update.as_deref()
    }
}

impl Brought {
    /// The id that the file of a step gets if it is made; none: the step came before.
    pub(super) fn made(&self, step: usize) -> Option<DocId> {
        self.0.get(step).filter(|one| one.known.is_none()).map(|one| one.made)
    }

    /// What came of steps that came before.
    pub(super) fn take_known(&mut self) -> Vec<(usize, Done)> {
        let all = self.0.iter_mut().enumerate();
        all.filter_map(|(at, one)| Some((at, one.known.take()?))).collect()
    }

    /// A step's stamp and what tells it from others.
    pub(super) fn stamp(&self, step: usize) -> Option<(Stamp, u64)> {
        let one = self.0.get(step)?;
        one.stamp.map(|stamp| (stamp, one.print))
    }

    pub(super) fn print(&self, step: usize) -> u64 {
        self.0.get(step).map_or(0, |one| one.print)
    }

    /// When an upload was made by the client's own clock.
    pub(super) fn client_ms(&self, step: usize) -> Option<u64> {
        self.0.get(step)?.client_ms
    }

    /// The text of an upload.
    pub(super) fn text(&self, step: usize) -> &str {
        match self.0.get(step).map(|one| &one.content) {
            Some(What::Text(text)) => text,
            _ => "",
        }
    }

    /// The bytes of an upload.
    pub(super) fn blob(&self, step: usize) -> Option<Coming> {
        match &self.0.get(step)?.content {
            What::Bytes { coming, .. } => Some(*coming),
            What::Text(_) | What::Nothing => None,
        }
    }
}

impl Vaults {
    /// Looks at the steps of a change: which came before, and whether their bytes are here.
    pub(super) async fn bring(&self, book: &Book, steps: &[Step<'_>]) -> Result<Brought, Undone> {
        let mut brought = Brought::default();
        let mut stamps = HashSet::new();
        for (at, step) in steps.iter().enumerate() {
            let is_new = step.asked().stamp.is_none_or(|stamp| stamps.insert(stamp));
            let one = match is_new {
                true => self.bring_one(book, step).await,
                false => Err(Error::StampReused),
            };
            brought.0.push(one.map_err(|error| Undone { step: Some(at), error })?);
        }
        Ok(brought)
    }

    async fn bring_one(&self, book: &Book, step: &Step<'_>) -> Result<One, Error> {
        let (name, stamp) = (book.account().name(), step.asked().stamp);
        let print = fingerprint(step);
        let _claim = stamp.map(|stamp| self.claim(name, stamp)).transpose()?.flatten();
        let known = self.done_again(book, step, print).await?;
        if let Some(stamp) = stamp.filter(|_| known.is_none()) {
            self.observe(stamp)?;
        }
        let content = match step.act {
            Act::Delete { .. } | Act::Move { .. } => What::Nothing,
            Act::Upload(upload) => self.content(book, upload, known.is_some())?,
        };
        let client_ms = match step.act {
            Act::Upload(upload) => upload.client_ms,
            Act::Delete { .. } | Act::Move { .. } => None,
        };
        let made = DocId(self.registry().stamp());
        Ok(One { made, print, stamp, client_ms, _claim, known, content })
    }

    fn content(&self, book: &Book, upload: &Upload<'_>, is_known: bool) -> Result<What, Error> {
        let (hash, size) = match upload.content {
            Upcoming::Text(text) => return Ok(What::Text(text.to_owned())),
            Upcoming::Blob { hash, size } => (hash, size),
        };
        let stamp = upload.stamp.unwrap_or_else(|| self.registry().stamp());
        let coming = Coming { hash, size, stamp, base: upload.base };
        let (coming, _stay) = match is_known {
            true => (coming, None),
            false => self.held_back(book.account().number(), coming)?,
        };
        Ok(What::Bytes { coming, _stay })
    }

    /// What a step came to that came before.
    async fn done_again(
        &self,
        book: &Book,
        step: &Step<'_>,
        print: u64,
    ) -> Result<Option<Done>, Error> {
        let name = book.account().name();
        if let Act::Upload(upload) = step.act {
            let done = self.done_before((name, step.path), (print, upload)).await?;
            return Ok(done.map(Done::from));
        }
        let Some(stamp) = step.asked().stamp else { return Ok(None) };
        let Some(came_to) = self.came_to(book, (stamp, print)).await? else { return Ok(None) };
        let id = Some(came_to.doc).filter(|_| !step.is_folder());
        let kept = match step.act {
            // What lives there is what was kept, as far as anybody can tell by now.
            Act::Delete { base: Some(_), .. } if step.is_folder() => {
                let names = book.account().page(step.path, None, FILES_MAX);
                book.files(names.into_iter().filter(|(path, _)| is_file(path)).collect())
            }
            _ => Vec::new(),
        };
        let (seq, count) = (came_to.seq, came_to.count as usize);
        Ok(Some(Done { seq, count, kept, id, uploaded: None }))
    }

    /// Prepares what comes in, each against its document as it is now. `None`: files came or went.
    pub(super) async fn prepare(
        &self,
        book: &Book,
        draft: &Plan,
        steps: &[Step<'_>],
    ) -> Result<Option<BTreeMap<usize, Ready>>, Undone> {
        let mut ready = BTreeMap::new();
        for one in &draft.written {
            let Act::Upload(upload) = steps[one.step].act else { continue };
            let made = self.prepare_one(book, one, upload).await;
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
        upload: &Upload<'_>,
    ) -> Result<Option<Ready>, Error> {
        let Incoming { doc, path, is_new, .. } = one;
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
            (false, None) => At::There(task::block(|| self.rival(book, *doc, upload.base))?),
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
            At::There(_) => return Ok(Some(Ready { doc: *doc, at, draft: None })),
        };
        let Some(text) = text else { return Ok(Some(Ready { doc: *doc, at, draft: None })) };
        let (key, n) = (handle.key(), handle.n());
        let draft = self.draft_of(book, (handle, key, n), (upload.base, text)).await?;
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
}

/// What tells one step from another with the same stamp.
fn fingerprint(step: &Step<'_>) -> u64 {
    let path = step.path.as_bytes();
    match step.act {
        Act::Upload(upload) => upload::fingerprint(step.path, upload),
        Act::Delete { base, .. } => {
            upload::print(&[path, &[0], &base.unwrap_or(u64::MAX).to_le_bytes(), &[3]])
        }
        Act::Move { to, .. } => {
            upload::print(&[path, &[0], &u64::MAX.to_le_bytes(), &[4], to.as_bytes()])
        }
    }
}
