//! Documents that a client of the channel has joined.
//!
//! Job: what it lacks, then every edit; and its own edits in. Called by `desk` for what it asks and
//! by the channel for what happens meanwhile. Never passes on bytes that the scanner has not seen,
//! and never gathers from more than one document at a time.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sheaf_protocol::control::{Ack, Binary, DocSync, DocUpdate, FileId, Reply};
use sheaf_protocol::error::Code;
use sheaf_protocol::ids::DocId;
use sheaf_protocol::limits::JOINED_DOCUMENTS_MAX;
use sheaf_protocol::scan;

use super::desk::{Desk, Said, Then};
use super::voice::{Edits, Voice};
use crate::document::author::WriteError;
use crate::document::fanout::{Outlet, Piece};
use crate::document::handle::Handle;
use crate::document::readers::{Gathered, ReaderId};
use crate::document::submission::Failure;
use crate::relay::outbound::Outbound;
use crate::vault;
use crate::vault::operation::Refused;
use sheaf_ground::task;

/// A document may leave memory between being opened and being used.
const TRIES: usize = 5;

/// The state vector of a replica that holds nothing.
const NOTHING: &[u8] = &[0];

/// A document and its reader; it leaves when this is dropped.
pub(super) struct Joined {
    handle: Arc<Handle>,
    reader: ReaderId,
    bell: Arc<Bell>,
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.handle.leave(self.reader);
    }
}

/// Wakes the channel when a document has something. Publishers never write here themselves: a frame
/// is in the form in which the client spoke last, which the channel alone knows.
struct Bell {
    out: Arc<Outbound>,
    has_rung: AtomicBool,
}

impl Outlet for Bell {
    fn reserve(&self) -> bool {
        false
    }

    fn send(&self, _: &dyn Piece) {}

    fn wake(&self) {
        self.has_rung.store(true, Ordering::Release);
        self.out.wake();
    }
}

/// The documents of one client.
#[derive(Default)]
pub(super) struct Documents {
    joined: BTreeMap<DocId, Joined>,
    /// The one that was told last: the others come before it again.
    last: Option<DocId>,
}

impl Documents {
    /// Whether there is room for a document.
    pub(super) fn has_room(&self, id: FileId) -> bool {
        self.joined.len() < JOINED_DOCUMENTS_MAX || self.joined.contains_key(&id.0)
    }

    /// Follows a document; one that was followed before is followed anew.
    pub(super) fn join(&mut self, id: FileId, joined: Joined) {
        self.joined.insert(id.0, joined);
    }

    /// Follows a document no more.
    pub(super) fn leave(&mut self, id: FileId) {
        self.joined.remove(&id.0);
    }

    /// Writes what one of them has, if one has. True: another may.
    pub(super) fn fill(&mut self, voice: Voice, out: &mut Vec<u8>) -> bool {
        let has_rung =
            |(_, joined): &(&DocId, &Joined)| joined.bell.has_rung.swap(false, Ordering::AcqRel);
        let behind = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.joined.range((behind, Bound::Unbounded));
        let Some((&id, joined)) = later.chain(&self.joined).find(has_rung) else { return false };
        self.last = Some(id);
        if let Err(failure) = joined.gather(FileId(id), voice, out) {
            let refused = ended(failure).with("id", id.to_string());
            voice.write(&Reply::Error(refused.into_problem()), out);
            self.joined.remove(&id);
        }
        true
    }
}

impl Joined {
    fn gather(&self, id: FileId, voice: Voice, out: &mut Vec<u8>) -> Result<(), Failure> {
        let mut gathered = Gathered::default();
        self.handle.gather(self.reader, &mut gathered);
        if gathered.notices.is_dropped {
            return Err(self.handle.ended());
        }
        if let Some(missed) = gathered.missed.take() {
            let update = Binary(task::block(|| self.handle.resync(&missed))?);
            voice.write(&Reply::DocUpdate(DocUpdate { re: None, id, update }), out);
        }
        let edits = Edits { voice, id };
        for chunk in &gathered.chunks {
            out.extend_from_slice(&chunk.framed(&edits));
        }
        Ok(())
    }
}

