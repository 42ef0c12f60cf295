//! The SQLite file of Hocuspocus: `@hocuspocus/extension-sqlite`, and what follows its schema.
//!
//! One row a document: its name, and its whole state as one update. Never holds a lock between two
//! rows, so that a server which still runs can write.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::{Document, Documents, Error, Unreadable};

/// Opens the file.
///
/// # Errors
/// `File` if it is not there; `Other` if it is no SQLite database, or one without the table
/// `documents`.
pub fn open(path: &Path) -> Result<Documents, Error> {
    let other = |error: rusqlite::Error| Error::Other {
        path: path.to_owned(),
        why: match error {
            rusqlite::Error::SqliteFailure(_, Some(why)) => why,
            error => error.to_string(),
        },
    };
    // SQLite says of a file that is not there only that it cannot open it.
    std::fs::File::open(path).map_err(|why| Error::File { path: path.to_owned(), why })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = Connection::open_with_flags(path, flags).map_err(other)?;
    let rows = row_ids(&file).map_err(other)?;
    Ok(Box::new(rows.into_iter().map(move |row| read(&file, row))))
}

fn row_ids(file: &Connection) -> rusqlite::Result<Vec<i64>> {
    let mut ids = file.prepare("SELECT rowid FROM documents ORDER BY rowid")?;
    ids.query_map([], |row| row.get(0))?.collect()
}

fn read(file: &Connection, id: i64) -> Result<Document, Unreadable> {
    let sql = "SELECT name, data FROM documents WHERE rowid = ?";
    let place = format!("row {id}");
    let read = file.query_row(sql, [id], |row| {
        let name = row.get_ref(0)?.as_str().map(str::to_owned);
        let data = row.get_ref(1)?.as_blob().map(<[u8]>::to_vec);
        Ok((name, data))
    });
    let broken = |place, why: &str| Unreadable { place, why: why.to_owned() };
    let (name, data) = read.map_err(|error| broken(place.clone(), &error.to_string()))?;
    let name = name.map_err(|_| broken(place, "its name is no text"))?;
    match data {
        Ok(data) => Ok(Document { name, updates: vec![data] }),
        Err(_) => Err(broken(name, "its data is no blob")),
    }
}

#[cfg(test)]
mod tests;
