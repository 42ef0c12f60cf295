//! Data directories that earlier formats wrote, one per stored format, opened by this build.
//!
//! A fixture is a directory's files in one gzip stream; beside it stands what must be read from it.
//! `SHEAF_WRITE_FIXTURE=1` writes that of the present format, once, when a format is new.

use std::io::{Read, Write};
use std::path::PathBuf;

use sheaf_protocol::ids::{DocKey, VaultNo};
use sheaf_protocol::stamp::Stamp;
use sheaf_storage::journal::payload::{Named, Retired, Stamped};
use sheaf_storage::journal::{Config, Journal, Kind, Record};
use sheaf_storage::store::migrate::FORMAT;
use sheaf_storage::store::{self, Store};

use crate::damage::{DOCUMENTS, Image, checksum, image, name, read_image, write_image};

fn fixture(format: u32, suffix: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/store")
        .join(format!("format-{format}.{suffix}"))
}

fn pack(image: &Image) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for (path, bytes) in image {
        let path = path.to_str().expect("the names are ours");
        let head = format!("{path} {}\n", bytes.len());
        out.write_all(head.as_bytes()).and_then(|()| out.write_all(bytes)).expect("to memory");
    }
    out.finish().expect("to memory")
}

fn unpack(packed: &[u8]) -> Image {
    let mut all = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut all).expect("the fixture is gzip");
    let mut rest = all.as_slice();
    let mut image = Image::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').expect("a head ends");
        let head = std::str::from_utf8(&rest[..end]).expect("a head is text");
        let (path, len) = head.split_once(' ').expect("a head has a path and a length");
        let (bytes, after) = rest[end + 1..].split_at(len.parse().expect("a length"));
        image.insert(path.into(), bytes.to_vec());
        rest = after;
    }
    image
}

/// Opens a directory as a server does; a line for each document.
fn read(image: &Image) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    write_image(image, dir.path());
    let store = Store::open(dir.path()).expect("the store opens");
    let config = Config::new(dir.path().join("journal"));
    let (journal, report) = Journal::open(config, store.clone()).expect("the journal opens");
    assert_eq!((report.cut, report.damages, report.strays), (None, vec![], vec![]));
    let mut lines = String::new();
    for number in 0..DOCUMENTS {
        let name = name(number);
        let doc = store.find(VaultNo(1), &name).expect("it is whole").expect("it is there");
        let key = DocKey { vault: VaultNo(1), doc };
        let loaded = store.load(key).expect("it is whole");
        let asides = store.asides(key).expect("they are whole").len();
        let state = loaded.checkpoint.expect("each has one");
        let sum = loaded.entries.iter().fold(checksum(&state.state), |sum, entry| {
            let stamp = entry.stamp.to_bytes();
            let author = entry.author.as_deref().unwrap_or("-").as_bytes();
            sum.rotate_left(5) ^ checksum(&[&entry.bytes[..], author, &stamp].concat())
        });
        lines += &format!(
            "{key} {name:?} epoch {} entries {} checkpoint {} position {} owners {} \
             asides {asides} {sum:016x}\n",
            loaded.head.epoch,
            loaded.last_n,
            state.n,
            loaded.last_position,
            loaded.owners.len(),
        );
    }
    let feed = store.feed(VaultNo(1)).expect("it is read");
    let facts = feed.facts.as_ref().expect("every vault has facts");
    assert_eq!((feed.damaged, facts.name.as_str()), (0, "default"));
    // Format 1 had no items: they come when the documents settle.
    if !feed.items.is_empty() {
        lines += &format!("epoch {} seq {} rows {:?}\n", facts.epoch, feed.seq, feed.rows);
        for (doc, item) in &feed.items {
            lines += &format!("{doc} {item:?}\n");
        }
    }
    // Formats 1 and 2 had none.
    for retired in store.retired(VaultNo(1), BEFORE).expect("they are read") {
        lines += &format!("{BEFORE} was {} of {:?}\n", retired.doc, retired.clients);
    }
    // Format 4 was the first with names of versions and stamped changes, and with a past.
    let doc = store.find(VaultNo(1), &name(0)).expect("it is read").expect("it is there");
    let key = DocKey { vault: VaultNo(1), doc };
    for (seq, label) in store.labels(key).expect("they are read") {
        let version = store.version(key, seq).expect("it is read").expect("it is there");
        let stamped = store.stamped(VaultNo(1), STAMP).expect("it is read");
        let past = store.at(key, 3).expect("it is read").expect("it is kept");
        let past = past.entries.iter().fold(0, |sum, entry| checksum(&entry.bytes) ^ sum);
        lines += &format!("{label:?} {version:?} {stamped:?} {past:016x}\n");
    }
    journal.close().expect("a healthy journal closes");
    lines
}

/// The stamp of a change.
const STAMP: Stamp = Stamp::new(77, 0, 9);

/// A name that the first document had before.
const BEFORE: &str = "before";

/// The same directory, and a name is free whose document has a history; a version of it has a name,
/// and holds a change that was stamped.
fn with_more(image: &Image) -> Image {
    let dir = tempfile::tempdir().expect("a directory");
    write_image(image, dir.path());
    let store = Store::open(dir.path()).expect("the store opens");
    let config = Config::new(dir.path().join("journal"));
    let (journal, _) = Journal::open(config, store.clone()).expect("the journal opens");
    let doc = store.find(VaultNo(1), &name(0)).expect("it is read").expect("it is there");
    let mut payload = Vec::new();
    Retired { name: BEFORE.to_owned(), clients: vec![7, 1 << 52] }.encode(&mut payload);
    let (doc, kind, stamp) = (DocKey { vault: VaultNo(1), doc }, Kind::Retired, doc.0);
    let record = Record { doc, n: 0, kind, stamp, author: None, payload: &payload };
    journal.append(&[record]).expect("a healthy journal takes it");
    let seq = store.versions(doc, None, 1).expect("they are read").remove(0).item.seq;
    let (mut named, mut stamped) = (Vec::new(), Vec::new());
    Named { seq, name: Some("first draft".into()) }.encode(&mut named);
    let came_to = store::Stamped { doc: doc.doc, seq, fingerprint: 5, received_ms: 6, count: 0 };
    Stamped { stamp: STAMP, came_to }.encode(&mut stamped);
    for (kind, payload) in [(Kind::Named, &named), (Kind::Stamped, &stamped)] {
        journal.append(&[Record { kind, payload, author: Some("ann"), ..record }]).expect("again");
    }
    journal.close().expect("a healthy journal closes");
    drop((journal, store));
    read_image(dir.path())
}

#[test]
fn every_stored_format_is_read_by_this_build() {
    if std::env::var_os("SHEAF_WRITE_FIXTURE").is_some() && !fixture(FORMAT, "gz").exists() {
        let image = with_more(&image(true).0);
        std::fs::write(fixture(FORMAT, "txt"), read(&image)).expect("it is written");
        std::fs::write(fixture(FORMAT, "gz"), pack(&image)).expect("it is written");
    }
    for format in 1..=FORMAT {
        let packed = std::fs::read(fixture(format, "gz")).expect("each format has a fixture");
        let due = std::fs::read_to_string(fixture(format, "txt")).expect("and its lines");
        assert_eq!(read(&unpack(&packed)), due, "format {format}");
    }
}
