//! The devices of a vault, and how far each holds its feed.
//!
//! Job: register a device with its first request, take its acknowledgements, say which are stale,
//! and refuse those that are revoked. Called by the edges, and by `prune` for what all hold. Never
//! lets a device acknowledge for another user's, go back, or beyond what is shown.

mod attendance;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sheaf_protocol::error::Refusal;
use sheaf_protocol::ids::{Principal, VaultName};
use sheaf_storage::journal::{Kind, Record, payload};
use sheaf_storage::store::{self, Device};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

pub use attendance::Attendance;

use super::book::{Book, State, append};
use super::config::Devices as Config;
use super::{Cursor, Error, Vaults};
use crate::document::registry::Registry;
use crate::document::submission::Failure;
use crate::history::Holds;
use sheaf_ground::task;

/// Bytes of a device's name.
const NAME_BYTES_MAX: usize = 256;

/// What is only nice to know is written this often: a crash loses it, and then deleted files are
/// kept a little longer.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// When a device was seen last is written when it is so much later than what is written.
const SEEN_MS: u64 = 60 * 60 * 1_000;

/// Happenings that a reader may be behind, before it misses some.
pub(super) const HAPPENINGS_MAX: usize = 64;

/// How a device fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has a socket or a stream open.
    Connected,
    /// It was here not long ago, and what is deleted is kept for it.
    Away,
    /// It was away for so long that nothing is kept for it.
    Stale,
    /// It is refused.
    Revoked,
}

/// A device, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Which.
    pub id: u64,
    /// What is known of it.
    pub device: Device,
    /// How it fares.
    pub standing: Standing,
}

/// Something that happened to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Which.
    pub device: u64,
    /// `Away`: its last socket or stream has ended.
    pub standing: Standing,
}

/// What is to be changed of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Its name; `Some(None)` takes it away.
    pub name: Option<Option<String>>,
    /// Whether it is refused.
    pub is_revoked: Option<bool>,
}

/// Who changes a device.
#[derive(Clone, Copy, Debug)]
pub struct Changer<'a> {
    /// Who.
    pub by: &'a Principal,
    /// Of the vault: may change others' devices, and let revoked ones in again.
    pub is_admin: bool,
}

/// All devices of a vault.
#[derive(Debug, Default)]
pub(super) struct Devices {
    known: HashMap<u64, Known>,
}

#[derive(Debug, Default)]
struct Known {
    now: Device,
    /// As the journal has it.
    written: Device,
    /// Sockets and streams.
    open: usize,
    /// Ends them.
    end: CancellationToken,
    /// That it is stale has been told.
    is_told: bool,
}

impl Known {
    fn standing(&self, config: &Config, now_ms: u64) -> Standing {
        if self.now.is_revoked {
            Standing::Revoked
        } else if self.open > 0 {
            Standing::Connected
        } else if config.is_stale(self.now.seen_ms, now_ms) {
            Standing::Stale
        } else {
            Standing::Away
        }
    }

    fn is_of(&self, by: &Principal) -> bool {
        self.now.user.as_deref() == by.name()
    }

    /// The journal is to have it.
    fn is_due(&self) -> bool {
        let Device { acked, seen_ms, .. } = self.now;
        acked != self.written.acked || seen_ms >= self.written.seen_ms + SEEN_MS
    }
}

impl Devices {
    /// As stored.
    pub(super) fn new(stored: Vec<(u64, Device)>) -> Self {
        let known = |(id, now): (u64, Device)| {
            (id, Known { written: now.clone(), now, ..Known::default() })
        };
        Self { known: stored.into_iter().map(known).collect() }
    }

    /// What each device holds for which something is kept.
    pub(super) fn held(&self, config: &Config, now_ms: u64) -> impl Iterator<Item = Holds> {
        let counts = move |(_, known): &(&u64, &Known)| {
            matches!(known.standing(config, now_ms), Standing::Connected | Standing::Away)
        };
        let held = |(&device, known): (&u64, &Known)| match known.now.acked {
            // Its first listing is a state: deletions before it mean nothing to it.
            0 => Holds { device, seq: known.now.registered },
            seq => Holds { device, seq },
        };
        self.known.iter().filter(counts).map(held)
    }

