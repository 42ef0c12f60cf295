//! Files with the schema of `@hocuspocus/extension-sqlite`, and others.

use std::fs;

use tempfile::TempDir;

use super::*;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS \"documents\" (
  \"name\" varchar(255) NOT NULL,
  \"data\" blob NOT NULL,
  UNIQUE(name)
)";

fn store(sql: &str) -> (TempDir, std::path::PathBuf) {
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("db.sqlite");
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    (dir, path)
}

#[test]
fn a_row_is_a_document() {
    let rows = "INSERT INTO documents VALUES ('plan', x'0102'), ('a/b ü', x''), ('n', x'00')";
    let (_dir, path) = store(&format!("{SCHEMA}; {rows}; DELETE FROM documents WHERE name = 'n'"));
    let found: Vec<_> = open(&path).unwrap().map(|found| found.unwrap()).collect();
    let document = |name: &str, update: &[u8]| Document {
        name: name.to_owned(),
        updates: vec![update.to_vec()],
    };
    assert_eq!(found, [document("plan", &[1, 2]), document("a/b ü", &[])]);
}

#[test]
fn a_row_that_is_none_is_told_by_its_name_and_the_others_are_read() {
    let rows = "INSERT INTO documents VALUES ('text', 'x'), (x'ff', x'00'), ('good', x'0000')";
    let (_dir, path) = store(&format!("{SCHEMA}; {rows}"));
    let found: Vec<_> = open(&path).unwrap().collect();
    assert_eq!(found[0].as_ref().unwrap_err().to_string(), "text: its data is no blob");
    assert_eq!(found[1].as_ref().unwrap_err().to_string(), "row 2: its name is no text");
    assert_eq!(found[2].as_ref().unwrap().name, "good");
}

#[test]
fn what_is_still_in_the_write_ahead_log_is_read() {
    let (_dir, path) = store(&format!("PRAGMA journal_mode = wal; {SCHEMA}"));
    let server = Connection::open(&path).unwrap();
    server.execute_batch("INSERT INTO documents VALUES ('late', x'0000')").unwrap();
    let found: Vec<_> = open(&path).unwrap().map(|found| found.unwrap().name).collect();
    assert_eq!(found, ["late"]);
    drop(server);
}

#[test]
fn what_is_no_such_file_is_refused() {
    let (dir, path) = store("CREATE TABLE other (a)");
    let why = |path: &Path| open(path).err().expect("no store").to_string();
    assert!(why(&path).contains("no such table: documents"), "{}", why(&path));
    assert!(why(&dir.path().join("gone")).contains("cannot read"));
    fs::write(&path, "no database at all, but long enough to be looked at".repeat(40)).unwrap();
    assert!(why(&path).contains("not a database"), "{}", why(&path));
}
