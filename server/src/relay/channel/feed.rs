//! The vault's feed, as one client of the channel follows it.
//!
//! Job: wait until there is more, and render the next page. Called by the channel whenever the way
//! out is free. Never has more than one page in memory, and never goes on before that is out.

use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use sheaf_protocol::control::{Reply, SyncComplete, Touched, View};
use sheaf_protocol::ids::VaultName;
use tokio::sync::watch;

use super::listing;
use super::voice::Voice;
use crate::vault::operation::Refused;
use crate::vault::{self, Cursor, Vaults};

/// Changes at a time: about 64 KiB on the wire.
const PAGE: usize = 200;

/// So many changes at once are not told one by one to who reads items: it is to ask for them.
const TOUCHED_MIN: usize = 1_000;

/// Where a client is in the feed.
pub(super) struct Feed {
    vaults: Vaults,
    vault: VaultName,
    /// Of the vault that is followed; one that is made later under its name is another.
    epoch: u64,
    view: View,
    cursor: Cursor,
    /// None while a wait has it.
    seen: Option<watch::Receiver<u64>>,
    wait: Option<BoxFuture<'static, watch::Receiver<u64>>>,
    /// There may be more.
    is_due: bool,
    /// It asked for all behind a version, and has not all of it.
    is_draining: bool,
    /// Bytes of the files it was told of meanwhile.
    drained_bytes: u64,
    /// It was told that it has everything.
    is_complete: bool,
}

impl Feed {
    /// Follows the feed of a vault of this epoch behind a cursor. `is_draining`: what is there
    /// already was asked for.
    ///
    /// # Errors
    /// `NoVault`.
    pub(super) fn new(
        vaults: &Vaults,
        (vault, epoch): (&VaultName, u64),
        view: View,
        (cursor, is_draining): (Cursor, bool),
    ) -> Result<Feed, vault::Error> {
        Ok(Feed {
            seen: Some(vaults.watch(vault)?),
            vaults: vaults.clone(),
            vault: vault.clone(),
            epoch,
            view,
            cursor,
            wait: None,
            is_due: true,
            is_draining,
            drained_bytes: 0,
            is_complete: false,
        })
    }

    /// Waits for more, where all that is there has been told.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        if self.is_due {
            return;
        }
        if let Some(mut seen) = self.seen.take() {
            let wait = async move {
                // Closed: the vault is gone, which the next page says.
                let _ = seen.changed().await;
                seen
            };
            self.wait = Some(wait.boxed());
        }
        let Some(wait) = &mut self.wait else { return };
        if let Poll::Ready(seen) = wait.as_mut().poll(cx) {
            (self.wait, self.seen, self.is_due) = (None, Some(seen), true);
        }
    }

    /// Writes the next page. True: look again at once, for more or for a wait to begin.
    ///
    /// # Errors
    /// The vault is gone.
    pub(super) fn fill(&mut self, voice: Voice, out: &mut Vec<u8>) -> Result<bool, Refused> {
        if !self.is_due {
            return Ok(false);
        }
        if let Some(seen) = &mut self.seen {
            // What comes from here on wakes it again.
            seen.borrow_and_update();
        }
        if self.vaults.get(&self.vault).is_none_or(|vault| vault.epoch != self.epoch) {
            return Err(vault::Error::NoVault.into());
        }
        let page = match self.vaults.changes(&self.vault, self.cursor, PAGE) {
            Err(error @ vault::Error::CursorExpired { epoch, seq, .. }) if epoch == self.epoch => {
                // It lists the files, and is told what happens from here on.
                self.cursor = Cursor::at(epoch, seq);
                self.is_draining = false;
                voice.write(&Reply::Error(Refused::from(error).into_problem()), out);
                return Ok(true);
            }
            Err(vault::Error::CursorExpired { .. }) => return Err(vault::Error::NoVault.into()),
            page => page?,
        };
        let has_more = page.has_more;
        if has_more && self.view == View::Items && !self.is_draining && self.touched(voice, out)? {
            return Ok(true);
        }
        for change in page.items {
            if self.is_draining && !change.file.is_deleted {
                self.drained_bytes += change.file.size;
            }
            let reply = match self.view {
                View::Files => listing::happening(change),
                View::Items => Reply::Change(listing::item(change)),
            };
            voice.write(&reply, out);
        }
        self.cursor = page.cursor;
        self.is_due = has_more;
        if !has_more && std::mem::take(&mut self.is_draining) {
            self.complete(voice, out);
        }
        Ok(true)
    }

    /// Files of so many bytes were listed, as the client asked.
    pub(super) fn listed(&mut self, bytes: u64, is_last: bool, voice: Voice, out: &mut Vec<u8>) {
        self.drained_bytes += bytes;
        if is_last && !self.is_draining {
            self.complete(voice, out);
        }
    }

    /// Says once that the client has everything.
    fn complete(&mut self, voice: Voice, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.is_complete, true) {
            return;
        }
        let vault = self.vaults.get(&self.vault);
        let (total_files, current_version) = vault.map_or((0, 0), |it| (it.files, it.seq));
        let bytes = self.drained_bytes;
        voice
            .write(&Reply::SyncComplete(SyncComplete { total_files, current_version, bytes }), out);
    }

    /// Says where very much changed, and goes on behind it. False: it was not that much.
    fn touched(&mut self, voice: Voice, out: &mut Vec<u8>) -> Result<bool, Refused> {
        let page = self.vaults.changes(&self.vault, self.cursor, TOUCHED_MIN)?;
        if !page.has_more {
            return Ok(false);
        }
        let (from, to) = (self.cursor.seq, page.cursor.seq);
        let count = page.items.len() as u64;
        let collection = listing::FILES.to_owned();
        voice.write(&Reply::Touched(Touched { collection, from, to, count }), out);
        self.cursor = page.cursor;
        Ok(true)
    }
}
