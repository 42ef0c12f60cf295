//! A directory that a server has used is clean, and one that was bitten is not.

use super::*;
use sheaf_storage::journal::verify::Report;
use sheaf_storage::store::verify::Finding;

fn lines(report: &Report) -> String {
    let mut out = Vec::new();
    write_lines(report, &mut out).expect("a Vec takes everything");
    String::from_utf8(out).expect("text")
}

#[test]
fn a_directory_without_a_journal_is_no_data_directory() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    assert!(check(dir.path()).is_err());
}

#[test]
fn a_finding_is_told_with_document_and_position_in_both_forms() {
    let mut report = Report::default();
    assert!(lines(&report).ends_with("all is well\n"));
    assert_eq!(as_json(&report)["clean"], true);
    report.store.findings.push(Finding {
        doc: None,
        name: Some("plan".to_owned()),
        position: 4711,
        what: "an entry is missing".to_owned(),
    });
    let text = lines(&report);
    assert!(text.contains("\"plan\"") && text.contains("4711"), "{text}");
    assert!(text.contains("copy the data directory"), "{text}");
    let json = as_json(&report);
    assert_eq!(json["clean"], false);
    assert_eq!(json["store"]["findings"][0]["position"], 4711);
}
