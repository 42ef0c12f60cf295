//! What is said about metrics, and what the server has.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use sheaf_tests::process::Process;

use super::text_of;

const OPERATIONS: &str = "docs/operations.md";
const OTHERS: [&str; 2] =
    ["docs/operate/grafana-dashboard.json", "docs/operate/prometheus-rules.yml"];

/// The names under which a scrape has values, without the parts of a histogram. Of a server that
/// has been asked something: what is counted by route is there from its first answer on.
fn exposed() -> BTreeSet<String> {
    let data = tempfile::tempdir().expect("a temporary directory");
    let process = Process::start(data.path()).expect("it starts");
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(process.address()).expect("it listens");
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        answer
    };
    ask("/v1/vaults");
    let text = ask("/metrics");
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names = types.map(|line| match line.split_once(' ').expect("name and type") {
        (name, "counter") => format!("{name}_total"),
        (name, "info") => format!("{name}_info"),
        (name, _) => name.to_owned(),
    });
    names.collect()
}

/// Every word that begins with our prefix.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("sheaf_") && *word != "sheaf_");
    ours.filter(|word| !word.starts_with("sheaf_server")).map(str::to_owned).collect()
}

/// `…_bucket` and the like are parts of one histogram.
fn whole(name: &str, exposed: &BTreeSet<String>) -> String {
    let endings = ["_bucket", "_sum", "_count"];
    let whole = endings.iter().find_map(|ending| name.strip_suffix(ending));
    whole.filter(|whole| exposed.contains(*whole)).unwrap_or(name).to_owned()
}

#[test]
fn every_metric_is_documented_with_what_to_do_about_it() {
    let exposed = exposed();
    let text = text_of(OPERATIONS);
    let documented = named(&text);
    let silent: Vec<_> = exposed.difference(&documented).collect();
    assert!(silent.is_empty(), "{OPERATIONS} says nothing about {silent:?}");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `sheaf_")).collect();
    for name in &exposed {
        let row = rows.iter().find(|row| named(row).contains(name));
        let cells =
            row.map_or(0, |row| row.split('|').filter(|cell| cell.trim().len() > 1).count());
        assert!(cells >= 3, "the row of {name} does not say what to do about it");
    }
}

#[test]
fn no_document_and_no_dashboard_names_a_metric_that_is_not_there() {
    let exposed = exposed();
    for path in OTHERS.iter().chain([&OPERATIONS]) {
        for name in named(&text_of(path)) {
            assert!(exposed.contains(&whole(&name, &exposed)), "{path} names {name}");
        }
    }
}

#[test]
fn the_dashboard_is_one_that_can_be_imported() {
    let board: serde_json::Value = serde_json::from_str(&text_of(OTHERS[0])).expect("JSON");
    let panels = board["panels"].as_array().expect("panels");
    assert!(panels.len() > 10 && board["title"] == "Sheaf");
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().expect("a number")), "an id twice");
        let is_row = panel["type"] == "row";
        assert!(is_row || !panel["description"].as_str().unwrap_or("").is_empty(), "{panel}");
    }
}