    /// The device, if it is this user's and may be here.
    fn enter(&mut self, id: u64, by: &Principal) -> Result<Option<&mut Known>, Error> {
        match self.known.get_mut(&id) {
            Some(known) if !known.is_of(by) => Err(Error::DeviceTaken),
            Some(known) if known.now.is_revoked => Err(Error::DeviceRevoked),
            other => Ok(other),
        }
    }

    /// A stale device that makes room for another one of this user, if that is needed.
    fn make_room(
        &self,
        by: &Principal,
        config: &Config,
        now_ms: u64,
    ) -> Result<Option<u64>, Error> {
        let own = self.known.values().filter(|known| known.is_of(by)).count() as u64;
        let all = self.known.len() as u64;
        if own < config.user_devices_max && all < config.vault_devices_max {
            return Ok(None);
        }
        let stale = |(_, known): &(&u64, &Known)| {
            known.is_of(by) && known.standing(config, now_ms) == Standing::Stale
        };
        let oldest = self.known.iter().filter(stale).min_by_key(|(_, known)| known.now.seen_ms);
        oldest.map(|(id, _)| Some(*id)).ok_or(Error::TooManyDevices)
    }

    fn show(&self, id: u64, config: &Config, now_ms: u64) -> Result<Shown, Error> {
        let known = self.known.get(&id).ok_or(Error::NoDevice)?;
        let (device, standing) = (known.now.clone(), known.standing(config, now_ms));
        Ok(Shown { id, device, standing })
    }
}

/// Writes what a device is from now on; `None` forgets it. The end of the record.
fn write(
    (book, state): (&Book, &State),
    registry: &Registry,
    (device, is_now): (u64, Option<&Device>),
) -> Result<u64, Failure> {
    if state.is_gone() {
        return Err(Failure::VaultDeleted);
    }
    let mut payload = Vec::new();
    payload::Device { device, is_now: is_now.cloned() }.encode(&mut payload);
    let (doc, kind, stamp) = (book.nil(), Kind::Device, registry.stamp());
    let record = Record { doc, n: 0, kind, stamp, author: None, payload: &payload };
    Ok(append(registry, &[record])?.end)
}

impl Book {
    /// Takes in the devices and the horizon that are stored.
    pub(super) fn take_devices(&self, store: &store::Store) -> Result<(), store::Error> {
        let (vault, number) = (self.account().name(), self.account().number());
        let (stored, damaged) = store.devices(number)?;
        if damaged > 0 {
            tracing::error!(%vault, damaged, "devices that cannot be read register again");
        }
        let horizon = store.horizon(number);
        let mut state = self.state();
        state.devices = Devices::new(stored);
        state.horizon = match horizon {
            Ok(horizon) => horizon,
            Err(store::Error::Corrupt { .. }) => {
                tracing::error!(%vault, "its horizon is damaged: every client lists its files");
                state.visible_seq()
            }
            Err(other) => return Err(other),
        };
        Ok(())
    }

    fn tell(&self, device: u64, standing: Standing) {
        // Nobody may be there to hear it.
        let _ = self.happenings().send(Happening { device, standing });
    }
}

impl Vaults {
    fn terms(&self) -> &Config {
        &self.inner.terms.devices
    }

