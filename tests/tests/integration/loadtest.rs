//! The load rig, small: against the real server and its own relay, and against a relay that cheats.

use std::process::{Command, Output};

use serde_json::Value;
use sheaf_tests::process::{binary, loadtest};

fn rig(arguments: &[&str]) -> Output {
    let program = loadtest().expect("the rig is built");
    Command::new(program).args(arguments).args(["--json", "-"]).output().expect("the rig runs")
}

/// The outcomes, one a line.
fn outcomes(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON"));
    lines.collect()
}

fn failed_checks(outcome: &Value) -> Vec<&str> {
    let checks = outcome["checks"].as_array().expect("checks").iter();
    let failed = checks.filter(|check| check["is_passed"] == false);
    failed.filter_map(|check| check["name"].as_str()).collect()
}

#[test]
fn the_rig_finds_nothing_wrong_with_the_server_and_with_its_own_relay() {
    let start =
        format!("{} serve --listen 127.0.0.1:{{port}} --data {{dir}}", binary().unwrap().display());
    let short = ["--warm-up", "0.1", "--seconds", "0.4"];
    for scenario in [
        &["saturate", "--documents", "4", "--edits", "scattered"][..],
        &["typing", "--documents", "4", "--people", "3"],
    ] {
        let servers = ["--start", &start, "--floor", "--rounds", "1"];
        let output = rig(&[scenario, &short, &servers].concat());
        let outcomes = outcomes(&output);
        assert_eq!(outcomes.len(), 2, "{output:?}");
        for outcome in &outcomes {
            assert_eq!(failed_checks(outcome), <[&str; 0]>::default(), "{outcome}");
        }
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn the_rig_finds_out_a_relay_that_loses_and_one_that_swaps() {
    let relay = format!("{} floor --listen 127.0.0.1:{{port}}", loadtest().unwrap().display());
    let load = ["fan-out", "--readers", "3", "--rate", "300", "--warm-up", "0.1"];
    for (fault, check) in [("--lose-every", "nothing lost"), ("--swap-every", "in order")] {
        let start = format!("{relay} {fault} 20");
        let output = rig(&[&load[..], &["--seconds", "0.4", "--start", &start]].concat());
        let outcomes = outcomes(&output);
        assert_eq!(outcomes.len(), 1, "{output:?}");
        assert!(failed_checks(&outcomes[0]).contains(&check), "{}", outcomes[0]);
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn the_rig_finds_out_whether_documents_are_whole_after_a_restart() {
    let server =
        format!("{} serve --listen 127.0.0.1:{{port}} --data {{dir}}", binary().unwrap().display());
    let relay = format!("{} floor --listen 127.0.0.1:{{port}}", loadtest().unwrap().display());
    let load = ["cold-open", "--documents", "8", "--opened", "4", "--history", "200"];
    for (start, expected) in [(&server, &[][..]), (&relay, &["first answers whole"][..])] {
        let output = rig(&[&load[..], &["--settle", "0", "--start", start]].concat());
        let outcomes = outcomes(&output);
        assert_eq!(outcomes.len(), 1, "{output:?}");
        assert_eq!(failed_checks(&outcomes[0]), expected, "{}", outcomes[0]);
    }
}

#[test]
fn servers_take_turns_and_their_processes_are_read() {
    let relay = format!("{} floor --listen 127.0.0.1:{{port}}", loadtest().unwrap().display());
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    let load = ["fan-out", "--readers", "3", "--warm-up", "0.1", "--seconds", "0.3"];
    let other = format!("other={relay}");
    let servers = ["--start", &relay, "--vs", &other, "--floor", "--rounds", "2"];
    let html = ["--html", page.to_str().unwrap()];
    let output = rig(&[&load[..], &servers, &html].concat());
    let outcomes = outcomes(&output);
    let turns = outcomes.iter().map(|outcome| outcome["server"]["name"].as_str().unwrap());
    let turns: Vec<&str> = turns.collect();
    assert_eq!(turns, ["server", "floor", "other", "other", "floor", "server"], "{output:?}");
    for outcome in &outcomes {
        for name in ["CPU per delivery", "server memory", "delivered"] {
            let figures = outcome["figures"].as_array().unwrap();
            let figure = figures.iter().find(|figure| figure["name"] == name).expect(name);
            assert!(figure["value"].as_f64() > Some(0.0), "{figure}");
        }
    }
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<svg") && page.contains("fan-out"));
    // A relay without a memory passes as the floor only.
    let failed = |name| {
        outcomes
            .iter()
            .any(|outcome| outcome["server"]["name"] == name && !failed_checks(outcome).is_empty())
    };
    assert!(!failed("floor") && failed("server") && failed("other"));
}
