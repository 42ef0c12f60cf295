//! The sync thread: makes what was written durable, many appends at a time. Started by
//! `Journal::open`, blocked on a condition while nothing is unsynced.
//! Never syncs the same file again after a failed sync: what the kernel dropped would count as
//! written.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::segment::write_all_at;
use super::writer::{SyncWaits, Unsynced, Writer};
use super::{ReadOnly, Shared};

/// Runs until the journal is closed, dropped, or a sync fails.
pub(super) fn run(shared: &Arc<Shared>) {
    let (clock, meters) = (&shared.config.clock, &shared.config.meters);
    while let Some(unsynced) = wait(shared) {
        let begun = clock.now();
        if let Err(error) = sync(shared, &unsynced) {
            tracing::error!(%error, "the journal could not be synced and is read-only");
            meters.fsync_failures.inc();
            shared.refuse(&mut shared.writer.lock(), ReadOnly::SyncFailed);
            shared.durable.stop();
            break;
        }
        meters.fsyncs.inc();
        meters.fsync_seconds.observe(clock.now().since(begun).as_secs_f64());
        shared.durable.raise(unsynced.end);
        shared.mark_durable(unsynced.end);
        shared.fold.durable_rose();
        rest(shared);
    }
    shared.durable.stop();
    shared.fold.durable_rose();
}

/// Waits until there is something to sync and its time has come; `None` when the journal stops.
fn wait(shared: &Shared) -> Option<Unsynced> {
    let durable = shared.durable.get();
    let mut writer = shared.writer.lock();
    writer.sync_waits = SyncWaits::First;
    while writer.end == durable && !writer.is_stopping {
        shared.work.wait(&mut writer);
    }
    if writer.end == durable || shared.is_abandoned.load(Ordering::Acquire) {
        return None;
    }
    writer.sync_waits = SyncWaits::Burst;
    let burst = shared.config.burst_records;
    let is_due = |writer: &Writer| {
        writer.unsynced_records >= burst && shared.durable.is_awaited()
            || writer.is_sync_asked
            || writer.is_stopping
    };
    shared.work.wait_while_for(&mut writer, |writer| !is_due(writer), shared.config.sync_idle);
    writer.sync_waits = SyncWaits::Nothing;
    if shared.is_abandoned.load(Ordering::Acquire) {
        return None;
    }
    Some(writer.take_unsynced())
}

fn sync(shared: &Shared, unsynced: &Unsynced) -> io::Result<()> {
    for segment in &unsynced.segments {
        segment.file.sync_data()?;
    }
    if unsynced.is_dir_unsynced {
        shared.config.disk.sync_dir(&shared.config.dir)?;
    }
    Ok(())
}

/// Keeps two syncs apart.
fn rest(shared: &Shared) {
    let mut writer = shared.writer.lock();
    writer.sync_waits = SyncWaits::Nothing;
    shared.work.wait_while_for(
        &mut writer,
        |writer| !writer.is_stopping && !writer.is_sync_asked,
        shared.config.sync_busy,
    );
}

impl Shared {
    /// Notes what is durable in a file beside the segments, so that a start can tell a tail that
    /// nobody relied on from one that was acknowledged. Not synced: after power loss an older note
    /// says less, and never something wrong.
    pub(super) fn mark_durable(&self, end: u64) {
        if let Err(error) = write_all_at(&*self.note, &note(end), 0) {
            tracing::warn!(%error, "the durable position could not be noted");
        }
    }
}

/// The note's bytes: position u64 and its CRC32C, little-endian.
fn note(end: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&end.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..8]);
    bytes[8..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The position in a note; `None` when it is not whole.
pub(super) fn read_note(bytes: &[u8]) -> Option<u64> {
    let (position, crc) = (bytes.first_chunk()?, bytes.get(8..12)?);
    let is_whole = bytes.len() == 12 && crc32c::crc32c(position).to_le_bytes() == *crc;
    is_whole.then(|| u64::from_le_bytes(*position))
}
