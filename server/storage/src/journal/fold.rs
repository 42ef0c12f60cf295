//! The fold: moves durable records into the store, document by document, and lets old segments go
//! when store and witness have them. Its thread is started by `Journal::open`, which also folds
//! everything it found.
//! Never removes a segment of which the witness has not heard.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::{Condvar, Mutex};
use sheaf_protocol::ids::DocKey;

use super::payload::{
    Claim, Created, Device, Named, Presence, Pruned, Renamed, Retired, Settled, Stamped,
    VaultCreated, VaultDropped,
};
use super::reader::Reader;
use super::record::{Kind, Record};
use super::segment::{self, Segment};
use super::{Error, Shared, together};
use crate::store;
use crate::store::{
    Aside, Facts, Folded, Head, ItemChange, Label, Place, Store, Stray, Why, Window,
};
use sheaf_ground::task::SPAN;

/// What the fold thread is asked, and how it fares.
#[derive(Debug, Default)]
pub(super) struct Control {
    state: Mutex<State>,
    /// Wakes the fold thread.
    work: Condvar,
    /// Wakes those who asked for a fold.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Fold through this position without waiting.
    asked: u64,
    /// The thread waits for something durable, not for time to pass.
    is_idle: bool,
    is_stopping: bool,
    failure: Option<String>,
    failures: u64,
}

impl Control {
    /// Says that there may be something to fold.
    pub(super) fn durable_rose(&self) {
        let state = self.state.lock();
        if state.is_idle {
            self.work.notify_one();
        }
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.state.lock().failure.clone()
    }

    pub(super) fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.work.notify_all();
        self.done.notify_all();
    }
}

/// Runs until the journal stops.
pub(super) fn run(shared: &Arc<Shared>) {
    while wait(shared) {
        let result = fold_all(shared);
        let mut state = shared.fold.state.lock();
        match result {
            Ok(()) => state.failure = None,
            Err(error) => {
                tracing::error!(%error, "the fold failed and will be tried again");
                shared.config.meters.fold_failures.inc();
                state.failure = Some(error.to_string());
                state.failures += 1;
                // The next try waits its time, also when someone asked for this one.
                state.asked = 0;
            }
        }
        shared.fold.done.notify_all();
    }
}

/// Waits until a fold is due; `false` when the journal stops.
fn wait(shared: &Shared) -> bool {
    let config = &shared.config;
    let backlog = || shared.durable.get() - shared.folded.get();
    let mut state = shared.fold.state.lock();
    state.is_idle = true;
    while backlog() == 0 && !state.is_stopping {
        shared.fold.work.wait(&mut state);
    }
    let is_due = |state: &mut State| {
        state.is_stopping
            || state.asked > shared.folded.get()
            || backlog() >= config.fold_backlog_bytes
    };
    // After a failure only time or a request brings the next try, not the size of the backlog.
    if state.failure.is_some() {
        let is_asked = |state: &mut State| !state.is_stopping && state.asked <= shared.folded.get();
        shared.fold.work.wait_while_for(&mut state, is_asked, config.fold_interval);
    } else {
        let is_early = |state: &mut State| !is_due(state);
        shared.fold.work.wait_while_for(&mut state, is_early, config.fold_interval);
    }
    state.is_idle = false;
    !state.is_stopping
}

fn fold_all(shared: &Shared) -> Result<(), Error> {
    let config = &shared.config;
    while shared.folded.get() < shared.durable.get() {
        if shared.is_abandoned.load(Ordering::Acquire) {
            return Ok(());
        }
        let _span = tracing::trace_span!(target: SPAN, "fold").entered();
        let begun = config.clock.now();
        let start = shared.store.unfolded_from()?;
        let segments = shared.segments.lock().clone();
        let from = (start.position, start.link);
        let mut reader = Reader::new(segments, Vec::new(), from, shared.durable.get());
        let (folded, strays) = window(&shared.store, &mut reader, config.fold_bytes, false)?;
        for stray in strays {
            let (doc, what) = (stray.doc, &stray);
            tracing::error!(%doc, %what, "an entry does not follow the one before it");
        }
        let seconds = config.clock.now().since(begun).as_secs_f64();
        config.meters.fold_seconds.observe(seconds);
        shared.folded.raise(folded.position);
        trim(shared, folded.position)?;
    }
    Ok(())
}

/// Folds one window; its end, and the entries that were out of order.
pub(super) fn window(
    store: &Store,
    reader: &mut Reader,
    bytes_max: u64,
    is_repair: bool,
) -> Result<(Folded, Vec<Stray>), Error> {
    let mut window = store.window(is_repair)?;
    let start = reader.position();
    while reader.position() - start < bytes_max {
        let Some(placed) = reader.next()? else { break };
        let damaged = || Error::damaged(placed.position, "payload");
        for (position, record) in together::parts(&placed).ok_or_else(damaged)? {
            take(store, &mut window, (position, &record))?;
        }
    }
    let folded = Folded { position: reader.position(), link: reader.link(), ..Folded::default() };
    let strays = store.commit(window, folded)?;
    Ok((folded, strays))
}