/// A document ended while the client had joined it; where it goes on, it is to be joined again.
fn ended(failure: Failure) -> Refused {
    match failure {
        Failure::Dropped | Failure::Moved => {
            Refused::new(Code::TryLater, "join this document again")
        }
        other => other.into(),
    }
}

/// Joins a document, and says what the client lacks of it.
pub(super) async fn join(desk: &Desk, asked: DocSync, out: Arc<Outbound>) -> Said {
    let held = asked.sv.map(|sv| sv.0);
    let known = scan::state_vector(held.as_deref().unwrap_or(NOTHING))
        .map_err(|refusal| Refused::field("sv", refusal.what))?;
    for _ in 0..TRIES {
        let handle = open(desk, asked.id).await?;
        let bell = Arc::new(Bell { out: Arc::clone(&out), has_rung: AtomicBool::new(true) });
        let outlet: Arc<dyn Outlet> = bell.clone();
        // Nobody asks it for anything: it has its own way to bring what it has.
        let reader = match handle.join(outlet, desk.grant.principal.clone(), false) {
            Err(Failure::Dropped) => continue,
            reader => reader?,
        };
        let joined = Joined { handle, reader, bell };
        if joined.handle.past_of(&known).is_some() {
            let what = "this is the history of a document that was deleted";
            return Err(Refused::new(Code::EpochChanged, what));
        }
        let update = match task::block(|| joined.handle.diff(reader, &known)) {
            Err(Failure::Dropped) => continue,
            update => Binary(update?.to_vec()),
        };
        let reply = Reply::DocUpdate(DocUpdate { re: None, id: asked.id, update });
        return Ok((reply, Then::Joins(asked.id, joined)));
    }
    Err(Refused::new(Code::Unavailable, "the document leaves memory again and again"))
}

/// Takes an edit: the whole of it, or nothing.
pub(super) async fn edit(desk: &Desk, asked: DocUpdate) -> Said {
    let path = path_of(desk, asked.id)?;
    desk.operator().check_write(&path).await?;
    for _ in 0..TRIES {
        let handle = open(desk, asked.id).await?;
        let written = {
            let _turn = handle.turn().await?;
            task::block(|| handle.post_update(desk.author(), &asked.update.0, None))
        };
        match written {
            Err(WriteError::Failed(Failure::Dropped)) => {}
            Err(WriteError::Refused(refusal)) if refusal.code == Code::GapLeftOpen => {
                let sv = STANDARD.encode(handle.state_vector());
                return Err(Refused::from(refusal).with("sv", sv));
            }
            Err(WriteError::Refused(refusal)) => return Err(refusal.into()),
            written => {
                let written = written.map_err(vault::Error::from)?;
                let changed = Some(written.has_changed);
                let ack = Ack { id: Some(asked.id), changed, ..Ack::default() };
                return Ok((Reply::Ack(ack), Then::Waits(written.end)));
            }
        }
    }
    Err(Refused::new(Code::Unavailable, "the document leaves memory again and again"))
}

fn path_of(desk: &Desk, id: FileId) -> Result<Arc<str>, Refused> {
    let account = desk.relay.registry.ledger().get(&desk.vault).ok_or(vault::Error::NoVault)?;
    Ok(account.path_of(id.0).ok_or(vault::Error::NoFile)?)
}

async fn open(desk: &Desk, id: FileId) -> Result<Arc<Handle>, Refused> {
    let path = path_of(desk, id)?;
    let handle = desk.relay.vaults.open(&desk.vault, &path).await?;
    // Another may have been made at the path meanwhile.
    let is_it = handle.key().doc == id.0;
    if is_it { Ok(handle) } else { Err(vault::Error::NoFile.into()) }
}
