//! The folder of a y-websocket server with `YPERSISTENCE`: a LevelDB database, by y-leveldb.
//!
//! A document is a run of updates, each under `["v1", name, "update", number]`; what else is there
//! (state vectors, values that an application keeps) is no content. Never reads a database that a
//! server has open.

use std::collections::VecDeque;
use std::path::Path;

use percent_encoding::percent_decode_str;
use sheaf_protocol::varint::Reader;

use crate::leveldb::{Damage, Database};
use crate::{Document, Documents, Error, Unreadable};

/// What stands before a text and before a number in a key.
const TEXT: u8 = 0;
const NUMBER: u8 = 1;

/// Opens the folder, with names as they stand there.
///
/// # Errors
/// `File` if its files cannot be read; `Other` if it is no LevelDB database, a damaged one, or one
/// of another application; `InUse`.
pub fn open(path: &Path) -> Result<Documents, Error> {
    let mut entries = Database::open(path)?.peekable();
    if let Some(Ok((key, _))) = entries.peek()
        && Key::of(key).is_none()
    {
        let why = "its keys are not those of y-leveldb".to_owned();
        return Err(Error::Other { path: path.to_owned(), why });
    }
    Ok(Box::new(Runs { entries, damages: VecDeque::new(), last: String::new() }))
}

/// As [`open`], with names unescaped: y-websocket's own server calls a document by the path of its
/// address, as it came. What is no UTF-8 then stays as it is.
///
/// # Errors
/// See [`open`].
pub fn open_unescaped(path: &Path) -> Result<Documents, Error> {
    let documents = open(path)?.map(|found| {
        let mut document = found?;
        if let Ok(name) = percent_decode_str(&document.name).decode_utf8() {
            document.name = name.into_owned();
        }
        Ok(document)
    });
    Ok(Box::new(documents))
}

/// A key of y-leveldb.
enum Key<'a> {
    /// Of an update: the document's name.
    Update(&'a str),
    /// Of something else.
    Other,
}

impl<'a> Key<'a> {
    fn of(key: &'a [u8]) -> Option<Key<'a>> {
        let mut reader = Reader::new(key);
        let mut text = || {
            let is_text = reader.byte().ok()? == TEXT;
            is_text.then(|| reader.text().ok()).flatten()
        };
        match text()? {
            "v1_sv" => return Some(Key::Other),
            "v1" => {}
            _ => return None,
        }
        let (name, kind) = (text()?, text()?);
        if kind != "update" {
            return Some(Key::Other);
        }
        (reader.byte().ok()? == NUMBER && reader.rest().len() == 4).then_some(Key::Update(name))
    }
}

/// Gathers neighbours of one name.
struct Runs {
    entries: std::iter::Peekable<Database>,
    /// Found among the updates of a document, told behind it.
    damages: VecDeque<Damage>,
    /// The document read last.
    last: String,
}

impl Iterator for Runs {
    type Item = Result<Document, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(damage) = self.damages.pop_front() {
            return Some(Err(self.unreadable(damage)));
        }
        let mut document: Option<Document> = None;
        while let Some(entry) = self.entries.next_if(|entry| is_of(entry, document.as_ref())) {
            match entry {
                Err(damage) if document.is_none() => return Some(Err(self.unreadable(damage))),
                Err(damage) => self.damages.push_back(damage),
                Ok((key, update)) => {
                    if let Some(Key::Update(name)) = Key::of(&key) {
                        let empty = || Document { name: name.to_owned(), updates: Vec::new() };
                        document.get_or_insert_with(empty).updates.push(update);
                    }
                }
            }
        }
        self.last.clone_from(&document.as_ref()?.name);
        document.map(Ok)
    }
}

/// Whether an entry is no update of another document than this one.
fn is_of(entry: &<Database as Iterator>::Item, document: Option<&Document>) -> bool {
    match (entry, document) {
        (Ok((key, _)), Some(document)) => match Key::of(key) {
            Some(Key::Update(name)) => name == document.name,
            _ => true,
        },
        _ => true,
    }
}

impl Runs {
    fn unreadable(&self, Damage { place, why }: Damage) -> Unreadable {
        let near = match &*self.last {
            "" => "the first documents".to_owned(),
            last => format!("documents next to {last:?}"),
        };
        Unreadable { place, why: format!("{why}; {near} may lack something, or be lost") }
    }
}

#[cfg(test)]
mod tests;
