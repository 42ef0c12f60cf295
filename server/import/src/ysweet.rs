//! The folder of a Y-Sweet server: `<id>/data.ysweet` for each document.
//!
//! Such a file is a map of keys to values in bincode 1 (`SyncKv` of y-sweet-core 0.9), the keys are
//! those of yrs-kvstore 0.3: a state, and updates behind it. A bucket of S3 has the same files.
//! Never follows anything but the one document that each file is made for.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::{Document, Documents, Error, Unreadable};

/// In each document's folder.
const FILE: &str = "data.ysweet";
/// The key under which the number of the file's one document stands: its name is `doc`.
const NUMBER: &[u8] = b"\x00\x00doc\x00";
/// What the keys of documents begin with; the number follows, four bytes.
const OF_DOCUMENTS: [u8; 2] = [0, 1];
/// What follows the number in the key of the state, and in those of updates.
const STATE: u8 = 0;
const UPDATE: u8 = 2;

/// Opens the folder.
///
/// # Errors
/// `File` if it cannot be listed; `Other` if it has no document.
pub fn open(path: &Path) -> Result<Documents, Error> {
    let unlisted = |why| Error::File { path: path.to_owned(), why };
    let mut folders = Vec::new();
    for entry in fs::read_dir(path).map_err(unlisted)? {
        let folder = entry.map_err(unlisted)?.path();
        if folder.join(FILE).exists() {
            folders.push(folder);
        }
    }
    if folders.is_empty() {
        let why = format!("no folder in it holds a file {FILE}");
        return Err(Error::Other { path: path.to_owned(), why });
    }
    folders.sort();
    Ok(Box::new(folders.into_iter().map(|folder| read(&folder))))
}

fn read(folder: &Path) -> Result<Document, Unreadable> {
    let name = folder.file_name().unwrap_or_default();
    let place = name.to_string_lossy().into_owned();
    let broken = |why: String| Unreadable { place: place.clone(), why };
    let name = name.to_str().ok_or_else(|| broken("its name is not UTF-8".to_owned()))?;
    let bytes = fs::read(folder.join(FILE)).map_err(|error| broken(error.to_string()))?;
    let map = map(&bytes).ok_or_else(|| broken(format!("{FILE} is cut off or damaged")))?;
    let updates =
        updates(&map).ok_or_else(|| broken(format!("{FILE} holds no document of Y-Sweet")))?;
    Ok(Document { name: name.to_owned(), updates })
}

type Map<'a> = BTreeMap<&'a [u8], &'a [u8]>;

/// The map in a file: a count, then keys and values, each behind its length. All numbers have eight
/// bytes, the lowest first.
fn map(mut bytes: &[u8]) -> Option<Map<'_>> {
    let count = number(&mut bytes)?;
    let mut map = Map::new();
    for _ in 0..count {
        map.insert(counted(&mut bytes)?, counted(&mut bytes)?);
    }
    bytes.is_empty().then_some(map)
}

fn counted<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(number(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*taken))
}

/// The state, then what was stored behind it; nothing for a document that nobody wrote to.
fn updates(map: &Map<'_>) -> Option<Vec<Vec<u8>>> {
    let Some(number) = map.get(NUMBER) else {
        return map.is_empty().then(Vec::new);
    };
    let of_this = [&OF_DOCUMENTS, *number].concat();
    let values = map.iter().filter(|(key, _)| {
        let kind = key.strip_prefix(&*of_this).and_then(|rest| rest.first());
        matches!(kind, Some(&(STATE | UPDATE)))
    });
    // The map's order is theirs: a state before its updates, those by their numbers.
    Some(values.map(|(_, value)| value.to_vec()).collect())
}

#[cfg(test)]
mod tests;