    /// Takes in that a device is here; one that is new is registered, durably when it returns.
    /// `is_live`: by the vault channel.
    ///
    /// # Errors
    /// `NoVault`; `DeviceTaken`; `DeviceRevoked`; `TooManyDevices`; `Failed`.
    pub async fn meet(
        &self,
        name: &VaultName,
        (device, is_live): (u64, bool),
        by: &Principal,
    ) -> Result<(), Error> {
        let book = self.live(name)?;
        let now_ms = self.shared().clock.now_ms();
        let end = {
            let mut state = book.state();
            if let Some(known) = state.devices.enter(device, by)? {
                known.now.seen_ms = now_ms.max(known.now.seen_ms);
                known.is_told = false;
                return Ok(());
            }
            let room = state.devices.make_room(by, self.terms(), now_ms)?;
            if let Some(stale) = room {
                write((&book, &state), self.registry(), (stale, None))?;
                state.devices.known.remove(&stale);
            }
            let (user, registered) = (by.name().map(Arc::from), state.visible_seq());
            let now = Device { user, is_live, registered, seen_ms: now_ms, ..Device::default() };
            let end = write((&book, &state), self.registry(), (device, Some(&now)))?;
            let known = Known { written: now.clone(), now, ..Known::default() };
            state.devices.known.insert(device, known);
            end
        };
        self.durable(end).await?;
        tracing::debug!(vault = %name, device = format_args!("{device:016x}"), "registered");
        Ok(())
    }

    /// Whether everything after a cursor is known.
    ///
    /// # Errors
    /// `NoVault`; `CursorExpired`.
    pub fn check_cursor(&self, name: &VaultName, cursor: Cursor) -> Result<(), Error> {
        let book = self.live(name)?;
        let state = book.state();
        book.check_cursor(&state, cursor)
    }

    /// A device holds everything up to a cursor; up to which seq it does now. It may say less than
    /// before, which changes nothing.
    ///
    /// # Errors
    /// `NoVault`; `NoDevice` if it was not met; `DeviceTaken`; `DeviceRevoked`; `CursorExpired`.
    pub fn acknowledge(
        &self,
        name: &VaultName,
        device: u64,
        by: &Principal,
        cursor: Cursor,
    ) -> Result<u64, Error> {
        let book = self.live(name)?;
        let now_ms = self.shared().clock.now_ms();
        let mut state = book.state();
        book.check_cursor(&state, cursor)?;
        let known = state.devices.enter(device, by)?.ok_or(Error::NoDevice)?;
        known.now.seen_ms = now_ms.max(known.now.seen_ms);
        if cursor.seq > known.now.acked {
            (known.now.acked, known.now.acked_ms) = (cursor.seq, now_ms);
        }
        Ok(known.now.acked)
    }

    /// All devices of a vault, by id.
    ///
    /// # Errors
    /// `NoVault`.
    pub fn devices(&self, name: &VaultName) -> Result<Vec<Shown>, Error> {
        let book = self.live(name)?;
        let now_ms = self.shared().clock.now_ms();
        let state = book.state();
        let mut ids: Vec<u64> = state.devices.known.keys().copied().collect();
        ids.sort_unstable();
        ids.into_iter().map(|id| state.devices.show(id, self.terms(), now_ms)).collect()
    }

    /// Changes a device; durable when it returns what it is then.
    ///
    /// # Errors
    /// `NoVault`; `NoDevice`; `NotYours` for another user's, and for a revoked one that is let in
    /// again, without being an administrator; `Refused` for a name of more than 256 bytes;
    /// `Failed`.
    pub async fn change_device(
        &self,
        name: &VaultName,
        device: u64,
        who: Changer<'_>,
        change: Change,
    ) -> Result<Shown, Error> {
        check_name(&change)?;
        let book = self.live(name)?;
        let now_ms = self.shared().clock.now_ms();
        let (end, shown) = {
            let mut state = book.state();
            let known = state.devices.known.get(&device).ok_or(Error::NoDevice)?;
            let lets_in = known.now.is_revoked && change.is_revoked == Some(false);
            if !who.is_admin && (lets_in || !known.is_of(who.by)) {
                return Err(Error::NotYours);
            }
            let mut now = known.now.clone();
            if let Some(name) = change.name {
                now.name = name.map(Arc::from);
            }
            now.is_revoked = change.is_revoked.unwrap_or(now.is_revoked);
            let end = write((&book, &state), self.registry(), (device, Some(&now)))?;
            let known = state.devices.known.get_mut(&device).ok_or(Error::NoDevice)?;
            let is_cut = now.is_revoked && !known.now.is_revoked;
            (known.now, known.written) = (now.clone(), now);
            if is_cut {
                std::mem::take(&mut known.end).cancel();
                known.open = 0;
                book.tell(device, Standing::Revoked);
            }
            (end, state.devices.show(device, self.terms(), now_ms)?)
        };
        self.durable(end).await?;
        Ok(shown)
    }

