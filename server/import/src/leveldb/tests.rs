//! A database that Node's `level` wrote: two tables, a log, a document that was deleted. And what
//! is left of it after damage.

use tempfile::TempDir;

use super::*;

pub(crate) const FIXTURE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/import/y-websocket");
const LOG_FILE: &str = "000009.log";

/// The fixture in a folder of its own.
pub(crate) fn copy() -> TempDir {
    let dir = TempDir::new().expect("a folder");
    for entry in fs::read_dir(FIXTURE).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    dir
}

/// Turns a byte of a file over.
pub(crate) fn spoil(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0xff;
    fs::write(path, bytes).unwrap();
}

fn all(folder: &Path) -> Vec<<Database as Iterator>::Item> {
    Database::open(folder).unwrap().collect()
}

#[test]
fn each_key_comes_once_in_order_and_deleted_ones_do_not() {
    let found: Vec<_> = all(FIXTURE.as_ref()).into_iter().map(|entry| entry.unwrap().0).collect();
    assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
    // Ten updates, a state vector for each of two documents, one value of an application.
    assert_eq!(found.len(), 13);
    assert!(!found.iter().any(|key| key.windows(4).any(|part| part == b"gone")));
}

#[test]
fn every_byte_of_a_table_is_covered() {
    let table = fs::read(Path::new(FIXTURE).join("000005.ldb")).unwrap();
    let whole = all(FIXTURE.as_ref());
    for at in 0..table.len() {
        let dir = copy();
        spoil(&dir.path().join("000005.ldb"), at);
        let found = all(dir.path());
        // The block of filters is not read, nor is the room behind the footer's addresses.
        let is_told = found.iter().any(Result::is_err);
        assert!(is_told || found == whole, "byte {at} makes a difference that nobody tells");
    }
}

#[test]
fn a_log_that_was_cut_off_ends_there() {
    let log = fs::read(Path::new(FIXTURE).join(LOG_FILE)).unwrap();
    let whole = all(FIXTURE.as_ref()).len();
    let dir = copy();
    fs::write(dir.path().join(LOG_FILE), &log[..log.len() - 1]).unwrap();
    let found = all(dir.path());
    assert!(found.iter().all(Result::is_ok));
    assert!(found.len() < whole, "the last record is gone");
    fs::write(dir.path().join(LOG_FILE), []).unwrap();
    assert!(all(dir.path()).iter().all(Result::is_ok));
}

#[test]
fn a_damaged_log_is_told_and_what_was_before_is_read() {
    let dir = copy();
    spoil(&dir.path().join(LOG_FILE), 20);
    let found = all(dir.path());
    let told: Vec<_> = found.iter().filter_map(|entry| entry.as_ref().err()).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].place.starts_with(LOG_FILE), "{told:?}");
    assert!(found.iter().flatten().count() > 0);
}

#[test]
fn a_record_may_span_blocks() {
    let large = vec![7; 80_000];
    let mut bytes = Vec::new();
    let mut rest = &large[..];
    let mut kind = 2;
    while !rest.is_empty() {
        let room = (32 << 10) - bytes.len() % (32 << 10) - 7;
        let (part, behind) = rest.split_at(room.min(rest.len()));
        rest = behind;
        let covered = [&[if rest.is_empty() { 4 } else { kind }], part].concat();
        bytes.extend(checksum(&covered).to_le_bytes());
        bytes.extend((part.len() as u16).to_le_bytes());
        bytes.extend(covered);
        kind = 3;
    }
    let mut log = Log::new(&bytes);
    assert_eq!(log.next(), Some(Ok(large)));
    assert_eq!(log.next(), None);
    // Its middle is gone: neither half is a record.
    let mut log = Log::new(&bytes[..64 << 10]);
    assert_eq!(log.next(), None);
    let mut log = Log::new(&bytes[32 << 10..]);
    assert!(log.next().expect("something").is_err());
}

#[test]
fn what_is_no_database_is_refused() {
    let dir = TempDir::new().expect("a folder");
    assert!(matches!(Database::open(dir.path()), Err(Error::File { .. })));
    let dir = copy();
    fs::remove_file(dir.path().join("000008.ldb")).unwrap();
    assert!(matches!(Database::open(dir.path()), Err(Error::File { .. })));
    let dir = copy();
    spoil(&dir.path().join("MANIFEST-000007"), 30);
    assert!(matches!(Database::open(dir.path()), Err(Error::Other { .. })));
    fs::write(dir.path().join("CURRENT"), "../MANIFEST").unwrap();
    assert!(matches!(Database::open(dir.path()), Err(Error::Other { .. })));
}
