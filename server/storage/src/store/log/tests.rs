//! Files for appends: what is read back, what stands behind it, and what happens without room.

use std::path::Path;

use super::*;
use crate::store::disk::{Disk, Files, write_all_at};

fn begin(path: &Path) -> Arc<dyn DiskFile> {
    Files.create_log(path).unwrap()
}

/// What a file holds up to the last byte that is not zero.
fn written(path: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    bytes
}

/// Pieces of many sizes, some longer than a stretch.
fn pieces() -> Vec<Vec<u8>> {
    let sizes = [32, 110, 4_096, 70_000, 110, 200_000, 262_143, 262_144, 1, 600_000, 33, 250_000];
    sizes.iter().enumerate().map(|(at, size)| vec![at as u8 + 1; *size]).collect()
}

#[test]
fn what_is_appended_is_in_the_file_with_zeros_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = begin(&path);
    let mut offset = 0;
    for piece in pieces() {
        write_all_at(&*log, &piece, offset).unwrap();
        offset += piece.len() as u64;
        let mut read = vec![0; piece.len()];
        log.read_at(&mut read, offset - piece.len() as u64).unwrap();
        assert_eq!(read, piece);
    }
    log.sync_data().unwrap();
    assert!(written(&path) == pieces().concat());
    assert!(log.len().unwrap() - offset <= STRETCH_BYTES);
}

#[test]
fn a_log_that_was_cut_goes_on_where_it_was_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = begin(&path);
    write_all_at(&*log, &[1; 1_000], 0).unwrap();
    log.set_len(10).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), [1; 10]);
    write_all_at(&*log, &[2; 20], 10).unwrap();
    assert_eq!(written(&path), [[1; 10].as_slice(), &[2; 20]].concat());
}

#[test]
fn a_file_system_that_promises_nothing_gets_plain_writes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let file = File::create_new(&path).unwrap();
    let log = Log { file, stretch: Mutex::new(Stretch::Never) };
    write_all_at(&log, &[3; 50], 0).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), [3; 50]);
}