    /// Forgets a device; durable when it returns. If it comes again it registers again, so one that
    /// is revoked is forgotten by an administrator alone.
    ///
    /// # Errors
    /// As [`Vaults::change_device`].
    pub async fn forget_device(
        &self,
        name: &VaultName,
        device: u64,
        who: Changer<'_>,
    ) -> Result<(), Error> {
        let book = self.live(name)?;
        let end = {
            let mut state = book.state();
            let known = state.devices.known.get(&device).ok_or(Error::NoDevice)?;
            if !who.is_admin && (known.now.is_revoked || !known.is_of(who.by)) {
                return Err(Error::NotYours);
            }
            let end = write((&book, &state), self.registry(), (device, None))?;
            if let Some(known) = state.devices.known.remove(&device) {
                known.end.cancel();
            }
            book.tell(device, Standing::Revoked);
            end
        };
        Ok(self.durable(end).await?)
    }

    /// Follows what happens to the devices of a vault.
    ///
    /// # Errors
    /// `NoVault`.
    pub fn watch_devices(&self, name: &VaultName) -> Result<broadcast::Receiver<Happening>, Error> {
        Ok(self.live(name)?.happenings().subscribe())
    }

    /// Writes down what devices have acknowledged, and tells which are stale, every minute and when
    /// the server stops.
    pub async fn run_devices(self, stopping: CancellationToken) {
        let clock = self.shared().clock.clone();
        while stopping.run_until_cancelled(clock.sleep(KEEP_EVERY)).await.is_some() {
            task::block(|| self.keep_devices());
        }
        task::block(|| self.keep_devices());
    }

    /// Writes down what is not written yet.
    pub(crate) fn keep_devices(&self) {
        let now_ms = self.shared().clock.now_ms();
        let books: Vec<Arc<Book>> = self.inner.books.read().values().cloned().collect();
        for book in books {
            let mut state = book.state();
            // One that stays connected is seen all the time, and should the server be killed.
            let open = state.devices.known.values_mut().filter(|known| known.open > 0);
            open.for_each(|known| known.now.seen_ms = known.now.seen_ms.max(now_ms));
            let due = state.devices.known.iter().filter(|(_, known)| known.is_due());
            let due: Vec<(u64, Device)> = due.map(|(id, it)| (*id, it.now.clone())).collect();
            for (id, now) in due {
                // The journal has said why; it is tried again.
                if write((&book, &state), self.registry(), (id, Some(&now))).is_err() {
                    break;
                }
                if let Some(known) = state.devices.known.get_mut(&id) {
                    known.written = now;
                }
            }
            for (id, known) in &mut state.devices.known {
                let is_stale = known.standing(self.terms(), now_ms) == Standing::Stale;
                if is_stale && !known.is_told {
                    book.tell(*id, Standing::Stale);
                }
                known.is_told = is_stale;
            }
        }
    }

    /// Devices of all vaults, by how they fare: connected, away, stale, revoked.
    pub(super) fn count_devices(&self) -> [i64; 4] {
        let now_ms = self.shared().clock.now_ms();
        let mut counts = [0; 4];
        for book in self.inner.books.read().values() {
            for known in book.state().devices.known.values() {
                counts[known.standing(self.terms(), now_ms) as usize] += 1;
            }
        }
        counts
    }
}

fn check_name(change: &Change) -> Result<(), Error> {
    let name = change.name.as_ref().and_then(Option::as_ref);
    if name.is_some_and(|name| name.len() > NAME_BYTES_MAX) {
        let what = "the name of a device has at most 256 bytes";
        return Err(Refusal::too_large(0, what).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
