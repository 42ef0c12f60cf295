//! A directory that a server has used is clean, and one that was bitten is not.

use sheaf_protocol::ids::VaultNo;

use super::*;
use crate::blob::Hash;
use crate::blob::verify::Damage;
use sheaf_storage::store::verify::Finding;

fn lines(found: &Found) -> String {
    let mut out = Vec::new();
    write_lines(found, &mut out).expect("a Vec takes everything");
    String::from_utf8(out).expect("text")
}

#[test]
fn a_directory_without_a_journal_is_no_data_directory() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    assert!(check(dir.path()).is_err());
}

#[test]
fn a_finding_is_told_with_document_and_position_in_both_forms() {
    let mut found = Found::default();
    assert!(lines(&found).ends_with("all is well\n"));
    assert_eq!(as_json(&found)["clean"], true);
    found.report.store.findings.push(Finding {
        doc: None,
        name: Some("plan".to_owned()),
        position: 4711,
        what: "an entry is missing".to_owned(),
    });
    let text = lines(&found);
    assert!(text.contains("\"plan\"") && text.contains("4711"), "{text}");
    assert!(text.contains("copy the data directory"), "{text}");
    let json = as_json(&found);
    assert_eq!(json["clean"], false);
    assert_eq!(json["store"]["findings"][0]["position"], 4711);
}

#[test]
fn a_damaged_blob_is_told_in_both_forms() {
    let mut found = Found::default();
    let damage = Damage { vault: VaultNo(3), hash: Hash::of(b"a"), what: "it is missing" };
    found.blobs.damages.push(damage);
    let text = lines(&found);
    assert!(text.contains("DAMAGED blob ca978112") && text.contains("vault 3"), "{text}");
    let json = as_json(&found);
    assert_eq!(json["clean"], false);
    assert_eq!(json["blobs"]["damages"][0]["what"], "it is missing");
}
