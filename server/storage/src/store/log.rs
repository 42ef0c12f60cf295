//! A file that is written from its start to its end, through memory.
//!
//! Takes room from the disk a stretch at a time and maps it, so that a write is a copy: it is in
//! the kernel's hands as after a `pwrite`, survives the process as that does, and costs no call.
//! Behind what was written stand zeros, up to the end of the stretch. Called by `disk`.
//! Never maps room that the disk may turn out not to have: a write there would end the process.
//! Where that cannot be known, and beyond what there is room for, it writes as any file does.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statfs::{EXT4_SUPER_MAGIC, TMPFS_MAGIC, XFS_SUPER_MAGIC, fstatfs};
use parking_lot::Mutex;

use super::disk::DiskFile;

/// Size of a stretch: what is mapped at a time counts as resident memory, and what is taken and
/// not needed is read as zeros by the next start.
const STRETCH_BYTES: u64 = 256 * 1024;

/// A file for appends.
pub(super) struct Log {
    file: File,
    stretch: Mutex<Stretch>,
}

/// Where the file is mapped.
enum Stretch {
    /// Nowhere yet.
    None,
    /// From an offset on.
    At(u64, MmapRaw),
    /// Nowhere, and not to be.
    Never,
}

/// Makes a file that was just created one for appends.
pub(super) fn log(file: File) -> Arc<dyn DiskFile> {
    match keeps_room(&file) {
        true => Arc::new(Log { file, stretch: Mutex::new(Stretch::None) }),
        false => Arc::new(file),
    }
}

/// Whether room that was once taken in this file system is there when it is written to.
fn keeps_room(file: &File) -> bool {
    let keeping = [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, TMPFS_MAGIC];
    fstatfs(file).is_ok_and(|system| keeping.contains(&system.filesystem_type()))
}

impl Stretch {
    /// Takes room at `offset` and maps it.
    fn take(file: &File, offset: u64) -> io::Result<Self> {
        // Room before the offset, where an earlier stretch ended, is there already.
        let (start, len) = (offset as i64, STRETCH_BYTES as i64);
        match fallocate(file, FallocateFlags::empty(), start, len) {
            Ok(()) => {}
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => return Ok(Self::Never),
            Err(error) => return Err(error.into()),
        }
        let map = MmapOptions::new().offset(offset).len(STRETCH_BYTES as usize).map_raw(file)?;
        Ok(Self::At(offset, map))
    }

    /// Copies bytes to their place, if all of it is mapped.
    #[expect(unsafe_code, reason = "shared memory is written through a pointer")]
    fn put(&mut self, bytes: &[u8], offset: u64) -> bool {
        let Self::At(start, map) = self else { return false };
        let Some(at) = offset.checked_sub(*start).and_then(|at| usize::try_from(at).ok()) else {
            return false;
        };
        if at.checked_add(bytes.len()).is_none_or(|end| end > map.len()) {
            return false;
        }
        // SAFETY: `at..at + bytes.len()` lies within the mapping, which is writable, lives as long
        // as `map`, and is written by nobody else: `self` is borrowed exclusively, and no reference
        // into it is ever made. Its room was taken, and is given back by `set_len` alone, which
        // drops the mapping first.
        unsafe { map.as_mut_ptr().add(at).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        true
    }
}

impl DiskFile for Log {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut stretch = self.stretch.lock();
        if stretch.put(bytes, offset) {
            return Ok(bytes.len());
        }
        if !matches!(*stretch, Stretch::Never) && (bytes.len() as u64) < STRETCH_BYTES {
            // Without room for a stretch there may still be some for these bytes.
            *stretch = Stretch::take(&self.file, offset).unwrap_or(Stretch::None);
            if stretch.put(bytes, offset) {
                return Ok(bytes.len());
            }
        }
        FileExt::write_at(&self.file, bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(&self.file, bytes, offset)
    }

    /// Writes what is mapped, too: to the kernel both are the same pages.
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut stretch = self.stretch.lock();
        if let Stretch::At(..) = *stretch {
            *stretch = Stretch::None;
        }
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

#[cfg(test)]
mod tests;