fn take(
    store: &Store,
    window: &mut Window,
    (position, record): (u64, &Record<'_>),
) -> Result<(), Error> {
    let doc: DocKey = record.doc;
    let bad = || Error::damaged(position, "payload");
    window.stamp(record.stamp);
    match record.kind {
        Kind::Update => {
            let place = Place { n: record.n, position, stamp: record.stamp, author: record.author };
            window.entry(store, doc, place, record.payload)?;
        }
        Kind::Created => {
            let Created { vault, name, epoch } = Created::decode(record.payload).ok_or_else(bad)?;
            let head = Head { name, epoch, created: record.stamp, is_deleted: false };
            window.created(store, doc, position, (&vault, &head))?;
        }
        Kind::Claim => {
            let claim = Claim::decode(record.payload).ok_or_else(bad)?;
            window.claim(store, doc, position, &claim.owners)?;
        }
        Kind::Quarantined | Kind::Kept => {
            window.lay_aside(store, doc, &aside(position, record))?;
        }
        Kind::Settled => {
            let settled = Settled::decode(record.payload).ok_or_else(bad)?;
            change_item(store, window, (doc, position), (&settled, None))?;
        }
        Kind::Deleted | Kind::Moved => {
            let renamed = Renamed::decode(record.payload).ok_or_else(bad)?;
            let name = store::Renamed { from: &renamed.from, epoch: renamed.epoch };
            change_item(store, window, (doc, position), (&renamed.settled, Some(name)))?;
        }
        Kind::Retired => {
            let Retired { name, clients } = Retired::decode(record.payload).ok_or_else(bad)?;
            window.retired(doc, position, (&name, &clients))?;
        }
        Kind::Named => {
            let Named { seq, name } = Named::decode(record.payload).ok_or_else(bad)?;
            let (stamp, author) = (record.stamp, record.author.map(Into::into));
            let label = name.map(|name| Label { name: name.into(), stamp, author });
            window.named(doc, position, (seq, label.as_ref()))?;
        }
        _ => take_of_vault(store, window, (position, record))?,
    }
    Ok(())
}

/// Takes a record that is about a vault or the server, and no document of its own.
fn take_of_vault(
    store: &Store,
    window: &mut Window,
    (position, record): (u64, &Record<'_>),
) -> Result<(), Error> {
    let vault = record.doc.vault;
    let bad = || Error::damaged(position, "payload");
    match record.kind {
        Kind::Presence => {
            window.presence(Presence::decode(record.payload).ok_or_else(bad)?.clock);
        }
        Kind::VaultCreated => {
            let VaultCreated { name, epoch, seq } =
                VaultCreated::decode(record.payload).ok_or_else(bad)?;
            let facts = Facts { name, epoch, created: record.stamp, seq };
            window.vault_created(vault, position, &facts)?;
        }
        Kind::VaultDropped => {
            let VaultDropped { name } = VaultDropped::decode(record.payload).ok_or_else(bad)?;
            window.vault_dropped(store, vault, (position, &name))?;
        }
        Kind::Stamped => {
            let Stamped { stamp, came_to } = Stamped::decode(record.payload).ok_or_else(bad)?;
            window.stamped(vault, position, (stamp, &came_to))?;
        }
        Kind::Device => {
            let Device { device, is_now } = Device::decode(record.payload).ok_or_else(bad)?;
            window.device(vault, position, (device, is_now.as_ref()))?;
        }
        Kind::Pruned => {
            let pruned = Pruned::decode(record.payload).ok_or_else(bad)?;
            let Pruned { horizon, documents, names } = &pruned;
            let pruned = store::Pruned { horizon: *horizon, documents, names };
            window.pruned(vault, position, pruned)?;
        }
        // Of `Together` the parts have come instead, and `take` has the others.
        _ => return Err(bad()),
    }
    Ok(())
}

fn aside(position: u64, record: &Record<'_>) -> Aside {
    let is_kept = record.kind == Kind::Kept;
    Aside {
        position,
        why: if is_kept { Why::Kept } else { Why::Quarantined },
        n: record.n,
        stamp: record.stamp,
        author: record.author.map(Into::into),
        payload: record.payload.to_vec(),
    }
}

fn change_item(
    store: &Store,
    window: &mut Window,
    (doc, position): (DocKey, u64),
    (settled, renamed): (&Settled, Option<store::Renamed<'_>>),
) -> Result<(), Error> {
    let Settled { vault, prev_seq, item, made } = settled;
    let change = ItemChange { prev_seq: *prev_seq, item, made, renamed };
    window.item(store, doc, (position, vault), change)?;
    Ok(())
}

/// Removes the segments that lie wholly below `folded`, but never the active one.
fn trim(shared: &Shared, folded: u64) -> Result<(), Error> {
    let gone: Vec<Segment> = {
        let mut segments = shared.segments.lock();
        let bases: Vec<u64> = segments.iter().map(|segment| segment.base).collect();
        let count = bases.windows(2).take_while(|pair| pair[1] <= folded).count();
        segments.drain(..count).collect()
    };
    for segment in gone {
        let path = segment::path(&shared.config.dir, segment.base);
        let removed = shared.config.disk.remove(&path);
        removed.map_err(|source| Error::Io { what: "remove a segment", source })?;
    }
    Ok(())
}

impl Shared {
    /// Asks for a fold and blocks until it is through, or has failed.
    pub(super) fn fold_through(&self, end: u64) -> Result<(), Error> {
        let control = &self.fold;
        let mut state = control.state.lock();
        let failures = state.failures;
        state.asked = state.asked.max(end);
        control.work.notify_one();
        while self.folded.get() < end {
            if state.is_stopping {
                return Err(Error::ReadOnly(super::ReadOnly::Closed));
            }
            if state.failures > failures {
                return Err(Error::Fold(state.failure.clone().unwrap_or_default()));
            }
            control.done.wait(&mut state);
        }
        Ok(())
    }
}
