//! Uploads of blobs whose hash is known: they go on where they were broken off, and all who send
//! the same blob send one.
//!
//! Called by `http`. An upload is where its blob has got to; whoever sends bytes that are here
//! already has them skipped, so that several senders help one another, a connection that nobody
//! knows to be dead is in nobody's way, and the hash over all of it decides. Never stores bytes
//! under a hash that is not theirs.

use std::collections::HashMap;
use std::fs;
use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;
use sheaf_protocol::ids::VaultNo;

use super::gathering::{Gathering, Stored};
use super::hash::Hash;
use super::{Blobs, Error, names};

/// Uploads that somebody sends to now.
pub(super) type Uploads = HashMap<(VaultNo, Hash), Upload>;

#[derive(Clone)]
pub(super) struct Upload {
    state: Arc<Mutex<State>>,
    senders: usize,
}

enum State {
    /// Nobody has looked yet what is there.
    Unread,
    /// Where it has got to.
    Open(Box<Gathering>),
    /// It is stored.
    Stored,
    /// It did not fit, or the disk failed.
    Dropped,
}

/// One sender's part in an upload.
pub struct Incoming {
    room: Blobs,
    key: (VaultNo, Hash),
    state: Arc<Mutex<State>>,
    /// Where in the blob the next byte belongs.
    at: u64,
    /// Nobody else has sent a byte of what is here.
    is_alone: bool,
}

impl Blobs {
    /// Where an upload of this blob would go on; 0 to begin.
    ///
    /// # Errors
    /// `Io`.
    pub fn offset(&self, vault: VaultNo, hash: &Hash) -> Result<u64, Error> {
        let live = self.inner.uploads.lock().get(&(vault, *hash)).cloned();
        if let Some(upload) = live
            && let State::Open(gathering) = &*upload.state.lock()
        {
            return Ok(gathering.bytes());
        }
        let dir = self.shelf(vault).partial(hash);
        let mut bytes: u64 = 0;
        for name in names(&dir)? {
            let path = dir.join(&name);
            // Removed since: then it is less, as the upload itself will say.
            let len = fs::metadata(&path).map_or(0, |file| file.len());
            bytes += if name.contains('-') { len } else { len.saturating_sub(32) };
        }
        Ok(bytes)
    }

    /// Begins to send a blob, from byte `at` on.
    ///
    /// # Errors
    /// `Elsewhere` if there is less of it here; `Io`.
    pub fn upload(&self, vault: VaultNo, hash: &Hash, at: u64) -> Result<Incoming, Error> {
        let key = (vault, *hash);
        let state = {
            let mut uploads = self.inner.uploads.lock();
            let new = || Upload { state: Arc::new(Mutex::new(State::Unread)), senders: 0 };
            let upload = uploads.entry(key).or_insert_with(new);
            upload.senders += 1;
            Arc::clone(&upload.state)
        };
        let mut incoming = Incoming { room: self.clone(), key, state, at, is_alone: at == 0 };
        let offset = incoming.open()?;
        if at > offset {
            return Err(Error::Elsewhere { offset });
        }
        incoming.is_alone &= offset == 0;
        Ok(incoming)
    }
}

impl Incoming {
    /// Looks how far it is.
    fn open(&mut self) -> Result<u64, Error> {
        let mut state = self.state.lock();
        if let State::Unread = *state {
            let (vault, hash) = self.key;
            let dir = self.room.shelf(vault).partial(&hash);
            *state = State::Open(Box::new(Gathering::load(self.room.clone(), vault, dir)?));
        }
        Ok(match &*state {
            State::Open(gathering) => gathering.bytes(),
            State::Unread | State::Stored | State::Dropped => u64::MAX,
        })
    }

    /// Where in the blob the next byte belongs.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Takes the next bytes. After an error it cannot go on.
    ///
    /// # Errors
    /// `TooLarge`; `Again`; `Full`, `Io`.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let bytes_max = self.room.file_bytes_max();
        if self.at + bytes.len() as u64 > bytes_max {
            return Err(Error::TooLarge { bytes_max });
        }
        let mut state = self.state.lock();
        let taken = match &mut *state {
            State::Open(gathering) => {
                let have = gathering.bytes();
                self.is_alone &= have == self.at;
                let skipped = have.saturating_sub(self.at).min(bytes.len() as u64);
                gathering.take(&bytes[skipped as usize..])
            }
            State::Stored => Ok(()),
            State::Unread | State::Dropped => Err(Error::Again),
        };
        if taken.is_err() {
            self.end(&mut state, State::Dropped);
        }
        self.at += bytes.len() as u64;
        taken
    }

    /// All of the blob has been sent: stores it. It is durable when this returns.
    ///
    /// # Errors
    /// `Mismatch`; `Again` when it does not fit what others have sent; `Full`, `Io`. Nothing is
    /// stored then.
    pub fn finish(self) -> Result<Stored, Error> {
        let (vault, hash) = self.key;
        let mut state = self.state.lock();
        let stored = match &mut *state {
            State::Open(gathering) if gathering.bytes() == self.at && gathering.hash() == hash => {
                gathering.store(&hash)
            }
            State::Open(gathering) if self.is_alone && gathering.bytes() == self.at => {
                Err(Error::Mismatch)
            }
            State::Stored => {
                let hold = self.room.hold(vault, &hash)?;
                hold.map(|hold| Stored { hold, is_new: false }).ok_or(Error::Again)
            }
            State::Open(_) | State::Unread | State::Dropped => Err(Error::Again),
        };
        self.end(&mut state, if stored.is_ok() { State::Stored } else { State::Dropped });
        drop(state);
        stored
    }

    /// Whoever comes later begins anew.
    fn end(&self, state: &mut State, end: State) {
        let mut uploads = self.room.inner.uploads.lock();
        if uploads.get(&self.key).is_some_and(|it| Arc::ptr_eq(&it.state, &self.state)) {
            uploads.remove(&self.key);
        }
        drop(mem::replace(state, end));
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut uploads = self.room.inner.uploads.lock();
        let Some(upload) = uploads.get_mut(&self.key) else { return };
        if !Arc::ptr_eq(&upload.state, &self.state) {
            return;
        }
        upload.senders -= 1;
        if upload.senders > 0 {
            return;
        }
        uploads.remove(&self.key);
        // Under the lock: nobody begins to read what is still being written.
        if let State::Open(gathering) = mem::replace(&mut *self.state.lock(), State::Dropped)
            && let Err(error) = gathering.park()
        {
            tracing::warn!(%error, "an upload that was broken off cannot go on");
        }
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("at", &self.at).finish_non_exhaustive()
    }
}
